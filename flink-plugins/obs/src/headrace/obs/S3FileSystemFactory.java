package headrace.obs;

/** {@code s3://bucket/key} is {@code obs://bucket/key}. */
public final class S3FileSystemFactory extends ObsFileSystemFactory {

    public S3FileSystemFactory() {
        super("s3");
    }
}
