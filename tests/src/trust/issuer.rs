//! How the keys of the issuer that bears the hub's name follow one another (PROTOCOL.md §7.5).

use heapless::Vec;
use moorline_core::crypto::{Hash, SIGNATURE_LEN};
use moorline_core::message::{FromHub, ToHub};
use moorline_core::reason::Reason;
use moorline_core::token::{TrustAnchor, TrustAnchors};
use moorline_core::trust::{
    ISSUER_KEYS_LEN, IssuerKeys, IssuerStatement, MAX_ISSUER_KEYS, STATEMENT_LEN, Signer,
    TRUST_STORE_LEN,
};

use super::site::{ROOT, key, name_of};
use crate::fixture::signing_key;
use crate::{Case, Failure, ensure, reference};

/// The hub's name, which its issuer bears.
const HUB: &str = "hub";

pub(crate) static CASES: &[Case] = &[
    case(
        "a statement about an issuer's key is 150 bytes, as the specification lays them out",
        layout,
    ),
    case(
        "one that is cut or longer, or says what none says, is refused",
        malformed,
    ),
    case(
        "the newest key vouches for the next one; three count, and the oldest goes",
        follows,
    ),
    case(
        "the word of a stranger, an older key or another label changes nothing",
        strangers,
    ),
    case(
        "every flipped bit of a statement is refused and changes nothing",
        tampered,
    ),
    case(
        "the root's word leaves no other key, is taken once, and no thief uses it up",
        root,
    ),
    case(
        "the keys that count take the place of the issuer's own, and of nobody else's",
        anchors,
    ),
    case(
        "the keys come back from storage as they were, and no other bytes are any",
        stored,
    ),
    case(
        "the messages about an issuer's keys are as the specification lays them out",
        messages,
    ),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "PROTOCOL.md §7.5",
        run,
    }
}

fn by_issuer(by: &str, next: &str) -> Result<[u8; STATEMENT_LEN], Failure> {
    let by = signing_key(by)?;
    Ok(IssuerStatement::by_issuer(&by, &key(next)?, &[1; 32]))
}

fn by_root(root: &str, counter: u32, next: &str) -> Result<[u8; STATEMENT_LEN], Failure> {
    let root = signing_key(root)?;
    Ok(IssuerStatement::by_root(
        &root,
        counter,
        &key(next)?,
        &[1; 32],
    ))
}

fn sound<T, E>(made: Result<T, E>) -> Result<T, Failure> {
    made.map_err(|_| Failure {
        condition: "the fixture is sound",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

fn anchor(issuer: &str, kid: &str, name: &str) -> Result<TrustAnchor, Failure> {
    sound(TrustAnchor::new(issuer, kid, key(name)?))
}

/// Returns who knows the issuer's key called `a`.
fn knowing_a() -> Result<IssuerKeys, Failure> {
    let mut anchors = TrustAnchors::new();
    sound(anchors.insert(anchor(HUB, "first", "a")?))?;
    sound(IssuerKeys::of(HUB, &anchors, 0).ok_or(()))
}

fn take(keys: &mut IssuerKeys, statement: &[u8]) -> Result<Option<Reason>, Failure> {
    Ok(keys.take(statement, &key(ROOT)?).err())
}

/// Returns whether the keys called `names` count, the newest last, and no others.
fn counts(keys: &IssuerKeys, names: &[&str]) -> Result<bool, Failure> {
    let anchors = keys.anchors(HUB, &TrustAnchors::new());
    let mut own = anchors.iter();
    for name in names {
        if own.next().map(TrustAnchor::key) != Some(&key(name)?) {
            return Ok(false);
        }
    }
    let newest = names.last().copied().unwrap_or_default();
    Ok(own.next().is_none() && keys.newest() == name_of(newest)?)
}

/// Returns keys and a statement that follows, as a seed of a fuzzer.
pub(super) fn seed() -> Result<Vec<u8, TRUST_STORE_LEN>, Failure> {
    let mut seed = Vec::new();
    let parts = [&knowing_a()?.to_bytes()[..], &by_issuer("a", "b")?];
    for part in parts {
        sound(seed.extend_from_slice(part))?;
    }
    Ok(seed)
}

fn layout() -> Result<(), Failure> {
    for (signer, by, counter, statement) in [
        (0, ROOT, 0x0102_0304, by_root(ROOT, 0x0102_0304, "new")?),
        (1, "old", 0, by_issuer("old", "new")?),
    ] {
        let mut expected = [0; STATEMENT_LEN];
        expected[0] = signer;
        expected[1..5].copy_from_slice(&u32::to_be_bytes(counter));
        expected[5..70].copy_from_slice(&key("new")?.to_bytes());
        expected[70..86].copy_from_slice(&key(by)?.hash().prefix::<16>());
        let digest = reference::statement("issuer", &Hash::of(&[&expected[..86]]).0);
        expected[86..].copy_from_slice(&signing_key(by)?.sign(&digest, &[1; 32]).0);
        let step = usize::from(signer);
        ensure!(statement == expected, step);
        let parsed = sound(IssuerStatement::parse(&statement))?;
        ensure!(*parsed.key_unverified() == key("new")?, step);
        ensure!(*parsed.by_unverified() == name_of(by)?, step);
        let is_root = parsed.signer_unverified() == Signer::Root;
        ensure!(is_root == (signer == 0), step);
    }
    Ok(())
}

fn malformed() -> Result<(), Failure> {
    let good = by_issuer("a", "b")?;
    let mut keys = knowing_a()?;
    for len in (0..STATEMENT_LEN).chain([STATEMENT_LEN + 1]) {
        let mut bytes = [0; STATEMENT_LEN + 1];
        bytes[..STATEMENT_LEN].copy_from_slice(&good);
        let refused = take(&mut keys, &bytes[..len])?;
        ensure!(refused == Some(Reason::Length), len);
    }
    type Change = fn(&mut [u8; STATEMENT_LEN]);
    let changes: [(Change, Reason); 5] = [
        (|bytes| bytes[0] = 2, Reason::Malformed),
        (|bytes| bytes[0] = 255, Reason::Malformed),
        // What the issuer says counts nothing.
        (|bytes| bytes[4] = 1, Reason::Malformed),
        (|bytes| bytes[5] = 2, Reason::PublicKey),
        (|bytes| bytes[5..70].fill(0), Reason::PublicKey),
    ];
    for (step, (change, reason)) in changes.into_iter().enumerate() {
        let mut bytes = good;
        change(&mut bytes);
        ensure!(take(&mut keys, &bytes)? == Some(reason), step);
    }
    ensure!(keys == knowing_a()?);
    Ok(())
}

fn follows() -> Result<(), Failure> {
    let mut keys = knowing_a()?;
    ensure!(counts(&keys, &["a"])?);
    for (by, next, counting) in [
        ("a", "b", &["a", "b"][..]),
        ("b", "c", &["a", "b", "c"]),
        ("c", "d", &["b", "c", "d"]),
        ("d", "e", &["c", "d", "e"]),
        // One that has gone may come again: it is the newest one's word that counts.
        ("e", "a", &["d", "e", "a"]),
    ] {
        let statement = by_issuer(by, next)?;
        ensure!(take(&mut keys, &statement)?.is_none());
        ensure!(counts(&keys, counting)?);
        // The same again says nothing.
        ensure!(take(&mut keys, &statement)? == Some(Reason::RotationKey));
        ensure!(counts(&keys, counting)?);
    }
    Ok(())
}

fn strangers() -> Result<(), Failure> {
    let mut keys = knowing_a()?;
    ensure!(take(&mut keys, &by_issuer("a", "b")?)?.is_none());
    let before = keys.clone();
    let mut under_another_name = by_issuer("b", "c")?;
    under_another_name[70..86].copy_from_slice(&name_of("a")?);
    let mut by_another = by_issuer("stranger", "c")?;
    by_another[70..86].copy_from_slice(&name_of("b")?);
    for (step, (statement, reason)) in [
        (by_issuer("stranger", "c")?, Reason::RotationSigner),
        // It has said what it had to say.
        (by_issuer("a", "c")?, Reason::RotationSigner),
        (under_another_name, Reason::RotationSigner),
        (by_another, Reason::RotationSignature),
        (by_issuer("b", "a")?, Reason::RotationKey),
        (by_issuer("b", "b")?, Reason::RotationKey),
        (by_root("stranger", 1, "c")?, Reason::RotationSignature),
        // An issuer's key is not the root.
        (by_root("b", 1, "c")?, Reason::RotationSignature),
    ]
    .into_iter()
    .enumerate()
    {
        ensure!(take(&mut keys, &statement)? == Some(reason), step);
        ensure!(keys == before, step);
    }
    for (step, label) in ["rotation", "revocation", "responder", "issuer "]
        .into_iter()
        .enumerate()
    {
        let mut bytes = by_issuer("b", "c")?;
        let digest = reference::statement(label, &Hash::of(&[&bytes[..86]]).0);
        bytes[86..].copy_from_slice(&signing_key("b")?.sign(&digest, &[1; 32]).0);
        ensure!(
            take(&mut keys, &bytes)? == Some(Reason::RotationSignature),
            step
        );
        ensure!(keys == before, step);
    }
    Ok(())
}

fn tampered() -> Result<(), Failure> {
    let good = by_issuer("a", "b")?;
    let before = knowing_a()?;
    let mut keys = before.clone();
    for at in 0..STATEMENT_LEN - SIGNATURE_LEN + 1 {
        let mut bytes = good;
        bytes[at] ^= 1;
        ensure!(take(&mut keys, &bytes)?.is_some(), at);
        ensure!(keys == before, at);
    }
    ensure!(take(&mut keys, &good)?.is_none());
    Ok(())
}

fn root() -> Result<(), Failure> {
    let mut keys = knowing_a()?;
    // A thief of the issuer's key leads on, and the root ends it whatever came of that.
    ensure!(take(&mut keys, &by_issuer("a", "thief")?)?.is_none());
    ensure!(take(&mut keys, &by_issuer("thief", "thief's")?)?.is_none());
    let word = by_root(ROOT, 1, "b")?;
    ensure!(take(&mut keys, &word)?.is_none());
    ensure!(counts(&keys, &["b"])?);
    ensure!(take(&mut keys, &word)? == Some(Reason::RotationOld));
    ensure!(take(&mut keys, &by_root(ROOT, 0, "c")?)? == Some(Reason::RotationOld));
    let on = by_issuer("thief's", "c")?;
    ensure!(take(&mut keys, &on)? == Some(Reason::RotationSigner));
    // Its own key may be the one that stays.
    ensure!(take(&mut keys, &by_issuer("b", "c")?)?.is_none());
    ensure!(take(&mut keys, &by_root(ROOT, u32::MAX, "b")?)?.is_none());
    ensure!(counts(&keys, &["b"])?);
    Ok(())
}

fn anchors() -> Result<(), Failure> {
    let mut base = TrustAnchors::new();
    sound(base.insert(anchor("other", "theirs", "o")?))?;
    for (kid, name) in [("k1", "w"), ("k2", "x"), ("k3", "y"), ("k4", "z")] {
        sound(base.insert(anchor(HUB, kid, name)?))?;
    }
    let mut keys = sound(IssuerKeys::of(HUB, &base, 3).ok_or(()))?;
    ensure!(counts(&keys, &["x", "y", "z"])?);
    // What the root said before the keys were given counts no more.
    ensure!(take(&mut keys, &by_root(ROOT, 3, "a")?)? == Some(Reason::RotationOld));
    ensure!(take(&mut keys, &by_issuer("z", "b")?)?.is_none());
    let all = keys.anchors(HUB, &base);
    ensure!(all.iter().count() == 4);
    ensure!(all.find("theirs").is_some() && all.find("k1").is_none() && all.find("k2").is_none());
    // Who is known keeps its name; that of another is made of its key.
    let kept = all.find("k4").map(TrustAnchor::key);
    ensure!(kept == Some(&key("z")?));
    let named = sound(TrustAnchor::following(HUB, key("b")?))?;
    ensure!(named.kid().len() == 11 && all.find(named.kid()) == Some(&named));
    ensure!(IssuerKeys::of("nobody", &base, 0).is_none());
    Ok(())
}

fn stored() -> Result<(), Failure> {
    let mut keys = knowing_a()?;
    let mut seen = [[0; ISSUER_KEYS_LEN]; MAX_ISSUER_KEYS];
    for (index, next) in ["b", "c", "d"].into_iter().enumerate() {
        let bytes = keys.to_bytes();
        ensure!(IssuerKeys::from_bytes(&bytes) == Ok(keys.clone()), index);
        seen[index] = bytes;
        let by = ["a", "b", "c"][index];
        ensure!(take(&mut keys, &by_issuer(by, next)?)?.is_none(), index);
    }
    ensure!(take(&mut keys, &by_root(ROOT, 7, "e")?)?.is_none());
    let bytes = keys.to_bytes();
    ensure!(bytes[..5] == [1, 0, 0, 0, 7]);
    let mut read = sound(IssuerKeys::from_bytes(&bytes))?;
    let old = by_root(ROOT, 7, "f")?;
    ensure!(take(&mut read, &old)? == Some(Reason::RotationOld));
    let [_, two, three] = seen;
    let wrong: [fn(&mut [u8; ISSUER_KEYS_LEN]); 5] = [
        |bytes| bytes[0] = 2,
        |bytes| bytes[5..].fill(0),
        // No key in the middle, a key twice, and one that is none.
        |bytes| bytes[5..70].fill(0),
        |bytes| bytes.copy_within(5..70, 70),
        |bytes| bytes[6] ^= 1,
    ];
    for (step, change) in wrong.into_iter().enumerate() {
        for good in [two, three] {
            let mut bytes = good;
            change(&mut bytes);
            let read = IssuerKeys::from_bytes(&bytes).err();
            ensure!(read == Some(Reason::Malformed), step);
        }
    }
    Ok(())
}

fn messages() -> Result<(), Failure> {
    let mut out = [0; 5 * STATEMENT_LEN + 8];
    let ask = ToHub::FetchIssuers { after: [9; 16] };
    let mut bytes = [9; 18];
    bytes[..2].copy_from_slice(&[1, 9]);
    ensure!(sound(ask.encode(&mut out))? == bytes);
    ensure!(ToHub::decode(&bytes) == Ok(ask));
    for (step, count) in (0..=5).enumerate() {
        let statements = [7; 5 * STATEMENT_LEN];
        let statements = &statements[..count * STATEMENT_LEN];
        let more = count == 4;
        let said = FromHub::Issuers { statements, more };
        let encoded = sound(said.encode(&mut out))?;
        ensure!(encoded[..2] == [1, 12], step);
        ensure!(encoded.last() == Some(&u8::from(more)), step);
        let decoded = FromHub::decode(encoded);
        if count > 4 {
            ensure!(decoded == Err(Reason::Length), step);
        } else {
            ensure!(decoded == Ok(said), step);
        }
    }
    ensure!(FromHub::decode(&[1, 12, 1, 7, 0]) == Err(Reason::Length));
    Ok(())
}
