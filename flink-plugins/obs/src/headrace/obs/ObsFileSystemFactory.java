package headrace.obs;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.FileSystemFactory;

/**
 * Gives Flink the scheme {@code obs://}. Flink finds this class through {@code META-INF/services} in every JAR below
 * its plugins folder and hands it the Flink configuration once per JVM, before the first file system is asked for.
 */
public final class ObsFileSystemFactory implements FileSystemFactory {

    /** The folder whose direct subfolders are the buckets. */
    public static final ConfigOption<String> ROOT = ConfigOptions.key("fs.obs.local.root").stringType().noDefaultValue();

    private String root;

    @Override
    public String getScheme() {
        return "obs";
    }

    @Override
    public void configure(Configuration configuration) {
        root = configuration.get(ROOT);
    }

    @Override
    public FileSystem create(URI uri) throws IOException {
        if (root == null || root.isEmpty()) {
            throw new IOException("obs:// is not available: the Flink option " + ROOT.key() + " is not set");
        }
        File folder = new File(root);
        if (!folder.isAbsolute() || !folder.isDirectory()) {
            throw new IOException("obs:// is not available: " + ROOT.key() + " is not an absolute path of a folder: " + root);
        }
        return new ObsFileSystem(folder);
    }
}
