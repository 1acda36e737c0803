"""Tokens in an open link with the real hub: enrolment by a code, renewal, and renewal with a new key."""

from __future__ import annotations

import base64
import time
import unittest
from dataclasses import replace

from peer import keys, token
from peer.commander import Commander
from peer.errors import Closed, Refused
from peer.hub import Hub
from peer.link import Identity, Link, Truncated
from peer.messages import Token, TokenRefused, parse_hub_message, renew_token
from peer.wire import APPLICATION


class Tokens(unittest.TestCase):
    """One hub for each case: the hub limits how often a session and an address may ask."""

    def setUp(self) -> None:
        self.hub = Hub()
        self.addCleanup(self.hub.stop)
        self.agent = self.hub.enrol("agent", "boiler-1")

    def invite(self, *options: str) -> dict:
        """A code for the commander alice."""
        return self.hub.json("operator", "enroll", "commander", "alice", "--agent", "boiler-1", "--code", *options)

    def join(self, invitation: dict, code: str | None = None, key: keys.SigningKey | None = None) -> Link:
        """Opens a link with the code."""
        hub_key = unbase64(invitation["hub_key"])
        key = key or keys.SigningKey.generate()
        return Link.enrol(invitation["url"], hub_key, (code or invitation["code"]).encode(), key)

    def ask(self, link: Link, key: bytes | None = None) -> bytes | None:
        """Asks the hub for a newer token."""
        link.send(APPLICATION, renew_token(key))
        kind, payload = link.receive()
        self.assertEqual(kind, APPLICATION)
        message = parse_hub_message(payload)
        if isinstance(message, TokenRefused):
            return None
        assert isinstance(message, Token)
        return message.unpacked

    def identity(self, key: keys.SigningKey, unpacked: bytes) -> Identity:
        """The agent's credential is of the same hub: only key and token are another's."""
        issuers, hub_name = self.agent.issuers, self.agent.hub_name
        claims = token.verify(
            unpacked, issuers=issuers, audience=hub_name, role="commander", now=int(time.time())
        )
        self.assertEqual(claims.public, key.public)
        return replace(self.agent, key=key, unpacked=unpacked, claims=claims)

    def test_newcomer_gets_its_token_and_goes_on_with_it(self) -> None:
        invitation, key = self.invite(), keys.SigningKey.generate()
        link = self.join(invitation, key=key)
        grant = link.session.grant
        assert grant
        self.assertEqual((grant.permissions, grant.ticket), (0, None))
        enrolled = link.wait_for_token()
        [issuer] = self.agent.issuers.values()
        # The one that signs, and the next one.
        self.assertEqual(len(enrolled.issuer_keys), 2)
        self.assertEqual(enrolled.issuer_keys[0], issuer.public)
        identity = self.identity(key, enrolled.unpacked)
        terms = link.show_token(enrolled.unpacked)
        assert terms
        self.assertEqual(terms.session_exp_ms, identity.claims.exp * 1000)
        self.assertEqual(terms.permissions, identity.claims.permissions)
        self.assertEqual([agent.name for agent in Commander(identity, link).agents()], ["boiler-1"])
        link.close()
        Link.open(identity).close()

    def test_code_is_good_once(self) -> None:
        invitation = self.invite()
        self.join(invitation).abandon()
        with self.assertRaises(Refused) as refused:
            self.join(invitation)
        self.assertEqual(refused.exception.reason, "RefusedCredential")

    def test_wrong_code_is_refused_and_the_right_one_still_good(self) -> None:
        invitation = self.invite()
        with self.assertRaises(Refused) as refused:
            self.join(invitation, code="WRONGWRONGWR")
        self.assertEqual(refused.exception.reason, "RefusedCredential")
        link = self.join(invitation)
        link.wait_for_token()
        link.close()

    def test_newcomer_takes_no_other_key_s_token(self) -> None:
        link = self.join(self.invite())
        link.wait_for_token()
        self.assertIsNone(link.show_token(self.agent.unpacked))
        link.abandon()

    def test_key_that_is_enrolled_gets_a_token_and_no_other_does(self) -> None:
        identity = self.hub.enrol("commander", "carol", "--agent", "boiler-1")
        # No code, and the key alone (§2.9).
        link = Link.enrol(identity.url, identity.hub_key, b"", identity.key)
        token = link.wait_for_token().unpacked
        self.assertTrue(link.show_token(token))
        self.assertEqual(len(Commander(self.identity(identity.key, token), link).agents()), 1)
        link.close()
        with self.assertRaises(Refused) as refused:
            Link.enrol(identity.url, identity.hub_key, b"", keys.SigningKey.generate())
        self.assertEqual(refused.exception.reason, "RefusedCredential")

    def test_renewal_keeps_the_key_or_takes_a_new_one(self) -> None:
        identity = self.hub.enrol("commander", "alice", "--agent", "boiler-1")
        # Tokens count seconds: the next is to be newer.
        time.sleep(1.1)
        link = Link.open(identity)
        newer = self.ask(link)
        assert newer
        renewed = self.identity(identity.key, newer)
        self.assertGreater(renewed.claims.iat, identity.claims.iat)
        terms = link.show_token(newer)
        assert terms
        self.assertEqual(terms.session_exp_ms, renewed.claims.exp * 1000)
        self.assertEqual(self.ask(link), newer, "the answer may have been lost")
        self.assertIsNone(self.ask(link, keys.SigningKey.generate().public), "one in ten seconds")
        link.close()

        time.sleep(1.1)
        other, key = Link.open(renewed), keys.SigningKey.generate()
        rekeyed = self.ask(other, key.public)
        assert rekeyed
        after = self.identity(key, rekeyed)
        self.assertIsNone(other.show_token(rekeyed), "the new key is not proved")
        time.sleep(1.1)
        self.assertIsNone(other.show_token(rekeyed, keys.SigningKey.generate()), "another key is proved")
        time.sleep(1.1)
        self.assertTrue(other.show_token(rekeyed, key))
        self.assertEqual(len(Commander(after, other).agents()), 1)
        other.close()
        Link.open(after).close()
        with self.assertRaises(Refused) as refused:
            Link.open(renewed)
        self.assertEqual(refused.exception.reason, "RefusedCredential")

    def test_forged_token_changes_nothing(self) -> None:
        identity = self.hub.enrol("commander", "alice", "--agent", "boiler-1")
        link = Link.open(identity)
        unpacked = identity.unpacked
        header_len, payload_len = unpacked[0], int.from_bytes(unpacked[1:3], "big")
        header, payload = unpacked[3 : 3 + header_len], unpacked[3 + header_len : 3 + header_len + payload_len]
        forged = token.pack(header, payload, keys.SigningKey.generate())
        self.assertIsNone(link.show_token(forged))
        self.assertEqual(len(Commander(identity, link).agents()), 1)
        link.close()

    def test_other_sessions_end_with_the_old_key(self) -> None:
        identity = self.hub.enrol("commander", "alice", "--agent", "boiler-1")
        time.sleep(1.1)
        left, link, key = Link.open(identity), Link.open(identity), keys.SigningKey.generate()
        rekeyed = self.ask(link, key.public)
        assert rekeyed
        self.assertTrue(link.show_token(rekeyed, key))
        with self.assertRaises((Closed, Truncated)):
            left.receive()
        left.abandon()
        link.close()


def unbase64(text: str) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


if __name__ == "__main__":
    unittest.main()
