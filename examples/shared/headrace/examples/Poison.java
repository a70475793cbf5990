package headrace.examples;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

/**
 * Lets records pass until a file in a folder orders otherwise: {@code throw} throws an exception, {@code exit} ends the
 * TaskManager, {@code oom} fills its heap. The file is deleted first, so each order is carried out once.
 */
public final class Poison<T> implements MapFunction<T, T> {

    private static final long serialVersionUID = 1L;
    private static final int EXIT_CODE = 17;

    private final String folder;

    public Poison(String folder) {
        this.folder = folder;
    }

    @Override
    public T map(T record) throws IOException {
        if (taken("throw")) {
            throw new IllegalStateException("Poisoned at record " + record);
        }
        if (taken("exit")) {
            System.exit(EXIT_CODE);
        }
        if (taken("oom")) {
            List<byte[]> hoard = new ArrayList<>();
            while (hoard.size() >= 0) {
                hoard.add(new byte[1 << 20]);
            }
        }
        return record;
    }

    private boolean taken(String order) throws IOException {
        Path file = new Path(folder, order);
        FileSystem files = file.getFileSystem();
        return files.exists(file) && files.delete(file, false);
    }
}
