"""Both ends of the handshake, with signatures and with a ticket (PROTOCOL.md §2 and §3)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import keys, token
from .errors import Refused, check
from .keys import Sealer, digest, extract, key_name, labelled, mac, same
from .session import Form, Grant, Secrets, Session, Ticket
from .wire import M1, M2, M3, M4, REFUSE, VERSION, Reader, uint, with_head, without_head

MIN_PAYLOAD, MAX_PAYLOAD = 64, 16_384
MIN_MTU = 160
MAX_PAD = 63
TOKEN_LIMIT = 3 + 96 + 512 + 64
DATAGRAM, NO_CLOCK, WANTS_TICKET, RESERVED = 1, 2, 4, 8
BAD_CREDENTIAL, OVERLOAD, NO_TIME = 7, 5, 10
CHANNEL_WINDOW = 64


@dataclass(frozen=True)
class Place:
    """Where a handshake happens: what th0 begins with, and the form (§3.3)."""

    prefix: bytes
    datagram: bool


LINK = Place(b"ML1 link v1\0", False)


def channel_to(agent_id: bytes) -> Place:
    """A channel to the agent with this id."""
    return Place(b"ML1 channel v1\0" + agent_id, True)


def _draw_cid(place: Place) -> bytes:
    """A connection id of an end (§2.1)."""
    return secrets.token_bytes(3) + b"\1" if place.datagram else bytes(4)


@dataclass(frozen=True)
class Offer:
    """What the fields of M1 and M2 say of one end."""

    suites: tuple[int, ...] = (1, 2)
    mtu: int = 1500
    payload: int = 1024
    token_limit: int = TOKEN_LIMIT


@dataclass
class Schedule:
    """The transcript and the secrets of one handshake, under the names of §3.3 and §3.4."""

    place: Place
    values: dict[str, bytes] = field(default_factory=dict)

    def __getattr__(self, name: str) -> bytes:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    def begin(self, m1: bytes, psk: bytes) -> None:
        """th0 and early."""
        self.values["th0"] = digest(self.place.prefix, m1)
        self.values["early"] = extract(keys.ZEROS, psk)

    def binder(self, secret: bytes, m1_without_binder: bytes) -> bytes:
        """The binder of a ticket (§3.4)."""
        key = labelled(extract(keys.ZEROS, secret), "res binder")
        return mac(key, digest(self.place.prefix, m1_without_binder))

    def share(self, m2_clear: bytes, dh: bytes) -> None:
        """th1 and hs."""
        self.values["th1"] = digest(self.th0, m2_clear)
        self.values["dh"] = dh
        self.values["hs"] = extract(labelled(self.early, "derived", self.th0), dh)

    def sealer_m2(self, suite: int) -> Sealer:
        """Of M2 and REFUSE."""
        return Sealer.labelled(suite, self.hs, "r", self.th1)

    def sealer_m3(self, suite: int) -> Sealer:
        """Of M3."""
        return Sealer.labelled(suite, self.hs, "i", self.th3)

    def sealer_m4(self, suite: int) -> Sealer:
        """Of M4."""
        return Sealer.labelled(suite, self.master, "m4", self.th5)

    def responder(self, p2: bytes, public: bytes) -> None:
        """th2 of mode 0."""
        self.values["th2"] = digest(self.th1, p2, public)

    def responder_proved(self, proof: bytes) -> None:
        """th3: the proof is sig_R or fin_R."""
        self.values["th3"] = digest(self.th2, proof)

    def initiator(self, head: bytes, p3: bytes, unpacked: bytes, public: bytes) -> None:
        """th4 of mode 0."""
        self.values["token_hash"] = digest(unpacked)
        self.values["th4"] = digest(self.th3, head, p3, self.token_hash, public)

    def initiator_proved(self, proof: bytes) -> None:
        """th5, master and FIN: the proof is sig_I or fin_I."""
        self.values["th5"] = digest(self.th4, proof)
        self.values["master"] = extract(labelled(self.hs, "derived", self.th5), keys.ZEROS)
        self.values["fin"] = mac(labelled(self.master, "fin", self.th5), self.th5)

    def resumed_responder(self, p2: bytes) -> bytes:
        """th2 of mode 1; returns fin_R."""
        self.values["th2"] = digest(self.th1, p2)
        return mac(labelled(self.hs, "r fin", self.th2), self.th2)

    def resumed_initiator(self, head: bytes) -> bytes:
        """th4 of mode 1; returns fin_I."""
        self.values["th4"] = digest(self.th3, head)
        return mac(labelled(self.hs, "i fin", self.th4), self.th4)

    def session(self, suite: int, is_initiator: bool, form: Form, own: int, peer: int, name: bytes) -> Session:
        """Epoch 0 of the session."""
        return Session(
            suite=suite,
            is_initiator=is_initiator,
            first=Secrets.first(self.master, self.th5),
            exporter=labelled(self.master, "exp", self.th5),
            form=form,
            own_payload=own,
            peer_payload=peer,
            responder=name,
        )


@dataclass(frozen=True)
class Time:
    """What M2 says of the time, with the moment at which it arrived (§7.2)."""

    time_ms: int
    quality: int
    arrived: float

    def now_ms(self) -> int:
        """The time now."""
        return self.time_ms + round((time.monotonic() - self.arrived) * 1000)


class Initiator:
    """The initiator. `pins` are the hub's keys on a link and `root` its root key; on a channel `judge` turns the agent's
    token into its key. `followed` is the key that a statement led to (§7.1)."""

    def __init__(
        self,
        *,
        place: Place,
        key: keys.SigningKey,
        unpacked: bytes = b"",
        code: bytes | None = None,
        pins: tuple[bytes, ...] = (),
        root: bytes = b"",
        judge: Callable[[bytes], bytes] | None = None,
        offer: Offer = Offer(),
        ticket: Ticket | None = None,
        flags: int = WANTS_TICKET,
        scalar: bytes | None = None,
        hedge: bytes | None = None,
        cid: bytes | None = None,
    ) -> None:
        self.schedule = Schedule(place)
        self.time: Time | None = None
        self.mode = 0
        self.grant: Grant | None = None
        self.session: Session | None = None
        self._key = key
        # A newcomer shows a code and its key where others show a token (§2.9).
        self._is_newcomer = code is not None
        self._credential = unpacked if code is None else bytes([len(code)]) + code + key.public
        self._pins, self._root, self._judge = pins, root, judge
        self.followed: bytes | None = None
        self._offer, self._ticket = offer, ticket
        self._scalar = scalar or secrets.token_bytes(32)
        self._hedge = hedge
        self._suite = 0
        self._responder = b""
        self._form = Form(place.datagram, cid or _draw_cid(place))
        self._sent_at = time.monotonic()
        self.m1 = self._make_m1(flags)

    def _make_m1(self, flags: int) -> bytes:
        offer, place = self._offer, self.schedule.place
        flags |= VERSION << 4 | (DATAGRAM if place.datagram else 0)
        hint = key_name(self._pins[0])[:4] if self._pins else bytes(4)
        body = bytes([len(offer.suites), *offer.suites, *bytes(4 - len(offer.suites))])
        body += bytes([1 if self._ticket else 0, flags]) + uint(offer.mtu, 2)
        body += self._form.own_cid + hint + keys.share_of(self._scalar) + b"\0"
        if not self._ticket:
            return with_head(M1, body)
        # The binder covers the head, whose length counts the binder.
        message = with_head(M1, body + self._ticket.id + bytes(32))[:-32]
        return message + self.schedule.binder(self._ticket.secret, message)

    def on_m2(self, message: bytes) -> bytes:
        """Checks M2 in the order of §2.7 and returns M3."""
        offer, schedule = self._offer, self.schedule
        reader = without_head(message, M2)
        suite, mode = reader.uint(1), reader.uint(1)
        check(suite in keys.SUITES and suite in offer.suites, "Suite")
        check(mode == 0 or (mode == 1 and self._ticket), "Mode")
        check(reader.take(4) == self._form.own_cid, "ConnectionId")
        self._form.peer_cid = reader.take(4)
        check(any(self._form.peer_cid) == self._form.datagram, "ConnectionId")
        share = reader.take(32)
        # On a channel the agent's token stands in place of the key name.
        lengths = (111,) if mode == 1 else (160, 310)
        check(len(message) in lengths or (self._judge and not mode), "Length")
        check(mode == 0 or (self._ticket and suite == self._ticket.suite), "Suite")
        self.mode, self._suite = mode, suite
        schedule.begin(self.m1, self._ticket.secret if mode and self._ticket else keys.ZEROS)
        schedule.share(message[:46], keys.x25519(self._scalar, share))
        plain = schedule.sealer_m2(suite).open(0, schedule.th1, message[46:])
        return self._on_sealed_m2(plain)

    def _on_sealed_m2(self, plain: bytes) -> bytes:
        reader = Reader(plain)
        time_ms, quality = reader.uint(8), reader.uint(1)
        mtu, self._peer_payload = reader.uint(2), reader.uint(2)
        window, token_limit = reader.uint(2), reader.uint(2)
        check(quality <= 2, "TimeQuality")
        check(mtu >= MIN_MTU and MIN_PAYLOAD <= self._peer_payload <= MAX_PAYLOAD, "PeerLimit")
        check(64 <= window <= 2048 if self._form.datagram else window == 0, "PeerLimit")
        arrived = time.monotonic()
        half_trip = (arrived - self._sent_at) / 2
        self.time = Time(time_ms + round(half_trip * 1000), 0 if half_trip > 15 else quality, arrived)
        if self.mode == 1:
            return self._resume(plain[: -reader.left()], reader)
        return self._prove(plain, reader, token_limit)

    def _resume(self, p2: bytes, reader: Reader) -> bytes:
        schedule, ticket = self.schedule, self._ticket
        fin_r = reader.take(32)
        reader.end()
        check(same(fin_r, schedule.resumed_responder(p2)), "Confirmation")
        schedule.responder_proved(fin_r)
        head = with_head(M3, self._form.peer_cid + bytes(32))[:8]
        fin_i = schedule.resumed_initiator(head)
        schedule.initiator_proved(fin_i)
        assert ticket
        self._responder = ticket.responder
        self.session = self._open()
        return head + fin_i

    def _prove(self, plain: bytes, reader: Reader, token_limit: int) -> bytes:
        schedule, offer = self.schedule, self._offer
        kind = reader.uint(1)
        if self._judge:
            check(kind == 2, "CredentialKind")
            public = self._judge(token.measure(reader))
        else:
            check(kind in (0, 1), "CredentialKind")
            name = reader.take(16)
            statement = reader.take(150) if kind == 1 else b""
            pinned = [pin for pin in self._pins if key_name(pin)[:16] == name]
            check(pinned or statement, "NotPinned")
            public = pinned[0] if pinned else self._follow(name, statement)
        p2, signature = plain[: -reader.left()], reader.take(64)
        reader.end()
        schedule.responder(p2, public)
        signed = keys.signed_content("responder", schedule.th2)
        check(keys.verify(public, signed, signature), "ResponderSignature")
        check(len(self._credential) <= token_limit, "TokenTooLong")
        schedule.values["responder_signature"] = signature
        schedule.responder_proved(signature)
        self._responder = public
        kind = b"\2" if self._is_newcomer else b"\0"
        p3 = b"\0" + uint(offer.payload, 2) + kind + self._credential
        head = with_head(M3, self._form.peer_cid + p3 + bytes(64 + keys.TAG))[:8]
        schedule.initiator(head, p3, self._credential, self._key.public)
        signature = self._key.sign(keys.signed_content("initiator", schedule.th4), self._hedge)
        schedule.values["initiator_signature"] = signature
        schedule.values["m3_plaintext"] = p3
        schedule.initiator_proved(signature)
        return head + schedule.sealer_m3(self._suite).seal(0, schedule.th3 + head, p3 + signature)

    def _follow(self, name: bytes, statement: bytes) -> bytes:
        """The key that a statement of the key expected, or of the root's, leads to (§7.1). No counter is kept here."""
        reader = Reader(statement)
        signer, counter = reader.uint(1), reader.uint(4)
        public, revoked = reader.take(65), reader.take(16)
        check(signer in (0, 1) and not (signer and any(revoked)), "Malformed")
        keys.parse_point(public)
        check(key_name(public)[:16] == name, "RotationKey")
        check(counter > 0, "RotationOld")
        signed = keys.signed_content("rotation", keys.digest(statement[:86]))
        key = self._pins[0] if signer else self._root
        check(key and keys.verify(key, signed, reader.take(64)), "RotationSignature")
        self.followed = public
        return public

    def on_m4(self, message: bytes) -> Session:
        """Checks M4 in the order of §2.7; a REFUSE in its place is an error."""
        if message[:1] == bytes([REFUSE]):
            self._on_refuse(message)
        check(self.mode == 0, "OutOfPlace")
        reader = without_head(message, M4)
        check(reader.take(4) == self._form.own_cid, "ConnectionId")
        check(len(message) == 104, "Length")
        schedule = self.schedule
        plain = schedule.sealer_m4(self._suite).open(0, schedule.th5 + message[:8], reader.rest())
        reader = Reader(plain)
        fin = reader.take(32)
        grant = Grant.from_m4(reader)
        check(same(fin, schedule.fin), "Confirmation")
        return self._opened(self._open(), grant)

    def on_welcome(self, message: bytes) -> Session:
        """Checks Welcome, the responder's first frame of mode 1; a REFUSE in its place is an error."""
        if message[:1] == bytes([REFUSE]):
            self._on_refuse(message)
        assert self.session
        return self._opened(self.session, Grant.from_welcome(self.session.open_first(message)))

    def _opened(self, session: Session, grant: Grant) -> Session:
        assert self.time
        check(grant.session_exp_ms > self.time.now_ms(), "SessionExpired")
        self.grant, self.session = grant, session
        session.welcome(grant)
        return session

    def _open(self) -> Session:
        own, peer = self._offer.payload, self._peer_payload
        session = self.schedule.session(self._suite, True, self._form, own, peer, self._responder)
        session.is_newcomer = self._is_newcomer
        return session

    def _on_refuse(self, message: bytes) -> None:
        """Checks REFUSE in the order of §2.7."""
        reader = without_head(message, REFUSE)
        check(reader.take(4) == self._form.own_cid, "ConnectionId")
        check(len(message) == 29, "Length")
        schedule = self.schedule
        plain = schedule.sealer_m2(self._suite).open(2, schedule.th3 + message[:8], reader.rest())
        reasons = {BAD_CREDENTIAL: "RefusedCredential", OVERLOAD: "RefusedOverload", NO_TIME: "RefusedNoTime"}
        raise Refused(reasons.get(plain[0], "RefuseCode"))


@dataclass(frozen=True)
class Record:
    """What a responder keeps of a ticket (§2.8)."""

    ticket: Ticket
    unpacked: bytes
    payload: int


class Responder:
    """The responder. `unpacked` is an agent's own token, on a channel; `judge` is what it thinks of the initiator's."""

    def __init__(
        self,
        *,
        place: Place,
        key: keys.SigningKey,
        judge: Callable[[bytes], token.Claims],
        now_ms: Callable[[], int],
        quality: int,
        unpacked: bytes | None = None,
        offer: Offer = Offer(),
        tickets: dict[bytes, Record] | None = None,
        ticket_life: int = 600,
        scalar: bytes | None = None,
        hedge: bytes | None = None,
        cid: bytes | None = None,
        grant: Grant | None = None,
    ) -> None:
        self.schedule = Schedule(place)
        self.claims: token.Claims | None = None
        self.mode = 0
        self._key, self._token, self._judge = key, unpacked, judge
        self._now_ms, self._quality = now_ms, quality
        self._offer = offer
        self._tickets = {} if tickets is None else tickets
        self._life = ticket_life
        self._scalar = scalar or secrets.token_bytes(32)
        self._hedge, self._grant = hedge, grant
        self._suite = 0
        self._flags = 0
        self._record: Record | None = None
        self._form = Form(place.datagram, cid or _draw_cid(place))

    def on_m1(self, message: bytes) -> bytes:
        """Checks M1 in the order of §2.7 and returns M2."""
        place, offer = self.schedule.place, self._offer
        reader = without_head(message, M1)
        count, suites = reader.uint(1), reader.take(4)
        offered = suites[:count]
        check(1 <= count <= 4 and all(offered) and not any(suites[count:]), "SuiteList")
        check(len(set(offered)) == count, "SuiteList")
        mode, self._flags = reader.uint(1), reader.uint(1)
        check(mode <= 1, "Mode")
        check(bool(self._flags & DATAGRAM) == place.datagram, "Form")
        check(not self._flags & RESERVED, "Reserved")
        check(self._flags >> 4 == VERSION, "Version")
        check(reader.uint(2) >= MIN_MTU, "PeerLimit")
        self._form.peer_cid = reader.take(4)
        check(any(self._form.peer_cid) == place.datagram, "ConnectionId")
        reader.take(4)
        share = reader.take(32)
        check(reader.uint(1) == 0, "Reserved")
        ticket_id = reader.take(16) if mode else b""
        binder = reader.take(32) if mode else b""
        reader.end()
        common = [number for number in offered if number in offer.suites]
        check(common, "Suite")
        self._suite = common[0]
        record = self._tickets.get(ticket_id)
        if record and record.ticket.suite in common:
            expected = self.schedule.binder(record.ticket.secret, message[:-32])
            check(same(binder, expected), "Binder")
            self._record, self._suite, self.mode = record, record.ticket.suite, 1
        dh = keys.x25519(self._scalar, share)
        self.schedule.begin(message, self._record.ticket.secret if self._record else keys.ZEROS)
        return self._make_m2(dh)

    def _make_m2(self, dh: bytes) -> bytes:
        offer, schedule = self._offer, self.schedule
        window = CHANNEL_WINDOW if schedule.place.datagram else 0
        p2 = uint(self._now_ms(), 8) + bytes([self._quality]) + uint(offer.mtu, 2) + uint(offer.payload, 2)
        p2 += uint(window, 2) + uint(offer.token_limit, 2)
        if self.mode == 0:
            p2 += b"\0" + key_name(self._key.public)[:16] if self._token is None else b"\2" + self._token
        proof_len = 32 if self.mode else 64
        clear = bytes([self._suite, self.mode]) + self._form.peer_cid + self._form.own_cid
        clear += keys.share_of(self._scalar)
        clear = with_head(M2, clear + bytes(len(p2) + proof_len + keys.TAG))[:46]
        schedule.share(clear, dh)
        if self.mode:
            proof = schedule.resumed_responder(p2)
        else:
            schedule.responder(p2, self._key.public)
            proof = self._key.sign(keys.signed_content("responder", schedule.th2), self._hedge)
        schedule.responder_proved(proof)
        schedule.values["m2_plaintext"] = p2
        return clear + schedule.sealer_m2(self._suite).seal(0, schedule.th1, p2 + proof)

    def on_m3(self, message: bytes) -> tuple[bytes, Session | None, str]:
        """Checks M3 in the order of §2.7; returns M4 (or Welcome) and the session, or REFUSE and the reason."""
        reader = without_head(message, M3)
        check(reader.take(4) == self._form.own_cid, "ConnectionId")
        head, schedule = message[:8], self.schedule
        if self.mode:
            check(len(message) == 40, "Length")
            fin_i = reader.take(32)
            check(same(fin_i, schedule.resumed_initiator(head)), "Confirmation")
            schedule.initiator_proved(fin_i)
        else:
            check(len(message) >= 92, "Length")
            plain = schedule.sealer_m3(self._suite).open(0, schedule.th3 + head, reader.rest())
        try:
            return self._welcome() if self.mode else self._judge_m3(head, plain)
        except Refused as refused:
            return self.refuse(BAD_CREDENTIAL), None, refused.reason

    def refuse(self, code: int, argument: int = 0) -> bytes:
        """REFUSE (§2.6)."""
        head = with_head(REFUSE, self._form.peer_cid + bytes(5 + keys.TAG))[:8]
        plain = bytes([code]) + uint(argument, 4)
        return head + self.schedule.sealer_m2(self._suite).seal(2, self.schedule.th3 + head, plain)

    def _judge_m3(self, head: bytes, plain: bytes) -> tuple[bytes, Session, str]:
        schedule = self.schedule
        reader = Reader(plain)
        flags, payload, kind = reader.uint(1), reader.uint(2), reader.uint(1)
        check(flags == 0, "Reserved")
        check(MIN_PAYLOAD <= payload <= MAX_PAYLOAD, "PeerLimit")
        check(kind == 0, "CredentialKind")
        unpacked = token.measure(reader)
        check(reader.left() >= 64, "Length")
        pad = reader.take(reader.left() - 64)
        check(len(pad) <= MAX_PAD and not any(pad), "Padding")
        claims = self._judge(unpacked)
        signature = reader.take(64)
        schedule.initiator(head, plain[:-64], unpacked, claims.public)
        signed = keys.signed_content("initiator", schedule.th4)
        check(keys.verify(claims.public, signed, signature), "InitiatorSignature")
        schedule.initiator_proved(signature)
        grant = self._granted(claims)
        head = with_head(M4, self._form.peer_cid + bytes(80 + keys.TAG))[:8]
        plain = schedule.fin + grant.as_m4()
        schedule.values["m4_plaintext"] = plain
        answer = head + schedule.sealer_m4(self._suite).seal(0, schedule.th5 + head, plain)
        return answer, self._open(claims, grant, unpacked, payload), ""

    def _welcome(self) -> tuple[bytes, Session, str]:
        # The ticket is used up in the step that accepts fin_I.
        record = self._record
        assert record
        check(self._tickets.pop(record.ticket.id, None), "TicketUsed")
        claims = self._judge(record.unpacked)
        grant = self._granted(claims)
        session = self._open(claims, grant, record.unpacked, record.payload)
        return session.seal(0x21, grant.as_welcome()), session, ""

    def _granted(self, claims: token.Claims) -> Grant:
        if self._grant:
            return self._grant
        ticket = None
        if self._flags & WANTS_TICKET:
            ticket = (secrets.token_bytes(16), secrets.token_bytes(8), self._life)
        return Grant(secrets.token_bytes(8), claims.exp * 1000, claims.permissions, ticket)

    def _open(self, claims: token.Claims, grant: Grant, unpacked: bytes, payload: int) -> Session:
        self.claims = claims
        own = self._offer.payload
        session = self.schedule.session(self._suite, False, self._form, own, payload, self._key.public)
        session.welcome(grant)
        if session.ticket:
            self._tickets[session.ticket.id] = Record(session.ticket, unpacked, payload)
        return session
