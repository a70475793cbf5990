package headrace.examples;

import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.functions.MapFunction;

/**
 * Lets records pass at a steady rate, by sleeping in front of each. Behind a source that could produce numbers for ever
 * this is all a rate-limited stream needs: the source keeps its position in its checkpoints, and what cannot pass here
 * is not read there.
 *
 * <p>A checkpoint waits while the task sleeps, so it may be late by the time between two records.
 */
public final class Pace<T> implements MapFunction<T, T> {

    private static final long serialVersionUID = 1L;
    private static final long LATENESS = TimeUnit.SECONDS.toNanos(1);

    private final long gap;
    private transient boolean started;
    private transient long next;

    public Pace(double perSecond) {
        if (!(perSecond > 0)) {
            throw new IllegalArgumentException("The rate must be above 0, not " + perSecond);
        }
        gap = (long) (TimeUnit.SECONDS.toNanos(1) / perSecond);
    }

    @Override
    public T map(T record) throws InterruptedException {
        long now = System.nanoTime();
        if (!started || now - next > LATENESS) {
            started = true; // After a pause go on at the rate, rather than rush after what was missed.
            next = now;
        }
        TimeUnit.NANOSECONDS.sleep(next - now);
        next += gap;
        return record;
    }
}
