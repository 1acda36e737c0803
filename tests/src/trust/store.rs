//! What an initiator makes of statements, and how it is stored (PROTOCOL.md §7.1).

use moorline_core::crypto::{Hash, PublicKey};
use moorline_core::reason::Reason;
use moorline_core::trust::{
    MAX_KEYS, MAX_RETIRED, STATEMENT_LEN, Signer, TRUST_STORE_LEN, TrustStore,
};

use super::site::{
    ROOT, by_key, by_root, key, name_of, refusal, refusal_of_proved, signed, trusting,
};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "the current key vouches for the next one, which takes its place when it has signed",
        follows,
    ),
    case(
        "the current key replaces the next one, and nobody else does",
        replaced,
    ),
    case(
        "a statement of a stranger, an older key, the next key or a revoked one changes nothing",
        strangers,
    ),
    case(
        "a statement is taken once, and none of a lower counter; each signer counts for itself",
        counters,
    ),
    case(
        "a thief of the current key uses up no counter but its own, and the root ends it",
        thief,
    ),
    case(
        "the root's word puts a key in front; with a revocation no other key stays",
        root,
    ),
    case(
        "a revoked key does not come back, by the root or by a key of the hub",
        retired,
    ),
    case(
        "of more revoked keys than are remembered none is vouched for by what it said before",
        many_retired,
    ),
    case(
        "a key that the root puts in front again goes on from its counter",
        again,
    ),
    case("a full store makes room for the next key", full),
    case(
        "a store comes back from storage as it was, and no other bytes are one",
        stored,
    ),
    case(
        "bytes with a right hash that no store is written as are refused",
        misstored,
    ),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "PROTOCOL.md §7.1",
        run,
    }
}

/// Returns whether `store` expects the first of the keys called `names`, and takes these and no others that have signed.
fn has(store: &TrustStore, names: &[&str]) -> Result<bool, Failure> {
    let mut keys = store.keys();
    for name in names {
        if keys.next() != Some(&key(name)?) {
            return Ok(false);
        }
    }
    Ok(keys.next().is_none() && Some(store.current()) == store.keys().next())
}

fn prove(store: &mut TrustStore, name: &str) -> Result<bool, Failure> {
    Ok(store.note_proved(&key(name)?.hash()))
}

fn follows() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    ensure!(refusal(&mut store, &by_key("a", 1, "b")?).is_none());
    // It has not proved itself: the hub may still have its key before.
    ensure!(has(&store, &["a"])?);
    ensure!(!prove(&mut store, "a")? && !prove(&mut store, "stranger")?);
    ensure!(prove(&mut store, "b")? && !prove(&mut store, "b")?);
    ensure!(has(&store, &["b", "a"])?);
    // What is older than the key that vouched goes.
    ensure!(refusal_of_proved(&mut store, &by_key("b", 1, "c")?).is_none());
    ensure!(has(&store, &["c", "b"])?);
    Ok(())
}

fn replaced() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    ensure!(refusal(&mut store, &by_key("a", 1, "b")?).is_none());
    ensure!(refusal(&mut store, &by_key("a", 2, "c")?).is_none());
    ensure!(!prove(&mut store, "b")? && prove(&mut store, "c")?);
    ensure!(has(&store, &["c", "a"])?);
    // The same one, said anew.
    let mut store = trusting("a")?;
    ensure!(refusal(&mut store, &by_key("a", 1, "b")?).is_none());
    ensure!(refusal(&mut store, &by_key("a", 2, "b")?).is_none());
    ensure!(refusal(&mut store, &by_key("a", 2, "b")?) == Some(Reason::RotationOld));
    ensure!(prove(&mut store, "b")?);
    // What is trusted already needs no word.
    let again = by_key("b", 1, "a")?;
    ensure!(refusal(&mut store, &again) == Some(Reason::RotationKey));
    let own = by_key("b", 1, "b")?;
    ensure!(refusal(&mut store, &own) == Some(Reason::RotationKey));
    Ok(())
}

/// Ensures that `store` refuses `statement` for `reason` and is as it was.
fn refuses(
    store: &mut TrustStore,
    statement: &[u8; STATEMENT_LEN],
    reason: Reason,
    step: usize,
) -> Result<(), Failure> {
    let before = store.clone();
    ensure!(refusal(store, statement) == Some(reason), step);
    ensure!(*store == before, step);
    Ok(())
}

fn strangers() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    ensure!(refusal_of_proved(&mut store, &by_key("a", 1, "b")?).is_none());
    ensure!(refusal(&mut store, &by_key("b", 1, "c")?).is_none());
    let nobody = Reason::RotationSignature;
    for (step, signer) in ["stranger", "a", "c", ROOT].into_iter().enumerate() {
        refuses(&mut store, &by_key(signer, 9, "d")?, nobody, step)?;
    }
    for (step, signer) in ["stranger", "a", "b", "c"].into_iter().enumerate() {
        let as_root = signed(Signer::Root, signer, 9, "d", None)?;
        refuses(&mut store, &as_root, nobody, step)?;
    }
    ensure!(refusal(&mut store, &by_root(1, "d", Some("b"))?).is_none());
    for (step, signer) in ["a", "b", "c"].into_iter().enumerate() {
        refuses(&mut store, &by_key(signer, 99, "e")?, nobody, step)?;
    }
    Ok(())
}

fn counters() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    refuses(&mut store, &by_key("a", 0, "b")?, Reason::RotationOld, 0)?;
    refuses(&mut store, &by_root(0, "b", None)?, Reason::RotationOld, 1)?;
    ensure!(refusal(&mut store, &by_key("a", 7, "b")?).is_none());
    for (step, counter) in [7, 6, 0].into_iter().enumerate() {
        let old = by_key("a", counter, "c")?;
        refuses(&mut store, &old, Reason::RotationOld, step)?;
    }
    // The root begins at its own.
    ensure!(refusal(&mut store, &by_root(5, "d", None)?).is_none());
    ensure!(store.root_counter() == 5);
    for (step, counter) in [5, 4, 0].into_iter().enumerate() {
        let old = by_root(counter, "e", None)?;
        refuses(&mut store, &old, Reason::RotationOld, step)?;
    }
    // So does each key, and a store that was provisioned later.
    ensure!(refusal(&mut store, &by_key("d", 1, "e")?).is_none());
    let mut later = TrustStore::new(key(ROOT)?, 5, key("d")?);
    refuses(&mut later, &by_root(5, "e", None)?, Reason::RotationOld, 9)?;
    ensure!(refusal(&mut later, &by_root(6, "e", None)?).is_none());
    Ok(())
}

fn thief() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    let most = by_key("a", u32::MAX, "thief")?;
    ensure!(refusal_of_proved(&mut store, &most).is_none());
    ensure!(has(&store, &["thief", "a"])? && store.root_counter() == 0);
    ensure!(refusal_of_proved(&mut store, &by_key("thief", u32::MAX, "thief 2")?).is_none());
    ensure!(refusal(&mut store, &by_root(1, "b", Some("a"))?).is_none());
    ensure!(has(&store, &["b"])?);
    for (step, signer) in ["a", "thief", "thief 2"].into_iter().enumerate() {
        let own = by_key(signer, u32::MAX, "thief 3")?;
        refuses(&mut store, &own, Reason::RotationSignature, step)?;
    }
    Ok(())
}

fn root() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    ensure!(refusal(&mut store, &by_root(1, "b", None)?).is_none());
    // It is the current one at once, and vouches.
    ensure!(has(&store, &["b", "a"])? && !prove(&mut store, "b")?);
    ensure!(refusal(&mut store, &by_key("b", 1, "c")?).is_none());
    // Whom the key before vouched for is not taken any more.
    ensure!(refusal(&mut store, &by_root(2, "d", None)?).is_none());
    ensure!(has(&store, &["d", "b", "a"])? && !prove(&mut store, "c")?);
    ensure!(refusal(&mut store, &by_root(3, "e", None)?).is_none());
    ensure!(refusal(&mut store, &by_root(4, "f", None)?).is_none());
    ensure!(has(&store, &["f", "e", "d", "b"])?);
    // Whoever has one of the hub's keys may have the others.
    ensure!(refusal(&mut store, &by_key("f", 1, "g")?).is_none());
    ensure!(refusal(&mut store, &by_root(5, "h", Some("f"))?).is_none());
    ensure!(has(&store, &["h"])? && !prove(&mut store, "g")?);
    // A key that is not here may be revoked as well, and one that is here be the only one.
    ensure!(refusal(&mut store, &by_root(6, "h", Some("elsewhere"))?).is_none());
    ensure!(has(&store, &["h"])?);
    Ok(())
}

fn retired() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    ensure!(refusal(&mut store, &by_root(1, "b", Some("a"))?).is_none());
    for step in 0..2 {
        let by_b = by_key("b", 1, "a")?;
        refuses(&mut store, &by_b, Reason::RotationKey, step)?;
        refuses(
            &mut store,
            &by_root(2, "a", None)?,
            Reason::RotationKey,
            step,
        )?;
        // Not after a restart either.
        store = reread(&store)?;
    }
    // Nor when another one is revoked, or the same one again.
    ensure!(refusal(&mut store, &by_root(2, "c", Some("b"))?).is_none());
    ensure!(refusal(&mut store, &by_root(3, "d", Some("a"))?).is_none());
    for (step, name) in ["a", "b"].into_iter().enumerate() {
        refuses(
            &mut store,
            &by_key("d", 1, name)?,
            Reason::RotationKey,
            step,
        )?;
    }
    Ok(())
}

fn many_retired() -> Result<(), Failure> {
    const NAMES: [&str; MAX_RETIRED + 2] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let mut store = trusting(NAMES[0])?;
    let mut counter = 0;
    for pair in NAMES.windows(2) {
        counter += 1;
        let statement = by_root(counter, pair[1], Some(pair[0]))?;
        ensure!(refusal(&mut store, &statement).is_none());
    }
    ensure!(has(&store, &["9"])? && reread(&store)? == store);
    // The first one is forgotten, the others are not.
    for (step, name) in NAMES[1..9].iter().enumerate() {
        refuses(
            &mut store,
            &by_key("9", 1, name)?,
            Reason::RotationKey,
            step,
        )?;
    }
    // Every word that was given for it is void.
    for (step, signer) in NAMES[..9].iter().enumerate() {
        let word = by_key(signer, 9, "0")?;
        refuses(&mut store, &word, Reason::RotationSignature, step)?;
        let word = by_root(counter, "0", None)?;
        refuses(&mut store, &word, Reason::RotationOld, step)?;
    }
    ensure!(refusal(&mut store, &by_key("9", 1, "0")?).is_none());
    Ok(())
}

fn again() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    let vouching = by_key("a", 5, "b")?;
    ensure!(refusal_of_proved(&mut store, &vouching).is_none());
    ensure!(refusal(&mut store, &by_root(1, "a", None)?).is_none());
    ensure!(has(&store, &["a", "b"])?);
    refuses(&mut store, &by_key("a", 5, "c")?, Reason::RotationOld, 0)?;
    ensure!(refusal(&mut store, &by_root(2, "a", Some("b"))?).is_none());
    ensure!(has(&store, &["a"])?);
    refuses(&mut store, &vouching, Reason::RotationOld, 1)?;
    refuses(&mut store, &by_key("a", 6, "b")?, Reason::RotationKey, 2)?;
    Ok(())
}

fn full() -> Result<(), Failure> {
    let mut store = trusting("a")?;
    for name in ["b", "c", "d"] {
        ensure!(store.add(key(name)?));
    }
    ensure!(!store.add(key("e")?) && store.keys().count() == MAX_KEYS);
    ensure!(refusal(&mut store, &by_key("a", 1, "e")?).is_none());
    ensure!(has(&store, &["a", "b", "c"])? && reread(&store)? == store);
    ensure!(prove(&mut store, "e")? && has(&store, &["e", "a"])?);
    Ok(())
}

/// Hands stores in every state to `work`.
pub(super) fn with_every_state(
    mut work: impl FnMut(usize, &TrustStore) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut store = trusting("a")?;
    work(0, &store)?;
    ensure!(refusal(&mut store, &by_root(7, "b", Some("a"))?).is_none());
    ensure!(refusal(&mut store, &by_root(9, "c", None)?).is_none());
    ensure!(refusal(&mut store, &by_key("c", 3, "d")?).is_none());
    work(1, &store)
}

fn reread(store: &TrustStore) -> Result<TrustStore, Failure> {
    TrustStore::from_bytes(&store.to_bytes()).map_err(|_| Failure {
        condition: "a store can be read again",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

fn stored() -> Result<(), Failure> {
    with_every_state(|step, store| {
        let bytes = store.to_bytes();
        let mut read = reread(store)?;
        ensure!(read == *store && read.to_bytes() == bytes, step);
        for at in 0..TRUST_STORE_LEN {
            let mut damaged = bytes;
            damaged[at] ^= 1 << (at % 8);
            let refused = TrustStore::from_bytes(&damaged).err();
            ensure!(refused == Some(Reason::Malformed), at);
        }
        for byte in [0, 0xFF] {
            ensure!(TrustStore::from_bytes(&[byte; TRUST_STORE_LEN]).is_err());
        }
        // It counts and remembers as before.
        if step == 1 {
            ensure!(read.root_counter() == 9);
            refuses(&mut read, &by_root(9, "e", None)?, Reason::RotationOld, 0)?;
            refuses(&mut read, &by_key("c", 3, "e")?, Reason::RotationOld, 1)?;
            refuses(&mut read, &by_key("c", 4, "a")?, Reason::RotationKey, 2)?;
            ensure!(prove(&mut read, "d")? && has(&read, &["d", "c"])?);
        }
        Ok(())
    })
}

fn misstored() -> Result<(), Failure> {
    const KEYS: usize = 1 + 65 + 4;
    const KEY: usize = 1 + 4 + 65;
    const RETIRED: usize = KEYS + MAX_KEYS * KEY;
    let mut good = None;
    with_every_state(|_, store| {
        good = Some(store.to_bytes());
        Ok(())
    })?;
    let Some(good) = good else { return Ok(()) };
    let place = |number: usize| KEYS + number * KEY..KEYS + (number + 1) * KEY;
    let (other, retired): (PublicKey, [u8; 16]) = (key("e")?, name_of("c")?);
    type Change<'c> = &'c dyn Fn(&mut [u8; TRUST_STORE_LEN]);
    let changes: [(Change<'_>, bool); 15] = [
        (&|_| {}, true),
        (&|bytes| bytes[0] = 0, false),
        (&|bytes| bytes[0] = 2, false),
        (&|bytes| bytes[1] = 2, false),
        // States: none, unknown, two that are next, the next one first.
        (&|bytes| bytes[KEYS] = 0, false),
        (&|bytes| bytes[KEYS] = 3, false),
        (&|bytes| bytes[KEYS + KEY] = 2, false),
        (&|bytes| bytes[KEYS] = 2, false),
        // No key at all; a place without a key before one with a key.
        (&|bytes| bytes[KEYS..RETIRED].fill(0), false),
        (&|bytes| bytes[place(1)].fill(0), false),
        // A key twice; an unused place that is not zero.
        (&|bytes| bytes.copy_within(place(0), place(1).start), false),
        (&|bytes| bytes[place(3).start + 1] = 1, false),
        // A key in the unused place without a state; a name twice; the name of a key that is trusted.
        (
            &|bytes| bytes[place(3)][5..].copy_from_slice(&other.to_bytes()),
            false,
        ),
        (
            &|bytes| bytes.copy_within(RETIRED..RETIRED + 16, RETIRED + 16),
            false,
        ),
        (
            &|bytes| bytes[RETIRED..RETIRED + 16].copy_from_slice(&retired),
            false,
        ),
    ];
    for (step, (change, is_good)) in changes.into_iter().enumerate() {
        let mut bytes = good;
        change(&mut bytes);
        let hash = Hash::of(&[&bytes[..TRUST_STORE_LEN - 32]]);
        bytes[TRUST_STORE_LEN - 32..].copy_from_slice(hash.as_bytes());
        ensure!(TrustStore::from_bytes(&bytes).is_ok() == is_good, step);
    }
    Ok(())
}
