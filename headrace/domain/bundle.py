"""Files of exported jobs (docs/export-format.md): zips, packed and unpacked in memory, and never onto a disk.

A file comes from a bucket that many can write to, so nothing in it is believed: each size is limited as it is declared
and again as it is read, and names of entries are compared with the few that there can be, not used.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from headrace.domain.errors import BadBundle

FORMAT = "headrace.flink-jobs"
VERSION = 1
HEADER = "export.json"

MIB = 1024 * 1024
MAX_JOBS = 1000
MAX_JOB_BYTES = MIB
MAX_BYTES = 16 * MIB
"""Of a file, and of all jobs in it."""
MAX_RATIO = 100
"""Unpacked size to packed size, of what is larger than 64 KiB; text of jobs has about 5."""

_JOB = re.compile(r"job-([1-9][0-9]{0,17})\.json")
_END = struct.Struct("<4s4H2LH")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_TIME = (1980, 1, 1, 0, 0, 0)
_BROKEN = (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError, struct.error)
"""What ``zipfile`` is known to raise for bytes that are no sound zip; they are in memory, so no disk has failed."""

Job = tuple[int, bytes]
"""(job_id, its JSON)."""


def pack(jobs: Iterable[Job]) -> list[bytes]:
    """As many files as are needed for the jobs; the same jobs give the same bytes.

    Raises:
        BadBundle: a job has more than MAX_JOB_BYTES.
    """
    return [_packed(group) for group in _groups(jobs)]


def unpack(content: bytes) -> list[Job]:
    """The jobs of a file, in its order.

    Raises:
        BadBundle: it is no file that ``pack`` could have made.
    """
    _check_end(content)
    try:
        with ZipFile(BytesIO(content)) as archive:
            entries = archive.infolist()
            _check_entries(entries)
            _check_header(archive.read(HEADER))
            return [(_job_id(entry), _read(archive, entry)) for entry in entries if entry.filename != HEADER]
    except _BROKEN as error:
        raise BadBundle(f"The file is damaged, or is no zip: {error}.") from error


def _groups(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    group: list[Job] = []
    size = 0
    for job_id, content in jobs:
        if len(content) > MAX_JOB_BYTES:
            raise BadBundle(f"The job {job_id} has {len(content)} bytes; at most {MAX_JOB_BYTES} can be exported.")
        if len(group) == MAX_JOBS or size + len(content) > MAX_BYTES - MIB:  # the rest is for what a zip adds
            yield group
            group, size = [], 0
        group.append((job_id, content))
        size += len(content)
    if group:
        yield group


def _packed(jobs: Sequence[Job]) -> bytes:
    file = BytesIO()
    header = json.dumps({"format": FORMAT, "version": VERSION, "jobs": len(jobs)}).encode()
    with ZipFile(file, "w", ZIP_STORED) as archive:
        archive.writestr(ZipInfo(HEADER, _TIME), header)
        for job_id, content in jobs:
            archive.writestr(ZipInfo(f"job-{job_id}.json", _TIME), content)
    return file.getvalue()


def _check_end(content: bytes) -> None:
    """Refuses a file whose list of entries is long, before the list is read."""
    if len(content) > MAX_BYTES:
        raise BadBundle(f"The file has {len(content)} bytes; at most {MAX_BYTES} are allowed.")
    if len(content) < _END.size:
        raise BadBundle("The file is no zip.")
    mark, *numbers, _offset, comment = _END.unpack(content[-_END.size :])
    if mark != b"PK\x05\x06" or comment:
        raise BadBundle("The file is no zip, or something follows its end.")
    disk, first_disk, here, count, list_bytes = numbers
    if disk or first_disk or here != count or content[-_END.size - 20 :].startswith(b"PK\x06\x07"):
        raise BadBundle("The file is a zip of a kind that no export makes (several parts, or Zip64).")
    if count > MAX_JOBS + 1 or list_bytes > MIB:
        raise _too_many(count)


def _check_entries(entries: list[ZipInfo]) -> None:
    if len(entries) > MAX_JOBS + 1:  # what was declared was checked before; this is what there is
        raise _too_many(len(entries))
    names = [entry.filename for entry in entries]
    for entry in entries:
        name = entry.orig_filename  # zipfile cuts the other one at a NUL
        if name != HEADER and _JOB.fullmatch(name) is None:
            raise BadBundle(f"The file has the entry {name[:80]!r}, which no export has ({HEADER}, job-<id>.json).")
        if names.count(name) > 1:
            raise BadBundle(f"The file has the entry {name} twice.")
        if entry.flag_bits & _ENCRYPTED:
            raise BadBundle(f"The file is encrypted ({name}). Export the jobs again, without a password.")
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise BadBundle(f"{name} is compressed by a method that is not read; use Deflate, or none.")
        if entry.file_size > MAX_JOB_BYTES:
            raise BadBundle(f"{name} unpacks to {entry.file_size} bytes; at most {MAX_JOB_BYTES} are allowed.")
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 64 * 1024 // MAX_RATIO):
            raise BadBundle(f"{name} unpacks to more than {MAX_RATIO} times its size.")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise BadBundle(f"The file unpacks to more than {MAX_BYTES} bytes.")
    if HEADER not in names:
        raise BadBundle(f"The file is no export of jobs: it has no {HEADER}.")
    if len(names) == 1:
        raise BadBundle("The file holds no job.")


def _check_header(content: bytes) -> None:
    try:
        header = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadBundle(f"{HEADER} cannot be read: {str(error)[:80]}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BadBundle(f"The file is no export of jobs: {HEADER} does not say format {FORMAT}.")
    version = header.get("version")
    if version != VERSION or isinstance(version, bool | float):
        raise BadBundle(
            f"The file is of version {str(version)[:20]} of the format; this Headrace reads version {VERSION}."
        )


def _read(archive: ZipFile, entry: ZipInfo) -> bytes:
    """The entry's bytes; zipfile checks them against the declared size and sum."""
    with archive.open(entry) as file:
        content = file.read(MAX_JOB_BYTES + 1)
    if len(content) != entry.file_size:
        raise BadBundle(f"{entry.filename} has another size than it declares.")
    return content


def _too_many(count: int) -> BadBundle:
    return BadBundle(f"The file has {count} entries; at most {MAX_JOBS} jobs are allowed.")


def _job_id(entry: ZipInfo) -> int:
    found = _JOB.fullmatch(entry.filename)
    assert found is not None, "names have been checked"
    return int(found[1])
