"""A link to a hub over WebSocket (PROTOCOL.md §9.2): handshake, session and clock."""

from __future__ import annotations

import base64
import time
from contextlib import ExitStack
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from . import keys, token
from .errors import Refused, check
from .handshake import LINK, Initiator, Offer, Time
from .session import Enrolled, Session, Terms, Ticket
from .messages import is_issuers
from .wire import APPLICATION, ENVELOPE

SUBPROTOCOL = Subprotocol("moorline.v1")
PATIENCE = 15.0


class Truncated(Exception):
    """The transport ended without a sealed alert (§5.5)."""


@dataclass(frozen=True)
class Identity:
    """A peer's key and what its enrolment said."""

    key: keys.SigningKey
    unpacked: bytes
    url: str
    hub_name: str
    hub_key: bytes
    root_key: bytes
    issuers: dict[str, token.Issuer]
    claims: token.Claims

    @classmethod
    def enrolled(cls, key: keys.SigningKey, credential: dict[str, str]) -> Identity:
        """Reads what `moorline --json enroll … --key …` prints."""
        unpacked = token.unpack(credential["token"])
        public, kid = _unbase64(credential["issuer_key"]), credential["issuer_kid"]
        # A hub that keeps its own issuer's key issues under its own name.
        issuers = {kid: token.Issuer(credential["hub"], public)}
        now = int(time.time())
        claims = token.verify(
            unpacked, issuers=issuers, audience=credential["hub"], role=credential["role"], now=now
        )
        check(claims.public == key.public, "TokenKey")
        known = (_unbase64(credential["hub_key"]), _unbase64(credential["root_key"]))
        return cls(key, unpacked, credential["url"], credential["hub"], *known, issuers, claims)


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Link:
    """An open link. `opening` is the handshake that opened it."""

    def __init__(self, socket: ClientConnection, opening: Initiator, session: Session) -> None:
        assert opening.time
        self.opening = opening
        self.session = session
        self.time: Time = opening.time
        self._socket = socket
        self._ready: list[tuple[int, bytes]] = []

    @classmethod
    def open(
        cls,
        identity: Identity,
        *,
        offer: Offer = Offer(),
        ticket: Ticket | None = None,
        pins: tuple[bytes, ...] | None = None,
        unpacked: bytes | None = None,
    ) -> Link:
        """Connects and proves both ends; `pins` and `unpacked` take the place of what the enrolment said."""
        opening = Initiator(
            place=LINK,
            key=identity.key,
            unpacked=unpacked or identity.unpacked,
            pins=pins or (identity.hub_key,),
            root=identity.root_key,
            offer=offer,
            ticket=ticket,
        )
        return cls._shake_hands(identity.url, opening)

    @classmethod
    def enrol(cls, url: str, hub_key: bytes, code: bytes, key: keys.SigningKey) -> Link:
        """Connects as a newcomer that has a code (§2.9); the token is still to come."""
        opening = Initiator(place=LINK, key=key, code=code, pins=(hub_key,), flags=0)
        return cls._shake_hands(url, opening)

    @classmethod
    def _shake_hands(cls, url: str, opening: Initiator) -> Link:
        connecting = connect(url, subprotocols=[SUBPROTOCOL], compression=None, proxy=None, open_timeout=PATIENCE)
        with ExitStack() as stack:
            socket = stack.enter_context(connecting)
            check(socket.subprotocol == SUBPROTOCOL, "Subprotocol")
            socket.send(opening.m1)
            socket.send(opening.on_m2(_message(socket)))
            answer = _message(socket)
            session = opening.on_welcome(answer) if opening.mode else opening.on_m4(answer)
            # From here on the link closes the socket.
            stack.pop_all()
        return cls(socket, opening, session)

    def send(self, kind: int, payload: bytes) -> None:
        """Sends one frame."""
        self._socket.send(self.session.seal(kind, payload))

    def send_raw(self, message: bytes) -> None:
        """Sends a frame that is sealed already, or damaged."""
        self._socket.send(message)

    def receive_raw(self) -> bytes:
        """Waits for the next message and does not look at it."""
        return _message(self._socket)

    def receive(self, patience: float = PATIENCE) -> tuple[int, bytes]:
        """Waits for what is for the application, and answers what is for the session on the way."""
        until = time.monotonic() + patience
        while True:
            while not self._ready:
                self.turn(until)
            kind, payload = self._ready.pop(0)
            # Said unasked; this peer lives for less long than the keys that it knows.
            if kind != APPLICATION or not is_issuers(payload):
                return kind, payload

    def turn(self, until: float) -> None:
        """Takes one frame, whatever it says."""
        try:
            taken = self.session.open(_message(self._socket, max(until - time.monotonic(), 0.001)))
        finally:
            for frame in self.session.outgoing:
                self._socket.send(frame)
            self.session.outgoing.clear()
        if taken:
            check(taken[0] in (APPLICATION, ENVELOPE), "OutOfPlace")
            self._ready.append(taken)

    def ping(self, number: int) -> None:
        """Asks for a Pong and waits for it (§5.6)."""
        self._socket.send(self.session.ping(number))
        until = time.monotonic() + PATIENCE
        while number not in self.session.pongs:
            self.turn(until)
        self.session.pongs.clear()

    def wait_for_token(self) -> Enrolled:
        """Waits for what a newcomer gets (§2.9)."""
        until = time.monotonic() + PATIENCE
        while not self.session.enrolled:
            self.turn(until)
        return self.session.enrolled

    def show_token(self, unpacked: bytes, key: keys.SigningKey | None = None) -> Terms | None:
        """Shows a newer token, and waits for what the session grants from now on; nothing when it is refused (§5.7)."""
        token_hash = keys.digest(unpacked)
        self.session.results.pop(token_hash, None)
        self._socket.send(self.session.show_token(unpacked, key))
        until = time.monotonic() + PATIENCE
        while token_hash not in self.session.results:
            self.turn(until)
        return self.session.results[token_hash]

    def close(self) -> None:
        """Says goodbye under seal (§5.5) and waits until the hub has closed the transport."""
        if not self.session.closed:
            self._socket.send(self.session.alert(0))
        try:
            while True:
                self._socket.recv(PATIENCE)
        except ConnectionClosed:
            pass

    def abandon(self) -> None:
        """Ends the transport without a word."""
        self._socket.close()


def _message(socket: ClientConnection, patience: float = PATIENCE) -> bytes:
    try:
        message = socket.recv(patience)
    except ConnectionClosed:
        raise Truncated from None
    if not isinstance(message, bytes):
        raise Refused("Text")
    return message
