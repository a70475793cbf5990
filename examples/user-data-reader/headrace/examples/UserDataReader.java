package headrace.examples;

import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URL;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import mygroup.Test;
import mygroup.Test1;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.core.fs.FileSystem.WriteMode;
import org.apache.flink.core.fs.Path;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Tells what a job sees of its dependencies: files, JARs and arguments.
 *
 * <pre>OUTPUT [anything …]</pre>
 *
 * The first argument is a folder (a URI); the others are recorded as they came. {@code main()} writes
 * {@code OUTPUT/jobmanager.json}, and each subtask writes {@code OUTPUT/taskmanager-<subtask>.json} with what its
 * {@code open()} saw; then the job ends. The files looked for are {@code userData/test.csv},
 * {@code userData/test1.csv} and every argument that begins with {@code userData/}.
 */
public final class UserDataReader {

    public static void main(String[] args) throws Exception {
        if (args.length == 0) {
            throw new IllegalArgumentException("The first argument must be the output folder");
        }
        write(args[0], "jobmanager", report("jobmanager", args));

        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.fromSource(
                        new NumberSequenceSource(1, env.getParallelism()), WatermarkStrategy.noWatermarks(), "numbers")
                .uid("numbers")
                .map(new Reader(args))
                .uid("reader")
                .name("reader")
                .print()
                .uid("print")
                .name("print");
        env.execute("UserDataReader");
    }

    private static final class Reader extends OpeningMap<Long, String> {

        private static final long serialVersionUID = 1L;

        private final String[] args;
        private transient String report;

        Reader(String[] args) {
            this.args = args;
        }

        @Override
        protected void opened() throws Exception {
            report = report("taskmanager", args);
            write(args[0], "taskmanager-" + subtask(), report);
        }

        @Override
        public String map(Long number) {
            return report;
        }
    }

    /** One JSON object: where am I, what did I get, what do I see. */
    private static String report(String side, String[] args) throws Exception {
        Map<String, String> report = new LinkedHashMap<>();
        report.put("side", quote(side));
        report.put("flink", quote(EnvironmentInformation.getVersion()));
        report.put("java", quote(System.getProperty("java.version")));
        report.put("directory", quote(System.getProperty("user.dir")));
        report.put("args", Stream.of(args).map(UserDataReader::quote).collect(Collectors.joining(", ", "[", "]")));
        Map<String, String> files = new LinkedHashMap<>();
        for (String name : (Iterable<String>) names(args)::iterator) {
            files.put(name, file(name));
        }
        report.put("files", object(files));
        Map<String, String> classes = new LinkedHashMap<>();
        classes.put("mygroup.Test", greeting(() -> Test.greeting()));
        classes.put("mygroup.Test1", greeting(() -> Test1.greeting()));
        report.put("dependencies", object(classes));
        return object(report);
    }

    private static Stream<String> names(String[] args) {
        Stream<String> asked = Stream.of(args).skip(1).filter(arg -> arg.startsWith("userData/"));
        return Stream.concat(Stream.of("userData/test.csv", "userData/test1.csv"), asked).distinct();
    }

    /** The two ways to a dependency file: as a resource of the class path, and relative to the working directory. */
    private static String file(String name) throws Exception {
        Map<String, String> seen = new LinkedHashMap<>();
        URL resource = UserDataReader.class.getClassLoader().getResource(name);
        seen.put("resource", resource == null ? "null" : quote(resource.toString()));
        seen.put("content", resource == null ? "null" : content(URLDecoder.decode(plusKept(resource.getPath()), "UTF-8")));
        seen.put("relative", content(name));
        return object(seen);
    }

    private static String plusKept(String path) {
        return path.replace("+", "%2B"); // in a file: URL a plus is a plus, but URLDecoder makes it a space
    }

    private static String content(String file) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (InputStream in = new FileInputStream(file)) {
            byte[] buffer = new byte[8192];
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                bytes.write(buffer, 0, n);
            }
        } catch (FileNotFoundException missing) {
            return "null";
        }
        StringBuilder sha256 = new StringBuilder();
        for (byte b : MessageDigest.getInstance("SHA-256").digest(bytes.toByteArray())) {
            sha256.append(String.format("%02x", b));
        }
        Map<String, String> seen = new LinkedHashMap<>();
        seen.put("path", quote(file));
        seen.put("sha256", quote(sha256.toString()));
        seen.put("firstLine", quote(bytes.toString("UTF-8").split("\r?\n", 2)[0]));
        return object(seen);
    }

    /** What the class says, or null where its JAR is not there. */
    private static String greeting(Supplier<String> dependency) {
        try {
            return quote(dependency.get());
        } catch (NoClassDefFoundError missing) {
            return "null";
        }
    }

    private static void write(String folder, String name, String json) throws IOException {
        Path path = new Path(new Path(folder), name + ".json");
        try (OutputStream out = path.getFileSystem().create(path, WriteMode.OVERWRITE)) {
            out.write((json + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }

    private static String object(Map<String, String> fields) {
        return fields.entrySet().stream()
                .map(field -> quote(field.getKey()) + ": " + field.getValue())
                .collect(Collectors.joining(", ", "{", "}"));
    }

    private static final Pattern PLAIN = Pattern.compile("[ !#-\\[\\]-~]");

    private static String quote(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (PLAIN.matcher(String.valueOf(c)).matches()) {
                json.append(c);
            } else {
                json.append(String.format("\\u%04x", (int) c));
            }
        }
        return json.append('"').toString();
    }

    private UserDataReader() {}
}
