"""Every value, message and envelope of `core/vectors/channel-v1.json`, made anew."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

from peer import keys, token
from peer.errors import Closed, Refused
from peer.handshake import Initiator, Offer, Responder, channel_to
from peer.messages import Request, Response, envelope, parse_envelope
from peer.session import Grant
from peer.wire import APPLICATION, Reader

VECTORS = json.loads((Path(__file__).parents[2] / "core/vectors/channel-v1.json").read_text())
INPUTS, HANDSHAKE, SESSION, CARRIED = (VECTORS[name] for name in ("inputs", "handshake", "session", "carried"))
NOW_MS = INPUTS["responder_time_ms"]


def value(table: dict[str, str], name: str) -> bytes:
    """A byte string of the file."""
    return bytes.fromhex(table[name])


def given(name: str) -> bytes:
    """A byte string of the inputs."""
    return value(INPUTS, name)


def holder(name: str) -> keys.SigningKey:
    """The P-256 key of one of the three."""
    return keys.SigningKey(given(f"{name}_scalar"))


ISSUERS = {INPUTS["kid"]: token.Issuer(INPUTS["issuer"], holder("issuer").public)}


def judge(unpacked: bytes, role: str) -> token.Claims:
    """Either end's check of the other's token (§4)."""
    return token.verify(unpacked, issuers=ISSUERS, audience=INPUTS["audience"], role=role, now=NOW_MS // 1000)


def judge_agent(unpacked: bytes) -> bytes:
    """The key of the agent, which is the wanted one (§2.3)."""
    claims = judge(unpacked, "agent")
    assert token.agent_id(claims.iss, claims.sub) == given("agent_id")
    return claims.public


def initiator(agent_id: bytes | None = None) -> Initiator:
    """The commander of the example, or one that wants another agent. What it offers is read off its M1 and M3."""
    m1, m3 = value(HANDSHAKE, "m1"), value(HANDSHAKE, "m3_plaintext")
    return Initiator(
        place=channel_to(agent_id or given("agent_id")),
        key=holder("initiator_static"),
        unpacked=given("initiator_token"),
        judge=judge_agent,
        offer=Offer(suites=(1,), mtu=int.from_bytes(m1[11:13], "big"), payload=int.from_bytes(m3[1:3], "big")),
        flags=0,
        scalar=given("initiator_ephemeral_scalar"),
        hedge=given("initiator_hedge"),
        cid=given("cid_i"),
    )


def responder() -> Responder:
    """The agent of the example. Its limits are read off its M2."""
    reader = Reader(value(HANDSHAKE, "m2_plaintext")[8:])
    quality, mtu, payload = reader.uint(1), reader.uint(2), reader.uint(2)
    reader.uint(2)
    claims = judge(given("initiator_token"), "commander")
    return Responder(
        place=channel_to(given("agent_id")),
        key=holder("responder_static"),
        unpacked=given("responder_token"),
        judge=lambda unpacked: judge(unpacked, "commander"),
        now_ms=lambda: NOW_MS,
        quality=quality,
        offer=Offer(suites=(1,), mtu=mtu, payload=payload, token_limit=reader.uint(2)),
        scalar=given("responder_ephemeral_scalar"),
        hedge=given("responder_hedge"),
        cid=given("cid_r"),
        grant=Grant(given("session_id"), claims.exp * 1000, claims.permissions),
    )


class Channel(unittest.TestCase):
    """Both ends of the example."""

    def test_messages_values_and_frames(self) -> None:
        i, r = initiator(), responder()
        m1 = i.m1
        m2 = r.on_m1(m1)
        m3 = i.on_m2(m2)
        m4, answering, reason = r.on_m3(m3)
        self.assertEqual(reason, "")
        assert answering
        asking = i.on_m4(m4)
        values = i.schedule.values | r.schedule.values
        self.assertEqual(values, r.schedule.values | i.schedule.values, "the ends agree")
        values |= {"m1": m1, "m2": m2, "m2_clear": m2[:46], "m3": m3, "m4": m4}
        for name, sealer in {
            "m2": i.schedule.sealer_m2(1),
            "m3": i.schedule.sealer_m3(1),
            "m4": i.schedule.sealer_m4(1),
        }.items():
            values |= {f"{name}_key": sealer.key, f"{name}_iv": sealer.iv}
        self.assertEqual({name: values[name].hex() for name in HANDSHAKE}, HANDSHAKE)

        request, response = value(SESSION, "request"), value(SESSION, "response")
        frames = [asking.seal(APPLICATION, request)]
        self.assertEqual(answering.open(frames[0]), (APPLICATION, request))
        frames.append(answering.seal(APPLICATION, response))
        self.assertEqual(asking.open(frames[1]), (APPLICATION, response))
        frames.append(asking.alert(0))
        with self.assertRaises(Closed):
            answering.open(frames[2])
        found = [message.hex() for message in (m1, m2, m3, m4, *frames)]
        self.assertEqual(found, [step["message"] for step in CARRIED])

    def test_frame_keys(self) -> None:
        found = {}
        for name, label in (("initiator", "i2r"), ("responder", "r2i")):
            secret = keys.labelled(value(HANDSHAKE, "master"), label, value(HANDSHAKE, "th5"))
            sealer = keys.Sealer.labelled(1, secret, "")
            found |= {f"{name}_key": sealer.key.hex(), f"{name}_iv": sealer.iv.hex()}
        self.assertEqual(found, {name: SESSION[name] for name in found})

    def test_what_is_asked_and_answered(self) -> None:
        request, response = Request.decode(value(SESSION, "request")), Response.decode(value(SESSION, "response"))
        self.assertEqual((request.name, request.arguments, response.id), ("led", ("on",), request.id))
        self.assertEqual(request.encode().hex(), SESSION["request"])
        self.assertEqual(response.encode().hex(), SESSION["response"])

    def test_envelopes(self) -> None:
        commanders, agents = (given("agent_id"), INPUTS["channel"]), (given("route"), 0)
        for step in CARRIED:
            inner = value(step, "message")
            for name, place in (("on_the_commanders_link", commanders), ("on_the_agents_link", agents)):
                with self.subTest(what=step["what"], link=name):
                    self.assertEqual(envelope(*place, inner).hex(), step[name])
                    self.assertEqual(parse_envelope(value(step, name)), (*place, inner))

    def test_an_m1_for_another_agent_leads_nowhere(self) -> None:
        other = initiator(bytes(16))
        self.assertEqual(other.m1.hex(), HANDSHAKE["m1"])
        with self.assertRaises(Refused) as refused:
            other.on_m2(value(HANDSHAKE, "m2"))
        self.assertEqual(refused.exception.reason, "Unsealed")


if __name__ == "__main__":
    unittest.main()
