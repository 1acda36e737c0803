//! Every usable case on the host, under each provider that is compiled.

use moorline_core::crypto::provider::{Active, Provider, RustCrypto};
use moorline_wycheproof::GROUPS;

/// A group: its name, how many cases of it are asked, and how many are left out for each reason.
type Held = (&'static str, usize, &'static [(&'static str, usize)]);

/// What the files hold.
const COUNTS: &[Held] = &[
    (
        "ECDSA P-256, fixed length",
        241,
        &[("a signature that is not 64 bytes long", 21)],
    ),
    (
        "ECDSA P-256, DER",
        249,
        &[
            ("a signature that is not two unsigned integers in DER", 219),
            ("an integer in DER that is longer than 32 bytes", 16),
        ],
    ),
    ("X25519", 518, &[]),
    (
        "AES-256-GCM",
        66,
        &[
            ("a key that is not 256 bits long", 211),
            ("a nonce that is not 96 bits long", 39),
        ],
    ),
    (
        "ChaCha20-Poly1305",
        316,
        &[("a nonce that is not 96 bits long", 9)],
    ),
    ("HKDF-SHA256", 86, &[]),
    ("HMAC-SHA256", 174, &[]),
];

#[test]
fn the_files_hold_the_cases_that_they_held() {
    let found: Vec<_> = GROUPS
        .iter()
        .map(|group| (group.name, group.count(), group.left_out()))
        .collect();
    assert_eq!(found, COUNTS);
}

#[test]
fn the_default_provider_answers_every_case_right() {
    answers_every_case_right::<RustCrypto>();
}

#[test]
fn the_active_provider_answers_every_case_right() {
    answers_every_case_right::<Active>();
}

fn answers_every_case_right<P: Provider>() {
    for group in GROUPS {
        let outcome = group.run::<P>();
        println!(
            "{}: {} passed under {}",
            group.name,
            outcome.passed,
            P::NAME
        );
        assert_eq!(outcome.first_failed, None, "{}: {outcome:?}", group.name);
        assert_eq!(outcome.passed, group.count(), "{}", group.name);
    }
}
