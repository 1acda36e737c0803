"""What frames carry: envelopes, link messages, commands and replies (PROTOCOL.md §10)."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Refused, check
from .wire import Reader, option, signed, string, uint, varint

DONE, UNKNOWN_COMMAND, BAD_ARGUMENT, NOT_PERMITTED, FAILED = range(5)
MESSAGE_VERSION = 1
RESPONSE = 0
Value = bool | int | str | bytes


def envelope(route: bytes, channel: int, inner: bytes) -> bytes:
    """The payload of an envelope frame (§10.2)."""
    return route + uint(channel, 4) + inner


def parse_envelope(payload: bytes) -> tuple[bytes, int, bytes]:
    """Route, channel and inner of an envelope (§10.2)."""
    reader = Reader(payload)
    route, channel, inner = reader.take(16), reader.uint(4), reader.rest()
    check(inner, "Length")
    return route, channel, inner


def _versioned(data: bytes) -> Reader:
    reader = Reader(data, "Malformed")
    check(reader.uint(1) == MESSAGE_VERSION, "MessageVersion")
    return reader


@dataclass(frozen=True)
class Request:
    """A command on its way (§10.3)."""

    id: int
    name: str
    arguments: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """As bytes."""
        texts = b"".join(string(argument.encode()) for argument in self.arguments)
        head = bytes([MESSAGE_VERSION]) + varint(self.id) + string(self.name.encode())
        return head + varint(len(self.arguments)) + texts

    @classmethod
    def decode(cls, data: bytes) -> Request:
        """From bytes."""
        reader = _versioned(data)
        request = cls(reader.varint(), reader.text(), tuple(reader.list(reader.text, 8)))
        reader.end()
        return request


@dataclass(frozen=True)
class Response:
    """A reply on its way (§10.3)."""

    id: int
    status: int
    fields: dict[str, Value]

    def encode(self) -> bytes:
        """As bytes."""
        fields = b"".join(string(name.encode()) + _encode_value(value) for name, value in self.fields.items())
        head = bytes([MESSAGE_VERSION]) + varint(RESPONSE) + varint(self.id) + varint(self.status)
        return head + varint(len(self.fields)) + fields

    @classmethod
    def decode(cls, data: bytes) -> Response:
        """From bytes."""
        reader = _versioned(data)
        check(reader.varint() == RESPONSE, "Malformed")
        number, status = reader.varint(), reader.varint()
        check(status <= FAILED, "Malformed")
        fields = dict(reader.list(lambda: (reader.text(), _decode_value(reader)), 12))
        reader.end()
        return cls(number, status, fields)


def _encode_value(value: Value) -> bytes:
    if isinstance(value, bool):
        return varint(0) + bytes([value])
    if isinstance(value, int):
        return varint(1) + signed(value)
    if isinstance(value, str):
        return varint(2) + string(value.encode())
    return varint(3) + string(value)


def _decode_value(reader: Reader) -> Value:
    number = reader.varint()
    check(number <= 3, "Malformed")
    return (reader.truth, reader.signed, reader.text, reader.bytes)[number]()


@dataclass(frozen=True)
class Agent:
    """An entry of the hub's list (§10.4)."""

    id: bytes
    name: str
    online: bool


@dataclass(frozen=True)
class Agents:
    """The hub's answer to ListAgents (§10.4)."""

    entries: tuple[Agent, ...]
    more: bool


@dataclass(frozen=True)
class RouteRefused:
    """The hub does not carry a channel (§10.4)."""

    channel: int
    refusal: int


@dataclass(frozen=True)
class NotPermitted:
    """The hub does not do what was asked (§10.4)."""


@dataclass(frozen=True)
class Token:
    """A newer token for this peer (§10.4)."""

    unpacked: bytes


@dataclass(frozen=True)
class TokenRefused:
    """There is no newer token now (§10.4)."""


HubMessage = Agents | RouteRefused | NotPermitted | Token | TokenRefused


def renew_token(key: bytes | None = None) -> bytes:
    """RenewToken (§10.4)."""
    return bytes([MESSAGE_VERSION]) + varint(8) + option(None if key is None else string(key))


def list_agents(after: bytes | None = None) -> bytes:
    """ListAgents (§10.4)."""
    return bytes([MESSAGE_VERSION]) + varint(0) + option(after)


def is_issuers(data: bytes) -> bool:
    """Whether a message of the hub is Issuers (§10.4), which has whole statements then."""
    reader = _versioned(data)
    if reader.varint() != 12:
        return False
    check(len(reader.bytes()) in range(0, 601, 150), "Length")
    reader.truth()
    reader.end()
    return True


def parse_hub_message(data: bytes) -> HubMessage:
    """A message of the hub (§10.4)."""
    reader = _versioned(data)
    number = reader.varint()
    if number == 0:
        entries = reader.list(lambda: Agent(reader.take(16), reader.text(), reader.truth()), 8)
        message: HubMessage = Agents(tuple(entries), reader.truth())
    elif number == 1:
        message = RouteRefused(reader.varint(), reader.varint())
        check(message.refusal <= 4, "Malformed")
    elif number == 2:
        message = NotPermitted()
    elif number == 9:
        message = Token(reader.bytes())
    elif number == 10:
        message = TokenRefused()
    else:
        raise Refused("Malformed")
    reader.end()
    return message
