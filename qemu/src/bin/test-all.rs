//! Sets up what is needed, runs every test there is, and closes with one line: `N passed, M failed`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use moorline_qemu::image::Provider;
use moorline_qemu::suite::Tally;
use moorline_qemu::{Error, interop, setup, suite};

/// Runs every test on the host and on the device in QEMU, and sums them up.
#[derive(Parser)]
#[command(name = "test-all")]
struct Arguments {
    /// Runs only the stages with WORDS in their name; the closing line sums up these.
    #[arg(long, value_name = "WORDS", default_value = "")]
    stage: String,
}

fn main() -> ExitCode {
    let Arguments { stage: wanted } = Arguments::parse();
    if !STAGES.iter().any(|stage| stage.name.contains(&wanted)) {
        eprintln!("test-all: no stage has {wanted:?} in its name");
        return ExitCode::FAILURE;
    }
    let mut sum = Tally::default();
    let mut skipped = Vec::new();
    for stage in STAGES.iter().filter(|stage| stage.name.contains(&wanted)) {
        println!("== {}", stage.name);
        let tally = match (stage.run)() {
            Ok(tally) => tally,
            Err(error @ Error::Skipped { .. }) => {
                println!("== {}: {error}", stage.name);
                skipped.push(format!("{}: {error}", stage.name));
                continue;
            }
            Err(error) => {
                println!("FAILED: {error}");
                Tally {
                    passed: 0,
                    failed: 1,
                }
            }
        };
        println!("== {}: {tally}", stage.name);
        sum += tally;
    }
    for line in &skipped {
        println!("{line}");
    }
    println!("{sum}");
    if sum.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A part of the suite. One that cannot run at all counts as one failure, unless it is skipped: then it counts as
/// nothing, and is named with its reason before the closing line.
struct Stage {
    name: &'static str,
    run: fn() -> Result<Tally, Error>,
}

/// In this order: what the later ones need, then the cheapest first.
const STAGES: &[Stage] = &[
    Stage {
        name: "tools",
        run: || {
            setup::ensure()?;
            setup::ensure_compiler()?;
            Ok(Tally::default())
        },
    },
    Stage {
        name: "tests on the host, end to end included",
        run: suite::host_tests,
    },
    Stage {
        name: "tests on the host, on the default provider",
        run: suite::default_provider_tests,
    },
    Stage {
        name: "interop with a second peer, in Python",
        run: interop::run,
    },
    Stage {
        name: "conformance in WebAssembly, under Node",
        run: suite::wasm_conformance,
    },
    Stage {
        name: "conformance under Miri, in both byte orders",
        run: suite::interpreted_conformance,
    },
    Stage {
        name: "constant time, under valgrind",
        run: suite::constant_time,
    },
    Stage {
        name: "conformance on the device",
        run: || suite::device_conformance(Provider::Default),
    },
    Stage {
        name: "conformance on the device, in assembly",
        run: || suite::device_conformance(Provider::Accelerated),
    },
    Stage {
        name: "conformance on a Cortex-M3 with 64 KiB of RAM",
        run: suite::small_device_conformance,
    },
    Stage {
        name: "Wycheproof on the device",
        run: || suite::device_wycheproof(Provider::Default),
    },
    Stage {
        name: "Wycheproof on the device, in assembly",
        run: || suite::device_wycheproof(Provider::Accelerated),
    },
    Stage {
        name: "budget of the device",
        run: suite::device_budget,
    },
];
