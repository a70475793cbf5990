package headrace.obs;

import java.io.File;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileStatus;
import org.apache.flink.core.fs.local.LocalFileSystem;

/** What is known of one object: the numbers of the local file under the {@code obs://} name of the object. */
final class ObsFileStatus extends LocalFileStatus {

    private final Path path;

    ObsFileStatus(File file, Path path) {
        super(file, LocalFileSystem.getSharedInstance());
        this.path = path;
    }

    @Override
    public Path getPath() {
        return path;
    }

    @Override
    public String toString() {
        return "ObsFileStatus{" + path + (isDir() ? ", folder}" : ", " + getLen() + " bytes}");
    }
}
