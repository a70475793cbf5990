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
 * --when exit0                call System.exit(0) in main()
 * --when open                 throw when a task opens its function
 * --when record --after N     throw at record N
 * --when oom-heap --after N   fill the heap from record N on
 * --when trigger-file PATH    throw as long as the file exists (any file system Flink knows; obs:// too)
 * --when class --after N      need a class at record N that is in no JAR
 * --when close                throw when a task is closed: then a stop with savepoint fails after its savepoint is made
 * --when oom-main PATH        fill the heap of the JobManager as soon as the file exists
 * --when twice                two short jobs from one main(): execute() is called two times
 * --when none                 run on
 * </pre>
 *
 * and {@code --rate R} records a second (10). Records are the numbers 0, 1, 2, …; with checkpoints, a job that failed at
 * record N comes back at N and fails again. What the code may decide over the head of whoever runs it, {@link OwnWill}:
 *
 * <pre>
 * --restart-delay MS          a restart strategy of its own: after so many milliseconds, without end
 * --restore none|PATH         start from nothing, or from another state than the one that Flink was told
 * </pre>
 */
public final class FailOnDemand {

    public static void main(String[] args) throws Exception {
        Args arguments = new Args(args);
        Fuse fuse = new Fuse(arguments);
        switch (fuse.when) {
            case "main":
                throw new IllegalStateException("Failed on demand in main()");
            case "exit0":
                System.exit(0);
                break;
            case "twice":
                run("FailOnDemand, first", 0, fuse, arguments);
                run("FailOnDemand, second", 0, fuse, arguments);
                break;
            case "oom-main":
                Thread filler = new Thread(() -> fillOnceThereIs(new Path(fuse.trigger)));
                filler.setDaemon(true);
                filler.start();
                run("FailOnDemand", Long.MAX_VALUE, fuse, arguments);
                break;
            default:
                run("FailOnDemand", Long.MAX_VALUE, fuse, arguments);
        }
    }

    private static void fillOnceThereIs(Path file) {
        try {
            while (!file.getFileSystem().exists(file)) {
                Thread.sleep(100);
            }
        } catch (Exception problem) {
            throw new IllegalStateException("Cannot look for " + file, problem);
        }
        fill();
    }

    private static void fill() {
        List<byte[]> hoard = new ArrayList<>();
        while (hoard.size() >= 0) {
            hoard.add(new byte[1 << 20]);
        }
    }

    private static void run(String name, long last, Fuse fuse, Args arguments) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        OwnWill.impose(arguments, env);
        env.fromSource(new NumberSequenceSource(0, last), WatermarkStrategy.noWatermarks(), "numbers")
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
            boolean triggered = when.equals("trigger-file") || when.equals("oom-main");
            if (triggered && arguments.all("when").size() < 2) {
                throw new IllegalArgumentException("--when " + when + " needs the path of the file");
            }
            trigger = triggered ? arguments.all("when").get(1) : null;
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
            if (when.equals("trigger-file") && new Path(trigger).getFileSystem().exists(new Path(trigger))) {
                throw new IllegalStateException("Failed on demand because of " + trigger);
            }
            return number;
        }
    }

    private FailOnDemand() {}
}
