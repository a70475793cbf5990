package headrace.corpus;

import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.restartstrategy.RestartStrategies;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** What Flink 1 has, and Flink 2 has no more. */
final class Removed extends RichMapFunction<Long, Long> {

    private static final long serialVersionUID = 1L;

    static void inMain(StreamExecutionEnvironment env) {
        env.setRestartStrategy(RestartStrategies.noRestart());
    }

    @Override
    public Long map(Long number) {
        return number + getRuntimeContext().getIndexOfThisSubtask();
    }
}
