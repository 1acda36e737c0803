//! The published example of trust as JSON.

use core::fmt;

use super::super::Run;
use super::super::writer::{Json, document};
use super::{NEXT_HUB, Rotated, of_hub, of_issuer};
use crate::Failure;
use crate::fixture::{NOW, World, secret};

/// Writes the example to `out`.
///
/// # Errors
///
/// [`Failure`] when it cannot be derived, or `out` does not take it.
pub(in crate::vectors) fn write(out: &mut dyn fmt::Write) -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let (of_hub, of_issuer) = (of_hub()?, of_issuer()?);
    let rotated = Rotated::new(&world, &run, &of_hub[0].statement)?;
    document(out, "moorline-trust-v1", |json| {
        json.text(
            "description",
            "Statements about a hub's next key and about an issuer's, each by the key before and by the root; then M2 and \
             M3 of a handshake in which the first of them leads to the key of M2. Byte strings are in hexadecimal. Section \
             numbers are those of core/PROTOCOL.md.",
        )?;
        json.open("statements", '[')?;
        for said in of_hub.iter().chain(&of_issuer) {
            json.open("", '{')?;
            json.text("name", said.name)?;
            json.text("label", said.label)?;
            json.bytes("signer_scalar", secret(said.signer).expose())?;
            json.bytes("hedge", &said.hedge)?;
            json.bytes("says", &said.says)?;
            json.bytes("signed", &said.content)?;
            json.bytes("signature", &said.statement[86..])?;
            json.bytes("statement", &said.statement)?;
            json.close('}')?;
        }
        json.close(']')?;
        inputs(json, &run)?;
        json.open("handshake", '{')?;
        json.bytes("m1", &run.m1)?;
        json.bytes("th0", &rotated.agreed.th0)?;
        json.bytes("m2_clear", &rotated.agreed.clear)?;
        json.bytes("th1", &rotated.agreed.th1)?;
        json.bytes("hs", &rotated.agreed.hs)?;
        json.keys("m2", &rotated.answered.responder)?;
        json.bytes("m2_plaintext", &rotated.m2_signed)?;
        json.bytes("th2", &rotated.answered.th2)?;
        json.bytes("responder_signature", &rotated.answered.signature)?;
        json.bytes("m2", &rotated.answered.message)?;
        json.bytes("th3", &rotated.answered.th3)?;
        json.bytes("th4", &rotated.proved.th4)?;
        json.bytes("initiator_signature", &rotated.proved.signature)?;
        json.bytes("m3", &rotated.proved.message)?;
        json.bytes("th5", &rotated.proved.th5)?;
        json.close('}')
    })
}

fn inputs(json: &mut Json<'_>, run: &Run) -> fmt::Result {
    json.open("inputs", '{')?;
    json.bytes("root_scalar", secret("root").expose())?;
    json.bytes("expected_responder_scalar", secret("hub").expose())?;
    json.bytes("responder_static_scalar", secret(NEXT_HUB).expose())?;
    for (name, scalar) in &run.scalars[2..] {
        json.bytes(name, scalar)?;
    }
    json.bytes("responder_hedge", &run.hedges[0])?;
    json.bytes("initiator_hedge", &run.hedges[1])?;
    json.number("responder_time_ms", NOW.0)?;
    json.bytes("token", &run.token)?;
    json.close('}')
}
