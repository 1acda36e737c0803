//! Project Wycheproof's cases of the primitives, asked of a provider on host and device.
//!
//! A case that is neither right nor wrong by its own word ("acceptable") is held to what core promises: an agreement
//! gives the secret that the case has, unless that is all zero (RFC 7748 §6.1).

#![no_std]
#![forbid(unsafe_code)]

mod ask;
mod table;

use ask::Ask;
use moorline_core::crypto::Suite;
use moorline_core::crypto::provider::Provider;
use table::Table;

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// The cases of one file.
#[derive(Debug)]
pub struct Group {
    /// The primitive, and the file if there are two.
    pub name: &'static str,
    table: &'static Table,
    ask: Ask,
}

/// What became of the cases of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many were answered as they should be.
    pub passed: usize,
    /// How many were not.
    pub failed: usize,
    /// The number, in its file, of the first that was not.
    pub first_failed: Option<u16>,
}

/// Every group.
pub static GROUPS: &[Group] = &[
    group("ECDSA P-256, fixed length", &ECDSA_P1363, Ask::Signature),
    group("ECDSA P-256, DER", &ECDSA_DER, Ask::Signature),
    group("X25519", &X25519, Ask::Agreement),
    group("AES-256-GCM", &AES_GCM, Ask::Seal(Suite::Aes256Gcm)),
    group(
        "ChaCha20-Poly1305",
        &CHACHA_POLY,
        Ask::Seal(Suite::ChaCha20Poly1305),
    ),
    group("HKDF-SHA256", &HKDF, Ask::Derivation),
    group("HMAC-SHA256", &HMAC, Ask::Code),
];

const fn group(name: &'static str, table: &'static Table, ask: Ask) -> Group {
    Group { name, table, ask }
}

impl Group {
    /// Returns how many cases there are to ask.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.count
    }

    /// Returns the reasons for which cases of the file are left out, with how many there are of each.
    #[must_use]
    pub fn left_out(&self) -> &'static [(&'static str, usize)] {
        self.table.left_out
    }

    /// Asks `P` every case. Derivations are asked of the provider that core runs on, whose they are.
    #[must_use]
    pub fn run<P: Provider>(&self) -> Outcome {
        let mut outcome = Outcome::default();
        self.ask.each::<P>(self.table, &mut |number, is_right| {
            if is_right {
                outcome.passed += 1;
            } else {
                outcome.failed += 1;
                outcome.first_failed = outcome.first_failed.or(Some(number));
            }
        });
        outcome
    }
}
