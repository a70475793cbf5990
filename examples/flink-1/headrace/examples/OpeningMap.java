package headrace.examples;

import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.configuration.Configuration;

/** A map function with a start, the same for the jobs on every engine: Flink 1 calls {@code open(Configuration)}. */
public abstract class OpeningMap<I, O> extends RichMapFunction<I, O> {

    private static final long serialVersionUID = 1L;

    /** Called once in every subtask, before its first record. */
    protected abstract void opened() throws Exception;

    @Override
    public final void open(Configuration unused) throws Exception {
        opened();
    }

    protected final int subtask() {
        return getRuntimeContext().getIndexOfThisSubtask();
    }
}
