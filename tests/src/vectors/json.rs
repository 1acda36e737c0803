//! The published example of a link as JSON.

use core::fmt;

use moorline_core::token::MAX_UNPACKED_LEN;

use super::enrolment::Enrolment;
use super::renewal::{LATER, Renewal, newer_token};
use super::resumption::{Resumption, ticket};
use super::writer::{Json, document};
use super::{ANSWER, EXPORT_CONTEXT, QUESTION, Refused, Run, refused};
use crate::Failure;
use crate::fixture::{HUB, ISSUER, KID, NOW, World};
use crate::handshake::enrolment::CODE;
use crate::reference::frame_keys;

/// Writes the run and the refused examples of the cases' world to `out`.
///
/// # Errors
///
/// [`Failure`] when the run cannot be derived, or `out` does not take it.
pub fn write(out: &mut dyn fmt::Write) -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let refused = refused(&world, &run)?;
    let enrolment = Enrolment::new(&world, &run);
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let (ticket, _) = ticket(&world, world.agent_token(&mut buffer)?)?;
    let resumption = Resumption::new(&world, &ticket)?;
    let newer = newer_token(&world, &mut buffer)?;
    let renewal = Renewal::new(&run, &newer, &run)?;
    let example = Document {
        run: &run,
        enrolment: &enrolment,
        resumption: &resumption,
        renewal: &renewal,
        refused: &refused,
    };
    document(out, "moorline-link-v1", |json| example.write(json))
}

/// All that is in the file.
struct Document<'d> {
    run: &'d Run,
    enrolment: &'d Enrolment,
    resumption: &'d Resumption,
    renewal: &'d Renewal,
    refused: &'d [Refused],
}

impl Document<'_> {
    fn write(&self, json: &mut Json<'_>) -> fmt::Result {
        json.text(
            "description",
            "One link in stream form, mode 0, suite 1, from M1 to the sealed close, with one key update; then an \
             enrolment after the same M2; a handshake in mode 1 on a ticket; a newer token as the first frames of the \
             session; then messages that must be refused. Byte strings are in hexadecimal. Section numbers are those of \
             core/PROTOCOL.md.",
        )?;
        inputs(json, self.run)?;
        handshake(json, self.run)?;
        session(json, self.run)?;
        enrolment(json, self.enrolment)?;
        resumption(json, self.resumption)?;
        renewal(json, self.renewal)?;
        json.open("refused", '[')?;
        for example in self.refused {
            json.open("", '{')?;
            json.text("name", example.name)?;
            json.text("at", example.at.name())?;
            json.bytes("message", &example.message)?;
            json.debug("reason", &example.reason)?;
            json.close('}')?;
        }
        json.close(']')
    }
}

fn inputs(json: &mut Json<'_>, run: &Run) -> fmt::Result {
    json.open("inputs", '{')?;
    for (name, scalar) in &run.scalars {
        json.bytes(name, scalar)?;
    }
    json.text(
        "hedges",
        "additional data of RFC 6979 section 3.6 in both signatures; the token has none",
    )?;
    json.bytes("responder_hedge", &run.hedges[0])?;
    json.bytes("initiator_hedge", &run.hedges[1])?;
    json.text("issuer", ISSUER)?;
    json.text("kid", KID)?;
    json.text("audience", HUB)?;
    json.number("responder_time_ms", NOW.0)?;
    json.bytes("token", &run.token)?;
    json.close('}')
}

fn handshake(json: &mut Json<'_>, run: &Run) -> fmt::Result {
    json.open("handshake", '{')?;
    json.bytes("initiator_share", &run.shares[0])?;
    json.bytes("responder_share", &run.shares[1])?;
    json.bytes("m1", &run.m1)?;
    json.bytes("th0", &run.agreed.th0)?;
    json.bytes("m2_clear", &run.agreed.clear)?;
    json.bytes("th1", &run.agreed.th1)?;
    json.bytes("early", &run.agreed.early)?;
    json.bytes("dh", &run.agreed.dh)?;
    json.bytes("hs", &run.agreed.hs)?;
    json.keys("m2", &run.answered.responder)?;
    json.bytes("m2_plaintext", &run.m2_signed)?;
    json.bytes("th2", &run.answered.th2)?;
    json.bytes("responder_signature", &run.answered.signature)?;
    json.bytes("m2", &run.answered.message)?;
    json.bytes("th3", &run.answered.th3)?;
    json.keys("m3", &run.answered.initiator)?;
    json.bytes("m3_plaintext", &run.m3_signed)?;
    json.bytes("token_hash", &run.token_hash)?;
    json.bytes("th4", &run.proved.th4)?;
    json.bytes("initiator_signature", &run.proved.signature)?;
    json.bytes("m3", &run.proved.message)?;
    json.bytes("th5", &run.proved.th5)?;
    json.bytes("master", &run.proved.master)?;
    json.bytes("fin", &run.proved.fin())?;
    json.keys("m4", &run.proved.m4_keys())?;
    json.bytes("m4", &run.m4)?;
    json.bytes("refuse_in_place_of_m4", &run.refuse)?;
    json.bytes("exporter", &run.proved.secret("exp"))?;
    json.text("export_label", "example")?;
    json.bytes("export_context", EXPORT_CONTEXT)?;
    json.bytes("exported", &run.proved.export("example", EXPORT_CONTEXT))?;
    json.close('}')
}

fn session(json: &mut Json<'_>, run: &Run) -> fmt::Result {
    json.open("session", '{')?;
    json.bytes("question", QUESTION)?;
    json.bytes("answer", ANSWER)?;
    for (epoch, secrets) in [(0, &run.epoch_0), (1, &run.epoch_1)] {
        json.open(["epoch_0", "epoch_1"][epoch], '{')?;
        json.bytes("initiator_secret", &secrets[0])?;
        json.keys("initiator", &frame_keys(&secrets[0]))?;
        json.bytes("responder_secret", &secrets[1])?;
        json.keys("responder", &frame_keys(&secrets[1]))?;
        json.bytes("resumption_secret", &secrets[2])?;
        json.close('}')?;
    }
    json.open("key_update", '{')?;
    json.bytes("initiator_scalar", &run.fresh[0])?;
    json.bytes("initiator_share", &run.fresh_shares[0])?;
    json.bytes("responder_scalar", &run.fresh[1])?;
    json.bytes("responder_share", &run.fresh_shares[1])?;
    json.bytes("dh", &run.step.dh)?;
    json.bytes("t", &run.step.t)?;
    json.close('}')?;
    json.open("frames", '[')?;
    for (from, what, frame) in &run.frames {
        json.open("", '{')?;
        json.text("from", ["initiator", "responder"][*from])?;
        json.text("what", what)?;
        json.bytes("frame", frame)?;
        json.close('}')?;
    }
    json.close(']')?;
    json.close('}')
}

fn enrolment(json: &mut Json<'_>, newcomer: &Enrolment) -> fmt::Result {
    json.open("enrolment", '{')?;
    json.bytes("code", CODE)?;
    json.bytes("credential", &newcomer.credential)?;
    json.bytes("m3_plaintext", &newcomer.m3_signed)?;
    json.bytes("token_hash", &newcomer.hash)?;
    json.bytes("th4", &newcomer.proved.th4)?;
    json.bytes("initiator_signature", &newcomer.proved.signature)?;
    json.bytes("m3", &newcomer.proved.message)?;
    json.bytes("th5", &newcomer.proved.th5)?;
    json.bytes("master", &newcomer.proved.master)?;
    json.bytes("fin", &newcomer.proved.fin())?;
    json.keys("m4", &newcomer.proved.m4_keys())?;
    json.bytes("m4", &newcomer.m4)?;
    json.close('}')
}

fn resumption(json: &mut Json<'_>, of: &Resumption) -> fmt::Result {
    json.open("resumption", '{')?;
    json.bytes("ticket_id", &of.id)?;
    json.bytes("ticket_secret", &of.secret)?;
    json.bytes("early", &of.early)?;
    json.bytes("binder", &of.binder)?;
    json.bytes("m1", &of.m1)?;
    json.bytes("th0", &of.th[0])?;
    json.bytes("m2_clear", &of.clear)?;
    json.bytes("th1", &of.th[1])?;
    json.bytes("hs", &of.hs)?;
    json.bytes("m2_plaintext", &of.m2_confirmed)?;
    json.bytes("th2", &of.th[2])?;
    json.bytes("responder_fin", &of.fins[0])?;
    json.bytes("m2", &of.m2)?;
    json.bytes("th3", &of.th[3])?;
    json.bytes("th4", &of.th[4])?;
    json.bytes("initiator_fin", &of.fins[1])?;
    json.bytes("m3", &of.m3)?;
    json.bytes("th5", &of.th[5])?;
    json.bytes("master", &of.master)?;
    json.bytes("welcome", &of.welcome)?;
    json.bytes("frame", &of.frame)?;
    json.close('}')
}

fn renewal(json: &mut Json<'_>, of: &Renewal) -> fmt::Result {
    json.open("renewal", '{')?;
    json.number("time_ms", NOW.0 + LATER * 1000)?;
    json.bytes("new_scalar", &of.scalar)?;
    json.bytes("hedge", &of.hedge)?;
    json.bytes("token", &of.token)?;
    json.bytes("token_hash", &of.token_hash)?;
    json.bytes("exported", &of.exported)?;
    json.bytes("statement", &of.statement)?;
    json.bytes("proof", &of.proof)?;
    json.bytes("update", &of.update)?;
    json.bytes("result", &of.result)?;
    json.close('}')
}
