package headrace.obs;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.FileSystemFactory;

/**
 * Flink's own S3 file system ({@code flink-s3-fs-hadoop}), set up from a file that only its owner can read.
 *
 * <p>The keys go from that file into a configuration of their own, which Flink neither logs nor shows. The JAR is loaded
 * by a loader of its own from outside the plugins folder: there, Flink would find in it a second {@code s3://}, without
 * keys, and the order of files would decide which one a job gets.
 */
final class S3Store {

    private static final String FACTORY = "org.apache.flink.fs.s3hadoop.S3FileSystemFactory";

    /** Per JAR: its 15,000 classes are not loaded three times because there are three schemes. */
    private static final Map<String, ClassLoader> LOADERS = new HashMap<>();

    /** Flink keeps what this returns, per scheme and bucket. */
    static synchronized FileSystem open(URI uri, String settings, Configuration flink) throws IOException {
        Properties given = read(settings);
        Configuration configuration = new Configuration(flink);
        for (String key : given.stringPropertyNames()) {
            if (key.startsWith("fs.s3a.") || key.startsWith("s3.")) {
                configuration.setString(key, given.getProperty(key));
            }
        }
        String certificates = given.getProperty("ca");
        if (certificates != null) {
            Trust.add(new File(certificates));
        }
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        ClassLoader loader = loader(given.getProperty("jar", ""));
        thread.setContextClassLoader(loader); // Hadoop looks there for what its configuration names
        try {
            findLocal(loader);
            FileSystemFactory factory =
                    loader.loadClass(FACTORY).asSubclass(FileSystemFactory.class).getDeclaredConstructor().newInstance();
            factory.configure(configuration);
            return factory.create(uri);
        } catch (ReflectiveOperationException e) {
            throw new IOException("The JAR " + given.getProperty("jar") + " is not Flink's S3 file system", e);
        } finally {
            thread.setContextClassLoader(before);
        }
    }

    /** Hadoop looks for its file systems once, at the first use of one: of the local one, when data is to be buffered. */
    private static void findLocal(ClassLoader loader) throws ReflectiveOperationException {
        Class<?> configuration = loader.loadClass("org.apache.hadoop.conf.Configuration");
        loader.loadClass("org.apache.hadoop.fs.FileSystem")
                .getMethod("getFileSystemClass", String.class, configuration)
                .invoke(null, "file", configuration.getDeclaredConstructor().newInstance());
    }

    private static Properties read(String file) throws IOException {
        Properties given = new Properties();
        try (InputStream in = new FileInputStream(file)) {
            given.load(in);
        }
        return given;
    }

    private static ClassLoader loader(String jar) throws IOException {
        if (!new File(jar).isFile()) {
            throw new IOException("Flink's S3 file system is gone from " + jar + "; headrace engines install brings it back");
        }
        ClassLoader loader = LOADERS.get(jar);
        if (loader == null) {
            loader = new URLClassLoader(new URL[] {new File(jar).toURI().toURL()}, S3Store.class.getClassLoader());
            LOADERS.put(jar, loader);
        }
        return loader;
    }

    private S3Store() {}
}
