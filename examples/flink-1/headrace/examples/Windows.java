package headrace.examples;

import org.apache.flink.streaming.api.windowing.assigners.TumblingProcessingTimeWindows;
import org.apache.flink.streaming.api.windowing.time.Time;

/** Windows by the wall clock: Flink 1 measures them in its own {@code Time}. */
public final class Windows {

    private Windows() {}

    public static TumblingProcessingTimeWindows every(long milliseconds) {
        return TumblingProcessingTimeWindows.of(Time.milliseconds(milliseconds));
    }
}
