"""A commander: lists agents and opens channels to them (PROTOCOL.md §10)."""

from __future__ import annotations

import time

from . import token
from .errors import Refused, check
from .handshake import Initiator, Offer, Time, channel_to
from .link import PATIENCE, Identity, Link
from .messages import Agent, Agents, Request, Response, RouteRefused, envelope, list_agents, parse_envelope
from .messages import parse_hub_message
from .session import Session, Ticket
from .wire import APPLICATION, ENVELOPE


class Unreachable(Exception):
    """The hub does not carry the channel; `refusal` says why (§10.4)."""

    def __init__(self, refusal: int) -> None:
        super().__init__(f"refusal {refusal}")
        self.refusal = refusal


class Commander:
    """A commander with an open link."""

    def __init__(self, identity: Identity, link: Link) -> None:
        self.identity = identity
        self.link = link
        self._channels = 0

    def agents(self) -> list[Agent]:
        """Every agent that this commander reaches, over as many answers as it takes (§10.4)."""
        found: list[Agent] = []
        while True:
            self.link.send(APPLICATION, list_agents(found[-1].id if found else None))
            kind, payload = self.link.receive()
            answer = parse_hub_message(payload)
            check(kind == APPLICATION and isinstance(answer, Agents), "OutOfPlace")
            assert isinstance(answer, Agents)
            found += answer.entries
            if not answer.more:
                return found

    def channel(
        self, agent_id: bytes, *, offer: Offer = Offer(), ticket: Ticket | None = None, times: int = 1
    ) -> Channel:
        """Opens a channel, end to end. Every message of the handshake is sent so many times."""
        self._channels += 1
        return Channel(self, agent_id, self._channels, offer, ticket, times)


class Channel:
    """A channel to an agent. `opening` is the handshake that opened it."""

    def __init__(
        self,
        commander: Commander,
        agent_id: bytes,
        number: int,
        offer: Offer,
        ticket: Ticket | None,
        times: int,
    ) -> None:
        self._link, self._agent_id, self._number = commander.link, agent_id, number
        self._identity, self._requests = commander.identity, 0
        self.opening = Initiator(
            place=channel_to(agent_id),
            key=self._identity.key,
            unpacked=self._identity.unpacked,
            judge=self._judge,
            offer=offer,
            ticket=ticket,
        )
        m2 = self._exchange(self.opening.m1, times)
        answer = self._exchange(self.opening.on_m2(m2), times)
        mode = self.opening.mode
        self.session: Session = self.opening.on_welcome(answer) if mode else self.opening.on_m4(answer)

    def _judge(self, unpacked: bytes) -> bytes:
        """Checks the agent's token by §4, and that it is the wanted agent's, before sig_R (§2.3)."""
        clock: Time = self._link.time
        check(clock.quality, "NoTime")
        identity = self._identity
        claims = token.verify(
            unpacked,
            issuers=identity.issuers,
            audience=identity.hub_name,
            role="agent",
            now=clock.now_ms() // 1000,
        )
        check(claims.agent_id == self._agent_id, "AgentId")
        return claims.public

    def _exchange(self, message: bytes, times: int) -> bytes:
        """Sends a handshake message: each repetition gets the same answer, byte for byte (§6.3)."""
        for _ in range(times):
            self.send_inner(message)
        answers = {self.receive_inner() for _ in range(times)}
        check(len(answers) == 1, "AnswersDiffer")
        return answers.pop()

    def send_inner(self, inner: bytes) -> None:
        """Sends one message of the channel."""
        self._link.send(ENVELOPE, envelope(self._agent_id, self._number, inner))

    def receive_inner(self) -> bytes:
        """Waits for the next message of the channel."""
        kind, payload = self._link.receive()
        if kind == APPLICATION:
            message = parse_hub_message(payload)
            raise Unreachable(message.refusal) if isinstance(message, RouteRefused) else Refused("OutOfPlace")
        route, channel, inner = parse_envelope(payload)
        check((route, channel) == (self._agent_id, self._number), "Route")
        return inner

    def turn(self) -> bytes | None:
        """Takes one frame and answers what is for the session; what cannot be opened is an error here."""
        inner = self.receive_inner()
        try:
            taken = self.session.open(inner)
        finally:
            for frame in self.session.outgoing:
                self.send_inner(frame)
            self.session.outgoing.clear()
        if taken is None:
            return None
        check(taken[0] == APPLICATION, "OutOfPlace")
        return taken[1]

    def ask(self, name: str, *arguments: str) -> Response:
        """Gives a command and waits for its reply (§10.3)."""
        self._requests += 1
        request = Request(self._requests, name, arguments)
        self.send_inner(self.session.seal(APPLICATION, request.encode()))
        while True:
            payload = self.turn()
            if payload is None:
                continue
            response = Response.decode(payload)
            check(response.id == request.id, "OutOfPlace")
            return response

    def update(self) -> None:
        """Updates the keys of the channel, as soon as it may be (§5.4)."""
        until = time.monotonic() + PATIENCE
        number = 0
        while not self.session.may_update():
            check(time.monotonic() < until, "UpdateLate")
            number += 1
            self.send_inner(self.session.ping(number))
            self.turn()
        updates = self.session.updates
        self.send_inner(self.session.start_update())
        while self.session.updates == updates:
            self.turn()

    def close(self) -> None:
        """Ends the channel with a sealed alert (§5.5)."""
        self.send_inner(self.session.alert(0))
