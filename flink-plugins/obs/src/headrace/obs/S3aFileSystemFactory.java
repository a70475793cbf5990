package headrace.obs;

/** {@code s3a://bucket/key} is {@code obs://bucket/key}. */
public final class S3aFileSystemFactory extends ObsFileSystemFactory {

    public S3aFileSystemFactory() {
        super("s3a");
    }
}
