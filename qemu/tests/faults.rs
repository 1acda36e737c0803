//! Faults of the world around the agent: each ends in recovery, or in a state that the device names, and none in a hang or
//! a panic.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::{Error, Level, Outcome};

#[path = "faults/entropy.rs"]
mod entropy;
#[path = "faults/flash.rs"]
mod flash;
#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod hub;
#[path = "faults/line.rs"]
mod line;
mod proxy;
#[path = "faults/world.rs"]
mod world;

static AGENT: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

/// No run takes longer: a device that hangs fails its test here.
const DEADLINE: Duration = Duration::from_secs(120);

/// Does each of `cases` on a thread of its own: what they do most is to wait.
pub(crate) fn at_once<T: Send, const N: usize>(
    cases: [T; N],
    run: impl Fn(T) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let run = &run;
        for case in cases.map(|case| scope.spawn(move || run(case))) {
            case.join().expect("the case passes")?;
        }
        Ok(())
    })
}

/// Nothing may have gone wrong on the device itself.
pub(crate) fn check_sound(outcome: &Outcome) {
    assert!(!outcome.timed_out, "{outcome}");
    assert_eq!(outcome.status, None, "{outcome}");
    assert_eq!(outcome.malformed_count, 0, "{outcome}");
    let is_error = |line: &&moorline_qemu::LogLine| line.level == Some(Level::Error);
    assert_eq!(outcome.lines.iter().find(is_error), None, "{outcome}");
}
