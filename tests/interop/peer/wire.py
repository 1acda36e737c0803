"""Reading and writing of bytes: fixed fields (PROTOCOL.md §1, §2.1) and postcard values (§10.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .errors import Refused, check

T = TypeVar("T")

M1, M2, M3, M4, REFUSE, REJECT = 0x01, 0x02, 0x03, 0x04, 0x07, 0x08
HANDSHAKE = frozenset({M1, M2, M3, M4, REFUSE, REJECT})
APPLICATION, CONTROL, ALERT, ENVELOPE = 0x20, 0x21, 0x22, 0x23
VERSION = 1
MAX_HANDSHAKE = 1024


class Reader:
    """Takes fields from the front of a message; what is missing is refused."""

    def __init__(self, data: bytes, reason: str = "Length") -> None:
        self._data = data
        self._at = 0
        self._reason = reason

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        check(self.left() >= count, self._reason)
        self._at += count
        return self._data[self._at - count : self._at]

    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self.left())

    def uint(self, width: int) -> int:
        """An integer of `width` bytes, big-endian (§1)."""
        return int.from_bytes(self.take(width), "big")

    def end(self) -> None:
        """Refuses bytes left over."""
        check(self.left() == 0, self._reason)

    def varint(self, bits: int = 32) -> int:
        """An integer in as few bytes as it takes, the lowest 7 bits first (§10.1)."""
        value, shift = 0, 0
        while True:
            byte = self.uint(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
            check(shift < bits, self._reason)
        check(value < 1 << bits and (byte or shift == 7), self._reason)
        return value

    def signed(self) -> int:
        """A signed integer of 64 bits, zigzag (§10.1)."""
        value = self.varint(64)
        return (value >> 1) ^ -(value & 1)

    def truth(self) -> bool:
        """A truth value (§10.1)."""
        byte = self.uint(1)
        check(byte <= 1, self._reason)
        return byte == 1

    def option(self, read: Callable[[], T]) -> T | None:
        """An option (§10.1)."""
        return read() if self.truth() else None

    def list(self, read: Callable[[], T], most: int) -> list[T]:
        """A list of at most `most` elements (§10.1)."""
        count = self.varint()
        check(count <= most, self._reason)
        return [read() for _ in range(count)]

    def bytes(self) -> bytes:
        """A byte string (§10.1)."""
        return self.take(self.varint())

    def text(self) -> str:
        """A text (§10.1)."""
        try:
            return self.bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(self._reason) from None


def uint(value: int, width: int) -> bytes:
    """An integer of fixed width (§1)."""
    return value.to_bytes(width, "big")


def varint(value: int) -> bytes:
    """An integer in postcard (§10.1)."""
    output = bytearray()
    while value > 0x7F:
        output.append(value & 0x7F | 0x80)
        value >>= 7
    output.append(value)
    return bytes(output)


def signed(value: int) -> bytes:
    """A signed integer in postcard (§10.1)."""
    return varint(value << 1 if value >= 0 else ~(value << 1))


def string(value: bytes) -> bytes:
    """A text or byte string in postcard (§10.1)."""
    return varint(len(value)) + value


def option(value: bytes | None) -> bytes:
    """An option in postcard (§10.1)."""
    return b"\0" if value is None else b"\1" + value


def with_head(kind: int, rest: bytes) -> bytes:
    """Puts the head before a handshake message (§2.1)."""
    return bytes([kind, VERSION]) + uint(len(rest), 2) + rest


def without_head(message: bytes, kind: int) -> Reader:
    """Checks a head and returns what follows it (§2.1, §2.7)."""
    check(len(message) >= 4, "Length")
    check(message[0] == kind, "Type" if message[0] in HANDSHAKE else "UnknownType")
    check(message[1] == VERSION, "Version")
    check(int.from_bytes(message[2:4], "big") == len(message) - 4, "Length")
    check(len(message) <= MAX_HANDSHAKE, "Length")
    return Reader(message[4:])
