//! Every byte of prekeys, commands and replies, against the second derivation.

use moorline_core::crypto::{EphemeralKey, Secret, Suite};
use moorline_core::offline::{
    COMMAND_HEAD_LEN, MIN_COMMAND_LEN, PREKEY_PREFIX_LEN, REPLY_HEAD_LEN, ReplyOutcome,
    SIGNED_PREKEY_LEN, TokenForm,
};

use super::forge::{Draft, LED_IS_ON, drawn, first_prefix};
use super::reference::Agreed;
use super::site::{Ask, Made, with_ends};
use crate::reference::extend;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "a bundle of either suite is the bytes of the second derivation",
        clause: "PROTOCOL.md §12.1",
        run: || both(bundle),
    },
    Case {
        name: "a command with its token in full is the bytes of the second derivation, in either suite",
        clause: "PROTOCOL.md §12.2",
        run: || both(|suite| command(suite, TokenForm::Full, false)),
    },
    Case {
        name: "a command with its token by its hash is the bytes of the second derivation, in either suite",
        clause: "PROTOCOL.md §12.2",
        run: || both(|suite| command(suite, TokenForm::Hash, true)),
    },
    Case {
        name: "a result, signed or not, is the bytes of the second derivation, in either suite",
        clause: "PROTOCOL.md §12.3, §12.4",
        run: || {
            both(|suite| result(suite, false))?;
            both(|suite| result(suite, true))
        },
    },
    Case {
        name: "a command and a prekey have the lengths that the specification says",
        clause: "PROTOCOL.md §12.2",
        run: lengths,
    },
];

fn both(run: impl Fn(Suite) -> Result<(), Failure>) -> Result<(), Failure> {
    run(Suite::Aes256Gcm)?;
    run(Suite::ChaCha20Poly1305)
}

fn bundle(suite: Suite) -> Result<(), Failure> {
    with_ends(suite, |ends| {
        // The same draws again: the agent starts anew with the same name and the same entropy.
        ends.entropy = crate::fixture::FixedEntropy::new("offline");
        ends.inbox = Default::default();
        let made = ends.rotate(suite)?;
        let token = ends.agent_token.as_bytes();
        let own = first_prefix(suite).bundle("prekey", &ends.site.agent, &drawn(1), token);
        ensure!(made == own);
        Ok(())
    })
}

fn command(suite: Suite, form: TokenForm, is_signed: bool) -> Result<(), Failure> {
    with_ends(suite, |ends| {
        let (_, frame) = ends.seal(&Ask {
            form,
            is_signed,
            ..Ask::number(3)
        })?;
        let mut draft = Draft::new(ends, 3);
        // The prekey took two draws.
        draft.own = EphemeralKey::from_scalar(&Secret::new(drawn(2)));
        draft.head.share = draft.own.share();
        draft.hedge = drawn(3);
        let hash = draft.token_hash;
        if form == TokenForm::Hash {
            draft.form |= 1;
            draft.token = &hash;
        }
        if is_signed {
            draft.form |= 2;
        }
        let (_, own) = draft.frame();
        ensure!(frame == own);
        Ok(())
    })
}

fn result(suite: Suite, is_signed: bool) -> Result<(), Failure> {
    with_ends(suite, |ends| {
        let mut draft = Draft::new(ends, 3);
        draft.form = if is_signed { 2 } else { 0 };
        let (agreed, frame) = draft.frame();
        let answered = ends.hand(&frame);
        let mut r = crate::pair::copy(LED_IS_ON);
        if is_signed {
            let statement = agreed.reply_statement(&frame, LED_IS_ON);
            extend(&mut r, &ends.site.agent.sign(&statement, &drawn(2)).0);
        }
        ensure!(answered == Ok((Made::Ran, agreed.result(&frame, &r))));
        let head = Agreed::reply_head(0, agreed.argument(&r), &frame);
        ensure!(head.len() == REPLY_HEAD_LEN);
        Ok(())
    })
}

fn lengths() -> Result<(), Failure> {
    ensure!(PREKEY_PREFIX_LEN == 62 && SIGNED_PREKEY_LEN == 126);
    ensure!(COMMAND_HEAD_LEN == 77 && REPLY_HEAD_LEN == 26);
    with_ends(Suite::Aes256Gcm, |ends| {
        let (pending, frame) = ends.seal(&Ask {
            form: TokenForm::Hash,
            ..Ask::number(1)
        })?;
        ensure!(frame.len() == 190 + super::forge::LED_ON.len());
        ensure!(MIN_COMMAND_LEN == 191);
        // The token is not known: the shortest reply.
        let answered = ends.hand(&frame).map(|(_, reply)| reply);
        ensure!(answered.as_ref().is_ok_and(|reply| reply.len() == 43));
        let mut reply = answered.unwrap_or_default();
        ensure!(pending.open(&mut reply) == Ok(ReplyOutcome::TokenNeeded));
        Ok(())
    })
}
