//! Statements about the key that follows (PROTOCOL.md §7.1).

use moorline_core::crypto::{Hash, SIGNATURE_LEN};
use moorline_core::reason::Reason;
use moorline_core::trust::{Rotation, STATEMENT_LEN, Signer, Statement};

use super::site::{ROOT, by_key, by_root, key, name_of, refusal, trusting};
use crate::fixture::signing_key;
use crate::{Case, Failure, ensure, reference};

const CLAUSE: &str = "PROTOCOL.md §7.1";

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "a statement is 150 bytes, as the specification lays them out",
        clause: CLAUSE,
        run: layout,
    },
    Case {
        name: "a statement that is cut or longer, and one that says what none says, is refused",
        clause: CLAUSE,
        run: malformed,
    },
    Case {
        name: "every flipped bit of a statement is refused, and so is one under another label",
        clause: "PROTOCOL.md §3.2",
        run: tampered,
    },
];

fn layout() -> Result<(), Failure> {
    let statement = by_root(0x0102_0304, "new", Some("old"))?;
    let mut expected = [0; STATEMENT_LEN];
    expected[1..5].copy_from_slice(&[1, 2, 3, 4]);
    expected[5..70].copy_from_slice(&key("new")?.to_bytes());
    expected[70..86].copy_from_slice(&key("old")?.hash().prefix::<16>());
    let hash = Hash::of(&[&expected[..86]]).0;
    let digest = reference::statement("rotation", &hash);
    expected[86..].copy_from_slice(&signing_key(ROOT)?.sign(&digest, &[1; 32]).0);
    ensure!(statement == expected);
    let parsed = Statement::parse(&statement).ok();
    let says = parsed.as_ref().map(Statement::says_unverified);
    let said = Rotation {
        signer: Signer::Root,
        counter: 0x0102_0304,
        key: key("new")?,
        revoked: Some(name_of("old")?),
    };
    ensure!(says == Some(&said));
    let other = by_key("old", 1, "new")?;
    ensure!(other[..5] == [1, 0, 0, 0, 1] && other[70..86] == [0; 16]);
    Ok(())
}

fn malformed() -> Result<(), Failure> {
    let good = by_root(1, "new", Some("old"))?;
    for len in (0..STATEMENT_LEN).chain([STATEMENT_LEN + 1]) {
        let mut bytes = [0; STATEMENT_LEN + 1];
        bytes[..STATEMENT_LEN].copy_from_slice(&good);
        let refused = Statement::parse(&bytes[..len]).err();
        ensure!(refused == Some(Reason::Length), len);
    }
    let own_name = key("new")?.hash().prefix::<16>();
    type Change<'c> = &'c dyn Fn(&mut [u8; STATEMENT_LEN]);
    let changes: [(Change<'_>, Reason); 6] = [
        (&|bytes| bytes[0] = 2, Reason::Malformed),
        (&|bytes| bytes[0] = 255, Reason::Malformed),
        // An identity key revokes nothing.
        (&|bytes| bytes[0] = 1, Reason::Malformed),
        (
            &|bytes| bytes[70..86].copy_from_slice(&own_name),
            Reason::Malformed,
        ),
        (&|bytes| bytes[5] = 2, Reason::PublicKey),
        (&|bytes| bytes[5..70].fill(0), Reason::PublicKey),
    ];
    for (step, (change, reason)) in changes.into_iter().enumerate() {
        let mut bytes = good;
        change(&mut bytes);
        ensure!(Statement::parse(&bytes).err() == Some(reason), step);
    }
    let rotation = Rotation {
        signer: Signer::Current,
        counter: 1,
        key: key("new")?,
        revoked: Some(name_of("old")?),
    };
    let by = signing_key("old")?;
    ensure!(rotation.sign(&by, &[1; 32]) == Err(Reason::Malformed));
    Ok(())
}

fn tampered() -> Result<(), Failure> {
    let good = by_key("old", 1, "new")?;
    let before = trusting("old")?;
    let mut store = before.clone();
    for at in 0..STATEMENT_LEN - SIGNATURE_LEN + 1 {
        let mut bytes = good;
        bytes[at] ^= 1;
        ensure!(refusal(&mut store, &bytes).is_some(), at);
        ensure!(store == before, at);
    }
    // Under another label, and by another key.
    let hash = Hash::of(&[&good[..86]]);
    for (step, (label, by)) in [
        ("rotation ", "old"),
        ("responder", "old"),
        ("revocation", "old"),
        ("time reset", "old"),
        ("rotation", "stranger"),
        ("rotation", ROOT),
    ]
    .into_iter()
    .enumerate()
    {
        let mut bytes = good;
        let digest = reference::statement(label, &hash.0);
        bytes[86..].copy_from_slice(&signing_key(by)?.sign(&digest, &[1; 32]).0);
        let refused = refusal(&mut store, &bytes);
        ensure!(refused == Some(Reason::RotationSignature), step);
        ensure!(store == before, step);
    }
    ensure!(refusal(&mut store, &good).is_none());
    Ok(())
}
