package headrace.corpus;

import headrace.corpus.parts.Part;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.core.fs.Path;

/** Breaks at the third number that it is given, or later. */
final class Fault implements MapFunction<Long, Long> {

    private static final long serialVersionUID = 1L;

    private final String how;
    private final String name;
    private final int amount;

    Fault(String how, String name, int amount) {
        this.how = how;
        this.name = name;
        this.amount = amount;
    }

    @Override
    public Long map(Long number) throws Exception {
        if (number < 3) {
            return number;
        }
        switch (how) {
            case "class-in-task":
                new Part().touch();
                break;
            case "record":
            case "strategy":
                throw new IllegalStateException("the record " + number + " has no colour");
            case "heap":
                Broken.hoard(amount);
                break;
            case "classes":
                load(amount);
                break;
            case "direct":
                for (int megabyte = 0; megabyte < amount; megabyte++) {
                    Broken.HOARD.add(ByteBuffer.allocateDirect(1 << 20));
                }
                break;
            case "connect":
                String[] parts = name.split(":");
                new Socket(parts[0], Integer.parseInt(parts[1])).close();
                break;
            case "write":
                try (OutputStream file = new FileOutputStream(name)) {
                    file.write(new byte[1 << 16]);
                }
                break;
            case "read":
                new Path(name).getFileSystem().open(new Path(name)).close();
                break;
            case "exit-in-task":
                System.exit(amount);
                break;
            case "stall":
                Thread.sleep(amount * 1000L);
                break;
            default:
                break;
        }
        return number;
    }

    /** Loads one class so many times, and keeps all of them. */
    static void load(int copies) throws Exception {
        for (int copy = 0; copy < copies; copy++) {
            Broken.HOARD.add(new Copies(classFile()).copy());
        }
    }

    private static byte[] classFile() throws Exception {
        try (InputStream file = Fault.class.getResourceAsStream("Broken.class")) {
            byte[] content = new byte[1 << 16];
            int length = 0;
            for (int read = 0; read >= 0; read = file.read(content, length, content.length - length)) {
                length += read;
            }
            return java.util.Arrays.copyOf(content, length);
        }
    }

    /** Loads one class once more. */
    private static final class Copies extends ClassLoader {

        private final byte[] content;

        Copies(byte[] content) {
            super(Fault.class.getClassLoader());
            this.content = content;
        }

        Class<?> copy() {
            return defineClass(null, content, 0, content.length);
        }
    }
}
