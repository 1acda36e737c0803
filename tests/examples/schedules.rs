//! Plays random schedules of handshakes, more of them than a test has time for: of channels over a line with every
//! fault, and of links over a stream that does not keep its word.
//!
//! ```sh
//! cargo run --release -p moorline-conformance --features host --example schedules -- 100000 [SEED]
//! ```

use std::process::ExitCode;

use moorline_conformance::{channel, handshake, link};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(1_000), |text| text.parse());
    let seed = arguments.next().map_or(Ok(1), |text| text.parse::<u64>());
    let (Ok(count), Ok(seed @ 1..)) = (count, seed) else {
        eprintln!("usage: schedules [COUNT [SEED]], the seed not 0");
        return ExitCode::from(2);
    };
    let mut is_sound = true;
    let mut tell = |line: &str, played: Result<String, moorline_conformance::Failure>| match played
    {
        Ok(tally) => println!("{count} schedules of {line} from seed {seed}: {tally}"),
        Err(failure) => {
            is_sound = false;
            eprintln!(
                "schedule {} of {line} from seed {seed}: {failure:?}",
                failure.step
            );
        }
    };
    let channels = channel::schedules::play(count, seed);
    tell("a channel", channels.map(|tally| format!("{tally:?}")));
    let streams = handshake::schedules::play(count, seed);
    tell(
        "a link over a stream",
        streams.map(|tally| format!("{tally:?}")),
    );
    let datagrams = link::schedules::play(count, seed);
    tell(
        "a link over datagrams",
        datagrams.map(|tally| format!("{tally:?}")),
    );
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
