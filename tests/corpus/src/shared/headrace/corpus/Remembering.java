package headrace.corpus;

import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;

/** Keeps the last number, as a {@code long} or as a {@code string}; as {@code nothing} it cannot. */
final class Remembering implements MapFunction<Long, Long>, CheckpointedFunction {

    private static final long serialVersionUID = 1L;

    private final String type;
    private transient ListState<Object> state;
    private transient long last;

    Remembering(String type) {
        this.type = type;
    }

    @Override
    public Long map(Long number) {
        last = number;
        return number;
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        if (type.equals("nothing")) {
            throw new IllegalStateException("the number " + last + " is not kept");
        }
        state.clear();
        state.add(type.equals("long") ? (Object) last : Long.toString(last));
    }

    @Override
    @SuppressWarnings({"unchecked", "rawtypes"})
    public void initializeState(FunctionInitializationContext context) throws Exception {
        TypeInformation<?> kept = type.equals("long") ? Types.LONG : Types.STRING;
        state = context.getOperatorStateStore().getListState(new ListStateDescriptor("last", kept));
    }
}
