from __future__ import annotations

import json
import struct
import zipfile
import zlib
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain import bundle
from headrace.domain.bundle import HEADER, MAX_BYTES, MAX_JOB_BYTES, MAX_JOBS, pack, unpack
from headrace.domain.errors import BadBundle

SOUND_HEADER = json.dumps({"format": bundle.FORMAT, "version": 1}).encode()


def made(
    entries: list[tuple[str, bytes]] | None = None,
    *,
    header: bytes | None = SOUND_HEADER,
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    """A zip as anybody could make it."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        if header is not None:
            archive.writestr(HEADER, header)
        for name, content in [("job-7.json", b"{}")] if entries is None else entries:
            info = zipfile.ZipInfo(name)
            info.filename = name  # as it is, whatever zipfile makes of it
            info.compress_type = method
            archive.writestr(info, content)
    return file.getvalue()


def patched(content: bytes, at: int, value: bytes) -> bytes:
    """With other bytes there; below zero: from the end."""
    at %= len(content)
    return content[:at] + value + content[at + len(value) :]


def refusal(content: bytes) -> str:
    with pytest.raises(BadBundle) as refused:
        unpack(content)
    return str(refused.value)


# -- there and back ---------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.integers(1, 10**18 - 1), st.binary(max_size=50), min_size=1, max_size=5))
def test_there_and_back(jobs: dict[int, bytes]) -> None:
    (file,) = pack(jobs.items())
    assert unpack(file) == list(jobs.items())
    assert pack(jobs.items()) == [file]


def test_many_jobs_are_several_files() -> None:
    files = pack((number, b"{}") for number in range(1, 2 * MAX_JOBS + 2))
    assert [len(unpack(file)) for file in files] == [MAX_JOBS, MAX_JOBS, 1]


def test_large_jobs_are_several_files() -> None:
    large = b"x" * MAX_JOB_BYTES
    files = pack((number, large) for number in range(1, 33))
    assert [len(unpack(file)) for file in files] == [15, 15, 2]
    assert all(len(file) <= MAX_BYTES for file in files)


def test_nothing_is_no_file() -> None:
    assert pack([]) == []


def test_a_job_that_is_too_large_is_not_exported() -> None:
    with pytest.raises(BadBundle, match="The job 7 has 1048577 bytes"):
        pack([(7, b"x" * (MAX_JOB_BYTES + 1))])


def test_a_file_that_was_packed_anew() -> None:
    """By a zip tool, compressed."""
    assert unpack(made([("job-7.json", b"a" * 1000)], method=zipfile.ZIP_DEFLATED)) == [(7, b"a" * 1000)]


# -- what is no export ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no zip"),
        (b"PK\x05\x06", "no zip"),
        (b"x" * 1000, "no zip"),
        (b"\x1f\x8b" + bytes(100), "no zip"),
        (b"PK\x05\x06" + bytes(18), HEADER),
        (made(header=None), HEADER),
        (made([]), "no job"),
        (made(header=b"{}"), "format"),
        (made(header=b"[]"), "format"),
        (made(header=b'{"format": "other", "version": 1}'), "format"),
        (made(header=b"{"), "cannot be read"),
        (made(header=b"\xff"), "cannot be read"),
        (made(header=b"[" * 100_000), "cannot be read"),
        (made(header=b'{"version":' + b"9" * 5000 + b"}"), "cannot be read"),
        (made() + b"x", "follows its end"),
        (b"x" * (MAX_BYTES + 1), f"has {MAX_BYTES + 1} bytes"),
    ],
)
def test_what_is_no_export(content: bytes, told: str) -> None:
    assert told in refusal(content)


def test_something_before_a_zip() -> None:
    """Every zip tool reads such a file; so do we, and only what its list names."""
    assert unpack(made([("job-1.json", b"")]) + made()) == [(7, b"{}")]


@pytest.mark.parametrize("version", [0, 2, -1, 1.0, True, "1", None, [1], 10**30])
def test_other_versions_of_the_format(version: Any) -> None:
    header = json.dumps({"format": bundle.FORMAT, "version": version}).encode()
    assert "reads version 1" in refusal(made(header=header))


@pytest.mark.parametrize(
    "name",
    [
        "../job-7.json",
        "../../etc/passwd",
        "/job-7.json",
        "/etc/passwd",
        "jobs/job-7.json",
        "./job-7.json",
        "job-7.json/",
        "jobs/",
        "C:\\job-7.json",
        "..\\job-7.json",
        "job-7.json\x00.txt",
        "job-7.json\n",
        "job-0.json",
        "job-07.json",
        "job--7.json",
        "job-٧.json",
        "job-7.JSON",
        "job-7.txt",
        "job-1000000000000000000.json",
        "export.json ",
        "__MACOSX/x",
        "",
    ],
)
def test_names_that_no_export_has(name: str) -> None:
    told = refusal(made([("job-1.json", b"{}"), (name, b"{}")]))
    assert "which no export has" in told
    assert repr(name)[1:5] in told


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["job-7.json", HEADER])
def test_an_entry_twice(name: str) -> None:
    assert "twice" in refusal(made([("job-7.json", b"{}"), (name, SOUND_HEADER)]))


# -- too much of everything -------------------------------------------------------------------------------------------


def test_too_many_entries() -> None:
    told = refusal(made([(f"job-{number}.json", b"{}") for number in range(1, MAX_JOBS + 2)]))
    assert f"has {MAX_JOBS + 2} entries" in told
    assert len(unpack(made([(f"job-{number}.json", b"{}") for number in range(1, MAX_JOBS + 1)]))) == MAX_JOBS


def test_more_entries_than_are_declared() -> None:
    content = made([(f"job-{number}.json", b"{}") for number in range(1, MAX_JOBS + 2)])
    content = patched(content, -14, struct.pack("<2H", 5, 5))
    assert f"has {MAX_JOBS + 2} entries" in refusal(content)


def test_a_long_list_of_entries_is_not_read() -> None:
    names = [(f"job-{number}.json" + "x" * 1000, b"") for number in range(1, 1001)]
    assert "entries" in refusal(made(names))


def test_a_large_entry() -> None:
    content = b"".join(bytes([n % 251]) * 3 for n in range(MAX_JOB_BYTES // 3 + 1))
    assert "unpacks to 1048578 bytes" in refusal(made([("job-7.json", content)]))


def test_a_bomb() -> None:
    content = made([("job-7.json", b" " * MAX_JOB_BYTES)], method=zipfile.ZIP_DEFLATED)
    assert len(content) < 2000
    assert "100 times" in refusal(content)


def test_many_entries_that_unpack_to_much() -> None:
    content = b"".join(struct.pack("<H", n) for n in range(30_000))
    entries = [(f"job-{number}.json", content) for number in range(1, 300)]
    told = refusal(made(entries, method=zipfile.ZIP_DEFLATED))
    assert f"more than {MAX_BYTES} bytes" in told


def test_a_size_that_is_a_lie() -> None:
    """The list says 10 bytes, and the data are 2 million."""
    large = made([("job-7.json", b" " * 2_000_000)], method=zipfile.ZIP_DEFLATED)
    at = large.rindex(b"PK\x01\x02")
    for declared in (10, 60_000):
        told = refusal(patched(large, at + 24, struct.pack("<L", declared)))
        assert "damaged" in told or "size" in told


def test_a_small_size_with_the_sum_of_its_beginning() -> None:
    """Then only the beginning is read, and no more than that is unpacked."""
    large = made([("job-7.json", b" " * 2_000_000)], method=zipfile.ZIP_DEFLATED)
    at = large.rindex(b"PK\x01\x02")
    lie = patched(large, at + 24, struct.pack("<L", 2))
    assert unpack(patched(lie, at + 16, struct.pack("<L", zlib.crc32(b"  ")))) == [(7, b"  ")]


# -- kinds of zips ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_encrypted(flag: int) -> None:
    content = made()
    content = patched(content, content.rindex(b"PK\x01\x02") + 8, struct.pack("<H", flag))
    assert "encrypted" in refusal(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods(method: int) -> None:
    assert "method" in refusal(made([("job-7.json", b"x" * 100)], method=method))


def test_zip64() -> None:
    content = made()
    end = content[-22:]
    assert "Zip64" in refusal(content[:-22] + b"PK\x06\x07" + bytes(16) + end)
    assert "several parts" in refusal(patched(content, -18, struct.pack("<H", 1)))
    assert "entries" in refusal(patched(content, -14, struct.pack("<2H", 0xFFFF, 0xFFFF)))


def test_a_comment() -> None:
    file = BytesIO(made())
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"hello"
    assert "follows its end" in refusal(file.getvalue())


def test_a_wrong_sum() -> None:
    content = made([("job-7.json", b"0123456789")])
    assert "damaged" in refusal(content.replace(b"0123456789", b"0123456780"))


@given(st.data())
def test_whatever_is_changed_is_read_or_refused(data: st.DataObject) -> None:
    jobs = [(1, b'{"a": 1}'), (2, b"x" * 300)]
    content = made([(f"job-{number}.json", text) for number, text in jobs], method=zipfile.ZIP_DEFLATED)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content = patched(content, at, bytes([data.draw(st.integers(0, 255))]))
    content = content[data.draw(st.sampled_from([0, 0, 0, 1, 40])) :]
    found = []
    with suppress(BadBundle):
        found = unpack(content)
    assert all(0 < number < 10**18 and len(text) <= MAX_JOB_BYTES for number, text in found)
