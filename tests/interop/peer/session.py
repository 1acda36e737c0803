"""Sessions: frames, key updates and alerts, in both forms (PROTOCOL.md §5)."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from . import keys
from .errors import Closed, Refused, check
from .token import PERMISSIONS
from .wire import ALERT, APPLICATION, CONTROL, ENVELOPE, Reader, option, string, uint, varint

KEY_UPDATE, KEY_ACK, KEY_DONE, PING, PONG, WELCOME, TICKET_NEW, TOKEN_UPDATE, TOKEN_RESULT, ENROLLED = range(10)
ALERT_CODES = frozenset({0, 1, 2, 3, 4, 5, 7, 8, 9})
PROTOCOL_BROKEN = 4
WINDOW = 64
LAST_EPOCH = 65_535
MAX_FRAMES = 1 << 24
SETTLED_FOR = 2.0
HASTE = 1.0
OLD_FRAMES = 64
OLD_SECONDS = 5.0


@dataclass(frozen=True)
class Ticket:
    """What an initiator keeps of a ticket, or a responder (§2.8)."""

    id: bytes
    secret: bytes
    suite: int
    responder: bytes
    life: int


@dataclass(frozen=True)
class Grant:
    """What M4 says from session_id on, and Welcome (§2.5)."""

    session_id: bytes
    session_exp_ms: int
    permissions: int
    ticket: tuple[bytes, bytes, int] | None = None

    def as_m4(self) -> bytes:
        """The fields in M4."""
        ticket_id, nonce, life = self.ticket or (bytes(16), bytes(8), 0)
        times = uint(self.session_exp_ms, 8) + uint(self.permissions, 4)
        return self.session_id + times + ticket_id + nonce + uint(life, 4)

    @classmethod
    def from_m4(cls, reader: Reader) -> Grant:
        """Reads the fields of M4; a ticket without a life is all zero."""
        session_id, exp, permissions = reader.take(8), reader.uint(8), reader.uint(4)
        ticket_id, nonce, life = reader.take(16), reader.take(8), reader.uint(4)
        check(permissions < 1 << len(PERMISSIONS), "Reserved")
        check(life or not (any(ticket_id) or any(nonce)), "Reserved")
        return cls(session_id, exp, permissions, (ticket_id, nonce, life) if life else None)

    def as_welcome(self) -> bytes:
        """The control message Welcome (§5.6)."""
        ticket = None
        if self.ticket:
            ticket = self.ticket[0] + self.ticket[1] + varint(self.ticket[2])
        numbers = varint(self.session_exp_ms) + varint(self.permissions)
        return varint(WELCOME) + self.session_id + numbers + option(ticket)

    @classmethod
    def from_welcome(cls, payload: bytes) -> Grant:
        """Reads the control message Welcome (§5.6)."""
        reader = Reader(payload)
        check(reader.varint() == WELCOME, "OutOfPlace")
        session_id, exp, permissions = reader.take(8), reader.varint(64), reader.varint()
        ticket = reader.option(lambda: _read_ticket(reader))
        reader.end()
        check(permissions < 1 << len(PERMISSIONS), "Reserved")
        return cls(session_id, exp, permissions, ticket)


def _read_ticket(reader: Reader) -> tuple[bytes, bytes, int]:
    ticket = (reader.take(16), reader.take(8), reader.varint())
    check(ticket[2] >= 1, "Reserved")
    return ticket


@dataclass(frozen=True)
class Enrolled:
    """What a newcomer gets (§2.9)."""

    unpacked: bytes
    issuer_keys: tuple[bytes, ...]
    group: str | None


@dataclass(frozen=True)
class Terms:
    """What a session that rests on a newer token grants (§5.7)."""

    session_exp_ms: int
    permissions: int


class Window:
    """A sliding window over sequence numbers (§5.2): asked before a message is opened, moved after."""

    def __init__(self) -> None:
        self._next = 0
        self._seen: set[int] = set()

    def allows(self, seq: int) -> bool:
        """Says whether the number is neither seen nor left of the window."""
        return seq not in self._seen and seq + WINDOW >= self._next and seq < MAX_FRAMES

    def move(self, seq: int) -> None:
        """Takes note of a message that has opened."""
        self._next = max(self._next, seq + 1)
        self._seen.add(seq)
        self._seen = {n for n in self._seen if n + WINDOW >= self._next}


@dataclass
class Secrets:
    """The secrets of one epoch (§3.4)."""

    i: bytes
    r: bytes
    res: bytes

    @classmethod
    def first(cls, master: bytes, th5: bytes) -> Secrets:
        """Epoch 0."""
        return cls(*(keys.labelled(master, label, th5) for label in ("i2r", "r2i", "res")))

    def following(self, transcript: bytes, dh: bytes) -> Secrets:
        """The next epoch's (§5.4)."""
        steps = (keys.labelled(secret, "next", transcript) for secret in (self.i, self.r, self.res))
        return Secrets(*(keys.extract(step, dh) for step in steps))


def update_transcript(epoch: int, starter: bytes | None, answerer: bytes | None) -> bytes:
    """`t` of a key update to `epoch` (§5.4)."""
    zeros = keys.ZEROS
    return keys.digest(b"ML1 rekey", uint(epoch, 4), starter or zeros, answerer or zeros)


@dataclass
class Epoch:
    """One epoch as one end uses it."""

    number: int
    secrets: Secrets
    tx: keys.Sealer
    rx: keys.Sealer
    sent: int = 0
    opened: int = 0
    window: Window = field(default_factory=Window)

    @classmethod
    def derive(cls, number: int, all_secrets: Secrets, suite: int, is_initiator: bool) -> Epoch:
        """Makes the keys of both directions."""
        i, r = (keys.Sealer.labelled(suite, secret, "") for secret in (all_secrets.i, all_secrets.r))
        return cls(number, all_secrets, *((i, r) if is_initiator else (r, i)))


@dataclass
class Form:
    """What tells the forms apart: connection ids, of 4 bytes in datagram form."""

    datagram: bool = False
    own_cid: bytes = bytes(4)
    peer_cid: bytes = bytes(4)


@dataclass
class _Started:
    """A key update that this end has asked for."""

    content: bytes
    scalar: bytes | None


@dataclass
class _Answered:
    """A key update that this end has answered; the epoch waits for the peer's first frame in it."""

    question: bytes
    answer: bytes
    epoch: Epoch


class Session:
    """An open session at one end. What is to be sent because of what came in collects in `outgoing`."""

    def __init__(
        self,
        *,
        suite: int,
        is_initiator: bool,
        first: Secrets,
        exporter: bytes,
        form: Form,
        own_payload: int,
        peer_payload: int,
        responder: bytes = b"",
    ) -> None:
        self.suite = suite
        self.is_initiator = is_initiator
        self.form = form
        self.own_payload = own_payload
        self.peer_payload = peer_payload
        self.outgoing: list[bytes] = []
        self.grant: Grant | None = None
        self.ticket: Ticket | None = None
        self.updates = 0
        self.is_newcomer = False
        self.pongs: list[int] = []
        self.enrolled: Enrolled | None = None
        self.results: dict[bytes, Terms | None] = {}
        self.closed = False
        self._exporter = exporter
        self._responder = responder
        self._tx = self._rx = Epoch.derive(0, first, suite, is_initiator)
        self._old: tuple[Epoch, float] | None = None
        self._started: _Started | None = None
        self._answered: _Answered | None = None
        self._settled_at: float | None = time.monotonic()
        self._switched_at: float | None = None

    @property
    def epoch(self) -> int:
        """The epoch in which this end sends."""
        return self._tx.number

    @property
    def secrets(self) -> Secrets:
        """The secrets of the epoch in which this end sends."""
        return self._tx.secrets

    def export(self, label: str, context: bytes) -> bytes:
        """The exporter (§3.5)."""
        return keys.labelled(keys.labelled(self._exporter, label), "exporter", keys.digest(context))

    def welcome(self, grant: Grant) -> None:
        """Takes what M4 or Welcome grants; a ticket's secret is made of this epoch's res (§2.8)."""
        self.grant = grant
        if grant.ticket:
            self._keep_ticket(grant.ticket, self._rx.secrets.res)

    def _keep_ticket(self, ticket: tuple[bytes, bytes, int], res: bytes) -> None:
        ticket_id, nonce, life = ticket
        self.ticket = Ticket(ticket_id, keys.labelled(res, "ticket", nonce), self.suite, self._responder, life)

    # Sending

    def seal(self, kind: int, payload: bytes) -> bytes:
        """One frame (§5.1)."""
        check(not self.closed, "Closed")
        check(len(payload) <= self.peer_payload, "PayloadTooLong")
        check(self._tx.sent < MAX_FRAMES, "FrameLimit")
        header = self._header(kind, self._tx, len(payload))
        frame = header + self._tx.tx.seal(self._tx.sent, header, payload)
        self._tx.sent += 1
        return frame

    def _header(self, kind: int, epoch: Epoch, length: int) -> bytes:
        cid = self.form.peer_cid if self.form.datagram else b""
        fields = bytes([kind, epoch.number & 0xFF]) + uint(length + keys.TAG, 2)
        return fields + cid + uint(epoch.sent, 4)

    def alert(self, code: int, argument: int = 0) -> bytes:
        """The last frame of this end (§5.5)."""
        frame = self.seal(ALERT, bytes([code]) + uint(argument, 4))
        self.closed = True
        return frame

    def ping(self, number: int) -> bytes:
        """A Ping (§5.6)."""
        return self.seal(CONTROL, varint(PING) + varint(number))

    def show_token(self, unpacked: bytes, key: keys.SigningKey | None = None, hedge: bytes | None = None) -> bytes:
        """TokenUpdate (§5.7), with the proof of a new key where there is one."""
        proof = None
        if key:
            token_hash = keys.digest(unpacked)
            bound = keys.digest(self.export("token", token_hash), token_hash)
            proof = key.sign(keys.signed_content("token update", bound), hedge)
        return self.seal(CONTROL, varint(TOKEN_UPDATE) + string(unpacked) + option(proof))

    def may_update(self) -> bool:
        """Says whether this end is settled for 2 seconds (§5.4)."""
        settled = self._settled_at is not None and time.monotonic() - self._settled_at >= SETTLED_FOR
        return settled and self._started is None and self._answered is None and self.epoch < LAST_EPOCH

    def start_update(self, *, scalar: bytes | None = None, with_share: bool = True) -> bytes:
        """KeyUpdate, step 1 of §5.4."""
        check(self._started is None and self._answered is None, "UpdateUnderWay")
        if with_share and scalar is None:
            scalar = secrets.token_bytes(32)
        share = keys.share_of(scalar) if scalar else None
        content = varint(self.epoch + 1) + option(share)
        self._started = _Started(content, scalar)
        self._settled_at = None
        return self.seal(CONTROL, varint(KEY_UPDATE) + content)

    # Receiving

    def open(self, frame: bytes) -> tuple[int, bytes] | None:
        """Opens a frame and acts on control messages.

        Returns the type and payload of what is for the application; in datagram form a frame that is refused before
        it has opened is dropped (§5.2), which is an error here too: whoever carries the frames passes it over.
        """
        check(not self.closed, "Closed")
        kind, epoch, seq, payload = self._open_frame(frame)
        try:
            return self._take(kind, epoch, seq, payload)
        except Refused:
            self.outgoing.append(self.alert(PROTOCOL_BROKEN))
            raise

    def open_first(self, frame: bytes) -> bytes:
        """Opens the responder's first frame of mode 1, which says Welcome (§5.6)."""
        kind, epoch, seq, payload = self._open_frame(frame)
        check(kind == CONTROL and epoch.number == 0 and seq == 0, "OutOfPlace")
        return payload

    def _open_frame(self, frame: bytes) -> tuple[int, Epoch, int, bytes]:
        """The checks of §2.7 for a frame, in their order."""
        reader = Reader(frame)
        kind = reader.uint(1)
        check(kind in (APPLICATION, CONTROL, ALERT, ENVELOPE), "UnknownType")
        low, length = reader.uint(1), reader.uint(2)
        if self.form.datagram:
            check(reader.take(4) == self.form.own_cid, "ConnectionId")
        seq = reader.uint(4)
        check(reader.left() == length and length >= keys.TAG, "Length")
        epoch = self._held(low)
        check(length - keys.TAG <= self.own_payload, "PayloadTooLong")
        if self.form.datagram:
            check(epoch.window.allows(seq), "Sequence")
        else:
            check(seq == epoch.opened and seq < MAX_FRAMES, "Sequence")
        header, sealed = frame[: len(frame) - length], reader.rest()
        payload = epoch.rx.open(seq, header, sealed)
        epoch.opened += 1
        epoch.window.move(seq)
        return kind, epoch, seq, payload

    def _held(self, low: int) -> Epoch:
        held = [self._rx]
        if self._answered:
            held.append(self._answered.epoch)
        elif self._tx.number > self._rx.number:
            held.append(self._tx)
        if self._old:
            old, until = self._old
            if time.monotonic() < until and self._rx.opened < OLD_FRAMES:
                held.append(old)
            else:
                self._old = None
        for epoch in held:
            if epoch.number & 0xFF == low:
                return epoch
        raise Refused("Epoch")

    def _take(self, kind: int, epoch: Epoch, seq: int, payload: bytes) -> tuple[int, bytes] | None:
        if epoch.number > self._rx.number:
            self._peer_switched(kind, epoch, seq, payload)
        is_late = epoch.number < self._rx.number
        if kind == ALERT:
            reader = Reader(payload)
            code, argument = reader.uint(1), reader.uint(4)
            reader.end()
            check(code in ALERT_CODES, "AlertCode")
            self.closed = True
            raise Closed(code, argument)
        if kind == CONTROL:
            self._control(payload, epoch, is_late)
            return None
        return kind, payload

    def _peer_switched(self, kind: int, epoch: Epoch, seq: int, payload: bytes) -> None:
        """The peer's first frame of the next epoch, step 4 of §5.4; in datagram form any frame."""
        old = self._rx
        if not self.form.datagram:
            expected = varint(KEY_DONE) + varint(old.opened)
            check(kind == CONTROL and seq == 0 and payload == expected, "KeyDone")
        self._rx = epoch
        self._old = (old, time.monotonic() + OLD_SECONDS) if self.form.datagram else None
        if self._answered:
            self._answered = None
            self._switch_sending(epoch)
        self._started = None
        self._settled_at = time.monotonic()
        self.updates += 1

    def _switch_sending(self, epoch: Epoch) -> None:
        count = self._tx.sent
        self._tx = epoch
        self._switched_at = time.monotonic()
        self.outgoing.append(self.seal(CONTROL, varint(KEY_DONE) + varint(count)))

    def _control(self, payload: bytes, epoch: Epoch, is_late: bool) -> None:
        reader = Reader(payload)
        number = reader.varint()
        if number in (KEY_UPDATE, KEY_ACK):
            following, share = reader.varint(), reader.option(lambda: reader.take(32))
            reader.end()
            if is_late:
                check(number == KEY_ACK or following <= self._rx.number, "Epoch")
            elif number == KEY_UPDATE:
                self._on_key_update(following, share, payload[1:])
            else:
                self._on_key_ack(following, share)
        elif number == KEY_DONE:
            reader.varint()
            reader.end()
            check(epoch.number > 0, "KeyDone")
        elif number == PING:
            ping = reader.varint()
            reader.end()
            self.outgoing.append(self.seal(CONTROL, varint(PONG) + varint(ping)))
        elif number == PONG:
            self.pongs.append(reader.varint())
            reader.end()
        elif number == TICKET_NEW:
            ticket = _read_ticket(reader)
            reader.end()
            check(self.is_initiator, "OutOfPlace")
            if not is_late and self._tx.number == epoch.number:
                self._keep_ticket(ticket, epoch.secrets.res)
        elif number == TOKEN_RESULT:
            token_hash = reader.take(32)
            terms = reader.option(lambda: Terms(reader.varint(64), reader.varint()))
            reader.end()
            check(self.is_initiator, "OutOfPlace")
            check(terms is None or terms.permissions < 1 << len(PERMISSIONS), "Reserved")
            self.results[token_hash] = terms
        elif number == ENROLLED:
            unpacked, issuers, group = reader.bytes(), reader.bytes(), reader.option(reader.text)
            reader.end()
            check(self.is_newcomer and not self.enrolled, "OutOfPlace")
            check(len(issuers) in (65, 130, 195), "Malformed")
            known = tuple(issuers[at : at + 65] for at in range(0, len(issuers), 65))
            self.enrolled = Enrolled(unpacked, known, group)
        else:
            raise Refused("OutOfPlace" if number in (WELCOME, TOKEN_UPDATE) else "ControlNumber")

    def _on_key_update(self, following: int, share: bytes | None, content: bytes) -> None:
        """Steps 2, 6 and 7 of §5.4."""
        if following <= self._rx.number:
            return
        check(following == self._rx.number + 1, "Epoch")
        if self._answered:
            check(content == self._answered.question, "KeyUpdate")
            self.outgoing.append(self.seal(CONTROL, self._answered.answer))
            return
        hasty = self._switched_at is not None and time.monotonic() - self._switched_at < HASTE
        check(not hasty, "Haste")
        if self._tx.number > self._rx.number:
            return
        if self._started:
            if self.is_initiator:
                return
            self._started = None
        own_scalar = self.answer_scalar() if share else None
        own_share = keys.share_of(own_scalar) if own_scalar else None
        dh = keys.x25519(own_scalar, share) if own_scalar and share else keys.ZEROS
        epoch = self._following(update_transcript(following, share, own_share), dh)
        answer = varint(KEY_ACK) + varint(following) + option(own_share)
        self._answered = _Answered(content, answer, epoch)
        self._settled_at = None
        self.outgoing.append(self.seal(CONTROL, answer))

    def answer_scalar(self) -> bytes:
        """The fresh scalar of an answer."""
        return secrets.token_bytes(32)

    def _on_key_ack(self, following: int, share: bytes | None) -> None:
        """Step 3 of §5.4."""
        started = self._started
        if not started or following != self._rx.number + 1 or self._tx.number > self._rx.number:
            return
        check((share is None) == (started.scalar is None), "KeyAck")
        dh, own_share = keys.ZEROS, None
        if started.scalar and share:
            dh, own_share = keys.x25519(started.scalar, share), keys.share_of(started.scalar)
        epoch = self._following(update_transcript(following, own_share, share), dh)
        self._started = None
        self._switch_sending(epoch)

    def _following(self, transcript: bytes, dh: bytes) -> Epoch:
        after = self._rx.secrets.following(transcript, dh)
        return Epoch.derive(self._rx.number + 1, after, self.suite, self.is_initiator)
