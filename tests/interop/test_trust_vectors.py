"""Every statement and message of `core/vectors/trust-v1.json`, made anew; and statements that lead nowhere."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

from peer import keys
from peer.errors import Refused
from peer.handshake import LINK, NO_CLOCK, Initiator, Offer
from peer.wire import Reader

VECTORS = json.loads((Path(__file__).parents[2] / "core/vectors/trust-v1.json").read_text())
STATEMENTS, INPUTS, HANDSHAKE = VECTORS["statements"], VECTORS["inputs"], VECTORS["handshake"]


def value(table: dict[str, str], name: str) -> bytes:
    """A byte string of the file."""
    return bytes.fromhex(table[name])


def holder(name: str) -> keys.SigningKey:
    """A P-256 key of the inputs."""
    return keys.SigningKey(value(INPUTS, f"{name}_scalar"))


def initiator(expected: bytes | None = None) -> Initiator:
    """The initiator of the example, or one that expects another key. What it offers is read off its M1 and M2."""
    m1 = value(HANDSHAKE, "m1")
    return Initiator(
        place=LINK,
        key=holder("initiator_static"),
        unpacked=value(INPUTS, "token"),
        pins=(expected or holder("expected_responder").public,),
        root=holder("root").public,
        offer=Offer(suites=(1,), mtu=int.from_bytes(m1[11:13], "big"), payload=1024),
        flags=NO_CLOCK,
        scalar=value(INPUTS, "initiator_ephemeral_scalar"),
        hedge=value(INPUTS, "initiator_hedge"),
    )


class Statements(unittest.TestCase):
    """What is said of the next key (§7.1, §7.5)."""

    def test_what_is_signed(self) -> None:
        for said in STATEMENTS:
            with self.subTest(said["name"]):
                key = keys.SigningKey(value(said, "signer_scalar"))
                says = value(said, "says")
                content = keys.signed_content(said["label"], keys.digest(says))
                signature = key.sign(content, value(said, "hedge"))
                found = {"signed": content, "signature": signature, "statement": says + signature}
                self.assertEqual({name: said[name] for name in found}, {n: v.hex() for n, v in found.items()})
                self.assertTrue(keys.verify(key.public, content, signature))

    def test_a_signature_under_one_label_is_none_under_the_other(self) -> None:
        for said in STATEMENTS:
            with self.subTest(said["name"]):
                key = keys.SigningKey(value(said, "signer_scalar"))
                other = {"rotation": "issuer", "issuer": "rotation"}[said["label"]]
                content = keys.signed_content(other, keys.digest(value(said, "says")))
                self.assertFalse(keys.verify(key.public, content, value(said, "signature")))

    def test_what_they_say(self) -> None:
        root, names = holder("root"), []
        for said in STATEMENTS:
            reader = Reader(value(said, "says"))
            signer, counter, public, name = reader.uint(1), reader.uint(4), reader.take(65), reader.take(16)
            reader.end()
            key = keys.SigningKey(value(said, "signer_scalar"))
            with self.subTest(said["name"]):
                self.assertEqual(signer, 0 if key.public == root.public else 1)
                keys.parse_point(public)
                if said["label"] == "issuer":
                    self.assertEqual((counter == 0, name), (signer == 1, keys.key_name(key.public)[:16]))
                else:
                    self.assertEqual(public, holder("responder_static").public)
                    expected = keys.key_name(holder("expected_responder").public)[:16]
                    self.assertEqual((counter > 0, name), (True, bytes(16) if signer else expected))
            names.append((said["label"], signer))
        self.assertEqual(names, [("rotation", 1), ("rotation", 0), ("issuer", 1), ("issuer", 0)])


class Handshake(unittest.TestCase):
    """M2 with the first statement, and M3."""

    def test_values_and_messages(self) -> None:
        i = initiator()
        self.assertEqual(i.m1.hex(), HANDSHAKE["m1"])
        m3 = i.on_m2(value(HANDSHAKE, "m2"))
        self.assertEqual(i.followed, holder("responder_static").public)
        schedule = i.schedule
        sealer = schedule.sealer_m2(1)
        values = schedule.values | {"m1": i.m1, "m3": m3, "m2_key": sealer.key, "m2_iv": sealer.iv}
        # The responder's side, by hand.
        p2 = self.p2()
        key = holder("responder_static")
        clear = b"\2\1" + (306).to_bytes(2, "big") + b"\1\0" + bytes(8)
        clear += keys.share_of(value(INPUTS, "responder_ephemeral_scalar"))
        th2 = keys.digest(keys.digest(schedule.th0, clear), p2, key.public)
        signature = key.sign(keys.signed_content("responder", th2), value(INPUTS, "responder_hedge"))
        m2 = clear + sealer.seal(0, schedule.th1, p2 + signature)
        values |= {"m2_clear": clear, "m2_plaintext": p2, "responder_signature": signature, "m2": m2}
        self.assertEqual({name: values[name].hex() for name in HANDSHAKE}, HANDSHAKE)

    def p2(self) -> bytes:
        """P2 with the name of the new key and the statement; the limits are read off the example."""
        limits = value(HANDSHAKE, "m2_plaintext")[8:17]
        name = keys.key_name(holder("responder_static").public)[:16]
        time = INPUTS["responder_time_ms"].to_bytes(8, "big")
        return time + limits + b"\1" + name + value(STATEMENTS[0], "statement")

    def test_who_expects_another_key_follows_nowhere(self) -> None:
        # The hint is another one, and so is all that follows from M1: the statement alone is asked here.
        stranger = initiator(holder("initiator_static").public)
        name = keys.key_name(holder("responder_static").public)[:16]
        with self.assertRaises(Refused) as refused:
            stranger._follow(name, value(STATEMENTS[0], "statement"))
        self.assertEqual(refused.exception.reason, "RotationSignature")
        stranger._follow(name, value(STATEMENTS[1], "statement"))
        self.assertEqual(stranger.followed, holder("responder_static").public)


if __name__ == "__main__":
    unittest.main()
