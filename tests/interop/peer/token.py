"""Credentials: the closed profile of PROTOCOL.md §4, and the unpacked form of §2.4."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from . import keys
from .errors import Refused, check
from .strictjson import Number, Text, Value, parse_object
from .wire import Reader, uint

PERMISSIONS = (
    "agent.command.ping", "agent.command.echo", "agent.command.info", "agent.command.led", "agent.command.read",
    "agent.command.config", "agent.command.reboot", "agent.command.log", "agent.list", "agent.watch", "chat.send",
    "chat.broadcast", "hub.status", "hub.admin", "enrol", "agent.command.rekey",
)  # fmt: skip
_MAX_TIME = 2**53 - 1
_MAX_LIFE = {"agent": 24 * 3600, "commander": 3600}
_VISIBLE = re.compile(r'[!#-\[\]-~]{1,64}')
_SUBJECT = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_KID = re.compile(r"[A-Za-z0-9_-]{1,16}")
_DIGITS = re.compile(r"0|[1-9][0-9]*")


@dataclass(frozen=True)
class Issuer:
    """An entry of the table of issuers' keys (§4, Place)."""

    name: str
    public: bytes


@dataclass(frozen=True)
class Claims:
    """What a token says."""

    iss: str
    sub: str
    aud: tuple[str, ...]
    iat: int
    nbf: int
    exp: int
    public: bytes
    role: str
    permissions: int
    agents: frozenset[bytes] | str | None
    gen: int

    @property
    def agent_id(self) -> bytes:
        """The agent's id (§4, Names)."""
        return agent_id(self.iss, self.sub)


def agent_id(iss: str, sub: str) -> bytes:
    """`H("ML1 agent" | 0x00 | iss | 0x00 | sub)[..16]` (§4, Names)."""
    return keys.digest(b"ML1 agent\0", iss.encode(), b"\0", sub.encode())[:16]


def command_permission(command: str) -> int:
    """The bits of which a command takes all: its own, or every command's (§10.3)."""
    name = f"agent.command.{command}"
    every = (n for n in PERMISSIONS if n.startswith("agent.command."))
    return _bits([name] if name in PERMISSIONS else list(every))


def unpack(compact: str) -> bytes:
    """A compact token in the form in which it travels (§2.4)."""
    parts = [_decode(Text(part)) for part in compact.split(".")]
    check(len(parts) == 3, "TokenForm")
    header, payload, signature = parts
    check(len(signature) == 64 and len(header) <= 96 and len(payload) <= 512, "TokenForm")
    return bytes([len(header)]) + uint(len(payload), 2) + header + payload + signature


def pack(header: bytes, payload: bytes, key: keys.SigningKey) -> bytes:
    """Signs and unpacks a token, for tests that forge one."""
    signature = key.sign(_signing_input(header, payload), b"")
    return bytes([len(header)]) + uint(len(payload), 2) + header + payload + signature


def measure(reader: Reader) -> bytes:
    """Takes an unpacked token from the front of a message (§2.4)."""
    head = reader.take(3)
    return head + reader.take(head[0] + int.from_bytes(head[1:], "big") + 64)


def verify(
    unpacked: bytes, *, issuers: Mapping[str, Issuer], audience: str, role: str | None, now: int
) -> Claims:
    """Checks a token in the order of §2.7: profile, issuer, times, audience, role, signature.

    `now` is in seconds; `role` is `None` where every role of a link is taken.
    """
    reader = Reader(unpacked, "TokenForm")
    header_len, payload_len = reader.uint(1), reader.uint(2)
    check(header_len <= 96 and payload_len <= 512, "TokenForm")
    header, payload = reader.take(header_len), reader.take(payload_len)
    signature = reader.take(64)
    reader.end()
    kid = _read_header(header)
    claims = _read_payload(payload)
    issuer = issuers.get(kid)
    if issuer is None:
        raise Refused("UnknownKid")
    check(now < claims.exp, "TokenExpired")
    check(claims.iat - 60 <= now and claims.nbf - 60 <= now, "TokenNotYet")
    check(audience in claims.aud, "Audience")
    check(claims.iss == issuer.name, "IssuerName")
    check(role in (None, claims.role), "Role")
    check(keys.verify(issuer.public, _signing_input(header, payload), signature), "IssuerSignature")
    return claims


def _signing_input(header: bytes, payload: bytes) -> bytes:
    return _encode(header) + b"." + _encode(payload)


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: Value) -> bytes:
    """base64url without padding; bits that stand for nothing are zero (§4)."""
    check(isinstance(text, Text) and re.fullmatch(r"[A-Za-z0-9_-]*", text), "Base64")
    assert isinstance(text, Text)
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Refused("Base64") from None
    check(_encode(data).decode() == text, "Base64")
    return data


def _text(value: Value | None, pattern: re.Pattern[str], reason: str) -> str:
    check(isinstance(value, Text) and pattern.fullmatch(value), reason)
    return str(value)


def _integer(value: Value | None, most: int, reason: str) -> int:
    check(isinstance(value, Number) and _DIGITS.fullmatch(value) and int(value) <= most, reason)
    return int(str(value))


def _read_header(data: bytes) -> str:
    header = parse_object(data)
    check(header.keys() == {"alg", "typ", "kid"}, "HeaderMember")
    check(isinstance(header["alg"], Text) and header["alg"] == "ES256", "Algorithm")
    check(isinstance(header["typ"], Text) and header["typ"] == "at+jwt", "TokenType")
    return _text(header["kid"], _KID, "Kid")


def _read_payload(data: bytes) -> Claims:
    members = parse_object(data)
    iss = _text(members.get("iss"), _VISIBLE, "Iss")
    aud = _read_audience(members.get("aud"))
    sub = _text(members.get("sub"), _SUBJECT, "Sub")
    iat = _integer(members.get("iat"), _MAX_TIME, "Time")
    exp = _integer(members.get("exp"), _MAX_TIME, "Time")
    nbf = _integer(members["nbf"], _MAX_TIME, "Time") if "nbf" in members else iat
    check("jti" in members and len(_decode(members["jti"])) == 16, "Jti")
    public = _read_confirmation(members.get("cnf"))
    role = members.get("role")
    check(isinstance(role, Text) and role in _MAX_LIFE, "Role")
    role = str(role)
    check(iat < exp and nbf <= exp and exp - iat <= _MAX_LIFE[role], "Lifetime")
    check("agt" not in members or role == "commander", "Agt")
    agents = _read_agents(members["agt"]) if "agt" in members else None
    gen = _integer(members.get("gen"), 2**32 - 1, "Gen")
    permissions = _read_permissions(members.get("perm", []))
    return Claims(iss, sub, aud, iat, nbf, exp, public, role, permissions, agents, gen)


def _read_audience(value: Value | None) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else [value]
    texts = tuple(_text(entry, _VISIBLE, "Aud") for entry in entries)
    check(1 <= len(texts) <= 4 and len(set(texts)) == len(texts), "Aud")
    return texts


def _read_confirmation(value: Value | None) -> bytes:
    check(isinstance(value, dict) and value.keys() == {"jwk"}, "Cnf")
    jwk = value["jwk"]  # type: ignore[index,call-overload]
    check(isinstance(jwk, dict) and jwk.keys() == {"kty", "crv", "x", "y"}, "Cnf")
    check(isinstance(jwk["kty"], Text) and jwk["kty"] == "EC", "Cnf")
    check(isinstance(jwk["crv"], Text) and jwk["crv"] == "P-256", "Cnf")
    x, y = _decode(jwk["x"]), _decode(jwk["y"])
    check(len(x) == len(y) == 32, "Cnf")
    public = b"\x04" + x + y
    keys.parse_point(public)
    return public


def _read_agents(value: Value) -> frozenset[bytes] | str:
    if isinstance(value, Text):
        return _text(value, _SUBJECT, "Agt")
    check(isinstance(value, list) and 1 <= len(value) <= 8, "Agt")
    ids = [_decode(entry) for entry in value]
    check(len(set(ids)) == len(ids) and all(len(entry) == 16 for entry in ids), "Agt")
    return frozenset(ids)


def _read_permissions(value: Value) -> int:
    check(isinstance(value, list), "Perm")
    given = 0
    for entry in value:
        check(isinstance(entry, Text), "Perm")
        bits = _bits([n for n in PERMISSIONS if _covers(str(entry), n)])
        check(bits and not bits & given, "Perm")
        given |= bits
    return given


def _covers(pattern: str, name: str) -> bool:
    if pattern == "*":
        return True
    return name.startswith(pattern[:-1]) if pattern.endswith(".*") else name == pattern


def _bits(names: list[str]) -> int:
    return sum(1 << PERMISSIONS.index(name) for name in names)
