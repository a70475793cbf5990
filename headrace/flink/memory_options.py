"""Flink's memory options over their defaults, and the ways in which Flink derives one part from others."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NoReturn

from headrace.domain.errors import BadField

MB: Final = 1 << 20
UNLIMITED: Final = (1 << 63) - 1
_SIZE: Final = re.compile(r"\s*(\d+)\s*([a-z]*)\s*", re.ASCII | re.IGNORECASE)
_UNITS: Final = {
    unit: 1 << shift
    for shift, units in (
        (0, ("", "b", "bytes")),
        (10, ("k", "kb", "kibibytes")),
        (20, ("m", "mb", "mebibytes")),
        (30, ("g", "gb", "gibibytes")),
        (40, ("t", "tb", "tebibytes")),
    )
    for unit in units
}
_OLD_NAMES: Final = {  # which Flink 1.x still reads
    "taskmanager.memory.network.min": "taskmanager.network.memory.min",
    "taskmanager.memory.network.max": "taskmanager.network.memory.max",
    "taskmanager.memory.network.fraction": "taskmanager.network.memory.fraction",
    "taskmanager.memory.managed.size": "taskmanager.memory.size",
}


def parse_size(option: str, text: str) -> int:
    """Bytes of a Flink MemorySize: "256m", "1 gb", "1024" (bytes). Raises BadField naming the option."""
    match = _SIZE.fullmatch(text)
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise BadField(option, text, "must be a memory size such as 512m or 1g")
    size = int(match[1]) * factor
    if size > UNLIMITED:
        raise BadField(option, text, "is more than any machine has")
    return size


@dataclass(frozen=True)
class MemoryOptions:
    """The options of one kind of process; ``process`` is its size in bytes, set by ``field`` of the request.

    Names are without the prefix: "managed.size"; a part has ".size", or ".fraction" with ".min" and ".max".
    """

    prefix: str
    options: Mapping[str, str]
    defaults: Mapping[str, str]
    process: int
    field: str

    def given(self, name: str) -> bool:
        """Whether the job sets the option itself."""
        return self._given(name) is not None

    def size(self, name: str) -> int:
        """Bytes of an option."""
        return parse_size(self.prefix + name, self._text(name))

    def fraction(self, name: str) -> float:
        """The fraction of a part."""
        option, text = f"{self.prefix}{name}.fraction", self._text(f"{name}.fraction")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value < 1:
            raise BadField(option, text, "must be a number from 0 to less than 1")
        # Flink reads it as a Java float and computes with the double of that float.
        return float(struct.unpack("f", struct.pack("f", value))[0])

    def part(self, name: str, base: int) -> int:
        """A fraction of ``base`` without limits."""
        return _times(base, self.fraction(name))

    def share(self, name: str, base: int) -> int:
        """A fraction of ``base``, kept between the part's minimum and maximum."""
        return self._between(name, self.part(name, base))

    def share_beside(self, name: str, others: int) -> int:
        """The same when ``base`` is not known, only the bytes of all other parts."""
        fraction = self.fraction(name)
        return self._between(name, _times(others, fraction / (1 - fraction)))

    def rest(self, option: str | None, total: int, used: int) -> int:
        """What is left of ``total``; the option (or the process's size) is to blame if nothing is."""
        if used > total:
            self._refuse(option, f"the parts of memory need {_mb(used)}, and only {_mb(total)} are there")
        return total - used

    def overhead_beside(self, others: int) -> int:
        """All that the other parts leave of the process, which must suit the limits of JVM overhead."""
        overhead = self.rest(None, self.process, others)
        self.require_range("jvm-overhead", overhead)
        return overhead

    def require_range(self, name: str, size: int) -> None:
        """Refuse a part that came out of its limits."""
        low, high = self._range(name)
        if not low <= size <= high:
            limits = f"{self.prefix}{name}.min ({_mb(low)}) and .max ({_mb(high)})"
            self._refuse(None, f"with the other memory options {_mb(size)} remain for {name}, not between {limits}")

    def _between(self, name: str, size: int) -> int:
        low, high = self._range(name)
        return max(low, min(high, size))

    def _range(self, name: str) -> tuple[int, int]:
        low, high = self.size(f"{name}.min"), self.size(f"{name}.max")
        if low > high:
            self._refuse(f"{name}.max", f"is less than {self.prefix}{name}.min ({_mb(low)})")
        return low, high

    def _given(self, name: str) -> str | None:
        option = self.prefix + name
        return self.options.get(option, self.options.get(_OLD_NAMES.get(option, ""), None))

    def _text(self, name: str) -> str:
        given = self._given(name)
        return self.defaults[name] if given is None else given

    def _refuse(self, name: str | None, why: str) -> NoReturn:
        if name is None:
            raise BadField(self.field, _mb(self.process), f"{why}; use more memory or change {self.prefix}* options")
        raise BadField(self.prefix + name, self._text(name), why)


def _times(size: int, factor: float) -> int:
    """As ``MemorySize.multiply``: exact decimal arithmetic on the shortest digits of the double, truncated."""
    return int(Decimal(size) * Decimal(repr(factor)))


def _mb(size: int) -> str:
    return "no limit" if size == UNLIMITED else f"{size / MB:.0f} MB"
