"""A commander in Python and the real hub: handshake, list, tickets, key update, close, and what is refused."""

from __future__ import annotations

import time
import unittest
from dataclasses import replace

from peer import keys, token
from peer.commander import Commander, Unreachable
from peer.errors import Closed, Refused
from peer.handshake import Offer
from peer.hub import Hub, encode_key
from peer.link import PATIENCE, Link
from peer.messages import list_agents
from peer.wire import APPLICATION


class Commanding(unittest.TestCase):
    """One hub, with commanders that are enrolled by the command line."""

    hub: Hub

    @classmethod
    def setUpClass(cls) -> None:
        cls.hub = Hub()
        cls.addClassCleanup(cls.hub.stop)
        cls.agent = cls.hub.enrol("agent", "boiler-1")
        cls.identity = cls.hub.enrol("commander", "alice", "--agent", "boiler-1")

    def test_handshake_and_list_with_each_suite(self) -> None:
        for suites in ((1,), (2,), (2, 1), (1, 2), (9, 2)):
            with self.subTest(suites=suites):
                link = Link.open(self.identity, offer=Offer(suites=suites))
                self.assertEqual(link.session.suite, suites[0] if suites[0] != 9 else 2)
                agents = Commander(self.identity, link).agents()
                found = [(agent.id, agent.name, agent.online) for agent in agents]
                self.assertEqual(found, [(self.agent.claims.agent_id, "boiler-1", False)])
                link.ping(7)
                link.close()

    def test_what_m4_grants_is_what_the_token_says(self) -> None:
        link = Link.open(self.identity)
        grant = link.session.grant
        assert grant
        self.assertEqual(grant.session_exp_ms, self.identity.claims.exp * 1000)
        self.assertEqual(grant.permissions, self.identity.claims.permissions)
        self.assertTrue(grant.ticket)
        self.assertLess(abs(link.time.now_ms() - time.time() * 1000), 2_000)
        link.close()

    def test_more_agents_than_one_answer_holds(self) -> None:
        for number in range(20):
            self.hub.enrol("agent", f"node-{number}", "--group", "south")
        identity = self.hub.enrol("commander", "carol", "--group", "south")
        link = Link.open(identity)
        agents = Commander(identity, link).agents()
        self.assertEqual({agent.name for agent in agents}, {f"node-{number}" for number in range(20)})
        self.assertEqual([agent.id for agent in agents], sorted(agent.id for agent in agents))
        link.close()

    def test_ticket_is_taken_once_and_then_mode_0_follows(self) -> None:
        for suite in (1, 2):
            with self.subTest(suite=suite):
                offer = Offer(suites=(suite,))
                first = Link.open(self.identity, offer=offer)
                ticket = first.session.ticket
                assert ticket
                first.close()
                second = Link.open(self.identity, offer=offer, ticket=ticket)
                self.assertEqual(second.opening.mode, 1)
                self.assertEqual(second.session.suite, suite)
                self.assertEqual([agent.name for agent in Commander(self.identity, second).agents()], ["boiler-1"])
                again = second.session.ticket
                assert again
                self.assertNotEqual(again.id, ticket.id)
                second.close()
                # Used up: the same M1 leads to a handshake with signatures.
                third = Link.open(self.identity, offer=offer, ticket=ticket)
                self.assertEqual(third.opening.mode, 0)
                third.close()
                fourth = Link.open(self.identity, offer=offer, ticket=again)
                self.assertEqual(fourth.opening.mode, 1)
                fourth.close()

    def test_key_update_that_this_end_starts(self) -> None:
        for with_share in (True, False):
            with self.subTest(with_share=with_share):
                link = Link.open(self.identity)
                ticket = link.session.ticket
                self.settle(link)
                link.send_raw(link.session.start_update(with_share=with_share))
                until = time.monotonic() + PATIENCE
                while not link.session.updates:
                    link.turn(until)
                self.assertEqual(link.session.epoch, 1)
                self.assertEqual(len(Commander(self.identity, link).agents()), 1)
                link.ping(2)
                fresh = link.session.ticket
                assert ticket and fresh
                # With fresh shares the old ticket is taken back and a new one given (§2.8).
                self.assertEqual(fresh.id != ticket.id, with_share)
                link.close()
                resumed = Link.open(self.identity, ticket=fresh)
                self.assertEqual(resumed.opening.mode, 1)
                resumed.close()
                if with_share:
                    fallen_back = Link.open(self.identity, ticket=ticket)
                    self.assertEqual(fallen_back.opening.mode, 0)
                    fallen_back.close()

    def settle(self, link: Link) -> None:
        """Waits, in conversation, until this end may start an update (§5.4)."""
        number = 100
        while not link.session.may_update():
            link.ping(number)
            number += 1

    def test_hub_that_ends_says_goodbye_under_seal(self) -> None:
        with Hub() as hub:
            identity = hub.enrol("commander", "alice", "--agent", "boiler-1")
            link = Link.open(identity)
            hub.stop_signal()
            with self.assertRaises(Closed) as closed:
                link.receive()
            self.assertEqual(closed.exception.code, 8)
            link.abandon()

    def test_agent_that_is_offline(self) -> None:
        link = Link.open(self.identity)
        with self.assertRaises(Unreachable) as refused:
            Commander(self.identity, link).channel(self.agent.claims.agent_id)
        self.assertEqual(refused.exception.refusal, 1)
        link.close()

    def test_hub_whose_key_is_not_pinned(self) -> None:
        other = keys.SigningKey.generate().public
        with self.assertRaises(Refused) as refused:
            Link.open(self.identity, pins=(other,))
        self.assertEqual(refused.exception.reason, "NotPinned")

    def test_hub_whose_key_was_rotated(self) -> None:
        with Hub() as hub:
            identity = hub.enrol("commander", "alice", "--agent", "boiler-1")
            for rotated in (("keys", "rotate"), ("keys", "rotate", "--root", str(hub.folder / "hub" / "root.key"))):
                with self.subTest(rotated=rotated):
                    said = hub.json("alice", *rotated)
                    hub.restart()
                    link = Link.open(hub.moved(identity))
                    self.assertEqual(encode_key(link.opening.followed or b""), said["hub_key"])
                    link.ping(7)
                    link.close()
            # Another hub's statement leads nowhere.
            other = replace(hub.moved(identity), root_key=keys.SigningKey.generate().public)
            with self.assertRaises(Refused) as refused:
                Link.open(other)
            self.assertEqual(refused.exception.reason, "RotationSignature")

    def test_forged_token_is_refused_by_the_hub(self) -> None:
        forger = keys.SigningKey.generate()
        unpacked = self.identity.unpacked
        header_len, payload_len = unpacked[0], int.from_bytes(unpacked[1:3], "big")
        header, payload = unpacked[3 : 3 + header_len], unpacked[3 + header_len : 3 + header_len + payload_len]
        with self.assertRaises(Refused) as refused:
            Link.open(self.identity, unpacked=token.pack(header, payload, forger))
        self.assertEqual(refused.exception.reason, "RefusedCredential")

    def test_frame_of_the_hub_with_a_bit_flipped(self) -> None:
        link = Link.open(self.identity)
        link.send(APPLICATION, list_agents())
        frame = link.receive_raw()
        for at in range(len(frame)):
            with self.subTest(at=at), self.assertRaises(Refused):
                link.session.open(frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :])
        self.assertEqual(link.session.open(frame)[0], APPLICATION)
        link.close()

    def test_frame_with_a_bit_flipped(self) -> None:
        link = Link.open(self.identity)
        frame = bytearray(link.session.seal(APPLICATION, b"\1\0\0"))
        frame[-1] ^= 1
        link.send_raw(bytes(frame))
        with self.assertRaises(Closed) as closed:
            link.receive()
        self.assertEqual(closed.exception.code, 4)
        link.abandon()


if __name__ == "__main__":
    unittest.main()
