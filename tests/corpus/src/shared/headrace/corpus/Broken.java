package headrace.corpus;

import headrace.corpus.parts.Part;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Breaks in the way that {@code --how} names: in main() here, in a task in {@link Fault}. {@code --how none} is well.
 * Nothing here says in words of its own what is wrong: Flink, the JVM and the kernel shall do that.
 *
 * <p>{@code --records N} ends the job after N numbers (it goes on for ever), {@code --rate R} lets R of them pass in a
 * second (50), {@code --amount N} is how much of it, {@code --name TEXT} what it is about.
 */
public final class Broken {

    public static void main(String[] args) throws Exception {
        Map<String, String> arguments = pairs(args);
        String how = arguments.getOrDefault("how", "none");
        String name = arguments.getOrDefault("name", "");
        int amount = Integer.parseInt(arguments.getOrDefault("amount", "1"));
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        switch (how) {
            case "class-in-main":
                new Part().touch();
                break;
            case "class-by-name":
                Class.forName(name);
                break;
            case "throw":
                throw new IllegalStateException("the ledger of " + name + " is closed");
            case "exit":
                System.exit(amount);
                break;
            case "hang":
                Thread.sleep(Long.MAX_VALUE);
                break;
            case "heap-in-main":
                hoard(amount);
                break;
            case "classes-in-main":
                Fault.load(amount);
                break;
            case "deep":
                depth(amount);
                break;
            case "native":
                crash();
                break;
            case "inside-of-java":
                Field inside = java.util.regex.Pattern.class.getDeclaredField("pattern");
                inside.setAccessible(true);
                break;
            case "scheme":
                new Path(name).getFileSystem();
                break;
            case "no-operators":
                env.execute("Broken");
                return;
            case "no-execute":
                numbers(env, arguments);
                return;
            case "connector":
                Tables.run(name);
                return;
            case "second-execute":
                run(numbers(env, arguments), arguments);
                env.execute("Broken, first");
                break;
            case "strategy":
                env.configure(strategy(amount), Broken.class.getClassLoader());
                break;
            case "removed-in-main":
                Removed.inMain(env);
                break;
            default:
                break;
        }
        run(numbers(env, arguments), arguments);
        env.execute("Broken");
    }

    private static DataStream<Long> numbers(StreamExecutionEnvironment env, Map<String, String> arguments) {
        long records = Long.parseLong(arguments.getOrDefault("records", Long.toString(Long.MAX_VALUE)));
        double rate = Double.parseDouble(arguments.getOrDefault("rate", "50"));
        return env.fromSource(new NumberSequenceSource(1, records), WatermarkStrategy.noWatermarks(), "numbers")
                .uid("numbers")
                .setParallelism(1)
                .map(new Slow((long) (1000 / rate)))
                .returns(Types.LONG)
                .uid("slow")
                .setParallelism(1);
    }

    private static void run(DataStream<Long> numbers, Map<String, String> arguments) {
        String how = arguments.getOrDefault("how", "none");
        String name = arguments.getOrDefault("name", "");
        int amount = Integer.parseInt(arguments.getOrDefault("amount", "1"));
        DataStream<?> result;
        switch (how) {
            case "captured-object":
                Object lock = new Object();
                result = numbers.map(number -> number + lock.hashCode()).returns(Types.LONG);
                break;
            case "type-of-lambda":
                result = numbers.map(number -> Tuple2.of(number, number));
                break;
            case "parallelism":
                result = numbers.rebalance().map(new Slow(0)).returns(Types.LONG).setParallelism(amount);
                break;
            case "channels":
                DataStream<Long> spread = numbers;
                for (int stage = 0; stage < amount; stage++) {
                    spread = spread.rebalance().map(new Slow(0)).returns(Types.LONG);
                }
                result = spread;
                break;
            case "removed-in-task":
                result = numbers.map(new Removed()).returns(Types.LONG);
                break;
            case "state":
                result = numbers.map(new Remembering(arguments.getOrDefault("type", "long")))
                        .returns(Types.LONG)
                        .uid(arguments.getOrDefault("uid", "remembering"));
                break;
            default:
                result = numbers.map(new Fault(how, name, amount)).returns(Types.LONG).uid("fault");
        }
        result.filter(each -> false).print();
    }

    private static Configuration strategy(int attempts) {
        Map<String, String> options = new HashMap<>();
        for (String key : new String[] {"restart-strategy", "restart-strategy.type"}) {
            options.put(key, "fixed-delay");
        }
        options.put("restart-strategy.fixed-delay.attempts", Integer.toString(attempts));
        options.put("restart-strategy.fixed-delay.delay", "100 ms");
        return Configuration.fromMap(options);
    }

    /** Keeps so many MB for ever. */
    static void hoard(int megabytes) {
        for (int number = 0; number < megabytes; number++) {
            HOARD.add(new byte[1 << 20]);
        }
    }

    private static int depth(int left) {
        return left == 0 ? 0 : 1 + depth(left - 1);
    }

    /** Writes to where nothing is. */
    private static void crash() throws Exception {
        Class<?> unsafe = Class.forName("sun.misc.Unsafe");
        Field instance = unsafe.getDeclaredField("theUnsafe");
        instance.setAccessible(true);
        unsafe.getMethod("putAddress", long.class, long.class).invoke(instance.get(null), 0L, 0L);
    }

    private static Map<String, String> pairs(String[] args) {
        Map<String, String> found = new HashMap<>();
        for (int at = 0; at + 1 < args.length; at += 2) {
            found.put(args[at].substring(2), args[at + 1]);
        }
        return found;
    }

    static final List<Object> HOARD = new ArrayList<>();

    /** Lets a number pass every so many milliseconds. */
    private static final class Slow implements MapFunction<Long, Long> {

        private static final long serialVersionUID = 1L;

        private final long gap;

        Slow(long gap) {
            this.gap = gap;
        }

        @Override
        public Long map(Long number) throws InterruptedException {
            Thread.sleep(gap);
            return number;
        }
    }

    private Broken() {}
}
