"""An agent in Python: the real `moorline send` commands it, and so does the commander in Python."""

from __future__ import annotations

import json
import time
import unittest

from peer import keys, token
from peer.agent import Agent
from peer.commander import Commander
from peer.errors import Refused
from peer.handshake import Offer
from peer.hub import Hub
from peer.link import Identity, Link
from peer.messages import BAD_ARGUMENT, DONE, NOT_PERMITTED, UNKNOWN_COMMAND
from peer.wire import APPLICATION


class Answering(unittest.TestCase):
    """One hub and one agent, in Python."""

    hub: Hub
    agent: Agent

    @classmethod
    def setUpClass(cls) -> None:
        cls.hub = Hub()
        cls.addClassCleanup(cls.hub.stop)
        cls.agent_identity = cls.hub.enrol("agent", "boiler-1", "--group", "north")
        cls.agent = Agent(cls.agent_identity, group="north")
        cls.addClassCleanup(cls.agent.stop)
        cls.hub.json("alice", "keygen")
        cls.hub.json("alice", "enroll", "commander", "alice", "--agent", "boiler-1")
        cls.bob = cls.hub.enrol("commander", "bob", "--agent", "boiler-1")

    def link(self, identity: Identity) -> Link:
        """An open link, closed under seal when the test is over."""
        link = Link.open(identity)
        self.addCleanup(link.close)
        return link

    def test_command_line_lists_the_agent(self) -> None:
        agents = self.hub.json("alice", "agents")
        self.assertEqual([(agent["name"], agent["online"]) for agent in agents], [("boiler-1", True)])

    def test_command_line_gives_commands(self) -> None:
        self.assertEqual(self.hub.json("alice", "send", "boiler-1", "ping")["status"], "done")
        for text in ("so it is", "", "héllo, \"line\"\n", "x" * 900):
            with self.subTest(length=len(text)):
                reply = self.hub.json("alice", "send", "boiler-1", "echo", text)
                self.assertEqual((reply["status"], reply["fields"]), ("done", {"text": text}))

    def test_command_line_is_told_what_the_agent_does_not_know(self) -> None:
        for words in (("dance",), ("ping", "now")):
            with self.subTest(words=words):
                done = self.hub.run("alice", "send", "boiler-1", *words)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertTrue(json.loads(done.stdout or done.stderr))

    def test_command_line_of_a_group(self) -> None:
        self.hub.json("gina", "keygen")
        self.hub.json("gina", "enroll", "commander", "gina", "--group", "north")
        self.assertEqual(self.hub.json("gina", "send", "boiler-1", "ping")["status"], "done")

    def test_permissions_are_judged_by_the_agent(self) -> None:
        self.hub.json("eve", "keygen")
        options = ("--agent", "boiler-1", "--permission", "agent.command.ping")
        self.hub.json("eve", "enroll", "commander", "eve", *options)
        self.assertEqual(self.hub.json("eve", "send", "boiler-1", "ping")["status"], "done")
        refused = self.hub.run("eve", "send", "boiler-1", "echo", "x")
        self.assertNotEqual(refused.returncode, 0)
        mine = self.hub.enrol("commander", "eva", *options)
        channel = Commander(mine, self.link(mine)).channel(self.agent.id)
        self.assertEqual(channel.ask("echo", "x").status, NOT_PERMITTED)
        self.assertEqual(channel.ask("ping").status, DONE)

    def test_commander_with_each_suite(self) -> None:
        commander = Commander(self.bob, self.link(self.bob))
        for suite in (1, 2):
            with self.subTest(suite=suite):
                channel = commander.channel(self.agent.id, offer=Offer(suites=(suite,)))
                self.assertEqual(channel.session.suite, suite)
                self.assertEqual(channel.ask("ping").status, DONE)
                self.assertEqual(channel.ask("echo", "end to end").fields, {"text": "end to end"})
                self.assertEqual(channel.ask("dance").status, UNKNOWN_COMMAND)
                self.assertEqual(channel.ask("echo").status, BAD_ARGUMENT)
                channel.close()

    def test_command_line_takes_the_suite_that_the_agent_has(self) -> None:
        for suite in (1, 2):
            with self.subTest(suite=suite):
                name = f"suite-{suite}"
                agent = Agent(self.hub.enrol("agent", name), offer=Offer(suites=(suite,)))
                try:
                    self.hub.json(f"dora-{suite}", "keygen")
                    self.hub.json(f"dora-{suite}", "enroll", "commander", f"dora-{suite}", "--agent", name)
                    reply = self.hub.json(f"dora-{suite}", "send", name, "echo", "hello")
                finally:
                    agent.stop()
                self.assertEqual(reply["fields"], {"text": "hello"})
                self.assertEqual(agent.suites, [suite])

    def test_channel_is_resumed_once_with_its_ticket(self) -> None:
        commander = Commander(self.bob, self.link(self.bob))
        first = commander.channel(self.agent.id)
        ticket = first.session.ticket
        first.close()
        second = commander.channel(self.agent.id, ticket=ticket)
        self.assertEqual(second.opening.mode, 1)
        self.assertEqual(second.ask("echo", "again").fields, {"text": "again"})
        second.close()
        third = commander.channel(self.agent.id, ticket=ticket)
        self.assertEqual(third.opening.mode, 0)
        self.assertEqual(third.ask("ping").status, DONE)
        third.close()
        self.assertEqual(self.agent.modes[-3:], [0, 1, 0])

    def test_repeated_handshake_message_gets_the_same_answer(self) -> None:
        channel = Commander(self.bob, self.link(self.bob)).channel(self.agent.id, times=3)
        self.assertEqual(channel.ask("ping").status, DONE)
        channel.close()

    def test_key_update_on_a_channel(self) -> None:
        channel = Commander(self.bob, self.link(self.bob)).channel(self.agent.id)
        before = self.agent.key_updates
        channel.update()
        self.assertEqual(channel.session.epoch, 1)
        self.assertEqual(channel.ask("echo", "in epoch 1").fields, {"text": "in epoch 1"})
        self.assertEqual(self.agent.key_updates, before + 1)
        channel.close()

    def test_damaged_and_repeated_frames_are_dropped(self) -> None:
        channel = Commander(self.bob, self.link(self.bob)).channel(self.agent.id)
        self.assertEqual(channel.ask("ping").status, DONE)
        frame = channel.session.seal(APPLICATION, b"\1\x09\x04ping\0")
        damaged = frame[:-1] + bytes([frame[-1] ^ 1])
        before = len(self.agent.dropped)
        for inner in (damaged, frame, frame):
            channel.send_inner(inner)
        reply = None
        while reply is None:
            reply = channel.turn()
        self.assertEqual(reply[:3], b"\1\0\x09")
        self.assertEqual(channel.ask("ping").status, DONE)
        self.assertEqual(self.agent.dropped[before:], ["Unsealed", "Sequence"])
        channel.close()

    def test_commander_takes_no_other_agent_in_its_place(self) -> None:
        commander = Commander(self.bob, self.link(self.bob))
        forged = self.forged(self.agent_identity.unpacked)
        real, self.agent.identity = self.agent.identity, Identity(
            **(self.agent_identity.__dict__ | {"unpacked": forged})
        )
        try:
            with self.assertRaises(Refused) as refused:
                commander.channel(self.agent.id)
            self.assertEqual(refused.exception.reason, "IssuerSignature")
        finally:
            self.agent.identity = real

    def test_forged_token_of_a_commander_is_refused_by_the_agent(self) -> None:
        forged = Identity(**(self.bob.__dict__ | {"unpacked": self.forged(self.bob.unpacked)}))
        with self.assertRaises(Refused) as refused:
            Commander(forged, self.link(self.bob)).channel(self.agent.id)
        self.assertEqual(refused.exception.reason, "RefusedCredential")
        self.assertEqual(self.agent.refused[-1], "IssuerSignature")

    def test_stolen_token_without_its_key_is_refused_by_the_agent(self) -> None:
        stolen = Identity(**(self.bob.__dict__ | {"key": keys.SigningKey.generate()}))
        with self.assertRaises(Refused) as refused:
            Commander(stolen, self.link(self.bob)).channel(self.agent.id)
        self.assertEqual(refused.exception.reason, "RefusedCredential")
        self.assertEqual(self.agent.refused[-1], "InitiatorSignature")

    @staticmethod
    def forged(unpacked: bytes) -> bytes:
        """The same token under the signature of somebody else."""
        header_end = 3 + unpacked[0]
        header, payload = unpacked[3:header_end], unpacked[header_end:-64]
        return token.pack(header, payload, keys.SigningKey.generate())

    def test_token_profile(self) -> None:
        issuer = keys.SigningKey.generate()
        issuers = {"k": token.Issuer("moorline", issuer.public)}
        now = int(time.time())
        header = b'{"alg":"ES256","typ":"at+jwt","kid":"k"}'
        original = self.bob.unpacked[3 + self.bob.unpacked[0] : -64]

        def verdict(payload: bytes, header: bytes = header, audience: str = "moorline", at: int = now) -> str:
            try:
                unpacked = token.pack(header, payload, issuer)
                token.verify(unpacked, issuers=issuers, audience=audience, role="commander", now=at)
            except Refused as refused:
                return refused.reason
            return "taken"

        members = json.loads(original)

        def with_members(**changed: object) -> bytes:
            return json.dumps(members | changed, separators=(",", ":")).encode()

        self.assertEqual(verdict(original), "taken")
        self.assertEqual(verdict(with_members(extra={"a": "\\u0041"})), "taken")
        for name, found, expected in (
            ("another audience", verdict(original, audience="elsewhere"), "Audience"),
            ("over", verdict(original, at=members["exp"]), "TokenExpired"),
            ("not yet", verdict(original, at=members["iat"] - 61), "TokenNotYet"),
            ("an agent's", verdict(with_members(role="agent")), "Agt"),
            ("a daemon's", verdict(with_members(role="daemon")), "Role"),
            ("too long a life", verdict(with_members(exp=members["iat"] + 3601)), "Lifetime"),
            ("a time in another form", verdict(with_members(iat=float(members["iat"]))), "Time"),
            ("no generation", verdict(with_members(gen=None)), "Gen"),
            ("a permission twice", verdict(with_members(perm=["agent.*", "agent.list"])), "Perm"),
            ("a pattern for nothing", verdict(with_members(perm=["nothing.*"])), "Perm"),
            ("an agent twice", verdict(with_members(agt=members["agt"] * 2)), "Agt"),
            ("a member twice", verdict(original[:-1] + b',"gen":1}'), "Json"),
            ("bytes after the object", verdict(original + b"{}"), "Json"),
            ("no algorithm", verdict(original, header.replace(b"ES256", b"none")), "Algorithm"),
            ("a key in the header", verdict(original, header[:-1] + b',"jku":"x"}'), "HeaderMember"),
            ("another kid", verdict(original, header.replace(b'"k"}', b'"l"}')), "UnknownKid"),
        ):
            with self.subTest(name):
                self.assertEqual(found, expected)


if __name__ == "__main__":
    unittest.main()
