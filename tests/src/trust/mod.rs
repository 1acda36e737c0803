//! Whom an initiator takes for its hub and for the issuer, and how that changes: PROTOCOL.md §7.1, §7.5.

pub(crate) mod issuer;
pub(crate) mod rotation;
pub(crate) mod site;
pub(crate) mod statement;
pub(crate) mod store;

use heapless::Vec;
use moorline_core::trust::{STATEMENT_LEN, TRUST_STORE_LEN};

/// Returns statements and stores, as seeds of a fuzzer.
pub fn seeds() -> impl Iterator<Item = Vec<u8, TRUST_STORE_LEN>> {
    let mut seeds = Vec::<_, 4>::new();
    let _ = store::with_every_state(|_, store| {
        let _ = seeds.push(Vec::from_slice(&store.to_bytes()).unwrap_or_default());
        Ok(())
    });
    let statement: Result<[u8; STATEMENT_LEN], _> = site::by_key("old", 1, "new");
    if let Ok(statement) = statement {
        let _ = seeds.push(Vec::from_slice(&statement).unwrap_or_default());
    }
    if let Ok(seed) = issuer::seed() {
        let _ = seeds.push(seed);
    }
    seeds.into_iter()
}
