//! Random schedules of key updates over datagrams (PROTOCOL.md §5.2, §5.4).

use super::scene::{Scene, Tally, Weather};
use crate::{Case, Failure, ensure};

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "PROTOCOL.md §5.2, §5.4",
        run,
    }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "over a line that loses and reorders both ends agree on every key and settle again",
        || {
            let tally = play(LOSING, 0x9E37_79B9_7F4A_7C15)?;
            ensure!(tally.lost > SCHEDULES && tally.late > 0);
            Ok(())
        },
    ),
    case(
        "over a line that repeats and leaps ahead both ends agree on every key and settle again",
        || {
            let tally = play(REPEATING, 0xD1B5_4A32_D192_ED03)?;
            ensure!(tally.replays > SCHEDULES);
            ensure!(tally.too_old > 0 && tally.over > 0);
            Ok(())
        },
    ),
    case(
        "over a line that garbles and plays again both ends agree on every key and settle again",
        || {
            let tally = play(HOSTILE, 0x8CB9_2BA7_2F3D_8DD7)?;
            ensure!(tally.garbled > SCHEDULES && tally.replays > SCHEDULES);
            ensure!(tally.lost == 0 && tally.given_up == 0);
            Ok(())
        },
    ),
    case(
        "over a line with every fault both ends agree on every key and settle again",
        || {
            let tally = play(STORM, 0xA24B_AED4_963E_E407)?;
            ensure!(tally.lost > 0 && tally.garbled > 0 && tally.replays > 0);
            Ok(())
        },
    ),
];

/// Schedules of each case: 20,000 in all on a host. A device takes far longer for each.
const SCHEDULES: usize = if cfg!(target_os = "none") { 20 } else { 5_000 };

const LOSING: Weather = Weather {
    lost: 90,
    ..Weather::CALM
};

const REPEATING: Weather = Weather {
    repeated: 100,
    bursts: 12,
    ..Weather::CALM
};

const HOSTILE: Weather = Weather {
    garbled: 60,
    replayed: 60,
    ..Weather::CALM
};

const STORM: Weather = Weather {
    lost: 60,
    repeated: 40,
    garbled: 20,
    replayed: 20,
    bursts: 4,
};

fn play(weather: Weather, seed: u64) -> Result<Tally, Failure> {
    let mut scene = Scene::new(seed)?;
    for _ in 0..SCHEDULES {
        scene.play(weather)?;
    }
    let tally = scene.into_tally();
    ensure!(tally.collisions > 0 && tally.updates > SCHEDULES / 4);
    // A question may be lost, or left of the window, five times; that is seldom.
    ensure!(tally.given_up < SCHEDULES / 8);
    Ok(tally)
}
