//! Lists of what an issuer has revoked (PROTOCOL.md §7.4).

use heapless::Vec;
use moorline_core::crypto::{Hash, SIGNATURE_LEN};
use moorline_core::reason::Reason;
use moorline_core::revocation::{
    MAX_REVOKE_LIST_LEN, MAX_REVOKED, Revocations, RevokeList, Revoked,
};
use moorline_core::token::{
    Claims, MAX_UNPACKED_LEN, Role, TrustAnchor, TrustAnchors, UnverifiedClaims,
};

use crate::fixture::{ISSUER, KID, World, signing_key, token};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §7.4";

pub(crate) static CASES: &[Case] = &[
    case(
        "a list revokes tokens by their id, their key, and their subject's generation",
        names,
    ),
    case(
        "a list names the tokens of a subject below a generation, and no others",
        generations,
    ),
    case(
        "a list is taken once, and none that is not newer than the one before",
        counters,
    ),
    case(
        "every flipped bit of a list is refused, and so is one that is cut or longer",
        tampered,
    ),
    case(
        "a list of another key, or under another label, is nobody's",
        others,
    ),
    case(
        "a list of an issuer's newer key takes the place of the others', and none of an older key its",
        newer_keys,
    ),
    case("a list has up to 16 entries", lengths),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

type List = Vec<u8, MAX_REVOKE_LIST_LEN>;

fn list(world: &World, counter: u32, entries: &[Revoked]) -> Result<List, Failure> {
    let mut out = [0; MAX_REVOKE_LIST_LEN];
    let list = RevokeList::emit(counter, KID, entries, &world.issuer, &[1; 32], &mut out);
    ensure!(list.is_ok());
    Ok(list
        .ok()
        .and_then(|list| Vec::from_slice(list).ok())
        .unwrap_or_default())
}

fn alice(world: &World) -> Result<Claims, Failure> {
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let key = *world.agent.public_key();
    let token = token(Role::Commander, "alice", key, &world.issuer, &mut buffer)?;
    let claims = UnverifiedClaims::decode(&token);
    ensure!(claims.is_ok());
    match claims {
        Ok(claims) => Ok(claims.claims_unverified().clone()),
        Err(_) => Err(Failure {
            condition: "the token is within the profile",
            file: file!(),
            line: line!(),
            step: 0,
        }),
    }
}

fn names() -> Result<(), Failure> {
    let world = World::new()?;
    let alice = alice(&world)?;
    let jti: [u8; 16] = Hash::of(&[b"alice"]).prefix();
    let key: [u8; 16] = alice.key.hash().prefix();
    ensure!(alice.jti == jti && alice.generation == 1);
    for (step, (entry, is_named)) in [
        (Revoked::Token(jti), true),
        (Revoked::Token([0; 16]), false),
        (Revoked::Key(key), true),
        (Revoked::Key(jti), false),
        (Revoked::subject(ISSUER, "alice", 2), true),
        (Revoked::subject(ISSUER, "alice", 1), false),
        (Revoked::subject(ISSUER, "bob", 2), false),
        (Revoked::subject("https://other.example", "alice", 2), false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut revocations = Revocations::<1>::new();
        ensure!(!revocations.names(&alice), step);
        let list = list(&world, 1, &[Revoked::Key([9; 16]), entry])?;
        ensure!(revocations.take(&list, &world.anchors).is_ok(), step);
        ensure!(revocations.names(&alice) == is_named, step);
    }
    Ok(())
}

fn generations() -> Result<(), Failure> {
    let world = World::new()?;
    let mut newer = alice(&world)?;
    newer.generation = 5;
    for (least, is_named) in [(1, false), (5, false), (6, true), (u32::MAX, true)] {
        let mut revocations = Revocations::<1>::new();
        let list = list(&world, 1, &[Revoked::subject(ISSUER, "alice", least)])?;
        ensure!(revocations.take(&list, &world.anchors).is_ok());
        ensure!(revocations.names(&newer) == is_named);
    }
    Ok(())
}

fn counters() -> Result<(), Failure> {
    let world = World::new()?;
    let alice = alice(&world)?;
    let revoked = Revoked::subject(ISSUER, "alice", u32::MAX);
    let mut revocations = Revocations::<1>::new();
    let newest = list(&world, 7, &[revoked])?;
    ensure!(revocations.take(&newest, &world.anchors).is_ok());
    for counter in [7, 6, 0] {
        let older = list(&world, counter, &[])?;
        let taken = revocations.take(&older, &world.anchors);
        ensure!(taken.err() == Some(Reason::RevocationOld));
        ensure!(revocations.names(&alice));
    }
    // The whole list, not a change of it: what has expired is not in it any more.
    let newer = list(&world, 8, &[])?;
    ensure!(revocations.take(&newer, &world.anchors).is_ok());
    ensure!(!revocations.names(&alice));
    Ok(())
}

fn tampered() -> Result<(), Failure> {
    let world = World::new()?;
    let good = list(&world, 1, &[Revoked::Token([3; 16])])?;
    ensure!(RevokeList::check(&good, &world.anchors).is_ok());
    let signed_len = good.len() - SIGNATURE_LEN;
    for byte in 0..good.len() {
        let mut bytes = good.clone();
        if let Some(byte) = bytes.get_mut(byte) {
            *byte ^= 1;
        }
        // One signature is enough to see that the signature counts; the rest is seen by what is signed.
        if byte > signed_len {
            continue;
        }
        ensure!(RevokeList::check(&bytes, &world.anchors).is_err(), byte);
    }
    for len in 0..good.len() {
        ensure!(
            RevokeList::check(&good[..len], &world.anchors).is_err(),
            len
        );
    }
    let mut longer = good.clone();
    let _ = longer.push(0);
    ensure!(RevokeList::check(&longer, &world.anchors).is_err());
    Ok(())
}

fn others() -> Result<(), Failure> {
    let world = World::new()?;
    let own = list(&world, 1, &[])?;
    let mut anchors = TrustAnchors::new();
    let other = signing_key("another issuer")?;
    let anchor = TrustAnchor::new(ISSUER, KID, *other.public_key());
    ensure!(anchor.is_ok_and(|anchor| anchors.insert(anchor).is_ok()));
    let refused = Some(Reason::RevocationSignature);
    ensure!(RevokeList::check(&own, &anchors).err() == refused);
    ensure!(RevokeList::check(&own, &TrustAnchors::new()).err() == refused);
    let mut signed = own.clone();
    let label = moorline_core::handshake::Label::Prekey;
    if let Some((bytes, place)) = signed.split_last_chunk_mut::<SIGNATURE_LEN>() {
        let hash = Hash::of(&[bytes]);
        *place = moorline_core::handshake::sign(&world.issuer, label, &hash, &[1; 32]).0;
    }
    ensure!(RevokeList::check(&signed, &world.anchors).err() == refused);
    // A second issuer has a place of its own, if there is one.
    let mut revocations = Revocations::<1>::new();
    ensure!(revocations.take(&own, &world.anchors).is_ok());
    let mut out = [0; MAX_REVOKE_LIST_LEN];
    let theirs = RevokeList::emit(1, KID, &[], &other, &[1; 32], &mut out);
    let theirs = theirs.map(|list| &*list).unwrap_or_default();
    let mut both = world.anchors.clone();
    let anchor = TrustAnchor::new("https://other.example", "theirs", *other.public_key());
    ensure!(anchor.is_ok_and(|anchor| both.insert(anchor).is_ok()));
    let mut out = [0; MAX_REVOKE_LIST_LEN];
    let under_their_name = RevokeList::emit(1, "theirs", &[], &other, &[1; 32], &mut out);
    let under_their_name = under_their_name.map(|list| &*list).unwrap_or_default();
    let refused = revocations.take(under_their_name, &both).err();
    ensure!(refused == Some(Reason::NoRoom));
    // The list of a key that does not count any more makes room.
    ensure!(revocations.take(theirs, &anchors).is_ok());
    Ok(())
}

fn newer_keys() -> Result<(), Failure> {
    let world = World::new()?;
    let alice = alice(&world)?;
    let names = ["first", "second", "third"];
    let mut anchors = TrustAnchors::new();
    for name in names {
        let key = *signing_key(name)?.public_key();
        let anchor = TrustAnchor::new(ISSUER, name, key);
        ensure!(anchor.is_ok_and(|anchor| anchors.insert(anchor).is_ok()));
    }
    let by = |name: &str, counter, entry| {
        let mut out = [0; MAX_REVOKE_LIST_LEN];
        let key = signing_key(name)?;
        let list = RevokeList::emit(counter, name, &[entry], &key, &[1; 32], &mut out);
        ensure!(list.is_ok());
        let list = list.map(|list| &*list).unwrap_or_default();
        Ok::<List, Failure>(Vec::from_slice(list).unwrap_or_default())
    };
    let (of_her, of_nobody) = (
        Revoked::subject(ISSUER, "alice", 2),
        Revoked::Token([9; 16]),
    );
    let mut revocations = Revocations::<1>::new();
    ensure!(
        revocations
            .take(&by("second", 7, of_her)?, &anchors)
            .is_ok()
    );
    // Its counter says nothing: a thief of the key before could raise it at will.
    let older = revocations.take(&by("first", u32::MAX, of_nobody)?, &anchors);
    ensure!(older.err() == Some(Reason::RevocationOld));
    ensure!(revocations.names(&alice));
    ensure!(
        revocations
            .take(&by("third", 1, of_nobody)?, &anchors)
            .is_ok()
    );
    ensure!(!revocations.names(&alice));
    let before = revocations.take(&by("second", 8, of_her)?, &anchors);
    ensure!(before.err() == Some(Reason::RevocationOld));
    Ok(())
}

fn lengths() -> Result<(), Failure> {
    let world = World::new()?;
    let entries = [Revoked::Token([3; 16]); MAX_REVOKED + 1];
    let most = list(&world, 1, &entries[..MAX_REVOKED])?;
    ensure!(most.len() == MAX_REVOKE_LIST_LEN);
    ensure!(RevokeList::check(&most, &world.anchors).is_ok());
    ensure!(list(&world, 1, &[])?.len() == MAX_REVOKE_LIST_LEN - 16 * 17);
    let mut out = [0; 2 * MAX_REVOKE_LIST_LEN];
    let more = RevokeList::emit(1, KID, &entries, &world.issuer, &[1; 32], &mut out);
    ensure!(more.is_err());
    Ok(())
}
