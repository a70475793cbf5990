package headrace.examples;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Fails where and when it is told to, to see what becomes of a job that does.
 *
 * <pre>
 * --when main                 throw in main(), before there is a job
 * --when exit0                call System.exit(0) in main()
 * --when open                 throw when a task opens its function
 * --when record --after N     throw at record N
 * --when oom-heap --after N   fill the heap from record N on
 * --when trigger-file PATH    throw as long as the file exists (any file system Flink knows; obs:// too)
 * --when twice                two short jobs from one main(): execute() is called two times
 * --when none                 run on
 * </pre>
 *
 * and {@code --rate R} records a second (10). Records are the numbers 0, 1, 2, …; with checkpoints, a job that failed at
 * record N comes back at N and fails again.
 */
public final class FailOnDemand {

    public static void main(String[] args) throws Exception {
        Args arguments = new Args(args);
        Fuse fuse = new Fuse(arguments);
        double rate = arguments.decimal("rate", 10);
        switch (fuse.when) {
            case "main":
                throw new IllegalStateException("Failed on demand in main()");
            case "exit0":
                System.exit(0);
                break;
            case "twice":
                run("FailOnDemand, first", 0, rate, fuse);
                run("FailOnDemand, second", 0, rate, fuse);
                break;
            default:
                run("FailOnDemand", Long.MAX_VALUE, rate, fuse);
        }
    }

    private static void run(String name, long last, double rate, Fuse fuse) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.fromSource(new NumberSequenceSource(0, last), WatermarkStrategy.noWatermarks(), "numbers")
                .uid("numbers")
                .setParallelism(1)
                .map(new Pace<>(rate))
                .returns(Types.LONG)
                .uid("pace")
                .name("pace")
                .setParallelism(1)
                .map(fuse)
                .uid("fuse")
                .name("fuse")
                .print()
                .uid("print")
                .name("print");
        env.execute(name);
    }

    private static final class Fuse extends OpeningMap<Long, Long> {

        private static final long serialVersionUID = 1L;

        private final String when;
        private final long after;
        private final String trigger;

        Fuse(Args arguments) {
            when = arguments.get("when", "none");
            after = arguments.number("after", 0);
            if (when.equals("trigger-file") && arguments.all("when").size() < 2) {
                throw new IllegalArgumentException("--when trigger-file needs the path of the file");
            }
            trigger = when.equals("trigger-file") ? arguments.all("when").get(1) : null;
        }

        @Override
        protected void opened() {
            if (when.equals("open")) {
                throw new IllegalStateException("Failed on demand in open()");
            }
        }

        @Override
        public Long map(Long number) throws Exception {
            if (when.equals("record") && number >= after) {
                throw new IllegalStateException("Failed on demand at record " + number);
            }
            if (when.equals("oom-heap") && number >= after) {
                List<byte[]> hoard = new ArrayList<>();
                while (hoard.size() >= 0) {
                    hoard.add(new byte[1 << 20]);
                }
            }
            if (trigger != null && new Path(trigger).getFileSystem().exists(new Path(trigger))) {
                throw new IllegalStateException("Failed on demand because of " + trigger);
            }
            return number;
        }
    }

    private FailOnDemand() {}
}
