package headrace.examples;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Fails where and when it is told to, to see what becomes of a job that does.
 *
 * <pre>
 * --when main                 throw in main(), before there is a job
 * --when exit0 [PATH]         call System.exit(0) in main(): at once, or as soon as the file exists
 * --when open                 throw when a task opens its function
 * --when record --after N     throw at record N
 * --when oom-heap --after N   fill the heap from record N on
 * --when trigger-file PATH    throw as long as the file exists (any file system Flink knows; obs:// too)
 * --when stall PATH           let nothing pass, not even a checkpoint, as long as the file exists
 * --when class --after N      need a class at record N that is in no JAR
 * --when close                throw when a task is closed: then a stop with savepoint fails after its savepoint is made
 * --when oom-main PATH        fill the heap of the JobManager as soon as the file exists
 * --when twice                two short jobs from one main(): execute() is called two times
 * --when none                 run on
 * </pre>
 *
 * and {@code --rate R} records a second (10), {@code --records N} of them (without end). Records are the numbers 0, 1,
 * 2, …; with checkpoints, a job that failed at record N comes back at N and fails again. What the code may decide over
 * the head of whoever runs it, {@link OwnWill}:
 *
 * <pre>
 * --restart-delay MS          a restart strategy of its own: after so many milliseconds, without end
 * --restore none|PATH [FILE]  start from nothing, or from another state than the one that Flink was told (if FILE exists)
 * </pre>
 */
public final class FailOnDemand {

    public static void main(String[] args) throws Exception {
        Args arguments = new Args(args);
        Fuse fuse = new Fuse(arguments);
        switch (fuse.when) {
            case "main":
                throw new IllegalStateException("Failed on demand in main()");
            case "twice":
                run("FailOnDemand, first", 1, fuse, arguments);
                run("FailOnDemand, second", 1, fuse, arguments);
                return;
            case "exit0":
                if (fuse.trigger == null) {
                    System.exit(0);
                }
                onceItIsThere(fuse.trigger, () -> System.exit(0));
                break;
            case "oom-main":
                onceItIsThere(fuse.trigger, FailOnDemand::fill);
                break;
            default:
                break;
        }
        run("FailOnDemand", arguments.number("records", Long.MAX_VALUE), fuse, arguments);
    }

    /** Does this in the JobManager, which runs main(), as soon as the file exists. */
    private static void onceItIsThere(String file, Runnable what) {
        Thread waiting = new Thread(() -> {
            try {
                Path path = new Path(file);
                while (!path.getFileSystem().exists(path)) {
                    Thread.sleep(100);
                }
            } catch (Exception problem) {
                throw new IllegalStateException("Cannot look for " + file, problem);
            }
            what.run();
        });
        waiting.setDaemon(true);
        waiting.start();
    }

    private static void fill() {
        List<byte[]> hoard = new ArrayList<>();
        while (hoard.size() >= 0) {
            hoard.add(new byte[1 << 20]);
        }
    }

    private static void run(String name, long records, Fuse fuse, Args arguments) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        OwnWill.impose(arguments, env);
        env.fromSource(new NumberSequenceSource(0, records - 1), WatermarkStrategy.noWatermarks(), "numbers")
                .uid("numbers")
                .setParallelism(1)
                .map(new Pace<>(arguments.decimal("rate", 10)))
                .returns(Types.LONG)
                .uid("pace")
                .name("pace")
                .setParallelism(1)
                .map(fuse)
                .uid("fuse")
                .name("fuse")
                .print()
                .uid("print")
                .name("print");
        env.execute(name);
    }

    private static final class Fuse extends OpeningMap<Long, Long> {

        private static final long serialVersionUID = 1L;

        private final String when;
        private final long after;
        private final String trigger;

        Fuse(Args arguments) {
            when = arguments.get("when", "none");
            after = arguments.number("after", 0);
            trigger = arguments.all("when").size() > 1 ? arguments.all("when").get(1) : null;
            if (trigger == null && (when.equals("trigger-file") || when.equals("stall") || when.equals("oom-main"))) {
                throw new IllegalArgumentException("--when " + when + " needs the path of the file");
            }
        }

        @Override
        protected void opened() {
            if (when.equals("open")) {
                throw new IllegalStateException("Failed on demand in open()");
            }
        }

        @Override
        public void close() {
            if (when.equals("close")) {
                throw new IllegalStateException("Failed on demand in close()");
            }
        }

        @Override
        public Long map(Long number) throws Exception {
            if (when.equals("record") && number >= after) {
                throw new IllegalStateException("Failed on demand at record " + number);
            }
            if (when.equals("oom-heap") && number >= after) {
                fill();
            }
            if (when.equals("class") && number >= after) {
                Class.forName("headrace.examples.InNoJar", true, getClass().getClassLoader());
            }
            while (when.equals("stall") && new Path(trigger).getFileSystem().exists(new Path(trigger))) {
                Thread.sleep(50);
            }
            if (when.equals("trigger-file") && new Path(trigger).getFileSystem().exists(new Path(trigger))) {
                throw new IllegalStateException("Failed on demand because of " + trigger);
            }
            return number;
        }
    }

    private FailOnDemand() {}
}
