"""Every value and every message of `core/vectors/link-v1.json`, made anew; and what it says must be refused."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

from peer import keys, token
from peer.errors import Closed, Refused
from peer.handshake import LINK, NO_CLOCK, WANTS_TICKET, Initiator, Offer, Responder
from peer.session import Grant, Secrets, Session, Ticket, update_transcript
from peer.wire import ALERT, APPLICATION, Reader

VECTORS = json.loads((Path(__file__).parents[2] / "core/vectors/link-v1.json").read_text())
INPUTS, HANDSHAKE, SESSION = VECTORS["inputs"], VECTORS["handshake"], VECTORS["session"]


def value(table: dict[str, str], name: str) -> bytes:
    """A byte string of the file."""
    return bytes.fromhex(table[name])


def holder(name: str) -> keys.SigningKey:
    """The P-256 key of one of the three."""
    return keys.SigningKey(value(INPUTS, f"{name}_scalar"))


ISSUERS = {INPUTS["kid"]: token.Issuer(INPUTS["issuer"], holder("issuer").public)}
NOW_MS = INPUTS["responder_time_ms"]
TOKEN = value(INPUTS, "token")


def initiator(code: bytes | None = None, ticket: Ticket | None = None) -> Initiator:
    """The initiator of the example; with a code a newcomer, with a ticket one that resumes and wants another.

    What it offers is read off its M1 and M3.
    """
    m1, m3 = value(HANDSHAKE, "m1"), value(HANDSHAKE, "m3_plaintext")
    offer = Offer(suites=(1,), mtu=int.from_bytes(m1[11:13], "big"), payload=int.from_bytes(m3[1:3], "big"))
    return Initiator(
        place=LINK,
        key=holder("initiator_static"),
        unpacked=TOKEN,
        code=code,
        pins=(holder("responder_static").public,),
        offer=offer,
        ticket=ticket,
        flags=NO_CLOCK | (WANTS_TICKET if ticket else 0),
        scalar=value(INPUTS, "initiator_ephemeral_scalar"),
        hedge=value(INPUTS, "initiator_hedge"),
    )


def judge(unpacked: bytes) -> token.Claims:
    """The hub's check of a token (§4)."""
    return token.verify(unpacked, issuers=ISSUERS, audience=INPUTS["audience"], role=None, now=NOW_MS // 1000)


def responder(grant: Grant | None = None) -> Responder:
    """The responder of the example. Its limits are read off its M2."""
    reader = Reader(value(HANDSHAKE, "m2_plaintext")[8:])
    quality, mtu, payload = reader.uint(1), reader.uint(2), reader.uint(2)
    reader.uint(2)
    return Responder(
        place=LINK,
        key=holder("responder_static"),
        judge=judge,
        now_ms=lambda: NOW_MS,
        quality=quality,
        offer=Offer(suites=(1,), mtu=mtu, payload=payload, token_limit=reader.uint(2)),
        scalar=value(INPUTS, "responder_ephemeral_scalar"),
        hedge=value(INPUTS, "responder_hedge"),
        grant=grant,
    )


def granted() -> Grant:
    """What M4 grants: its session's name was drawn, and stands in no list of inputs."""
    key = keys.Sealer(1, value(HANDSHAKE, "m4_key"), value(HANDSHAKE, "m4_iv"))
    message = value(HANDSHAKE, "m4")
    plain = key.open(0, value(HANDSHAKE, "th5") + message[:8], message[8:])
    return Grant.from_m4(Reader(plain[32:]))


class Handshake(unittest.TestCase):
    """Both ends of the example, message by message."""

    def setUp(self) -> None:
        self.i, self.r = initiator(), responder(granted())
        self.m1 = self.i.m1
        self.m2 = self.r.on_m1(self.m1)
        self.m3 = self.i.on_m2(self.m2)
        self.m4, session, reason = self.r.on_m3(self.m3)
        self.assertEqual(reason, "")
        assert session
        self.r_session: Session = session
        self.i_session = self.i.on_m4(self.m4)

    def test_messages(self) -> None:
        for name in ("m1", "m2", "m3", "m4"):
            with self.subTest(name):
                self.assertEqual(getattr(self, name).hex(), HANDSHAKE[name])

    def test_transcript_and_key_schedule(self) -> None:
        values = self.i.schedule.values | self.r.schedule.values
        self.assertEqual(values, self.r.schedule.values | self.i.schedule.values, "the ends agree")
        suite = 1
        for name, sealer in {
            "m2": self.i.schedule.sealer_m2(suite),
            "m3": self.i.schedule.sealer_m3(suite),
            "m4": self.i.schedule.sealer_m4(suite),
        }.items():
            values |= {f"{name}_key": sealer.key, f"{name}_iv": sealer.iv}
        values |= {
            "m1": self.m1,
            "m2": self.m2,
            "m2_clear": self.m2[:46],
            "m3": self.m3,
            "m4": self.m4,
            "initiator_share": keys.share_of(value(INPUTS, "initiator_ephemeral_scalar")),
            "responder_share": keys.share_of(value(INPUTS, "responder_ephemeral_scalar")),
            "exporter": keys.labelled(values["master"], "exp", values["th5"]),
            "exported": self.i_session.export(HANDSHAKE["export_label"], value(HANDSHAKE, "export_context")),
            "refuse_in_place_of_m4": self.r.refuse(7),
        }
        for name, expected in HANDSHAKE.items():
            if name in ("export_label", "export_context"):
                continue
            with self.subTest(name):
                self.assertEqual(values[name].hex(), expected)

    def test_token(self) -> None:
        reader = Reader(TOKEN)
        header_len, payload_len = reader.uint(1), reader.uint(2)
        header, payload = reader.take(header_len), reader.take(payload_len)
        self.assertEqual(token.pack(header, payload, holder("issuer")), TOKEN)
        self.assertEqual(judge(TOKEN).public, holder("initiator_static").public)

    def test_both_ends_export_the_same(self) -> None:
        exports = [end.export("example", b"example").hex() for end in (self.i_session, self.r_session)]
        self.assertEqual(exports, [HANDSHAKE["exported"]] * 2)

    def test_what_is_refused(self) -> None:
        for case in VECTORS["refused"]:
            with self.subTest(case["name"]):
                self.assertEqual(self.refusal(case["at"], bytes.fromhex(case["message"])), case["reason"])

    def refusal(self, at: str, message: bytes) -> str:
        """Why the end that waits at this place does not accept the message."""
        i, r = initiator(), responder()
        try:
            if at == "responder, waiting for M1":
                r.on_m1(message)
            elif at == "responder, waiting for M3":
                r.on_m1(self.m1)
                return r.on_m3(message)[2]
            elif at == "initiator, waiting for M2":
                i.on_m2(message)
            elif at == "initiator, waiting for M4":
                i.on_m2(self.m2)
                i.on_m4(message)
            else:
                self.fail(f"an unknown place: {at}")
        except Refused as refused:
            return refused.reason
        return "accepted"


class Enrolment(unittest.TestCase):
    """An enrolment (§2.9) after the M2 of the example: a code and a key in the place of the token."""

    def test_values_and_messages(self) -> None:
        enrolment = VECTORS["enrolment"]
        code, key = value(enrolment, "code"), holder("initiator_static")
        newcomer = initiator(code)
        self.assertEqual(newcomer.on_m2(value(HANDSHAKE, "m2")).hex(), enrolment["m3"])
        self.assertEqual(newcomer.schedule.values["th4"].hex(), enrolment["th4"])
        credential = bytes([len(code)]) + code + key.public
        p3 = value(HANDSHAKE, "m3_plaintext")[:3] + b"\x02" + credential
        length = 8 + len(p3) + 64 + 16
        head = b"\x03\x01" + (length - 4).to_bytes(2, "big") + bytes(4)
        hashed = keys.digest(credential)
        th4 = keys.digest(value(HANDSHAKE, "th3"), head, p3, hashed, key.public)
        signature = key.sign(keys.signed_content("initiator", th4), value(INPUTS, "initiator_hedge"))
        m3_key = keys.Sealer(1, value(HANDSHAKE, "m3_key"), value(HANDSHAKE, "m3_iv"))
        m3 = head + m3_key.seal(0, value(HANDSHAKE, "th3") + head, p3 + signature)
        th5 = keys.digest(th4, signature)
        master = keys.extract(keys.labelled(value(HANDSHAKE, "hs"), "derived", th5), bytes(32))
        fin = keys.mac(keys.labelled(master, "fin", th5), th5)
        m4_key, m4_iv = keys.labelled(master, "m4 key", th5), keys.labelled(master, "m4 iv", th5, 12)
        m4_head = value(HANDSHAKE, "m4")[:8]
        # The session of the example, with no permissions and no ticket, for 60 seconds.
        session_id = granted().as_m4()[:8]
        facts = session_id + (NOW_MS + 60_000).to_bytes(8, "big") + bytes(32)
        m4 = m4_head + keys.Sealer(1, m4_key, m4_iv).seal(0, th5 + m4_head, fin + facts)
        values = {
            "code": code,
            "credential": credential,
            "m3_plaintext": p3,
            "token_hash": hashed,
            "th4": th4,
            "initiator_signature": signature,
            "m3": m3,
            "th5": th5,
            "master": master,
            "fin": fin,
            "m4_key": m4_key,
            "m4_iv": m4_iv,
            "m4": m4,
        }
        self.assertEqual({name: found.hex() for name, found in values.items()}, enrolment)


class Resumption(unittest.TestCase):
    """A handshake in mode 1 on a ticket (§2.8), up to the Welcome."""

    def test_values_and_messages(self) -> None:
        expected = VECTORS["resumption"]
        secret = value(expected, "ticket_secret")
        ticket = Ticket(value(expected, "ticket_id"), secret, 1, holder("responder_static").public, 3600)
        i = initiator(ticket=ticket)
        schedule = i.schedule
        m3 = i.on_m2(value(expected, "m2"))
        session = i.on_welcome(value(expected, "frame"))
        assert session.grant
        self.assertEqual(session.grant.permissions, 0)
        values = schedule.values | {"ticket_id": ticket.id, "ticket_secret": secret, "m1": i.m1, "m3": m3}
        early = keys.extract(keys.ZEROS, secret)
        hashed = keys.digest(b"ML1 link v1\0", i.m1[:-32])
        # The first frame, opened by hand.
        frame = value(expected, "frame")
        sealer = keys.Sealer.labelled(1, session.secrets.r, "")
        values |= {
            "early": early,
            "binder": keys.mac(keys.labelled(early, "res binder"), hashed),
            "m2_clear": value(expected, "m2")[:46],
            "m2_plaintext": value(HANDSHAKE, "m2_plaintext")[:17],
            "responder_fin": keys.mac(keys.labelled(values["hs"], "r fin", values["th2"]), values["th2"]),
            "initiator_fin": m3[8:],
            "m2": value(expected, "m2"),
            "welcome": sealer.open(0, frame[:8], frame[8:]),
            "frame": frame,
        }
        self.assertEqual({name: values[name].hex() for name in expected}, expected)

    def test_other_secret_confirms_nothing(self) -> None:
        expected = VECTORS["resumption"]
        ticket = Ticket(value(expected, "ticket_id"), bytes(32), 1, holder("responder_static").public, 3600)
        with self.assertRaises(Refused) as refused:
            initiator(ticket=ticket).on_m2(value(expected, "m2"))
        self.assertEqual(refused.exception.reason, "Unsealed")


class Renewal(unittest.TestCase):
    """A newer token that names a new key, as the first frames of the session of the example (§5.7)."""

    def test_values_and_frames(self) -> None:
        expected = VECTORS["renewal"]
        case = Handshake()
        case.setUp()
        session, unpacked = case.i_session, value(expected, "token")
        key = keys.SigningKey(value(expected, "new_scalar"))
        now = expected["time_ms"] // 1000
        claims = token.verify(unpacked, issuers=ISSUERS, audience=INPUTS["audience"], role="agent", now=now)
        self.assertEqual(claims.public, key.public)
        update = session.show_token(unpacked, key, value(expected, "hedge"))
        self.assertEqual(update.hex(), expected["update"])
        session.open(value(expected, "result"))
        token_hash = keys.digest(unpacked)
        terms = session.results[token_hash]
        assert terms
        self.assertEqual((terms.session_exp_ms, terms.permissions), (claims.exp * 1000, 0))
        exported = session.export("token", token_hash)
        statement = keys.digest(exported, token_hash)
        proof = value(expected, "proof")
        self.assertTrue(keys.verify(key.public, keys.signed_content("token update", statement), proof))
        found = {"token_hash": token_hash, "exported": exported, "statement": statement}
        self.assertEqual({name: expected[name] for name in found}, {name: v.hex() for name, v in found.items()})


class Frames(unittest.TestCase):
    """The session of the example: every frame, with one key update and a close."""

    def test_frames(self) -> None:
        case = Handshake()
        case.setUp()
        ends = {"initiator": case.i_session, "responder": case.r_session}
        update = SESSION["key_update"]
        case.r_session.answer_scalar = lambda: value(update, "responder_scalar")  # type: ignore[method-assign]
        texts = {"hello hub": value(SESSION, "question"), "hello agent": value(SESSION, "answer")}
        self.assert_epoch(case.i_session, "epoch_0")
        for step, expected in enumerate(SESSION["frames"]):
            with self.subTest(step=step, what=expected["what"]):
                sender = ends[expected["from"]]
                peer = ends["responder" if expected["from"] == "initiator" else "initiator"]
                what = expected["what"]
                if what.startswith("application"):
                    frame = sender.seal(APPLICATION, texts[what.split('"')[1]])
                elif what == "control, KeyUpdate":
                    frame = sender.start_update(scalar=value(update, "initiator_scalar"))
                elif what.startswith("control"):
                    frame = sender.outgoing.pop(0)
                else:
                    frame = sender.alert(0)
                self.assertEqual(frame.hex(), expected["frame"])
                if frame[0] == ALERT:
                    with self.assertRaises(Closed) as closed:
                        peer.open(frame)
                    self.assertEqual((closed.exception.code, closed.exception.argument), (0, 0))
                else:
                    peer.open(frame)
        self.assertEqual((case.i_session.outgoing, case.r_session.outgoing), ([], []))
        for end in ends.values():
            self.assert_epoch(end, "epoch_1")

    def assert_epoch(self, session: Session, name: str) -> None:
        found = epoch_values(session)
        self.assertEqual(found, SESSION[name])

    def test_key_update(self) -> None:
        update = SESSION["key_update"]
        shares = [keys.share_of(value(update, f"{end}_scalar")) for end in ("initiator", "responder")]
        dh = keys.x25519(value(update, "initiator_scalar"), shares[1])
        t = update_transcript(1, *shares)
        for name, found in {"initiator_share": shares[0], "responder_share": shares[1], "dh": dh, "t": t}.items():
            with self.subTest(name):
                self.assertEqual(found.hex(), update[name])
        names = ("initiator_secret", "responder_secret", "resumption_secret")
        first = Secrets(*(value(SESSION["epoch_0"], name) for name in names))
        after = first.following(t, dh)
        self.assertEqual([after.i.hex(), after.r.hex(), after.res.hex()], [SESSION["epoch_1"][n] for n in names])


def epoch_values(session: Session) -> dict[str, str]:
    """The values of an epoch under the names of the file."""
    found = session.secrets
    i, r = (keys.Sealer.labelled(session.suite, secret, "") for secret in (found.i, found.r))
    values = {
        "initiator_secret": found.i,
        "initiator_key": i.key,
        "initiator_iv": i.iv,
        "responder_secret": found.r,
        "responder_key": r.key,
        "responder_iv": r.iv,
        "resumption_secret": found.res,
    }
    return {name: secret.hex() for name, secret in values.items()}


if __name__ == "__main__":
    unittest.main()
