package headrace.obs;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.InvalidPathException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.RecoverableFsDataOutputStream;
import org.apache.flink.core.fs.local.LocalFileSystem;
import org.apache.flink.core.fs.local.LocalRecoverableWriter;

/**
 * Flink's own local file system, seen through {@code obs://bucket/key}, or the same with {@code s3://} or {@code s3a://}:
 * the object is the file {@code <root>/<bucket>/<key>}, character for character.
 *
 * <p>Everything that touches bytes is inherited; all that happens here is the translation of names, and the refusal of
 * names that would leave their bucket or that name a bucket nobody created. {@link #file} is the one place that decides.
 */
public final class ObsFileSystem extends LocalFileSystem {

    private static final Pattern BUCKET = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]*");

    /** How the Python side names an upload that is still under way; such a file is not an object yet. */
    private static final Pattern UPLOAD = Pattern.compile("#[0-9]+$");

    private final File root;
    private final String scheme;

    ObsFileSystem(File root, String scheme) {
        this.root = root;
        this.scheme = scheme;
    }

    /** The file behind an object name; an IOException that says why where there can be none. */
    private File file(Path path) throws IOException {
        URI uri = path.toUri();
        String bucket = uri.getAuthority();
        String key = uri.getPath();
        if (!scheme.equals(uri.getScheme()) || bucket == null || !BUCKET.matcher(bucket).matches()) {
            throw new IOException("Not an OBS location, " + scheme + "://bucket/key is expected: " + path);
        }
        for (String segment : key.split("/")) {
            if (segment.equals(".") || segment.equals("..")) {
                throw new IOException("An OBS key must not have '.' or '..' as a segment: " + path);
            }
        }
        for (int i = 0; i < key.length(); i++) {
            if (Character.isISOControl(key.charAt(i))) {
                throw new IOException("An OBS key must not have control characters: " + path);
            }
        }
        if (UPLOAD.matcher(key).find()) {
            throw new IOException("An OBS key must not end in '#' and a number: " + path);
        }
        File home = new File(root, bucket);
        if (!home.isDirectory()) {
            throw new FileNotFoundException("The OBS bucket '" + bucket + "' does not exist: " + path);
        }
        File file = key.isEmpty() || key.equals("/") ? home : new File(home, key);
        try {
            file.toPath(); // java.io.File would silently write '?' for what the JVM's locale cannot spell
        } catch (InvalidPathException e) {
            throw new IOException(
                    "This JVM cannot spell the name of " + path + "; start it with LC_ALL=C.UTF-8 (file names are "
                            + System.getProperty("sun.jnu.encoding") + " now)", e);
        }
        return file;
    }

    /** A bucket is made and removed by its owner, not by a job: no job deletes or replaces one. */
    private void requireKey(Path path) throws IOException {
        if (file(path).getParentFile().equals(root)) {
            throw new IOException("A job cannot delete, rename or overwrite a whole OBS bucket: " + path);
        }
    }

    /** Called by the inherited code, always after {@link #file} has accepted the path. */
    @Override
    public File pathToFile(Path path) {
        try {
            return file(path);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public URI getUri() {
        return URI.create(scheme + ":///");
    }

    @Override
    public Path getWorkingDirectory() {
        return new Path(getUri());
    }

    @Override
    public Path getHomeDirectory() {
        return new Path(getUri());
    }

    /** Every process of a job sees the same objects, which is what Flink asks here. */
    @Override
    public boolean isDistributedFS() {
        return true;
    }

    @Override
    public boolean exists(Path path) throws IOException {
        return file(path).exists();
    }

    @Override
    public FileStatus getFileStatus(Path path) throws IOException {
        File file = file(path);
        if (!file.exists()) {
            throw new FileNotFoundException("No such OBS object: " + path);
        }
        return new ObsFileStatus(file, path);
    }

    /** One object, or the objects of a folder; null where there is neither, as Flink's own file systems answer. */
    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
        File file = file(path);
        if (file.isFile()) {
            return new FileStatus[] {getFileStatus(path)};
        }
        String[] names = file.list();
        if (names == null) {
            return null;
        }
        List<FileStatus> found = new ArrayList<>();
        for (String name : names) {
            if (UPLOAD.matcher(name).find()) {
                continue;
            }
            Path child = child(path, name);
            try {
                found.add(getFileStatus(child));
            } catch (FileNotFoundException vanished) {
                // Somebody else renamed or deleted it between the two looks: it is not there.
            }
        }
        return found.toArray(new FileStatus[0]);
    }

    /** {@code new Path(parent, name)} would read a name such as {@code a:b} as a URI of its own. */
    private Path child(Path parent, String name) {
        String folder = parent.toUri().getPath();
        return new Path(scheme, parent.toUri().getAuthority(), folder.endsWith("/") ? folder + name : folder + "/" + name);
    }

    @Override
    public FSDataInputStream open(Path path) throws IOException {
        file(path);
        return super.open(path);
    }

    @Override
    public FSDataOutputStream create(Path path, WriteMode mode) throws IOException {
        requireKey(path);
        if (mode == WriteMode.NO_OVERWRITE && exists(path)) {
            throw new FileAlreadyExistsException(path.toString());
        }
        // By its local name: the inherited code asks for the parent of the path, and Path takes "/a:b" for a Windows drive.
        return getSharedInstance().create(Path.fromLocalFile(file(path)), WriteMode.OVERWRITE);
    }

    @Override
    public boolean mkdirs(Path path) throws IOException {
        file(path);
        return super.mkdirs(path);
    }

    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        requireKey(path);
        return super.delete(path, recursive);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        requireKey(from);
        requireKey(to);
        return super.rename(from, to);
    }

    /** Flink's local writer: it writes a hidden file beside the object and renames it when the checkpoint is complete. */
    @Override
    public LocalRecoverableWriter createRecoverableWriter() {
        return new LocalRecoverableWriter(this) {
            @Override
            public RecoverableFsDataOutputStream open(Path path) throws IOException {
                requireKey(path);
                return super.open(path);
            }
        };
    }
}
