package headrace.examples;

import java.time.Duration;
import org.apache.flink.streaming.api.windowing.assigners.TumblingProcessingTimeWindows;

/** Windows by the wall clock: Flink 2 measures them in {@code java.time.Duration}. */
public final class Windows {

    private Windows() {}

    public static TumblingProcessingTimeWindows every(long milliseconds) {
        return TumblingProcessingTimeWindows.of(Duration.ofMillis(milliseconds));
    }
}
