//! The ledger of everything that is sealed, longer than a device has room for.

use std::collections::HashMap;

use moorline_conformance::ledger::play;

/// `cargo run --release -p moorline-conformance --example ledger -- 10000000` seals more.
const SEALS: u64 = 50_000;

#[test]
fn no_key_and_nonce_seal_two_messages() {
    let mut book = HashMap::new();
    let tally = play(SEALS, 1, &mut |pair, message| book.insert(pair, message))
        .unwrap_or_else(|failure| panic!("after {} messages: {failure:?}", failure.step));
    println!("{tally:?}");
    assert!(tally.sealed >= SEALS && tally.repeated > 0);
    assert!(tally.links > 50 && tally.channels > 50);
    assert!(tally.resumed > 50 && tally.reused > 10 && tally.refused > 10);
    assert!(tally.answered_again > 10 && tally.power_cuts > 10);
    assert!(tally.updates > 200);
}

/// A book that has lost a page: what is then sealed looks as if it had been sealed before, under another message.
#[test]
fn a_pair_that_was_used_is_found() {
    let found = play(1_000, 1, &mut |pair, message| {
        (pair[23].is_multiple_of(64)).then_some(message ^ 1)
    });
    assert!(found.is_err());
}
