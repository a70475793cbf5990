"""What this machine has to give."""

from __future__ import annotations

from pathlib import Path

MB = 1024 * 1024
_NO_LIMIT = 1 << 60


def memory_mb(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory of the machine in MB, or of the cgroup this process runs in if that has less."""
    total_kb = next(
        int(line.split()[1]) for line in (proc / "meminfo").read_text().splitlines() if line.startswith("MemTotal:")
    )
    limits = [_limit(path) for path in _limit_files(proc, cgroups)]
    return min([total_kb * 1024, *limits]) // MB


def _limit_files(proc: Path, cgroups: Path) -> list[Path]:
    """The limit of each cgroup from ours up to the root, for both versions of cgroups."""
    found = []
    for line in (proc / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        while True:
            found.append(group / name)
            if group in (base, Path("/")):
                break
            group = group.parent
    return found


def _limit(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return _NO_LIMIT  # a container often does not see its own path; the root of what it sees is its limit
    return _NO_LIMIT if text == "max" else int(text)
