//! What a commander checks of a reply, and what it learns from each.

use moorline_core::crypto::{EphemeralKey, Secret, Suite};
use moorline_core::message::{Reply, Status, Value};
use moorline_core::offline::{
    PENDING_REPLY_LEN, PendingReply, RefusalCode, ReplyOutcome, TokenForm,
};
use moorline_core::reason::Reason;

use super::forge::{Draft, LED_IS_ON, drawn};
use super::reference::Agreed;
use super::site::{Ask, Ends, with_ends};
use crate::pair::{Message, copy};
use crate::reference::{extend, statement};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "each index says to the commander what it means, and only as it is made",
        clause: "PROTOCOL.md §12.3",
        run: || with_ends(Suite::ChaCha20Poly1305, indexes),
    },
    Case {
        name: "a result whose arg is not made of it is refused",
        clause: "PROTOCOL.md §12.3",
        run: || with_ends(Suite::Aes256Gcm, arguments),
    },
    Case {
        name: "a reply to another command is refused",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, other_command),
    },
    Case {
        name: "a signature that was asked for is the agent's, over this reply to this command",
        clause: "PROTOCOL.md §12.3",
        run: || with_ends(Suite::Aes256Gcm, signatures),
    },
    Case {
        name: "a result that is not well-formed is refused",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, malformed),
    },
    Case {
        name: "the token is not asked for again when it was there in full, and no counter below the command's is stale",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, out_of_place),
    },
    Case {
        name: "what opens a reply comes back from storage, and what is none is refused",
        clause: "PROTOCOL.md §12.2",
        run: || with_ends(Suite::ChaCha20Poly1305, kept),
    },
];

fn kept(ends: &mut Ends<'_>) -> Result<(), Failure> {
    for (form, is_signed) in [(TokenForm::Full, true), (TokenForm::Hash, false)] {
        let ask = Ask {
            form,
            is_signed,
            ..Ask::number(4)
        };
        let (pending, frame) = ends.seal(&ask)?;
        let back = PendingReply::from_bytes(&pending.to_bytes());
        ensure!(back.is_ok());
        let back = back.map_err(|_| super::site::missing("it comes back"))?;
        ensure!(back.frame() == pending.frame());
        let handed = ends.hand(&frame);
        let (_, mut reply) = handed.map_err(|_| super::site::missing("a reply"))?;
        let mut same = copy(&reply);
        let first = opened(&pending, &mut reply);
        ensure!(first.is_ok());
        ensure!(opened(&back, &mut same) == first);
        for (at, value) in [(0, 9), (PENDING_REPLY_LEN - 1, 4), (97, 5)] {
            let mut bytes = *pending.to_bytes().expose();
            bytes[at] = value;
            let read = PendingReply::from_bytes(&Secret::new(bytes));
            ensure!(read.err() == Some(Reason::Malformed), at);
        }
        ends.host.stored = Default::default();
        ends.reboot()?;
    }
    Ok(())
}

/// Seals `ask`, the first one of the case, and returns what opens its replies, the frame, and what forges them.
fn sealed(ends: &mut Ends<'_>, ask: &Ask) -> Result<(PendingReply, Message, Agreed), Failure> {
    ends.entropy = crate::fixture::FixedEntropy::new("offline");
    let (pending, frame) = ends.seal(ask)?;
    let mut draft = Draft::new(ends, ask.counter);
    draft.own = EphemeralKey::from_scalar(&Secret::new(drawn(0)));
    // The prekey's scalar is the same draw: a share with itself is as good as any.
    draft.head.share = draft.own.share();
    let (agreed, _) = draft.frame();
    Ok((pending, frame, agreed))
}

fn opened<'m>(pending: &PendingReply, reply: &'m mut Message) -> Result<ReplyOutcome<'m>, Reason> {
    pending.open(reply)
}

fn indexes(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let ask = Ask {
        form: TokenForm::Hash,
        ..Ask::number(4)
    };
    let (pending, frame, agreed) = sealed(ends, &ask)?;
    let result = Reply::bare(Status::Done)
        .with("echo", Value::Text("on"))
        .with("run", Value::Int(1));
    let mut reply = agreed.result(&frame, LED_IS_ON);
    ensure!(opened(&pending, &mut reply) == Ok(ReplyOutcome::Result(result)));
    let refused = |code| Ok(ReplyOutcome::Refused(code));
    let cases = [
        (1, 0, Ok(ReplyOutcome::Lost)),
        (1, 1, Err(Reason::Malformed)),
        (2, 4, Ok(ReplyOutcome::Stale { counter: 4 })),
        (2, 9, Ok(ReplyOutcome::Stale { counter: 9 })),
        (3, 0, Ok(ReplyOutcome::TokenNeeded)),
        (3, 1, Err(Reason::Malformed)),
        (4, 0, Err(Reason::Malformed)),
        (4, 1, refused(RefusalCode::NoTime)),
        (4, 2, refused(RefusalCode::NotAfter)),
        (4, 3, refused(RefusalCode::NotPermitted)),
        (4, 4, refused(RefusalCode::Counter)),
        (4, 5, refused(RefusalCode::NoRoom)),
        (4, 6, refused(RefusalCode::Storage)),
        (4, 7, refused(RefusalCode::Malformed)),
        (4, 8, Err(Reason::Malformed)),
        (5, 0, Err(Reason::Malformed)),
    ];
    for (step, (index, argument, expected)) in cases.into_iter().enumerate() {
        let head = Agreed::reply_head(index, argument, &frame);
        let mut reply = agreed.reply(&head, &frame, &[0]);
        ensure!(opened(&pending, &mut reply) == expected, step);
        // One zero byte is all that it says.
        for wrong in [&[1][..], &[0, 0], LED_IS_ON] {
            let mut reply = agreed.reply(&head, &frame, wrong);
            ensure!(opened(&pending, &mut reply) == Err(Reason::Malformed), step);
        }
    }
    Ok(())
}

fn arguments(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (pending, frame, agreed) = sealed(ends, &Ask::number(1))?;
    let right = agreed.argument(LED_IS_ON);
    for bit in 0..64 {
        let head = Agreed::reply_head(0, right ^ (1 << bit), &frame);
        let mut reply = agreed.reply(&head, &frame, LED_IS_ON);
        ensure!(opened(&pending, &mut reply) == Err(Reason::ReplyCode), bit);
    }
    let head = Agreed::reply_head(0, right, &frame);
    ensure!(opened(&pending, &mut agreed.reply(&head, &frame, LED_IS_ON)).is_ok());
    Ok(())
}

fn other_command(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (pending, frame, agreed) = sealed(ends, &Ask::number(1))?;
    let (_, other) = ends.seal(&Ask::number(1))?;
    let mut reply = ends
        .hand(&other)
        .map(|(_, reply)| reply)
        .unwrap_or_default();
    ensure!(opened(&pending, &mut reply) == Err(Reason::OtherCommand));
    // The front of the hash is right, and the AAD has all of it.
    let head = Agreed::reply_head(1, 0, &frame);
    let mut reply = agreed.reply(&head, &other, &[0]);
    ensure!(opened(&pending, &mut reply) == Err(Reason::Unsealed));
    let mut command = copy(&frame);
    ensure!(opened(&pending, &mut command) == Err(Reason::UnknownType));
    Ok(())
}

fn signatures(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let ask = Ask {
        is_signed: true,
        ..Ask::number(1)
    };
    let (pending, frame, agreed) = sealed(ends, &ask)?;
    let with = |signature: &[u8]| {
        let mut r = copy(LED_IS_ON);
        extend(&mut r, signature);
        agreed.result(&frame, &r)
    };
    let right = agreed.reply_statement(&frame, LED_IS_ON);
    let other_result = agreed.reply_statement(&frame, &LED_IS_ON[1..]);
    let other_frame = agreed.reply_statement(&frame[1..], LED_IS_ON);
    let other_label = statement("command", &right.0);
    let (agent, commander) = (&ends.site.agent, &ends.site.commander);
    let wrong = [
        agent.sign(&other_result, &[]),
        agent.sign(&other_frame, &[]),
        agent.sign(&other_label, &[]),
        commander.sign(&right, &[]),
    ];
    for (step, signature) in wrong.iter().enumerate() {
        let refused = opened(&pending, &mut with(&signature.0)).err();
        ensure!(refused == Some(Reason::ReplySignature), step);
    }
    // Without one at all, however short.
    for r in [LED_IS_ON, &[0; 10]] {
        let refused = opened(&pending, &mut agreed.result(&frame, r)).err();
        ensure!(refused == Some(Reason::ReplySignature));
    }
    let mut reply = with(&agent.sign(&right, &[]).0);
    ensure!(matches!(
        opened(&pending, &mut reply),
        Ok(ReplyOutcome::Result(_))
    ));
    Ok(())
}

fn malformed(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (pending, frame, agreed) = sealed(ends, &Ask::number(1))?;
    let mut longer = copy(LED_IS_ON);
    extend(&mut longer, &[0]);
    for (r, reason) in [
        (&longer[..], Reason::Malformed),
        (b"\x01\x05\x00", Reason::Malformed),
        (b"\x02\x00\x00", Reason::MessageVersion),
        (b"\x01", Reason::Malformed),
    ] {
        let refused = opened(&pending, &mut agreed.result(&frame, r)).err();
        ensure!(refused == Some(reason));
    }
    ensure!(opened(&pending, &mut agreed.result(&frame, b"\x01\x00\x00")).is_ok());
    Ok(())
}

fn out_of_place(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (pending, frame, agreed) = sealed(ends, &Ask::number(4))?;
    for (index, argument, reason) in [(3, 0, Reason::OutOfPlace), (2, 3, Reason::Malformed)] {
        let head = Agreed::reply_head(index, argument, &frame);
        let mut reply = agreed.reply(&head, &frame, &[0]);
        ensure!(opened(&pending, &mut reply) == Err(reason));
    }
    Ok(())
}
