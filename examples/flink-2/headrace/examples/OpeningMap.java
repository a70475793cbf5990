package headrace.examples;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;

/** A map function with a start, the same for the jobs on every engine: Flink 2 calls {@code open(OpenContext)}. */
public abstract class OpeningMap<I, O> extends RichMapFunction<I, O> {

    private static final long serialVersionUID = 1L;

    /** Called once in every subtask, before its first record. */
    protected abstract void opened() throws Exception;

    @Override
    public final void open(OpenContext unused) throws Exception {
        opened();
    }

    protected final int subtask() {
        return getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    }
}
