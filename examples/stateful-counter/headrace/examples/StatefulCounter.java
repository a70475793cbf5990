package headrace.examples;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/**
 * Counts for ever, and can prove that it never miscounts.
 *
 * <pre>--rate 100 --output obs://bucket/counts [--keys 4] [--checkpoint-interval 1000] [--poison FOLDER]</pre>
 *
 * The numbers 0, 1, 2, … are dealt out to K keys in turn, and each key counts what it gets: number n goes to key n mod K
 * and is that key's (n div K + 1)-th. Every record becomes one line {@code key count n}. The count comes from keyed
 * state, n from the position of the source: both are in every checkpoint and savepoint. Whatever the job goes through,
 * over all finished files together
 *
 * <ul>
 *   <li>each n from 0 to the greatest is there once: nothing is lost, nothing is doubled;
 *   <li>in each line {@code count = n div K + 1}: the two states are of the same moment.
 * </ul>
 *
 * A file is finished when the checkpoint is complete in which it was closed; hence without checkpoints there is no
 * output. K must stay the same over a savepoint. Without {@code --checkpoint-interval} the interval is that of the
 * Flink configuration. With {@code --poison} it can be broken from outside: see {@link Poison}.
 */
public final class StatefulCounter {

    public static void main(String[] args) throws Exception {
        Args arguments = new Args(args);
        long keys = arguments.number("keys", 4);
        double rate = arguments.decimal("rate", 10);
        Path output = new Path(arguments.require("output"));

        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        if (!arguments.all("checkpoint-interval").isEmpty()) {
            env.enableCheckpointing(arguments.number("checkpoint-interval", 0));
        }
        FileSink<String> files = FileSink.forRowFormat(output, new SimpleStringEncoder<String>("UTF-8"))
                .withBucketAssigner(new BasePathBucketAssigner<>())
                .withRollingPolicy(OnCheckpointRollingPolicy.build())
                .build();
        DataStream<Long> numbers = env.fromSource(
                        new NumberSequenceSource(0, Long.MAX_VALUE), WatermarkStrategy.noWatermarks(), "numbers")
                .uid("numbers")
                .setParallelism(1) // one sequence, whatever the parallelism of the rest
                .map(new Pace<>(rate))
                .returns(Types.LONG)
                .uid("pace")
                .name("pace")
                .setParallelism(1);
        if (!arguments.all("poison").isEmpty()) {
            numbers = numbers.map(new Poison<>(arguments.require("poison")))
                    .returns(Types.LONG)
                    .uid("poison")
                    .name("poison")
                    .setParallelism(1);
        }
        numbers.keyBy(number -> number % keys)
                .map(new Count(keys))
                .uid("count")
                .name("count")
                .sinkTo(files)
                .uid("files")
                .name("files");
        env.execute("StatefulCounter");
    }

    private static final class Count extends OpeningMap<Long, String> {

        private static final long serialVersionUID = 1L;

        private final long keys;
        private transient ValueState<Long> counted;

        Count(long keys) {
            this.keys = keys;
        }

        @Override
        protected void opened() {
            counted = getRuntimeContext().getState(new ValueStateDescriptor<>("counted", Types.LONG));
        }

        @Override
        public String map(Long number) throws Exception {
            Long before = counted.value();
            long count = before == null ? 1 : before + 1;
            counted.update(count);
            return number % keys + " " + count + " " + number;
        }
    }

    private StatefulCounter() {}
}
