//! Keys, their statements, and a place where an initiator keeps whom it trusts.

use moorline_core::crypto::PublicKey;
use moorline_core::reason::Reason;
use moorline_core::trust::{
    KeyName, Rotation, STATEMENT_LEN, Signer, Statement, TrustKeeper, TrustStore,
};

use crate::Failure;
use crate::fixture::signing_key;

/// The name of the root key.
pub(super) const ROOT: &str = "root";

/// Returns the public key called `name`.
pub(crate) fn key(name: &str) -> Result<PublicKey, Failure> {
    Ok(*signing_key(name)?.public_key())
}

/// Returns what the key called `name` is called in statements.
pub(super) fn name_of(name: &str) -> Result<KeyName, Failure> {
    Ok(key(name)?.hash().prefix())
}

/// Returns the store that trusts the key called `name`.
pub(crate) fn trusting(name: &str) -> Result<TrustStore, Failure> {
    Ok(TrustStore::new(key(ROOT)?, 0, key(name)?))
}

/// Returns the statement of the key called `signer` that the key called `next` follows it.
pub(crate) fn by_key(
    signer: &str,
    counter: u32,
    next: &str,
) -> Result<[u8; STATEMENT_LEN], Failure> {
    signed(Signer::Current, signer, counter, next, None)
}

/// Returns the root's statement that the key called `next` is the hub's, and that the one called `revoked` is not.
pub(crate) fn by_root(
    counter: u32,
    next: &str,
    revoked: Option<&str>,
) -> Result<[u8; STATEMENT_LEN], Failure> {
    let revoked = match revoked {
        Some(name) => Some(name_of(name)?),
        None => None,
    };
    signed(Signer::Root, ROOT, counter, next, revoked)
}

/// Returns a statement that says it is `signer`'s, and is signed by the key called `by`.
pub(super) fn signed(
    signer: Signer,
    by: &str,
    counter: u32,
    next: &str,
    revoked: Option<KeyName>,
) -> Result<[u8; STATEMENT_LEN], Failure> {
    let rotation = Rotation {
        signer,
        counter,
        key: key(next)?,
        revoked,
    };
    let statement = rotation.sign(&signing_key(by)?, &[1; 32]);
    statement.map_err(|_| Failure {
        condition: "a statement can say this",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

/// Hands `statement` to `store`, and returns why it is refused.
pub(super) fn refusal(store: &mut TrustStore, statement: &[u8; STATEMENT_LEN]) -> Option<Reason> {
    Statement::parse(statement)
        .and_then(|statement| store.take(&statement))
        .err()
}

/// Hands `statement` to `store`, and returns why it is refused. The key that it names proves itself.
pub(super) fn refusal_of_proved(
    store: &mut TrustStore,
    statement: &[u8; STATEMENT_LEN],
) -> Option<Reason> {
    let parsed = Statement::parse(statement);
    refusal(store, statement).or_else(|| {
        let named = parsed.map(|parsed| parsed.says_unverified().key.hash());
        named.map(|named| store.note_proved(&named)).err()
    })
}

/// A place where an initiator keeps whom it trusts.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// What it kept last.
    pub(super) kept: Option<TrustStore>,
    /// How often it was asked.
    pub(super) asked: usize,
    /// Whether nothing can be stored.
    pub(super) is_broken: bool,
}

impl TrustKeeper for Shelf {
    fn keep(&mut self, changed: &TrustStore) -> bool {
        self.asked += 1;
        if !self.is_broken {
            self.kept = Some(changed.clone());
        }
        !self.is_broken
    }
}
