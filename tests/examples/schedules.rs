//! Plays random schedules of handshakes over a line with every fault, more of them than a test has time for.
//!
//! ```sh
//! cargo run --release -p moorline-conformance --features host --example schedules -- 100000 [SEED]
//! ```

use std::process::ExitCode;

use moorline_conformance::{channel, link};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(1_000), |text| text.parse());
    let seed = arguments.next().map_or(Ok(1), |text| text.parse::<u64>());
    let (Ok(count), Ok(seed @ 1..)) = (count, seed) else {
        eprintln!("usage: schedules [COUNT [SEED]], the seed not 0");
        return ExitCode::from(2);
    };
    let played = [
        ("channel", channel::schedules::play(count, seed)),
        ("link", link::schedules::play(count, seed)),
    ];
    for (line, tally) in &played {
        match tally {
            Ok(tally) => println!("{count} schedules of a {line} from seed {seed}: {tally:?}"),
            Err(failure) => {
                eprintln!(
                    "schedule {} of a {line} from seed {seed}: {failure:?}",
                    failure.step
                );
            }
        }
    }
    if played.iter().all(|(_, tally)| tally.is_ok()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
