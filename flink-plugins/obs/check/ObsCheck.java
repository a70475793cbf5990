import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.Objects;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.FileSystem.WriteMode;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.RecoverableFsDataOutputStream;
import org.apache.flink.core.fs.RecoverableWriter;

/**
 * Holds the plugin to its README, through Flink's own {@code FileSystem}: {@code ObsCheck ROOT}, an empty folder, or
 * {@code ObsCheck SETTINGS BUCKET}, an S3 endpoint with an empty bucket.
 */
public final class ObsCheck {

    private interface Action {
        void run() throws Exception;
    }

    private static String root;

    public static void main(String[] args) throws Exception {
        if (args.length == 2) {
            behindAnEndpoint(args[0], args[1]);
            System.out.println("ok");
            return;
        }
        root = args[0];
        Configuration configuration = new Configuration();
        configuration.setString("fs.obs.local.root", root);
        FileSystem.initialize(new Configuration(), null);
        refused("fs.obs.local.root is not set", () -> FileSystem.get(URI.create("obs://b/x")));
        FileSystem.initialize(configuration, null);
        Files.createDirectory(Paths.get(root, "b"));
        FileSystem fs = FileSystem.get(URI.create("obs://b/x"));

        String[] keys = {"a b", "50%", "a%20b", "a+b", "a#b", "a?b", "a:b", "数据/中.csv", "é", "😀", ".hidden", "x/y/z", "q\"'"};
        for (String key : keys) {
            Path path = new Path("obs://b/" + key);
            write(fs.create(path, WriteMode.NO_OVERWRITE), key);
            same(key, new String(Files.readAllBytes(Paths.get(root, "b", key)), StandardCharsets.UTF_8));
            same(key, read(fs, path));
            same("obs://b/" + key, fs.getFileStatus(path).getPath().toString());
            same((long) key.getBytes(StandardCharsets.UTF_8).length, fs.getFileStatus(path).getLen());
            same(1, fs.getFileBlockLocations(fs.getFileStatus(path), 0, 1).length);
        }
        refused("obs://b/a:b", () -> fs.create(new Path("obs://b/a:b"), WriteMode.NO_OVERWRITE));
        for (String folder : new String[] {"obs://b", "obs://b/"}) {
            FileStatus[] listed = fs.listStatus(new Path(folder));
            same(keys.length, listed.length);
            for (FileStatus status : listed) {
                same(true, status.getPath().toString().startsWith("obs://b/"));
                same(true, fs.exists(status.getPath()));
            }
        }
        same("obs://b/数据/中.csv", fs.listStatus(new Path("obs://b/数据"))[0].getPath().toString());
        same(null, fs.listStatus(new Path("obs://b/nothing")));
        same(false, fs.exists(new Path("obs://b/nothing")));
        refused("No such OBS object", () -> fs.getFileStatus(new Path("obs://b/nothing")));

        same(true, fs.rename(new Path("obs://b/a b"), new Path("obs://b/new/c d")));
        same("a b", read(fs, new Path("obs://b/new/c d")));
        same(true, fs.mkdirs(new Path("obs://b/m/n")));
        refused("not empty", () -> fs.delete(new Path("obs://b/m"), false));
        same(true, fs.delete(new Path("obs://b/m"), true));
        same(true, fs.delete(new Path("obs://b/50%"), false));
        same(false, fs.exists(new Path("obs://b/50%")));

        Files.write(Paths.get(root, "b", "upload#7"), new byte[1]);
        same(false, Arrays.toString(fs.listStatus(new Path("obs://b/"))).contains("upload"));
        refused("must not end in '#'", () -> fs.create(new Path("obs://b/a#1"), WriteMode.OVERWRITE));
        refused("control characters", () -> fs.create(new Path("obs://b/a\tb"), WriteMode.OVERWRITE));

        for (String escape : new String[] {"obs://b/../c", "obs://b/../../etc/passwd", "obs://../b/x", "obs://./b", "obs:///b/x"}) {
            refused("", () -> fs.exists(new Path(escape)));
            refused("", () -> fs.create(new Path(escape), WriteMode.OVERWRITE));
            refused("", () -> fs.createRecoverableWriter().open(new Path(escape)));
        }
        Path elsewhere = new Path("obs://unknown/x/y");
        String missing = "The OBS bucket 'unknown' does not exist";
        refused(missing, () -> fs.exists(elsewhere));
        refused(missing, () -> fs.open(elsewhere));
        refused(missing, () -> fs.mkdirs(elsewhere));
        refused(missing, () -> fs.listStatus(elsewhere));
        refused(missing, () -> fs.create(elsewhere, WriteMode.OVERWRITE));
        refused(missing, () -> fs.rename(new Path("obs://b/a+b"), elsewhere));
        refused(missing, () -> fs.createRecoverableWriter().open(elsewhere));
        refused("whole OBS bucket", () -> fs.delete(new Path("obs://b/"), true));
        refused("whole OBS bucket", () -> fs.delete(new Path("obs://b"), true));
        refused("whole OBS bucket", () -> fs.rename(new Path("obs://b"), new Path("obs://b/x")));
        same(false, Files.exists(Paths.get(root, "unknown")));

        recovers(fs, "obs://b");
        named("b");
        System.out.println("ok");
    }

    /** What a FileSink does: write, checkpoint, crash, resume from the checkpoint, publish, publish again. */
    private static void recovers(FileSystem fs, String bucket) throws IOException {
        RecoverableWriter writer = fs.createRecoverableWriter();
        Path part = new Path(bucket + "/out/part 0");
        RecoverableFsDataOutputStream stream = writer.open(part);
        stream.write("kept".getBytes(StandardCharsets.UTF_8));
        byte[] state = writer.getResumeRecoverableSerializer().serialize(stream.persist());
        stream.write(" lost".getBytes(StandardCharsets.UTF_8));
        stream.close();
        same(false, fs.exists(part));
        RecoverableWriter after = fs.createRecoverableWriter();
        RecoverableFsDataOutputStream resumed = after.recover(
                after.getResumeRecoverableSerializer().deserialize(after.getResumeRecoverableSerializer().getVersion(), state));
        resumed.write(" on".getBytes(StandardCharsets.UTF_8));
        RecoverableFsDataOutputStream.Committer committer = resumed.closeForCommit();
        byte[] pending = after.getCommitRecoverableSerializer().serialize(committer.getRecoverable());
        same(false, fs.exists(part));
        committer.commit();
        same("kept on", read(fs, part));
        after.recoverForCommit(after.getCommitRecoverableSerializer()
                        .deserialize(after.getCommitRecoverableSerializer().getVersion(), pending))
                .commitAfterRecovery();
        same("kept on", read(fs, part));
    }

    /** One object, three names. */
    private static void named(String bucket) throws IOException {
        write(FileSystem.get(URI.create("s3a://" + bucket)).create(new Path("s3a://" + bucket + "/alike/x"), WriteMode.OVERWRITE), "alike");
        for (String scheme : new String[] {"obs", "s3", "s3a"}) {
            FileSystem fs = FileSystem.get(URI.create(scheme + "://" + bucket));
            Path path = new Path(scheme + "://" + bucket + "/alike/x");
            same("alike", read(fs, path));
            same(path.toString(), fs.getFileStatus(path).getPath().toString());
            same(path.toString(), fs.listStatus(new Path(scheme + "://" + bucket + "/alike"))[0].getPath().toString());
        }
    }

    private static void behindAnEndpoint(String settings, String bucket) throws Exception {
        Configuration configuration = new Configuration();
        configuration.setString("fs.obs.s3.settings", settings);
        FileSystem.initialize(configuration, null);
        String place = "obs://" + bucket;
        FileSystem fs = FileSystem.get(URI.create(place));
        for (String key : new String[] {"a b", "50%", "a+b", "数据/中.csv", ".hidden", "x/y/z", "q'"}) {
            Path path = new Path(place + "/" + key);
            write(fs.create(path, WriteMode.NO_OVERWRITE), key);
            same(key, read(fs, path));
            same(path.toString(), fs.getFileStatus(path).getPath().toString());
        }
        same(true, fs.rename(new Path(place + "/a b"), new Path(place + "/c d")));
        same("a b", read(fs, new Path(place + "/c d")));
        same(false, fs.exists(new Path(place + "/a b")));
        same(true, fs.delete(new Path(place + "/x"), true));
        same(false, fs.exists(new Path(place + "/x/y/z")));
        named(bucket);
        recovers(fs, place);
        Path elsewhere = new Path("obs://no-such-bucket/x");
        try {
            FileSystem.get(elsewhere.toUri()).getFileStatus(elsewhere);
        } catch (IOException missing) {
            return;
        }
        throw new AssertionError("not refused: " + elsewhere);
    }

    private static void write(FSDataOutputStream out, String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.UTF_8));
        out.close();
    }

    private static String read(FileSystem fs, Path path) throws IOException {
        byte[] bytes = new byte[1000];
        try (InputStream in = fs.open(path)) {
            int n = in.read(bytes);
            return new String(bytes, 0, Math.max(n, 0), StandardCharsets.UTF_8);
        }
    }

    private static void same(Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }

    private static void refused(String why, Action action) throws Exception {
        try {
            action.run();
        } catch (IOException refusal) {
            same(true, String.valueOf(refusal.getMessage()).contains(why));
            return;
        }
        throw new AssertionError("not refused: " + why);
    }

    private ObsCheck() {}
}
