from __future__ import annotations

import random
import struct
import zipfile
from pathlib import Path

import pytest

from headrace.domain.errors import BadJar
from headrace.flink import preflight
from headrace.flink.preflight import JarReport

PUBLIC, STATIC, SUPER = 0x1, 0x8, 0x20
MAIN = (PUBLIC | STATIC, "main", "([Ljava/lang/String;)V")


def class_file(
    name: str,
    *,
    methods: tuple[tuple[int, str, str], ...] = (MAIN,),
    parent: str | None = "java.lang.Object",
    java: int = 8,
    access: int = PUBLIC | SUPER,
) -> bytes:
    """A class file as javac writes it, with constants of every size and a field and a Code attribute to step over."""
    pool: list[bytes] = [
        b"\x03" + bytes(4),
        b"\x05" + bytes(8),
        b"",  # the second place of the long
        b"\x06" + bytes(8),
        b"",
        b"\x0f" + bytes(3),
        b"\x12" + bytes(4),
        b"\x08" + bytes(2),
    ]

    def text(value: str) -> int:
        pool.append(b"\x01" + struct.pack(">H", len(value.encode())) + value.encode())
        return len(pool)

    def of_class(value: str) -> int:
        index = text(value.replace(".", "/"))
        pool.append(b"\x07" + struct.pack(">H", index))
        return len(pool)

    this, above = of_class(name), of_class(parent) if parent else 0
    attribute = struct.pack(">HI", text("Code"), 5) + b"12345"
    field = struct.pack(">HHHHH", 1, 2, text("main"), text("I"), 1) + attribute
    body = struct.pack(">H", len(methods))
    for flags, method, descriptor in methods:
        body += struct.pack(">HHHH", flags, text(method), text(descriptor), 1) + attribute
    head = struct.pack(">IHHH", 0xCAFEBABE, 0, java + 44, len(pool) + 1) + b"".join(pool)
    return head + struct.pack(">HHHHH", access, this, above, 1, this) + field + body + struct.pack(">H", 0)


def jar(path: Path, classes: dict[str, bytes], manifest: str | None = None, extra: tuple[str, ...] = ()) -> JarReport:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if manifest is not None:
            archive.writestr("META-INF/MANIFEST.MF", manifest)
        for name, content in classes.items():
            archive.writestr(name.replace(".", "/") + ".class", content)
        for name in extra:
            archive.writestr(name, b"")
    return preflight.inspect(path)


def simple(
    path: Path, name: str = "com.x.Y", manifest: str | None = None, java: int = 8, access: int = PUBLIC | SUPER
) -> JarReport:
    return jar(path, {name: class_file(name, java=java, access=access)}, manifest)


@pytest.fixture
def a_jar(tmp_path: Path) -> Path:
    return tmp_path / "a.jar"


@pytest.mark.parametrize(
    ("manifest", "main_class"),
    [
        ("Manifest-Version: 1.0\r\nMain-Class: com.x.Y\r\n\r\n", "com.x.Y"),
        ("main-class:com.x.Y\n", "com.x.Y"),
        ("Main-Class: com.\n x.Y  \n", "com.x.Y"),
        ("Main-Class: com.\r\n x.\r\n Y\r\n", "com.x.Y"),
        ("Main-Class: com.x.Y\rprogram-class: com.x.Z\r", "com.x.Z"),  # Flink's own attribute comes first
        ("A: b\n\nName: x\nMain-Class: com.x.Y\n", None),  # not in the main section
        ("Main-Class:\n", None),
        ("", None),
    ],
)
def test_manifest(a_jar: Path, manifest: str, main_class: str | None) -> None:
    report = simple(a_jar, manifest=manifest)
    assert report.main_class == main_class
    assert report.has_manifest


def test_a_report(a_jar: Path) -> None:
    report = jar(
        a_jar,
        {"com.x.Y": class_file("com.x.Y"), "com.x.Y$1": b"", "META-INF.versions.21.com.x.Z": b""},
        extra=("META-INF/A.SF", "META-INF/a.rsa", "META-INF/deep/B.SF", "conf.properties"),
    )
    assert report.class_names == {"com.x.Y", "com.x.Y$1"}
    assert report.signature_files == ("META-INF/A.SF", "META-INF/a.rsa")
    assert (report.name, report.main_class, report.has_manifest) == ("a.jar", None, False)


def test_the_main_class_is_the_one_asked_for_or_the_manifests(a_jar: Path, tmp_path: Path) -> None:
    entry = simple(a_jar, manifest="Main-Class: com.x.Y\n")
    dependency = simple(tmp_path / "dep.jar", "com.dep.Main")
    assert preflight.check_main_class([entry]) == "com.x.Y"
    assert preflight.check_main_class([entry], "  ") == "com.x.Y"
    assert preflight.check_main_class([entry, dependency], "com.dep.Main") == "com.dep.Main"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("x.Y", "main_class='x.Y': not in the JAR 'a.jar' (did you mean com.x.Y?)"),
        ("com/x/Y.class", "not in the JAR 'a.jar' (did you mean com.x.Y?)"),
        ("com.x.y", "(did you mean com.x.Y?)"),
        ("com.x.Yy", "(did you mean com.x.Y?)"),
        ("org.nothing.Alike", "main_class='org.nothing.Alike': not in the JAR 'a.jar'"),
        (None, "'a.jar' names no Main-Class in its manifest: set main_class"),
    ],
)
def test_a_missing_main_class(a_jar: Path, asked: str | None, message: str) -> None:
    with pytest.raises(BadJar) as refusal:
        preflight.check_main_class([simple(a_jar)], asked)
    assert message in str(refusal.value)


def test_a_manifest_may_be_wrong_and_a_dependency_missing(a_jar: Path, tmp_path: Path) -> None:
    entry = simple(a_jar, manifest="Main-Class: com.old.Y\n")
    with pytest.raises(
        BadJar, match=r"Main-Class='com\.old\.Y' of the manifest: not in any of the JARs 'a\.jar', 'b\.jar'"
    ):
        preflight.check_main_class([entry, simple(tmp_path / "b.jar", "b.B")])


@pytest.mark.parametrize(
    "method",
    [
        (PUBLIC, "main", "([Ljava/lang/String;)V"),
        (STATIC, "main", "([Ljava/lang/String;)V"),
        (PUBLIC | STATIC, "main", "()V"),
        (PUBLIC | STATIC, "main", "([Ljava/lang/String;)I"),
        (PUBLIC | STATIC, "Main", "([Ljava/lang/String;)V"),
    ],
)
def test_not_a_main_method(a_jar: Path, method: tuple[int, str, str]) -> None:
    report = jar(a_jar, {"com.x.Y": class_file("com.x.Y", methods=(method,))})
    with pytest.raises(BadJar, match=r"com\.x\.Y'.*has no method 'public static void main\(String\[\]\)'"):
        preflight.check_main_class([report], "com.x.Y")


def test_a_varargs_main_beside_other_methods_counts(a_jar: Path) -> None:
    methods = ((PUBLIC, "<init>", "()V"), (PUBLIC | STATIC | 0x80 | 0x1000, "main", MAIN[2]))
    report = jar(a_jar, {"com.x.Y": class_file("com.x.Y", methods=methods)})
    assert preflight.check_main_class([report], "com.x.Y") == "com.x.Y"


def test_main_may_be_inherited(a_jar: Path, tmp_path: Path) -> None:
    child = class_file("com.x.Child", methods=(), parent="com.x.Middle")
    middle = class_file("com.x.Middle", methods=(), parent="com.dep.Top")
    entry = jar(a_jar, {"com.x.Child": child, "com.x.Middle": middle})
    assert preflight.check_main_class([entry], "com.x.Child")  # com.dep.Top may be Flink's: not ours to refuse
    with_main = simple(tmp_path / "dep.jar", "com.dep.Top")
    assert preflight.check_main_class([entry, with_main], "com.x.Child") == "com.x.Child"
    without = jar(tmp_path / "no.jar", {"com.dep.Top": class_file("com.dep.Top", methods=())})
    with pytest.raises(BadJar, match="has no method"):
        preflight.check_main_class([entry, without], "com.x.Child")


def test_a_circle_of_superclasses_ends(a_jar: Path) -> None:
    report = jar(a_jar, {"a.A": class_file("a.A", methods=(), parent="a.A")})
    with pytest.raises(BadJar, match="has no method"):
        preflight.check_main_class([report], "a.A")


def test_kotlin_and_scala_mains_are_suggested(a_jar: Path) -> None:
    report = jar(a_jar, {"a.App": class_file("a.App", methods=()), "a.AppKt": class_file("a.AppKt")})
    with pytest.raises(BadJar, match=r"did you mean a\.AppKt"):
        preflight.check_main_class([report], "a.App")


def test_other_reasons_why_flink_could_not_call_it(a_jar: Path) -> None:
    with pytest.raises(BadJar, match="is not public"):
        preflight.check_main_class([simple(a_jar, access=SUPER)], "com.x.Y")
    misplaced = jar(a_jar, {"classes.com.x.Y": class_file("com.x.Y")})
    with pytest.raises(BadJar, match=r"holds the class com\.x\.Y instead"):
        preflight.check_main_class([misplaced], "classes.com.x.Y")
    with pytest.raises(BadJar, match=r"the class com\.x\.Y is damaged"):
        preflight.check_main_class([jar(a_jar, {"com.x.Y": class_file("com.x.Y")[:90]})], "com.x.Y")
    with pytest.raises(BadJar, match=r"the class com\.x\.Y is damaged"):
        preflight.check_main_class([jar(a_jar, {"com.x.Y": b""})], "com.x.Y")


def test_a_class_too_new_for_the_engine(a_jar: Path) -> None:
    report = simple(a_jar, java=21)
    preflight.check_java([report], "com.x.Y", 21, "2.3.0")
    with pytest.raises(BadJar) as refusal:
        preflight.check_java([report], "com.x.Y", 17, "1.20.5")
    assert str(refusal.value) == (
        "'a.jar': com.x.Y was compiled for Java 21, but Flink 1.20.5 runs on Java 17 here: "
        "compile it with --release 17, or choose an engine with a newer Java"
    )


def test_classes_beside_the_main_class_count_and_distant_ones_do_not(a_jar: Path) -> None:
    new = class_file("x", java=21)
    far = {
        "com.x.Y": class_file("com.x.Y"),
        "com.x.sub.Z": new,
        "module-info": new,
        "META-INF.versions.21.com.x.Q": new,
    }
    preflight.check_java([jar(a_jar, far)], "com.x.Y", 17, "1.20.5")
    with pytest.raises(BadJar, match="Java 21"):
        preflight.check_java([jar(a_jar, {**far, "com.x.Z": new})], "com.x.Y", 17, "1.20.5")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04" + bytes(100)])
def test_not_a_jar(a_jar: Path, content: bytes) -> None:
    a_jar.write_bytes(content)
    with pytest.raises(BadJar, match=r"'job\.jar' is not a JAR"):
        preflight.inspect(a_jar, "job.jar")


def test_unreadable(a_jar: Path, tmp_path: Path) -> None:
    for path in (a_jar, tmp_path):
        with pytest.raises(BadJar, match="cannot be read"):
            preflight.inspect(path)


def test_an_encrypted_entry(a_jar: Path) -> None:
    simple(a_jar)
    content = bytearray(a_jar.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    a_jar.write_bytes(content)
    with pytest.raises(BadJar, match="encrypted"):
        preflight.inspect(a_jar)


def test_a_compression_that_java_lacks(a_jar: Path) -> None:
    with zipfile.ZipFile(a_jar, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a/B.class", b"")
    with pytest.raises(BadJar, match="use deflate"):
        preflight.inspect(a_jar)


def test_bombs_are_not_read(a_jar: Path) -> None:
    with pytest.raises(BadJar, match="larger than 1 MiB"):
        simple(a_jar, manifest="A" * (preflight.MAX_MANIFEST_BYTES + 1))
    huge = jar(a_jar, {"com.x.Y": bytes(preflight.MAX_CLASS_BYTES + 1)})
    with pytest.raises(BadJar, match="larger than 8 MiB"):
        preflight.check_main_class([huge], "com.x.Y")


def test_an_endless_list_of_entries_is_not_read(a_jar: Path) -> None:
    simple(a_jar)
    content = bytearray(a_jar.read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\x05\x06") + 12, preflight.MAX_DIRECTORY_BYTES + 1)
    a_jar.write_bytes(content)
    with pytest.raises(BadJar, match="list of entries takes 64 MB"):
        preflight.inspect(a_jar)


def test_more_entries_than_a_plain_zip_can_count(a_jar: Path) -> None:
    report = jar(a_jar, {"com.x.Y": class_file("com.x.Y"), **{f"p.C{number}": b"" for number in range(65_600)}})
    assert len(report.class_names) == 65_601
    assert preflight.check_main_class([report], "com.x.Y") == "com.x.Y"


def test_damage_is_always_a_bad_jar(a_jar: Path) -> None:
    """Random damage is refused or goes unnoticed; it never escapes as another error."""
    simple(a_jar, manifest="Main-Class: com.x.Y\n")
    whole = a_jar.read_bytes()
    dice = random.Random(7)
    refused = 0
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            content[dice.randrange(len(content))] = dice.choice((0, 1, 127, 255, dice.randrange(256)))
        a_jar.write_bytes(content[: dice.choice((len(content), dice.randrange(len(content))))])
        try:
            report = preflight.inspect(a_jar)
            preflight.check_java([report], preflight.check_main_class([report]), 17, "1.20.5")
        except BadJar:
            refused += 1
    assert refused > 1000


def test_damaged_class_bytes_are_always_a_bad_jar(a_jar: Path) -> None:
    dice = random.Random(8)
    whole = class_file("com.x.Y")
    for _ in range(1000):
        content = bytearray(whole)
        content[dice.randrange(len(content))] = dice.randrange(256)
        report = jar(a_jar, {"com.x.Y": bytes(content[: dice.choice((len(content), dice.randrange(len(content))))])})
        try:
            preflight.check_main_class([report], "com.x.Y")
        except BadJar:
            continue
