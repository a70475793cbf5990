package org.apache.flink.examples.streaming;

import headrace.examples.Pace;
import headrace.examples.Windows;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A queue that never ends, counted in windows: the job of the create-job example in the DLI reference.
 *
 * <pre>-windowSize 2000 -rate 3</pre>
 *
 * means windows of two seconds over three records a second. Each window prints one line per queue to the TaskManager's
 * standard output. The code sets no checkpointing: that is left to the one who runs the job.
 */
public final class JavaQueueStream {

    private static final int QUEUES = 3;

    public static void main(String[] args) throws Exception {
        long windowSize = 2000;
        double rate = 3;
        for (int i = 0; i + 1 < args.length; i++) {
            if (args[i].matches("--?windowSize")) {
                windowSize = Long.parseLong(args[i + 1]);
            } else if (args[i].matches("--?rate")) {
                rate = Double.parseDouble(args[i + 1]);
            }
        }

        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.fromSource(new NumberSequenceSource(0, Long.MAX_VALUE), WatermarkStrategy.noWatermarks(), "numbers")
                .uid("numbers")
                .setParallelism(1) // one source, so that the rate is the rate of the whole job
                .map(new Pace<>(rate))
                .returns(Types.LONG)
                .uid("pace")
                .name("pace")
                .setParallelism(1)
                .map(number -> Tuple2.of("queue-" + number % QUEUES, 1L))
                .returns(Types.TUPLE(Types.STRING, Types.LONG))
                .uid("queue")
                .name("queue")
                .keyBy(record -> record.f0)
                .window(Windows.every(windowSize))
                .sum(1)
                .uid("count")
                .name("count")
                .print()
                .uid("print")
                .name("print");
        env.execute("JavaQueueStream");
    }

    private JavaQueueStream() {}
}
