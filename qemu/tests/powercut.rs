//! A device whose power is cut in the middle of its writes to flash, over and over: nothing that it said it had kept is
//! lost, and its counter never repeats.

use std::path::Path;
use std::thread;
use std::time::Instant;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::{Error, Outcome, POWER_CUT, Qemu};

/// Boots on each flash. Both together are more than the thousand that is asked for.
const BOOTS: u32 = 510;

#[test]
fn power_cut_a_thousand_times_loses_nothing_that_was_kept() -> Result<(), Error> {
    let image = build_image("powercut", Profile::Device)?;
    let start = Instant::now();
    // Two flashes at once: one cut at every step from the first on, one at steps by chance.
    let (in_turn, by_chance) = thread::scope(|scope| {
        let in_turn = scope.spawn(|| live_and_die(&image, |boot| boot + 1));
        let by_chance = scope.spawn(|| live_and_die(&image, step_by_chance));
        (in_turn.join(), by_chance.join())
    });
    let lives = [
        in_turn.expect("the thread ends")?,
        by_chance.expect("the thread ends")?,
    ];
    let cuts: u32 = lives.iter().map(|life| life.cuts).sum();
    println!("{cuts} cuts in {:?}: {lives:?}", start.elapsed());
    assert!(cuts >= 1_000, "{cuts} cuts");
    for life in lives {
        // Both ends of a cut were met, and every region has been round.
        assert!(life.went_on > 0 && life.went_back > 0, "{life:?}");
        assert!(life.secret > 200 && life.note > 600, "{life:?}");
    }
    Ok(())
}

#[test]
fn a_device_without_a_flash_says_so() -> Result<(), Error> {
    let image = build_image("powercut", Profile::Device)?;
    let outcome = Qemu::new(&image).run()?;
    assert_eq!(outcome.status, Some(1), "{outcome}");
    assert!(said(&outcome, "no flash: NoFlash").is_some(), "{outcome}");
    let folder = tempfile::tempdir().expect("a folder");
    let short = folder.path().join("a short, odd one");
    std::fs::write(&short, [0xFF; 100]).expect("a file");
    let outcome = Qemu::new(&image).flash(&short).run()?;
    assert_eq!(outcome.status, Some(1), "{outcome}");
    assert!(said(&outcome, "no flash: Length").is_some(), "{outcome}");
    Ok(())
}

/// What a device has said that it kept.
#[derive(Debug, Default, Clone, Copy)]
struct Life {
    cuts: u32,
    secret: u32,
    note: u32,
    counted: Option<u64>,
    /// How often the value that was being written was found after a cut.
    went_on: u32,
    /// How often it was the one before.
    went_back: u32,
}

/// Boots the image again and again over one flash, each time until the step that `cut_at` gives.
fn live_and_die(image: &Path, cut_at: impl Fn(u32) -> u32) -> Result<Life, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flash");
    let mut life = Life::default();
    for boot in 0..BOOTS {
        let outcome = Qemu::new(image)
            .flash(&path)
            .power_cut_after(cut_at(boot), boot)
            .run()?;
        assert_eq!(outcome.status, Some(POWER_CUT), "boot {boot}: {outcome}");
        assert_eq!(outcome.malformed_count, 0, "boot {boot}: {outcome}");
        life.cuts += 1;
        for line in &outcome.lines {
            assert!(life.hear(&line.message), "boot {boot}, {life:?}: {outcome}");
        }
    }
    // Left alone it finds what it kept last, and lives to the end.
    let outcome = Qemu::new(image).flash(&path).run()?.check()?;
    for line in &outcome.lines {
        assert!(
            life.hear(&line.message),
            "the last boot, {life:?}: {outcome}"
        );
    }
    Ok(life)
}

impl Life {
    /// Takes in one line, and says whether it may be true.
    fn hear(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["found", "secret", number] => Self::find(
                &mut self.secret,
                number,
                [&mut self.went_on, &mut self.went_back],
            ),
            ["found", "note", number] => Self::find(
                &mut self.note,
                number,
                [&mut self.went_on, &mut self.went_back],
            ),
            ["kept", "secret", number] => Self::keep(&mut self.secret, number),
            ["kept", "note", number] => Self::keep(&mut self.note, number),
            ["counted", number] => {
                let number = number.parse().ok();
                let is_above = number > self.counted;
                self.counted = number;
                is_above
            }
            _ => false,
        }
    }

    /// What is found is what was kept last, or the one after it.
    fn find(kept: &mut u32, number: &str, [went_on, went_back]: [&mut u32; 2]) -> bool {
        let Ok(number) = number.parse::<u32>() else {
            return false;
        };
        let (is_last, is_next) = (number == *kept, number == *kept + 1);
        *went_on += u32::from(is_next);
        *went_back += u32::from(is_last);
        *kept = number;
        is_last || is_next
    }

    /// What is kept has the next number.
    fn keep(kept: &mut u32, number: &str) -> bool {
        *kept += 1;
        number.parse() == Ok(*kept)
    }
}

/// Returns a step from 1 to 700, the same for the same boot (Marsaglia's xorshift).
fn step_by_chance(boot: u32) -> u32 {
    let mut drawn = boot.wrapping_mul(0x9E37_79B1) | 1;
    drawn ^= drawn << 13;
    drawn ^= drawn >> 17;
    drawn ^= drawn << 5;
    1 + drawn % 700
}

fn said<'o>(outcome: &'o Outcome, wanted: &str) -> Option<&'o str> {
    let mut lines = outcome.lines.iter().map(|line| line.message.as_str());
    lines.find(|line| line.contains(wanted))
}
