"""A commander in Python and the device in QEMU, end to end through a real hub."""

from __future__ import annotations

import unittest

from peer import token
from peer.commander import Commander
from peer.device import Device
from peer.errors import Refused
from peer.handshake import Offer
from peer.hub import Hub
from peer.link import Identity, Link
from peer.messages import BAD_ARGUMENT, DONE, NOT_PERMITTED, UNKNOWN_COMMAND

NAME = "boiler-1"


class Commanded(unittest.TestCase):
    """One hub and one device, which answers four full handshakes at once and no fifth (PROTOCOL.md §10.2)."""

    hub: Hub

    @classmethod
    def setUpClass(cls) -> None:
        cls.hub = Hub()
        cls.addClassCleanup(cls.hub.stop)
        device = Device(cls.hub, NAME)
        cls.addClassCleanup(device.stop)
        device.wait_for("link open")
        cls.alice = cls.hub.enrol("commander", "alice", "--agent", NAME)
        cls.agent_id = token.agent_id(cls.alice.claims.iss, NAME)

    def commander(self, identity: Identity) -> Commander:
        """A commander with an open link, closed under seal when the test is over."""
        link = Link.open(identity)
        self.addCleanup(link.close)
        return Commander(identity, link)


class Commands(Commanded):
    """Four full handshakes: one with each suite, one for a ticket, and one where the ticket is used up."""

    def test_commands_with_each_suite(self) -> None:
        commander = self.commander(self.alice)
        for suite in (1, 2):
            with self.subTest(suite=suite):
                channel = commander.channel(self.agent_id, offer=Offer(suites=(suite,)))
                self.assertEqual((channel.opening.mode, channel.session.suite), (0, suite))
                self.assertEqual(channel.ask("ping").status, DONE)
                self.assertEqual(channel.ask("led", "on").fields, {"on": True})
                self.assertEqual(channel.ask("led").fields, {"on": True})
                self.assertEqual(channel.ask("led", "off").fields, {"on": False})
                self.assertEqual(channel.ask("echo", "so it is").fields, {"text": "so it is"})
                self.assertEqual(channel.ask("info").fields["protocol"], 1)
                self.assertEqual(channel.ask("dance").status, UNKNOWN_COMMAND)
                self.assertEqual(channel.ask("led", "sideways").status, BAD_ARGUMENT)
                channel.close()

    def test_channel_is_resumed_with_the_device_s_ticket(self) -> None:
        commander = self.commander(self.alice)
        first = commander.channel(self.agent_id)
        ticket = first.session.ticket
        self.assertIsNotNone(ticket)
        first.close()
        second = commander.channel(self.agent_id, ticket=ticket)
        self.assertEqual(second.opening.mode, 1)
        self.assertEqual(second.ask("led", "on").fields, {"on": True})
        second.update()
        self.assertEqual(second.session.epoch, 1)
        self.assertEqual(second.ask("led", "off").fields, {"on": False})
        second.close()
        third = commander.channel(self.agent_id, ticket=ticket)
        self.assertEqual(third.opening.mode, 0)
        self.assertEqual(third.ask("ping").status, DONE)
        third.close()


class Judgement(Commanded):
    """Three full handshakes."""

    def test_device_is_listed(self) -> None:
        agents = self.commander(self.alice).agents()
        self.assertEqual([(a.id, a.name, a.online) for a in agents], [(self.agent_id, NAME, True)])

    def test_device_judges_permissions(self) -> None:
        options = ("--agent", NAME, "--permission", "agent.command.ping")
        identity = self.hub.enrol("commander", "eve", *options)
        channel = self.commander(identity).channel(self.agent_id)
        self.assertEqual(channel.ask("ping").status, DONE)
        self.assertEqual(channel.ask("led", "on").status, NOT_PERMITTED)
        channel.close()

    def test_repeated_handshake_message_gets_the_same_answer(self) -> None:
        channel = self.commander(self.alice).channel(self.agent_id, times=3)
        self.assertEqual(channel.ask("ping").status, DONE)
        channel.close()

    def test_device_refuses_a_stolen_token(self) -> None:
        bob = self.hub.enrol("commander", "bob", "--agent", NAME)
        commander = self.commander(bob)
        commander.identity = Identity(**(bob.__dict__ | {"key": self.alice.key}))
        with self.assertRaises(Refused) as refused:
            commander.channel(self.agent_id)
        self.assertEqual(refused.exception.reason, "RefusedCredential")


if __name__ == "__main__":
    unittest.main()
