//! Plays random schedules of handshakes, more of them than a test has time for: of channels over a line with every
//! fault, and of links over a stream that does not keep its word.
//!
//! ```sh
//! cargo run --release -p moorline-conformance --features host --example schedules -- 100000 [SEED]
//! ```

use std::process::ExitCode;

use moorline_conformance::channel::schedules as channels;
use moorline_conformance::handshake::schedules as links;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(1_000), |text| text.parse());
    let seed = arguments.next().map_or(Ok(1), |text| text.parse::<u64>());
    let (Ok(count), Ok(seed @ 1..)) = (count, seed) else {
        eprintln!("usage: schedules [COUNT [SEED]], the seed not 0");
        return ExitCode::from(2);
    };
    match channels::play(count, seed) {
        Ok(tally) => println!("channels, {count} schedules from seed {seed}: {tally:?}"),
        Err(failure) => {
            eprintln!(
                "channels, schedule {} from seed {seed}: {failure:?}",
                failure.step
            );
            return ExitCode::FAILURE;
        }
    }
    match links::play(count, seed) {
        Ok(tally) => println!("links, {count} schedules from seed {seed}: {tally:?}"),
        Err(failure) => {
            eprintln!(
                "links, schedule {} from seed {seed}: {failure:?}",
                failure.step
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
