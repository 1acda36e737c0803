//! Longer lives of what is kept in flash than a device has time for.

use moorline_conformance::storage::play::{long_life, wander};

#[test]
fn power_lost_at_every_step_of_three_hundred_writes_loses_nothing() {
    let tally =
        long_life(300).unwrap_or_else(|failure| panic!("cut {}: {failure:?}", failure.step));
    println!("{tally:?}");
    assert!(tally.cuts > 2_500 && tally.went_on > 200 && tally.went_back > 2_000);
}

#[test]
fn over_thousands_of_lives_nothing_is_lost_mixed_or_taken_back() {
    for seed in 1..=4 {
        let tally = wander(1_500, seed)
            .unwrap_or_else(|failure| panic!("seed {seed}, life {}: {failure:?}", failure.step));
        println!("{tally:?}");
        assert!(tally.cuts > 2_500 && tally.in_recovery > 200 && tally.went_on > 200);
    }
}
