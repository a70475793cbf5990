"""The table of known causes, of which Flink, the JVM or the kernel speak: what each rule sees, says and advises.

A pattern is looked for in what they said, one exception ("class: message") a line, outermost first; never in words that
the job's code can choose. Each rule is proven by a seeded failure of ``tests/corpus``, whose cure is what it suggests.
"""

from __future__ import annotations

from headrace.domain.evidence import Rule, Speaker

_FLINKS_OWN = r"org[./]apache[./]flink[./](?!connector[./]|formats[./]|streaming[./]connectors[./])"
_MISSING = r"^java\.lang\.(?:NoClassDefFoundError|ClassNotFoundException): (?!Could not initialize)"
_LINKAGE = (
    r"^java\.lang\.(?:NoSuchMethodError|NoSuchFieldError|AbstractMethodError|IncompatibleClassChangeError|IllegalAccess"
    r"Error): "
)
_HEAP = r"java\.lang\.OutOfMemoryError: (?:Java heap space|GC overhead limit exceeded)"

MEMORY: tuple[Rule, ...] = (
    Rule(
        "killed for want of memory",
        "the kernel's count of OOM kills",
        "The kernel killed {who}, as the machine or the container had no memory left",
        "Give it more memory, or promise less of it to jobs (memory_reserve_mb, memory_limit_mb). If the job's own "
        "code takes memory outside the Java heap, raise taskmanager.memory.jvm-overhead.min in runtime_config.",
        when=lambda evidence: evidence.oom_killed,
    ),
    Rule(
        "metaspace of the JobManager",
        "OutOfMemoryError: Metaspace, of the JobManager",
        "The JobManager ran out of metaspace, the memory for classes",
        "Raise jobmanager.memory.jvm-metaspace.size in runtime_config.",
        r"java\.lang\.OutOfMemoryError: Metaspace",
        by=Speaker.JOBMANAGER,
    ),
    Rule(
        "metaspace of a TaskManager",
        "OutOfMemoryError: Metaspace, of a TaskManager",
        "A TaskManager ran out of metaspace, the memory for classes",
        "Raise taskmanager.memory.jvm-metaspace.size in runtime_config.",
        r"java\.lang\.OutOfMemoryError: Metaspace",
    ),
    Rule(
        "direct memory",
        "OutOfMemoryError: Direct buffer memory",
        "A TaskManager ran out of direct memory, which is outside the Java heap",
        "Raise taskmanager.memory.task.off-heap.size in runtime_config (it is 0 unless set), and tm_cus if that leaves "
        "too little for the rest.",
        r"java\.lang\.OutOfMemoryError: (?:Direct buffer memory|Cannot reserve \d+ bytes of direct buffer memory)",
    ),
    Rule(
        "heap of the JobManager",
        "OutOfMemoryError: Java heap space, of the JobManager",
        "The JobManager ran out of Java heap, which main() shares with it",
        "Raise manager_cu_number, and cu_number with it; or keep less in memory in main().",
        _HEAP,
        by=Speaker.JOBMANAGER,
    ),
    Rule(
        "heap of a TaskManager",
        "OutOfMemoryError: Java heap space, of a TaskManager",
        "A TaskManager ran out of Java heap",
        "Raise tm_cus, and cu_number with it; or keep less in memory in the code.",
        _HEAP,
    ),
    Rule(
        "stack",
        "StackOverflowError",
        "A thread ran out of stack",
        "Give threads a larger one: -Xss16m in env.java.opts.all of runtime_config; or call less deeply.",
        r"^java\.lang\.StackOverflowError",
    ),
    Rule(
        "network buffers",
        "Flink's Insufficient number of network buffers",
        "The TaskManagers have too few network buffers for the job's exchanges",
        "Raise taskmanager.memory.network.min and taskmanager.memory.network.max in runtime_config (both, e.g. 128m), "
        "or tm_cus.",
        r"^java\.io\.IOException: Insufficient number of network buffers",
        heals=False,
    ),
    Rule(
        "slots",
        "Flink's NoResourceAvailableException",
        "The job asks for more slots than its TaskManagers have",
        "Raise parallel_number to the parallelism that the code sets, and cu_number if it must (4 for each CU of "
        "TaskManagers).",
        r"NoResourceAvailableException: ",
    ),
)

CRASHES: tuple[Rule, ...] = (
    Rule(
        "crash of the JVM",
        "A fatal error has been detected by the Java Runtime Environment",
        "The JVM of {who} crashed in native code",
        "Look for the library that the crash report names, and take another version of it into dependency_jars; if it "
        "names none, choose another flink_version, for its Java.",
        r"^A fatal error has been detected by the Java Runtime Environment",
    ),
)

SETTINGS: tuple[Rule, ...] = (
    Rule(
        "state backend",
        "Flink's Could not instantiate configured state backend",
        "There is no such state backend",
        "Correct state.backend.type (state.backend before Flink 1.19) in runtime_config: hashmap or rocksdb.",
        r"^org\.apache\.flink\.util\.DynamicCodeLoadingException: .*state backend.*",
        heals=False,
    ),
    Rule(
        "option value",
        "Flink's Could not parse value … for key …",
        "Flink cannot read the value '{value}' of an option",
        "Correct {key} in runtime_config.",
        r"^java\.lang\.IllegalArgumentException: Could not parse value '(?P<value>.*)' for key '(?P<key>[^']*)'",
        heals=False,
    ),
    Rule(
        "JVM options",
        "what a JVM says that does not start",
        "{who} was not started, as its JVM refuses an option",
        "Correct env.java.opts, env.java.opts.all, env.java.opts.jobmanager or env.java.opts.taskmanager in "
        "runtime_config.",
        r"^Error(?:: Could not create the Java Virtual Machine| occurred during initialization of VM)(?!.*\nCould not "
        r"reserve)",
        root=True,
        heals=False,
    ),
    Rule(
        "Java modules",
        "InaccessibleObjectException of the JVM",
        "The code reaches into a part of Java that is closed to it",
        "Open it: --add-opens={module}/{package}=ALL-UNNAMED in env.java.opts.all of runtime_config; or choose a "
        "flink_version that runs on Java 11, such as 1.17.",
        r"^java\.lang\.reflect\.InaccessibleObjectException: .* module (?P<module>\S+) does not "
        r"\"(?:opens|exports) (?P<package>\S+)\"",
        heals=False,
    ),
    Rule(
        "file system",
        "Flink's UnsupportedFileSystemSchemeException",
        "There is no file system for {scheme}:// here",
        "Use obs://bucket/path (a bucket of Headrace) in its place, in entrypoint_args, runtime_config or the code.",
        r"^org\.apache\.flink\.core\.fs\.UnsupportedFileSystemSchemeException: .*scheme '(?P<scheme>[^']*)'",
        heals=False,
    ),
    Rule(
        "port",
        "Flink's Could not start rest endpoint on any port",
        "A port of the JobManager was taken by another program",
        "Run the job again: each run chooses other ports.",
        r"^java\.net\.BindException: Could not start (?:rest endpoint|actor system) on any port",
    ),
)

CLASSES: tuple[Rule, ...] = (
    Rule(
        "Java version",
        "UnsupportedClassVersionError of the JVM",
        "A class was compiled for a newer Java than its engine runs on",
        "Compile it and its libraries with an older --release, or choose a flink_version that runs on a newer Java.",
        r"^java\.lang\.UnsupportedClassVersionError: ",
        heals=False,
    ),
    Rule(
        "Flink version",
        "a class or method of Flink itself that is not there",
        "The JAR was built for another version of Flink than the one that runs it",
        "Set flink_version to the version that the JAR was built for, or build the JAR for this one. Keep Flink's own "
        "classes out of the JAR (scope provided).",
        rf"(?:{_MISSING}|{_LINKAGE}.*?){_FLINKS_OWN}",
        heals=False,
    ),
    Rule(
        "library version",
        "NoSuchMethodError and the like, of the JVM",
        "The code was built for another version of a library than the one that is there",
        "Put the version of the library that the code was built for into dependency_jars, in place of the other one, "
        "or into the JAR.",
        rf"{_LINKAGE}",
        heals=False,
    ),
    Rule(
        "connector",
        "Flink's Could not find any factory for identifier",
        "There is no connector or format '{connector}' among the job's JARs",
        "Put its JAR into dependency_jars, or correct the name in the table's options.",
        r"^org\.apache\.flink\.table\.api\.ValidationException: Could not find any (?:format )?factory for identifier "
        r"'(?P<connector>[^']*)'",
        heals=False,
    ),
    Rule(
        "missing class",
        "NoClassDefFoundError, ClassNotFoundException of the JVM",
        "A class is in none of the job's JARs",
        "Put the JAR with it into dependency_jars, or build it into the JAR; if the code names the class, correct the "
        "name.",
        _MISSING,
        heals=False,
    ),
)

PROGRAM: tuple[Rule, ...] = (
    Rule(
        "not serializable",
        "Flink's … is not serializable",
        "A function holds an object that cannot be sent to the TaskManagers",
        "Correct the code: make the object's class Serializable, or the field transient and set it in open(). Then put "
        "the new JAR in place of the old one.",
        r"^org\.apache\.flink\.api\.common\.InvalidProgramException: .* is not serializable",
        root=True,
        heals=False,
    ),
    Rule(
        "type of a lambda",
        "Flink's InvalidTypesException",
        "Flink cannot tell the type that a function returns",
        "Correct the code: name it with .returns(Types.…) behind the function. Then put the new JAR in place of the "
        "old one.",
        r"^org\.apache\.flink\.api\.common\.functions\.InvalidTypesException: ",
        heals=False,
    ),
    Rule(
        "no job",
        "Flink's No operators defined, no execute() calls",
        "main() has ended without a job",
        "Correct the code, or entrypoint_args if they choose the job: main() must define operators and call execute().",
        r"^java\.lang\.IllegalStateException: No operators defined in streaming topology|ApplicationExecutionException"
        r": The application contains no execute\(\) calls|^Flink's application FINISHED without a job",
        heals=False,
    ),
)

STATE: tuple[Rule, ...] = (
    Rule(
        "savepoint is gone",
        "Flink's Cannot find checkpoint or savepoint",
        "The state that the job shall start from is not there",
        "Bring it back to where it was, import another one (import-savepoint), or run without resume_savepoint for a "
        "clean start.",
        r"^java\.io\.FileNotFoundException: Cannot find (?:checkpoint or savepoint|meta data) file",
        heals=False,
    ),
    Rule(
        "operator is gone",
        "Flink's Cannot map checkpoint/savepoint state for operator",
        "The savepoint has state of an operator that the job does not have",
        "Give the operator the uid that it had (in the code, or entrypoint_args if they choose it), or run without "
        "resume_savepoint for a clean start.",
        r"^java\.lang\.IllegalStateException: Failed to rollback to checkpoint/savepoint .* Cannot map "
        r"checkpoint/savepoint state",
        heals=False,
    ),
    Rule(
        "maximum parallelism",
        "Flink's Max parallelism mismatch",
        "The savepoint was made with another maximum parallelism",
        "Set it back to what it was (pipeline.max-parallelism in runtime_config, or in the code), or run without "
        "resume_savepoint for a clean start.",
        r"^java\.lang\.IllegalStateException: .*Max parallelism mismatch between checkpoint/savepoint state and new "
        r"program",
        heals=False,
    ),
    Rule(
        "type of state",
        "Flink's StateMigrationException",
        "The type of some state has changed, so that the savepoint cannot be read",
        "Give the state the type that it had, or run without resume_savepoint for a clean start.",
        r"^org\.apache\.flink\.util\.StateMigrationException: ",
        heals=False,
    ),
)

OUTSIDE: tuple[Rule, ...] = (
    Rule(
        "disk is full",
        "No space left on device, of the kernel",
        "The disk is full",
        "Free some space where it writes (Headrace's home, or a path of the job's), then run the job again.",
        r"^java\.\S+Exception: (?:.*[ (:])?(?:No space left on device|Disk quota exceeded)\)?",
    ),
    Rule(
        "checkpoint folder",
        "Flink's Failed to create checkpoint storage",
        "Flink cannot write into the folder for checkpoints",
        "Make that folder writable (nothing else may have its name), or name another one: obs_bucket, or "
        "state.checkpoints.dir in runtime_config.",
        r"^org\.apache\.flink\.util\.FlinkRuntimeException: Failed to create checkpoint storage",
        root=True,
    ),
    Rule(
        "checkpoints time out",
        "Flink's Exceeded checkpoint tolerable failure threshold: expired",
        "Its checkpoints do not complete in time",
        "Raise execution.checkpointing.timeout in runtime_config (10 min unless set), or make the job quicker: more "
        "parallel_number, less work for each record, execution.checkpointing.unaligned=true.",
        r"^org\.apache\.flink\.util\.FlinkRuntimeException: Exceeded checkpoint tolerable failure threshold\..*"
        r"Checkpoint expired before completing",
    ),
    Rule(
        "checkpoints fail",
        "Flink's Exceeded checkpoint tolerable failure threshold",
        "Its checkpoints fail",
        "Mend what made the last one fail: the log says what, at 'Failed to trigger or complete checkpoint' (code that "
        "throws in snapshotState(), a folder that cannot be written).",
        r"^org\.apache\.flink\.util\.FlinkRuntimeException: Exceeded checkpoint tolerable failure threshold",
    ),
    Rule(
        "not permitted",
        "Permission denied, Read-only file system, of the kernel",
        "A file may not be read or written",
        "Name another path (entrypoint_args, runtime_config), or give the user that Headrace runs as the right to it.",
        r"^java\.\S+Exception: .*\((?:Permission denied|Read-only file system|Operation not permitted)\)"
        r"|^java\.nio\.file\.AccessDeniedException: ",
    ),
    Rule(
        "missing file",
        "No such file or directory, of the kernel",
        "A file that the job reads is not there",
        "Put it there, or correct its path in entrypoint_args; a file of dependency_files is found as "
        "userData/<name> on the class path.",
        r"^java\.io\.FileNotFoundException: .*\(No such file or directory\)|^java\.nio\.file\.NoSuchFileException: "
        r"|^java\.io\.FileNotFoundException: File .* does not exist or the user running Flink",
    ),
    Rule(
        "connection refused",
        "Connection refused and the like, of the kernel",
        "Something that the job connects to does not answer",
        "Start that service, or correct its address (entrypoint_args, or in the code); then run the job again.",
        r"^java\.net\.(?:ConnectException: Connection (?:refused|timed out)|NoRouteToHostException: "
        r"|SocketTimeoutException: [Cc]onnect timed out)",
    ),
    Rule(
        "unknown host",
        "UnknownHostException of the JVM",
        "A host that the job connects to has no address",
        "Correct its name (entrypoint_args, or in the code), or have the DNS of this machine know it.",
        r"^java\.net\.UnknownHostException: ",
    ),
)

SPOKEN: tuple[Rule, ...] = (*MEMORY, *CRASHES, *SETTINGS, *CLASSES, *PROGRAM, *STATE, *OUTSIDE)
