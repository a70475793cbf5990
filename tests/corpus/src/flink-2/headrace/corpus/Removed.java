package headrace.corpus;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** What Flink 2 has, and Flink 1.17 has not yet. */
final class Removed extends RichMapFunction<Long, Long> {

    private static final long serialVersionUID = 1L;

    static void inMain(StreamExecutionEnvironment env) {
        env.getConfig().getSerializerConfig();
    }

    @Override
    public void open(OpenContext context) {}

    @Override
    public Long map(Long number) {
        return number + getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    }
}
