//! What the time is at least: PROTOCOL.md §7.3.

use moorline_core::time::{Now, TimeQuality, UnixMillis};
use moorline_core::time_floor::TimeFloor;

use crate::fixture::{NOW, at};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "the floor is the later of what was built and what was kept",
        kept,
    ),
    case(
        "a time before the floor is not known, a minute of leeway aside",
        judged,
    ),
    case(
        "a verified token raises the floor and an older one does not lower it",
        raised,
    ),
    case(
        "a token from the future, or one judged without the time, raises nothing",
        future,
    ),
    case("one token raises the floor by 31 days at most", bounded),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "PROTOCOL.md §7.3",
        run,
    }
}

const DAY: u64 = 86_400_000;

fn kept() -> Result<(), Failure> {
    let (early, late) = (UnixMillis(NOW.0 - DAY), NOW);
    ensure!(TimeFloor::new(early, None).time() == early);
    ensure!(TimeFloor::new(early, Some(late)).time() == late);
    ensure!(TimeFloor::new(late, Some(early)).time() == late);
    Ok(())
}

fn judged() -> Result<(), Failure> {
    let floor = TimeFloor::new(UnixMillis(NOW.0 + 60_000), None);
    ensure!(floor.judge(at(0)) == at(0));
    let floor = TimeFloor::new(UnixMillis(NOW.0 + 60_001), None);
    let judged = floor.judge(at(0));
    ensure!(judged.quality == TimeQuality::Unknown && judged.unix == NOW);
    ensure!(floor.judge(at(1)) == at(1));
    Ok(())
}

fn raised() -> Result<(), Failure> {
    let mut floor = TimeFloor::new(UnixMillis(NOW.0 - DAY), None);
    ensure!(floor.raise(NOW.secs() - 100, &at(0)));
    ensure!(floor.time() == UnixMillis::from_secs(NOW.secs() - 100));
    ensure!(!floor.raise(NOW.secs() - 100, &at(0)));
    ensure!(!floor.raise(NOW.secs() - 200, &at(0)));
    ensure!(floor.time() == UnixMillis::from_secs(NOW.secs() - 100));
    Ok(())
}

fn future() -> Result<(), Failure> {
    let start = UnixMillis(NOW.0 - DAY);
    let mut floor = TimeFloor::new(start, None);
    ensure!(!floor.raise(NOW.secs() + 61, &at(0)));
    let blind = Now {
        quality: TimeQuality::Unknown,
        ..at(0)
    };
    ensure!(!floor.raise(NOW.secs(), &blind));
    ensure!(floor.time() == start);
    ensure!(floor.raise(NOW.secs() + 60, &at(0)));
    Ok(())
}

fn bounded() -> Result<(), Failure> {
    let mut floor = TimeFloor::new(UnixMillis(NOW.0 - 100 * DAY), None);
    for step in 1..=3 {
        ensure!(floor.raise(NOW.secs(), &at(0)));
        ensure!(floor.time() == UnixMillis(NOW.0 - 100 * DAY + step * 31 * DAY));
    }
    ensure!(floor.raise(NOW.secs(), &at(0)));
    ensure!(floor.time() == NOW);
    Ok(())
}
