//! What an agent says to its hub about offline commands, and when (PROTOCOL.md §10.4).

use moorline_core::crypto::Suite;
use moorline_core::message::{FromHub, ToHub};
use moorline_core::offline::{
    CommandLabel, Delivery, OfflineContext, Post, PrekeyLabel, ReplyOutcome, SIGNED_PREKEY_LEN,
    answered_frame, frame_name,
};
use moorline_core::reason::Reason;
use moorline_core::time::{Instant, UnixMillis};

use super::site::{Ask, DAY, Ends, Site, with_ends};
use crate::fixture::NOW;
use crate::pair::{LINE_LEN, Message, copy};
use crate::{Case, Failure, ensure};

const LINK: &str = "PROTOCOL.md §10.4";

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "who carries a prekey, a command and a reply reads whose they are and no more",
        clause: LINK,
        run: || with_ends(Suite::Aes256Gcm, labels),
    },
    Case {
        name: "an agent publishes its prekey once a link, and asks for one command at a time",
        clause: LINK,
        run: || with_ends(Suite::Aes256Gcm, order),
    },
    Case {
        name: "a command that comes twice runs once, and one that cannot be read is not asked for again",
        clause: LINK,
        run: || with_ends(Suite::ChaCha20Poly1305, twice),
    },
    Case {
        name: "commands that come too fast are asked for again a second later",
        clause: LINK,
        run: || with_ends(Suite::Aes256Gcm, fast),
    },
    Case {
        name: "a message that is no command changes nothing",
        clause: LINK,
        run: || with_ends(Suite::Aes256Gcm, others),
    },
];

/// Longest command that the agent of these cases takes.
const MAX_LEN: u16 = 900;

fn labels(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let bundle = ends.rotate(Suite::Aes256Gcm)?;
    let signed = bundle.first_chunk::<SIGNED_PREKEY_LEN>().copied();
    let signed = signed.ok_or(super::site::missing("a prekey"))?;
    let label = PrekeyLabel {
        agent: Site::id(),
        id: 2,
        expires: UnixMillis(NOW.0 + 7 * DAY),
    };
    ensure!(PrekeyLabel::read(&signed) == Ok(label));
    let mut other = signed;
    other[0] ^= 1;
    ensure!(PrekeyLabel::read(&other) == Err(Reason::UnknownType));
    let (pending, mut frame) = ends.seal(&Ask::number(1))?;
    let label = CommandLabel {
        agent: Site::id(),
        key_name: ends.site.commander.public_key().hash().prefix(),
        not_after: UnixMillis(NOW.0 + DAY),
        name: pending.frame().prefix(),
    };
    ensure!(CommandLabel::read(&frame) == Ok(label));
    ensure!(frame_name(&frame) == label.name);
    let handed = ends.hand(&frame);
    let (_, mut reply) = handed.map_err(|_| super::site::missing("a reply"))?;
    ensure!(answered_frame(&reply) == Ok(label.name));
    ensure!(answered_frame(&reply[..42]) == Err(Reason::Length));
    reply[0] ^= 1;
    ensure!(answered_frame(&reply) == Err(Reason::UnknownType));
    ensure!(CommandLabel::read(&frame[..189]) == Err(Reason::Length));
    frame[0] ^= 1;
    ensure!(CommandLabel::read(&frame) == Err(Reason::UnknownType));
    Ok(())
}

/// Returns a post with the agent's newest prekey, which has been published.
fn ready(ends: &mut Ends<'_>) -> Result<Post, Failure> {
    let mut post = Post::new();
    ensure!(post.next(Instant(0), MAX_LEN).is_none());
    let bundle = ends.rotate(Suite::Aes256Gcm)?;
    ends.fetch(&bundle)?;
    let signed = bundle.first_chunk::<SIGNED_PREKEY_LEN>().copied();
    post.publish(signed.ok_or(super::site::missing("a prekey"))?);
    let published = ToHub::PublishPrekey {
        prekey: &bundle[..SIGNED_PREKEY_LEN],
        max_command_len: MAX_LEN,
    };
    ensure!(post.next(Instant(0), MAX_LEN) == Some(published));
    Ok(post)
}

/// Returns the message in which the hub hands over `frame`.
fn command(frame: &[u8]) -> Message {
    let mut out = [0; LINE_LEN];
    let message = FromHub::Command { frame }.encode(&mut out);
    message.map(|bytes| copy(bytes)).unwrap_or_default()
}

/// What became of a message, without the borrowed part.
#[derive(Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once a message and taken apart at once"
)]
enum Heard {
    Reply(Message, Option<Reason>),
    Silent(Reason),
    Other,
}

fn hear(ends: &mut Ends<'_>, post: &mut Post, message: &[u8]) -> Result<Heard, Failure> {
    let (mut scratch, mut out) = ([0; LINE_LEN], [0; LINE_LEN]);
    let mut context = OfflineContext {
        now: ends.now,
        floor: ends.floor,
        entropy: &mut ends.entropy,
        shell: &mut ends.host,
    };
    let agent = ends.site.offline_agent();
    let mut message = copy(message);
    let heard = post.handle(
        &mut message,
        &mut ends.inbox,
        &agent,
        &mut context,
        &mut scratch,
        &mut out,
    );
    Ok(match heard {
        Delivery::Answered { message, refused } => match ToHub::decode(message) {
            Ok(ToHub::GiveReply { reply }) => Heard::Reply(copy(reply), refused),
            _ => return Err(super::site::missing("a reply is given")),
        },
        Delivery::Silent(reason) => Heard::Silent(reason),
        Delivery::Other => Heard::Other,
    })
}

fn order(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let mut post = ready(ends)?;
    let ask = ToHub::NextCommand { taken: None };
    ensure!(post.next(Instant(0), MAX_LEN) == Some(ask.clone()));
    ensure!(post.next(Instant(0), MAX_LEN).is_none());
    let (pending, frame) = ends.seal(&Ask::number(1))?;
    let Heard::Reply(mut reply, None) = hear(ends, &mut post, &command(&frame))? else {
        return Err(super::site::missing("a reply"));
    };
    ensure!(matches!(
        pending.open(&mut reply),
        Ok(ReplyOutcome::Result(_))
    ));
    // The reply says that the command is done.
    ensure!(post.next(Instant(0), MAX_LEN) == Some(ask.clone()));
    ensure!(post.next(Instant(0), MAX_LEN).is_none());
    // A hub that comes back knows of nothing.
    post.begin();
    let again = post.next(Instant(0), MAX_LEN);
    ensure!(matches!(again, Some(ToHub::PublishPrekey { .. })));
    ensure!(post.next(Instant(0), MAX_LEN) == Some(ask));
    ensure!(post.next(Instant(0), MAX_LEN).is_none());
    // A new prekey is published at once, and nothing is asked for twice.
    post.publish([7; SIGNED_PREKEY_LEN]);
    let new = post.next(Instant(0), MAX_LEN);
    ensure!(matches!(new, Some(ToHub::PublishPrekey { .. })));
    ensure!(post.next(Instant(0), MAX_LEN).is_none());
    Ok(())
}

fn twice(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let mut post = ready(ends)?;
    let (_, mut frame) = ends.seal(&Ask::number(1))?;
    let message = command(&frame);
    let first = hear(ends, &mut post, &message)?;
    ensure!(matches!(first, Heard::Reply(_, None)));
    ensure!(hear(ends, &mut post, &message)? == first);
    ensure!(ends.host.runs == 1);
    let last = frame.len() - 1;
    frame[last] ^= 1;
    let name = frame_name(&frame);
    let heard = hear(ends, &mut post, &command(&frame))?;
    ensure!(heard == Heard::Silent(Reason::Unsealed));
    let ask = post.next(Instant(0), MAX_LEN);
    ensure!(ask == Some(ToHub::NextCommand { taken: Some(name) }));
    // It is said once.
    post.begin();
    post.next(Instant(0), MAX_LEN);
    let ask = post.next(Instant(0), MAX_LEN);
    ensure!(ask == Some(ToHub::NextCommand { taken: None }));
    // A reply that cannot be sent ends its command.
    let name = frame_name(&message[4..]);
    ensure!(hear(ends, &mut post, &message)? == first);
    post.give_up();
    let ask = post.next(Instant(0), MAX_LEN);
    ensure!(ask == Some(ToHub::NextCommand { taken: Some(name) }));
    ensure!(ends.host.runs == 1);
    Ok(())
}

fn fast(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let mut post = ready(ends)?;
    for number in 1..=8 {
        let (_, frame) = ends.seal(&Ask::number(number))?;
        let heard = hear(ends, &mut post, &command(&frame))?;
        ensure!(matches!(heard, Heard::Reply(..)));
    }
    let now = ends.now.instant;
    post.next(now, MAX_LEN);
    let (_, frame) = ends.seal(&Ask::number(9))?;
    let heard = hear(ends, &mut post, &command(&frame))?;
    ensure!(heard == Heard::Silent(Reason::CommandRate));
    ensure!(post.next(now.plus(999), MAX_LEN).is_none());
    ends.now.instant = now.plus(1_000);
    // It is not done with: the hub hands it over again.
    let ask = post.next(ends.now.instant, MAX_LEN);
    ensure!(ask == Some(ToHub::NextCommand { taken: None }));
    let heard = hear(ends, &mut post, &command(&frame))?;
    ensure!(matches!(heard, Heard::Reply(_, None)));
    ensure!(ends.host.runs == 9);
    Ok(())
}

fn others(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let mut post = ready(ends)?;
    post.next(Instant(0), MAX_LEN);
    ensure!(hear(ends, &mut post, &[1, 2])? == Heard::Other);
    ensure!(hear(ends, &mut post, &[1, 9])? == Heard::Silent(Reason::Malformed));
    ensure!(hear(ends, &mut post, &[2])? == Heard::Silent(Reason::MessageVersion));
    ensure!(post.next(Instant(0), MAX_LEN).is_none());
    Ok(())
}
