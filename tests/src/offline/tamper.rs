//! Every flipped bit of a bundle, a command and a reply.

use moorline_core::crypto::Suite;
use moorline_core::offline::{MIN_COMMAND_LEN, TokenForm};
use moorline_core::reason::Reason;

use super::site::{Ask, Ends, Made, bundle_of, with_ends};
use crate::pair::Message;
use crate::{Case, Failure, ensure};

/// Every so many bits one is flipped. A bundle costs a device two verifications, 20 million instructions; 13 is prime, so
/// that every position within a byte is met.
const STRIDE: usize = if cfg!(target_os = "none") { 13 } else { 1 };

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "every flipped bit of a bundle is refused",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::Aes256Gcm, flips_of_bundle),
    },
    Case {
        name: "every flipped bit of a command is refused in silence, in either suite",
        clause: "PROTOCOL.md §12.2",
        run: || {
            with_ends(Suite::Aes256Gcm, flips_of_command)?;
            with_ends(Suite::ChaCha20Poly1305, flips_of_command)
        },
    },
    Case {
        name: "every flipped bit of a reply is refused, and the reply itself is taken after that",
        clause: "PROTOCOL.md §12.3",
        run: || {
            with_ends(Suite::Aes256Gcm, flips_of_reply)?;
            with_ends(Suite::ChaCha20Poly1305, flips_of_reply)
        },
    },
    Case {
        name: "bundles, commands and replies that are shortened or extended are refused",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, lengths),
    },
];

fn flipped(message: &Message, bit: usize) -> Message {
    let mut copy = message.clone();
    if let Some(byte) = copy.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    copy
}

fn flips_of_bundle(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let bundle = ends.rotate(Suite::Aes256Gcm)?;
    ensure!(ends.check(&bundle).is_ok());
    for bit in (0..bundle.len() * 8).step_by(STRIDE) {
        let refused = ends.check(&flipped(&bundle, bit)).err();
        let expected = refused.is_some_and(|reason| match bit / 8 {
            0 => reason == Reason::UnknownType,
            1..17 => reason == Reason::OtherAgent,
            17..126 => reason == Reason::PrekeySignature,
            // A subject that is another one's is a token of another agent.
            _ => matches!(reason, Reason::Token(_) | Reason::OtherAgent),
        });
        ensure!(expected, bit);
    }
    Ok(())
}

fn flips_of_command(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask {
        form: TokenForm::Hash,
        ..Ask::number(1)
    })?;
    for bit in (0..frame.len() * 8).step_by(STRIDE) {
        let refused = ends.hand(&flipped(&frame, bit)).err();
        let expected = match bit / 8 {
            0 => Reason::UnknownType,
            1..17 => Reason::OtherAgent,
            17..21 => Reason::PrekeyUnknown,
            _ => Reason::Unsealed,
        };
        ensure!(refused == Some(expected), bit);
    }
    ensure!(ends.host.runs == 0 && ends.host.stores == 0);
    Ok(())
}

fn flips_of_reply(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (pending, frame) = ends.seal(&Ask::number(1))?;
    let answered = ends.hand(&frame);
    ensure!(answered.as_ref().is_ok_and(|(made, _)| *made == Made::Ran));
    let (_, reply) = answered.unwrap_or((Made::Ran, Message::new()));
    for bit in (0..reply.len() * 8).step_by(STRIDE) {
        let mut copy = flipped(&reply, bit);
        let refused = pending.open(&mut copy).err();
        let expected = refused.is_some_and(|reason| match bit / 8 {
            0 => reason == Reason::UnknownType,
            1 => matches!(reason, Reason::Malformed | Reason::Unsealed),
            10..26 => reason == Reason::OtherCommand,
            _ => reason == Reason::Unsealed,
        });
        ensure!(expected, bit);
    }
    ensure!(pending.open(&mut reply.clone()).is_ok());
    Ok(())
}

fn lengths(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let signed = ends.rotate(Suite::Aes256Gcm)?;
    let (pending, frame) = ends.seal(&Ask::number(1))?;
    for len in 0..signed.len() {
        ensure!(ends.check(&signed[..len]).is_err(), len);
    }
    let mut longer = bundle_of(&signed, &ends.agent_token);
    ensure!(ends.check(&longer).is_err());
    for len in (0..frame.len()).step_by(STRIDE) {
        let reason = if len < MIN_COMMAND_LEN {
            Reason::Length
        } else {
            Reason::Unsealed
        };
        ensure!(ends.hand(&frame[..len]) == Err(reason), len);
    }
    longer.clone_from(&frame);
    ensure!(longer.push(0).is_ok());
    ensure!(ends.hand(&longer) == Err(Reason::Unsealed));
    let reply = ends
        .hand(&frame)
        .map(|(_, reply)| reply)
        .unwrap_or_default();
    for len in 0..reply.len() {
        let mut copy = crate::pair::copy(&reply[..len]);
        let reason = if len < 43 {
            Reason::Length
        } else {
            Reason::Unsealed
        };
        ensure!(pending.open(&mut copy) == Err(reason), len);
    }
    longer.clone_from(&reply);
    ensure!(longer.push(0).is_ok());
    ensure!(pending.open(&mut longer) == Err(Reason::Unsealed));
    Ok(())
}
