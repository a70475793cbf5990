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
 * Gives Flink the scheme {@code obs://}; its two subclasses give it {@code s3://} and {@code s3a://}, which name the same
 * objects. Flink finds them through {@code META-INF/services} in every JAR below its plugins folder and hands them the
 * Flink configuration once per JVM, before the first file system is asked for.
 */
public class ObsFileSystemFactory implements FileSystemFactory {

    /** The folder whose direct subfolders are the buckets. */
    public static final ConfigOption<String> ROOT = ConfigOptions.key("fs.obs.local.root").stringType().noDefaultValue();

    /** The file that tells how an S3 endpoint is reached, with its keys; where it is set, there is no folder. */
    public static final ConfigOption<String> S3 = ConfigOptions.key("fs.obs.s3.settings").stringType().noDefaultValue();

    private final String scheme;
    private Configuration configuration = new Configuration();

    public ObsFileSystemFactory() {
        this("obs");
    }

    ObsFileSystemFactory(String scheme) {
        this.scheme = scheme;
    }

    @Override
    public String getScheme() {
        return scheme;
    }

    @Override
    public void configure(Configuration configuration) {
        this.configuration = configuration;
    }

    @Override
    public FileSystem create(URI uri) throws IOException {
        String settings = configuration.get(S3);
        if (settings != null && !settings.isEmpty()) {
            return S3Store.open(uri, settings, configuration);
        }
        String root = configuration.get(ROOT);
        if (root == null || root.isEmpty()) {
            throw new IOException(scheme + ":// is not available: the Flink option " + ROOT.key() + " is not set");
        }
        File folder = new File(root);
        if (!folder.isAbsolute() || !folder.isDirectory()) {
            throw new IOException(
                    scheme + ":// is not available: " + ROOT.key() + " is not an absolute path of a folder: " + root);
        }
        return new ObsFileSystem(folder, scheme);
    }
}
