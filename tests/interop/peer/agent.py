"""An agent: judges commanders itself, and answers commands on channels (PROTOCOL.md §10.2)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from . import token
from .errors import Closed, Refused, check
from .handshake import NO_TIME, Offer, Record, Responder, channel_to
from .link import Identity, Link, Truncated
from .messages import BAD_ARGUMENT, DONE, NOT_PERMITTED, UNKNOWN_COMMAND, Request, Response, Value
from .messages import envelope, parse_envelope
from .session import Session
from .wire import APPLICATION, ENVELOPE, M1, M3

Reply = tuple[int, dict[str, Value]]


def _ping(arguments: tuple[str, ...]) -> Reply:
    return (BAD_ARGUMENT, {"usage": "ping"}) if arguments else (DONE, {})


def _echo(arguments: tuple[str, ...]) -> Reply:
    return (DONE, {"text": arguments[0]}) if len(arguments) == 1 else (BAD_ARGUMENT, {"usage": "echo TEXT"})


COMMANDS: dict[str, Callable[[tuple[str, ...]], Reply]] = {"ping": _ping, "echo": _echo}


@dataclass
class _Channel:
    """A commander's channel, from its M1 on."""

    responder: Responder
    first: bytes
    m2: bytes
    m3: bytes = b""
    m4: bytes = b""
    session: Session | None = None


class Agent:
    """An agent that serves on a thread of its own until it is stopped."""

    def __init__(self, identity: Identity, *, offer: Offer = Offer(), group: str = "") -> None:
        self.identity = identity
        self.dropped: list[str] = []
        self.refused: list[str] = []
        self.modes: list[int] = []
        self.suites: list[int] = []
        self.key_updates = 0
        self.failure: BaseException | None = None
        self._offer, self._group = offer, group
        self._tickets: dict[bytes, Record] = {}
        self._channels: dict[bytes, _Channel] = {}
        self._link = Link.open(identity)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def id(self) -> bytes:
        """The agent's id (§4, Names)."""
        return self.identity.claims.agent_id

    def stop(self) -> None:
        """Ends the link with a sealed alert, and passes on what went wrong on the thread."""
        self._stopping.set()
        self._thread.join()
        if self.failure:
            raise self.failure

    def _serve(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    kind, payload = self._link.receive(0.05)
                except TimeoutError:
                    continue
                if kind == ENVELOPE:
                    self._carry(*parse_envelope(payload))
            self._link.close()
        except (Closed, Truncated, Refused) as failure:
            self.failure = failure

    def _carry(self, route: bytes, number: int, inner: bytes) -> None:
        """Takes one message of a channel. What is refused is dropped and changes nothing (§6.3)."""
        try:
            answers = self._take(route, inner)
        except Refused as refused:
            self.dropped.append(refused.reason)
            answers = []
        for answer in answers:
            self._link.send(ENVELOPE, envelope(route, number, answer))

    def _take(self, route: bytes, inner: bytes) -> list[bytes]:
        channel = self._channels.get(route)
        if inner[0] == M1:
            return self._on_m1(route, channel, inner)
        if channel is None:
            raise Refused("OutOfPlace")
        if inner[0] == M3:
            return self._on_m3(channel, inner)
        session = channel.session
        if session is None:
            raise Refused("OutOfPlace")
        return self._on_frame(route, channel, session, inner)

    def _on_m1(self, route: bytes, channel: _Channel | None, inner: bytes) -> list[bytes]:
        if channel:
            # The same message again gets the same answer again (§6.3).
            check(channel.first == inner, "OutOfPlace")
            return [channel.m2]
        identity = self.identity
        responder = Responder(
            place=channel_to(self.id),
            key=identity.key,
            unpacked=identity.unpacked,
            judge=self._judge,
            now_ms=self._link.time.now_ms,
            quality=self._link.time.quality,
            offer=self._offer,
            tickets=self._tickets,
        )
        self._channels[route] = _Channel(responder, inner, responder.on_m1(inner))
        return [self._channels[route].m2]

    def _judge(self, unpacked: bytes) -> token.Claims:
        """Checks a commander's token by §4: it must reach this agent (§10.2)."""
        identity = self.identity
        claims = token.verify(
            unpacked,
            issuers=identity.issuers,
            audience=identity.hub_name,
            role="commander",
            now=self._link.time.now_ms() // 1000,
        )
        reached = claims.agents
        reaches = self.id in reached if isinstance(reached, frozenset) else reached and reached == self._group
        check(reaches, "NotReached")
        return claims

    def _on_m3(self, channel: _Channel, inner: bytes) -> list[bytes]:
        if channel.m3:
            check(channel.m3 == inner, "OutOfPlace")
            return [channel.m4]
        if self._link.time.quality == 0:
            return [channel.responder.refuse(NO_TIME)]
        answer, session, reason = channel.responder.on_m3(inner)
        channel.m3, channel.m4, channel.session = inner, answer, session
        if session:
            self.modes.append(channel.responder.mode)
            self.suites.append(session.suite)
        else:
            self.refused.append(reason)
        return [answer]

    def _on_frame(self, route: bytes, channel: _Channel, session: Session, inner: bytes) -> list[bytes]:
        updates = session.updates
        try:
            taken = session.open(inner)
        except Closed:
            del self._channels[route]
            return []
        answers, session.outgoing = session.outgoing, []
        self.key_updates += session.updates - updates
        if taken and taken[0] == APPLICATION:
            answers.append(session.seal(APPLICATION, self._answer(channel, taken[1])))
        return answers

    def _answer(self, channel: _Channel, payload: bytes) -> bytes:
        """Runs a command, if the commander's token permits it (§10.3)."""
        request = Request.decode(payload)
        claims = channel.responder.claims
        assert claims
        needed = token.command_permission(request.name)
        status: int
        fields: dict[str, Value]
        if claims.permissions & needed != needed:
            status, fields = NOT_PERMITTED, {}
        elif request.name in COMMANDS:
            status, fields = COMMANDS[request.name](request.arguments)
        else:
            status, fields = UNKNOWN_COMMAND, {}
        return Response(request.id, status, fields).encode()
