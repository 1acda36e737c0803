//! What a commander checks of a bundle, in order.

use moorline_core::crypto::{EphemeralKey, Suite};
use moorline_core::offline::{AgentPrekey, SeenPrekey};
use moorline_core::reason::{Error, Reason};
use moorline_core::time::{Now, TimeQuality};
use moorline_core::token::{MAX_UNPACKED_LEN, TokenReason, mint};

use super::forge::first_prefix;
use super::reference::Prefix;
use super::site::{Ask, DAY, Ends, Site, missing, with_ends};
use crate::fixture::{NOW, at, ephemeral_key, signing_key};
use crate::pair::Message;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "of all faults that a bundle has the first in the order is the reason",
        clause: "PROTOCOL.md §12.5",
        run: order,
    },
    Case {
        name: "a prekey older than the last but one that was seen is refused, whatever the hub hands out",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::Aes256Gcm, ids),
    },
    Case {
        name: "a prekey under another key of the agent needs a newer token, and its ids begin anew",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::Aes256Gcm, other_key),
    },
    Case {
        name: "a token vouches for prekeys until seven days after its end",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, grace),
    },
    Case {
        name: "a prekey that gives no shared secret is not sealed to",
        clause: "PROTOCOL.md §12.4",
        run: || with_ends(Suite::Aes256Gcm, zero_share),
    },
];

/// The faults of a bundle in the order of the checks.
const FAULTS: [Reason; 13] = [
    Reason::UnknownType,
    Reason::Token(TokenReason::TrailingBytes),
    Reason::OtherAgent,
    Reason::NoTime,
    Reason::Token(TokenReason::Expired),
    Reason::Token(TokenReason::AudienceMismatch),
    Reason::OtherAgent,
    Reason::Revoked,
    Reason::Token(TokenReason::SignatureInvalid),
    Reason::PrekeySignature,
    Reason::Suite,
    Reason::PrekeyExpiry,
    Reason::PrekeyId,
];

fn order() -> Result<(), Failure> {
    for first in 0..=FAULTS.len() {
        with_ends(Suite::Aes256Gcm, |ends| {
            let checked = faulty(ends, first)?;
            ensure!(checked.err() == FAULTS.get(first).copied(), first);
            Ok(())
        })?;
    }
    Ok(())
}

/// Returns what the commander makes of a bundle that has all faults from the one called `first` on.
fn faulty(ends: &Ends<'_>, first: usize) -> Result<Result<AgentPrekey, Reason>, Failure> {
    let has = |fault: usize| fault >= first;
    let other = signing_key("hub")?;
    let mut prefix = first_prefix(Suite::Aes256Gcm);
    let mut seen = ends.seen;
    if has(12) {
        seen.id = 3;
    }
    if has(11) {
        prefix.exp = NOW.0;
    }
    if has(10) {
        prefix.suite = 3;
    }
    let label = if has(9) { "command" } else { "prekey" };
    let issuer = if has(8) { &other } else { &ends.site.issuer };
    let mut says = ends.site.agent_says();
    if has(6) {
        says.subject = "boiler-2";
    }
    if has(5) {
        says.audience = &["site-2"];
    }
    let mut now = at(0);
    if has(4) {
        says.issued_at -= 8 * 24 * 3600;
        says.expires_at = NOW.secs() - 7 * 24 * 3600;
        says.issued_at = says.expires_at - 3600;
    }
    if has(3) {
        now.quality = TimeQuality::Unknown;
    }
    if has(2) {
        prefix.agent = [1; 16];
    }
    if has(0) {
        prefix.kind = 0x31;
    }
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = mint(&says, issuer, &[], &mut buffer);
    let token = token.map_err(|_| missing("the token can be minted"))?;
    let mut bundle = prefix.bundle(label, &ends.site.agent, &[1; 32], token.as_bytes());
    if has(1) {
        ensure!(bundle.push(0).is_ok());
    }
    let wanted = ends.site.wanted();
    let is_revoked = |_: &_| has(7);
    Ok(AgentPrekey::check(
        &bundle,
        &wanted,
        &is_revoked,
        Some(&seen),
        &now,
    ))
}

fn ids(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let token = ends.agent_token.as_bytes();
    let first = first_prefix(Suite::Aes256Gcm);
    let bundle = |id| {
        let prefix = Prefix { id, ..first };
        prefix.bundle("prekey", &ends.site.agent, &[1; 32], token)
    };
    let bundles: [Message; 4] = [bundle(1), bundle(2), bundle(3), bundle(9)];
    ends.fetch(&bundles[2])?;
    ensure!(ends.seen.id == 3);
    ensure!(ends.check(&bundles[0]).err() == Some(Reason::PrekeyId));
    // The last but one is taken, and takes nothing back.
    ends.fetch(&bundles[1])?;
    ensure!(ends.seen.id == 3 && ends.prekey.id() == 2);
    ensure!(ends.check(&bundles[0]).err() == Some(Reason::PrekeyId));
    ends.fetch(&bundles[3])?;
    ensure!(ends.check(&bundles[2]).err() == Some(Reason::PrekeyId));
    Ok(())
}

fn other_key(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let next = signing_key("next agent")?;
    let prefix = first_prefix(Suite::Aes256Gcm);
    let mut says = ends.site.agent_says();
    says.key = *next.public_key();
    ends.seen.id = u32::MAX;
    for (later, taken) in [(0, false), (1, true)] {
        says.issued_at = NOW.secs() + later;
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = ends.site.token(&says, &mut buffer)?;
        let bundle = prefix.bundle("prekey", &next, &[1; 32], token.as_bytes());
        let checked = ends.check(&bundle);
        ensure!(checked.is_ok() == taken);
        ensure!(taken || checked.err() == Some(Reason::PrekeyId));
        if taken {
            ends.fetch(&bundle)?;
        }
    }
    let seen = SeenPrekey {
        agent_key: next.public_key().hash(),
        id: 1,
        issued_at: NOW.secs() + 1,
    };
    ensure!(ends.seen == seen);
    // The key before does not come back.
    let earlier = prefix.bundle(
        "prekey",
        &ends.site.agent,
        &[1; 32],
        ends.agent_token.as_bytes(),
    );
    ensure!(ends.check(&earlier).err() == Some(Reason::PrekeyId));
    Ok(())
}

fn grace(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let hour = 3_600_000;
    let token = ends.agent_token.as_bytes();
    let made = |exp| {
        let first = first_prefix(Suite::Aes256Gcm);
        Prefix { exp, ..first }.bundle("prekey", &ends.site.agent, &[1; 32], token)
    };
    let last = NOW.0 + hour + 7 * DAY;
    let check = |bundle: &Message, now: Now| {
        let wanted = ends.site.wanted();
        AgentPrekey::check(bundle, &wanted, &|_| false, None, &now).err()
    };
    ensure!(check(&made(last), at(0)).is_none());
    ensure!(check(&made(last + 1), at(0)) == Some(Reason::PrekeyExpiry));
    ensure!(check(&made(last), at(hour + 7 * DAY - 1)).is_none());
    let expired = Some(Reason::Token(TokenReason::Expired));
    ensure!(check(&made(last), at(hour + 7 * DAY)) == expired);
    ensure!(check(&made(NOW.0 + DAY), at(DAY)) == Some(Reason::PrekeyExpiry));
    ensure!(check(&made(NOW.0 + DAY), at(DAY - 1)).is_none());
    Ok(())
}

fn zero_share(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let mut prefix = first_prefix(Suite::Aes256Gcm);
    prefix.share.0 = [0; 32];
    let token = ends.agent_token.as_bytes();
    let bundle = prefix.bundle("prekey", &ends.site.agent, &[1; 32], token);
    ends.fetch(&bundle)?;
    ensure!(ends.try_seal(&Ask::number(1)).err() == Some(Error::ZeroSharedSecret));
    let own: EphemeralKey = ephemeral_key("prekey");
    prefix.share = own.share();
    ensure!(prefix.agent == Site::id().0);
    ends.fetch(&prefix.bundle("prekey", &ends.site.agent, &[1; 32], token))?;
    ensure!(ends.try_seal(&Ask::number(1)).is_ok());
    Ok(())
}
