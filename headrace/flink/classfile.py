"""Reads the head of a Java class file: enough to know what a JVM would run (JVM specification, chapter 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

ACC_PUBLIC: Final = 0x0001
ACC_STATIC: Final = 0x0008

_MAGIC: Final = 0xCAFEBABE
_UTF8: Final = 1
_CLASS: Final = 7
# Bytes after the tag, by tag; Utf8 carries its own length. Long (5) and Double (6) take two places in the pool.
_CONSTANT_SIZES: Final = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4} | {
    19: 2,
    20: 2,
}


class MalformedClass(ValueError):
    """The bytes are not a class file."""


@dataclass(frozen=True)
class Method:
    """One method with its access flags and descriptor: ``main``, ``([Ljava/lang/String;)V``."""

    access: int
    name: str
    descriptor: str


@dataclass(frozen=True)
class ClassFile:
    """A class with dotted names; ``superclass`` is None only for ``java.lang.Object``."""

    java: int
    access: int
    name: str
    superclass: str | None
    methods: tuple[Method, ...]

    @property
    def has_main(self) -> bool:
        """Whether it declares ``public static void main(String[])`` itself."""
        wanted = ACC_PUBLIC | ACC_STATIC
        return any(
            method.name == "main" and method.descriptor == "([Ljava/lang/String;)V" and method.access & wanted == wanted
            for method in self.methods
        )


def java_of(head: bytes) -> int:
    """The Java feature release that a class file needs, from its first 8 bytes. Raises MalformedClass."""
    if len(head) < 8 or struct.unpack_from(">I", head)[0] != _MAGIC:
        raise MalformedClass("it does not begin like a class file")
    (major,) = struct.unpack_from(">H", head, 6)
    return int(major) - 44


def parse(content: bytes) -> ClassFile:
    """The class in these bytes. Raises MalformedClass."""
    java = java_of(content)
    try:
        return _Cursor(content, 8).read_class(java)
    except (struct.error, LookupError, UnicodeDecodeError) as error:
        raise MalformedClass("it ends too early or is damaged") from error


class _Cursor:
    """A place in the bytes that moves on by reading."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content = content
        self._at = at
        self._texts: dict[int, str] = {}
        self._classes: dict[int, int] = {}

    def read_class(self, java: int) -> ClassFile:
        self._read_constants()
        access, this, parent, interfaces = (self._u2() for _ in range(4))
        self._at += 2 * interfaces
        self._read_members()  # fields
        return ClassFile(java, access, self._class_name(this), self._superclass(parent), self._read_members())

    def _read_constants(self) -> None:
        count, index = self._u2(), 1
        while index < count:
            tag = self._content[self._at]
            self._at += 1
            if tag == _UTF8:
                length = self._u2()
                # "Modified UTF-8" differs from UTF-8 only in characters that no name we look for contains.
                self._texts[index] = self._content[self._at : self._at + length].decode("utf-8", "replace")
                self._at += length
            else:
                if tag == _CLASS:
                    (self._classes[index],) = struct.unpack_from(">H", self._content, self._at)
                self._at += _CONSTANT_SIZES[tag]
            index += 2 if tag in (5, 6) else 1

    def _read_members(self) -> tuple[Method, ...]:
        members = []
        for _ in range(self._u2()):
            access, name, descriptor, attributes = (self._u2() for _ in range(4))
            for _ in range(attributes):
                self._at += 2
                length = self._u4()
                self._at += length
            members.append(Method(access, self._texts[name], self._texts[descriptor]))
        return tuple(members)

    def _superclass(self, index: int) -> str | None:
        return self._class_name(index) if index else None

    def _class_name(self, index: int) -> str:
        return self._texts[self._classes[index]].replace("/", ".")

    def _u2(self) -> int:
        (value,) = struct.unpack_from(">H", self._content, self._at)
        self._at += 2
        return int(value)

    def _u4(self) -> int:
        (value,) = struct.unpack_from(">I", self._content, self._at)
        self._at += 4
        return int(value)
