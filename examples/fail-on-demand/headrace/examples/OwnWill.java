package headrace.examples;

import java.io.File;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** What the code of a job decides over the head of whoever runs it. Keys are those of all versions; each knows its own. */
final class OwnWill {

    private static final String[] RESTORE = {"execution.savepoint.path", "execution.state-recovery.path"};

    static void impose(Args arguments, StreamExecutionEnvironment env) {
        Map<String, String> options = new HashMap<>();
        if (!arguments.all("restart-delay").isEmpty()) {
            options.put("restart-strategy", "fixed-delay");
            options.put("restart-strategy.type", "fixed-delay");
            options.put("restart-strategy.fixed-delay.attempts", Integer.toString(Integer.MAX_VALUE));
            options.put("restart-strategy.fixed-delay.delay", arguments.number("restart-delay", 0) + " ms");
        }
        List<String> wanted = arguments.all("restore");
        boolean now = wanted.size() < 2 || new File(wanted.get(1)).exists();
        String restore = now ? arguments.get("restore", "") : "";
        Configuration inside = (Configuration) env.getConfiguration(); // 1.17 hears of these keys in no other way
        for (String key : RESTORE) {
            if (restore.equals("none")) {
                inside.removeKey(key);
            } else if (!restore.isEmpty()) {
                inside.setString(key, restore);
            }
        }
        env.configure(Configuration.fromMap(options), OwnWill.class.getClassLoader());
    }

    private OwnWill() {}
}
