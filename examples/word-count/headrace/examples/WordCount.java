package headrace.examples;

import java.util.Locale;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.TextLineInputFormat;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.util.Collector;

/**
 * Counts the words of a text and ends.
 *
 * <pre>--input obs://bucket/text.txt --output obs://bucket/counts</pre>
 *
 * The input is a file or a folder of files in UTF-8. A word is a run of the letters a to z, in lower case; everything
 * else parts words. The output is a folder of files with lines {@code word count}, in no order.
 */
public final class WordCount {

    public static void main(String[] args) throws Exception {
        Args arguments = new Args(args);
        Path input = new Path(arguments.require("input"));
        Path output = new Path(arguments.require("output"));

        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        // The input ends, so a word needs to be written only once: with its final count.
        env.setRuntimeMode(RuntimeExecutionMode.BATCH);
        FileSource<String> lines = FileSource.forRecordStreamFormat(new TextLineInputFormat("UTF-8"), input).build();
        FileSink<String> counts = FileSink.forRowFormat(output, new SimpleStringEncoder<String>("UTF-8"))
                .withBucketAssigner(new BasePathBucketAssigner<>()) // no folder per hour
                .build();
        env.fromSource(lines, WatermarkStrategy.noWatermarks(), "lines")
                .uid("lines")
                .flatMap(WordCount::words)
                .returns(Types.TUPLE(Types.STRING, Types.LONG))
                .uid("words")
                .name("words")
                .keyBy(word -> word.f0)
                .sum(1)
                .uid("count")
                .name("count")
                .map(word -> word.f0 + " " + word.f1)
                .uid("format")
                .name("format")
                .sinkTo(counts)
                .uid("counts")
                .name("counts");
        env.execute("WordCount");
    }

    private static void words(String line, Collector<Tuple2<String, Long>> out) {
        for (String word : line.toLowerCase(Locale.ROOT).split("[^a-z]+")) {
            if (!word.isEmpty()) {
                out.collect(Tuple2.of(word, 1L));
            }
        }
    }

    private WordCount() {}
}
