//! The published example of a channel as JSON.

use core::fmt;

use moorline_core::token::MAX_UNPACKED_LEN;

use super::super::writer::{Json, document};
use super::{CHANNEL, COURSE, Channel, REQUEST, RESPONSE, envelope, route};
use crate::Failure;
use crate::channel::site::Site;
use crate::fixture::{HUB, ISSUER, KID, NOW, SESSION_ID, secret};
use crate::reference::frame_keys;

/// Writes the example to `out`.
///
/// # Errors
///
/// [`Failure`] when it cannot be derived, or `out` does not take it.
pub(in crate::vectors) fn write(out: &mut dyn fmt::Write) -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agents = site.token(&site.agent_says(), &mut one)?;
    let commanders = site.token(&site.commander_says(), &mut two)?;
    let channel = Channel::new(&site, [&commanders, &agents])?;
    document(out, "moorline-channel-v1", |json| {
        json.text(
            "description",
            "One channel, mode 0, suite 1, from M1 to the sealed close, with one request and its response; and the payload of \
             the envelope frame that carries each message on the commander's link and on the agent's. Byte strings are in \
             hexadecimal. Section numbers are those of core/PROTOCOL.md.",
        )?;
        inputs(json, &channel)?;
        handshake(json, &channel)?;
        session(json, &channel)?;
        carried(json, &channel)
    })
}

fn inputs(json: &mut Json<'_>, channel: &Channel) -> fmt::Result {
    json.open("inputs", '{')?;
    json.bytes("issuer_scalar", secret("issuer").expose())?;
    json.bytes("initiator_static_scalar", secret("commander").expose())?;
    json.bytes("responder_static_scalar", secret("agent").expose())?;
    json.bytes("initiator_ephemeral_scalar", &channel.ephemeral_scalars[0])?;
    json.bytes("responder_ephemeral_scalar", &channel.ephemeral_scalars[1])?;
    json.bytes("initiator_hedge", &channel.hedges[0])?;
    json.bytes("responder_hedge", &channel.hedges[1])?;
    json.bytes("cid_i", &channel.cids[0])?;
    json.bytes("cid_r", &channel.cids[1])?;
    json.bytes("session_id", &SESSION_ID)?;
    json.text("issuer", ISSUER)?;
    json.text("kid", KID)?;
    json.text("audience", HUB)?;
    json.bytes("agent_id", &Site::id().0)?;
    json.number("responder_time_ms", NOW.0)?;
    json.bytes("initiator_token", &channel.tokens[0])?;
    json.bytes("responder_token", &channel.tokens[1])?;
    json.number("channel", CHANNEL.into())?;
    json.bytes("route", &route())?;
    json.close('}')
}

fn handshake(json: &mut Json<'_>, channel: &Channel) -> fmt::Result {
    let (agreed, answered, proved) = (&channel.agreed, &channel.answered, &channel.proved);
    json.open("handshake", '{')?;
    json.bytes("m1", &channel.messages[0])?;
    json.bytes("th0", &agreed.th0)?;
    json.bytes("m2_clear", &agreed.clear)?;
    json.bytes("th1", &agreed.th1)?;
    json.bytes("dh", &agreed.dh)?;
    json.bytes("hs", &agreed.hs)?;
    json.keys("m2", &answered.responder)?;
    json.bytes("m2_plaintext", &channel.m2_signed)?;
    json.bytes("th2", &answered.th2)?;
    json.bytes("responder_signature", &answered.signature)?;
    json.bytes("m2", &answered.message)?;
    json.bytes("th3", &answered.th3)?;
    json.keys("m3", &answered.initiator)?;
    json.bytes("m3_plaintext", &channel.m3_signed)?;
    json.bytes("token_hash", &channel.token_hash)?;
    json.bytes("th4", &proved.th4)?;
    json.bytes("initiator_signature", &proved.signature)?;
    json.bytes("m3", &proved.message)?;
    json.bytes("th5", &proved.th5)?;
    json.bytes("master", &proved.master)?;
    json.bytes("fin", &proved.fin())?;
    json.keys("m4", &proved.m4_keys())?;
    json.bytes("m4", &channel.messages[3])?;
    json.close('}')
}

fn session(json: &mut Json<'_>, channel: &Channel) -> fmt::Result {
    json.open("session", '{')?;
    json.bytes("request", REQUEST)?;
    json.bytes("response", RESPONSE)?;
    for (name, of) in ["initiator", "responder"].into_iter().zip(&channel.secrets) {
        json.keys(name, &frame_keys(of))?;
    }
    json.close('}')
}

fn carried(json: &mut Json<'_>, channel: &Channel) -> fmt::Result {
    json.open("carried", '[')?;
    for ((from, what), message) in COURSE.iter().zip(&channel.messages) {
        json.open("", '{')?;
        json.text("from", ["initiator", "responder"][*from])?;
        json.text("what", what)?;
        json.bytes("message", message)?;
        let at_commander = envelope(&Site::id().0, CHANNEL, message);
        json.bytes("on_the_commanders_link", &at_commander)?;
        json.bytes("on_the_agents_link", &envelope(&route(), 0, message))?;
        json.close('}')?;
    }
    json.close(']')
}
