//! Seals as many messages as you like, on links and on channels, and holds every key and nonce against all before; then
//! plays as many steps of each replay window against the list of all numbers.
//!
//! ```sh
//! cargo run --release -p moorline-conformance --example ledger -- 10000000 [SEED]
//! ```

use std::collections::HashMap;
use std::process::ExitCode;

use moorline_conformance::{Failure, WindowTally, ledger, window_model};

/// Plays so many steps from a seed.
type Model = fn(u64, usize) -> Result<WindowTally, Failure>;

/// The windows by their width.
const MODELS: [(u32, Model); 3] = [
    (64, window_model::<2>),
    (1024, window_model::<17>),
    (2048, window_model::<33>),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(100_000), |text| text.parse());
    let seed = arguments.next().map_or(Ok(1), |text| text.parse::<u64>());
    let (Ok(count), Ok(seed @ 1..)) = (count, seed) else {
        eprintln!("usage: ledger [COUNT [SEED]], the seed not 0");
        return ExitCode::from(2);
    };
    let mut book = HashMap::with_capacity(count);
    let seals = u64::try_from(count).unwrap_or(u64::MAX);
    match ledger::play(seals, seed, &mut |pair, message| book.insert(pair, message)) {
        Ok(tally) => println!("from seed {seed}: {tally:?}"),
        Err(failure) => {
            eprintln!(
                "after {} messages from seed {seed}: {failure:?}",
                failure.step
            );
            return ExitCode::FAILURE;
        }
    }
    for (width, model) in MODELS {
        match model(seed, count) {
            Ok(tally) => println!("window of {width}, {count} steps: {tally:?}"),
            Err(failure) => {
                eprintln!("window of {width}, step {}: {failure:?}", failure.step);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
