//! One value in flash, with nothing going wrong.

use moorline_core::storage::{Record, Region, StorageError};

use super::nor::Nor;
use super::{Flash, KIND, SEED, VALUE_LEN, case, has, open, value, whole};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "a kept value comes back at once and after a reset, of every length and in flash of every unit",
        every_unit,
    ),
    case(
        "a version lies in flash as the layout has it, byte for byte",
        layout,
    ),
    case(
        "writes erase as many sectors as the formula says, and the sectors take turns",
        wear,
    ),
    case(
        "a write clears no bit of a place that was written, unless the record wipes",
        written_once,
    ),
    case(
        "of a record that wipes no older value is left in flash",
        wiped,
    ),
    case(
        "the numbers of a record end, and its value stays",
        last_numbers,
    ),
    case(
        "bytes that are no version of the record are no value, and are written over",
        litter,
    ),
    case(
        "a version in the place of another number, or whose number stands there only once, counts for nothing",
        misplaced,
    ),
    case(
        "a record needs two aligned sectors with room for its value",
        regions,
    ),
    case(
        "a value that is too long is refused and changes nothing",
        too_long,
    ),
];

fn every_unit() -> Result<(), Failure> {
    comes_back::<1, 1, 256, 512, 20>()?;
    comes_back::<1, 1, 256, 768, 0>()?;
    comes_back::<1, 4, 256, 1024, 16>()?;
    comes_back::<4, 4, 512, 1024, 33>()?;
    comes_back::<2, 8, 512, 1024, 100>()?;
    comes_back::<4, 16, 1024, 2048, 200>()?;
    comes_back::<1, 32, 1024, 2048, 65>()?;
    comes_back::<64, 64, 256, 512, 8>()?;
    comes_back::<4, 8, 4096, 8192, 150>()
}

fn comes_back<const R: usize, const W: usize, const E: usize, const LEN: usize, const N: usize>()
-> Result<(), Failure> {
    let mut flash = Nor::<R, W, E, LEN>::new(SEED);
    let open = |flash: &Nor<R, W, E, LEN>| Record::<_, N>::new(flash, whole(LEN), KIND);
    let mut record = open(&flash).map_err(|_| super::NO_RECORD)?;
    let mut buffer = [0; N];
    ensure!(has::<N>(record.read(&mut flash, &mut buffer), None), N);
    for number in 0..120 {
        let step = usize::try_from(number).unwrap_or(0);
        ensure!(record.write(&mut flash, &value::<N>(number)).is_ok(), step);
        ensure!(
            has::<N>(record.read(&mut flash, &mut buffer), Some(number)),
            step
        );
        if number % 3 == 0 {
            record = open(&flash).map_err(|_| super::NO_RECORD)?;
        }
        if number % 2 == 0 {
            ensure!(
                has::<N>(record.read(&mut flash, &mut buffer), Some(number)),
                step
            );
        }
    }
    Ok(())
}

fn layout() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let mut record = open(&flash)?;
    ensure!(record.versions_per_sector() == 5);
    for number in 0..=5 {
        ensure!(record.write(&mut flash, b"moorline 0") == Ok(()), number);
    }
    // The sixth version is the first of the second sector.
    ensure!(flash.cells[256..256 + PLACE_LEN] == place(5, b"moorline 0"));
    ensure!(flash.cells[4 * PLACE_LEN..5 * PLACE_LEN] == place(4, b"moorline 0"));
    ensure!(
        flash.cells[5 * PLACE_LEN..256]
            .iter()
            .all(|cell| *cell == 0xFF)
    );
    Ok(())
}

/// Length of a place of most cases in bytes.
pub(super) const PLACE_LEN: usize = 20 + VALUE_LEN + 4 + 4;

/// Returns what a place holds, from the layout alone.
pub(super) fn place(number: u32, value: &[u8]) -> [u8; PLACE_LEN] {
    place_with(number, !number, value)
}

fn place_with(number: u32, flipped: u32, value: &[u8]) -> [u8; PLACE_LEN] {
    let mut place = [0xFF; PLACE_LEN];
    let len = u32::try_from(value.len()).unwrap_or(0);
    place[..2].copy_from_slice(b"MR");
    place[2..4].copy_from_slice(&[1, KIND]);
    place[4..8].copy_from_slice(&number.to_be_bytes());
    place[8..12].copy_from_slice(&flipped.to_be_bytes());
    place[12..16].copy_from_slice(&len.to_be_bytes());
    place[20..20 + value.len()].copy_from_slice(value);
    let checksum = place[..16].iter().chain(value).fold(u32::MAX, crc32);
    place[16..20].copy_from_slice(&(!checksum).to_be_bytes());
    place[PLACE_LEN - 8..PLACE_LEN - 4].copy_from_slice(&checksum.to_be_bytes());
    place[PLACE_LEN - 4..].fill(0);
    place
}

/// Takes a byte into a CRC-32, bit by bit (ISO/IEC 8802-3 §3.2.9).
fn crc32(sum: u32, byte: &u8) -> u32 {
    (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
        sum >> 1 ^ (0xEDB8_8320 * (sum & 1))
    })
}

fn wear() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let mut record = open(&flash)?;
    for writes in 1..=1_000_u32 {
        let step = usize::try_from(writes).unwrap_or(0);
        ensure!(
            record
                .write(&mut flash, &value::<VALUE_LEN>(writes))
                .is_ok(),
            step
        );
        let erases: u32 = flash.erases.iter().sum();
        ensure!(erases == record.erases_after(writes), step);
        ensure!(erases == writes.div_ceil(5), step);
    }
    ensure!(flash.erases[..4] == [50; 4]);
    // A reset counts as one write more.
    for writes in 1..=1_000_u32 {
        let step = usize::try_from(writes).unwrap_or(0);
        record = open(&flash)?;
        ensure!(
            record
                .write(&mut flash, &value::<VALUE_LEN>(writes))
                .is_ok(),
            step
        );
        let erases: u32 = flash.erases.iter().sum();
        ensure!(erases <= record.erases_after(1_000 + 2 * writes), step);
    }
    Ok(())
}

fn written_once() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    for number in 0..100 {
        let mut record = open(&flash)?;
        for turn in 0..3 {
            ensure!(
                record
                    .write(&mut flash, &value::<VALUE_LEN>(number + turn))
                    .is_ok()
            );
        }
    }
    ensure!(flash.overwrites == 0);
    Ok(())
}

fn wiped() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let secret = |number: u32| (number * 0x0101 + 0x4D00_0000).to_be_bytes();
    let mut keeping = open(&flash)?;
    for number in 0..30 {
        ensure!(keeping.write(&mut flash, &secret(number)).is_ok());
    }
    // The search finds what is there.
    ensure!(flash.holds(&secret(28)) && flash.holds(&secret(20)));
    let mut record =
        Record::<_, VALUE_LEN>::wiping(&flash, whole(1024), KIND).map_err(|_| super::NO_RECORD)?;
    let mut buffer = [0; VALUE_LEN];
    ensure!(record.read(&mut flash, &mut buffer) == Ok(Some(&secret(29))));
    for number in 29..80 {
        let step = usize::try_from(number).unwrap_or(0);
        if number > 29 {
            ensure!(record.write(&mut flash, &secret(number)) == Ok(()), step);
        }
        ensure!(flash.holds(&secret(number)), step);
        for older in 0..number {
            ensure!(!flash.holds(&secret(older)), step);
        }
    }
    Ok(())
}

fn last_numbers() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    // Twenty places; the number is that of the first in its sector.
    let number = u32::MAX - u32::MAX % 20 - 5;
    let at = usize::try_from(number % 20 / 5 * 256).unwrap_or(0);
    flash.cells[at..at + PLACE_LEN].copy_from_slice(&place(number, b"last but few"));
    let mut record = open(&flash)?;
    let mut buffer = [0; VALUE_LEN];
    ensure!(record.read(&mut flash, &mut buffer) == Ok(Some(b"last but few")));
    let mut taken: u32 = 0;
    while record.write(&mut flash, &value::<VALUE_LEN>(taken)).is_ok() {
        taken += 1;
        ensure!(taken < 30);
    }
    // The first place after the reset is passed over, and the last number is not used.
    ensure!(taken == u32::MAX - 1 - number - 1);
    for _ in 0..3 {
        let again = record.write(&mut flash, b"more");
        ensure!(again == Err(StorageError::Exhausted));
        ensure!(has::<VALUE_LEN>(
            record.read(&mut flash, &mut buffer),
            Some(taken - 1)
        ));
        record = open(&flash)?;
    }
    Ok(())
}

fn litter() -> Result<(), Failure> {
    let mut buffer = [0; VALUE_LEN];
    for round in 0..12_u8 {
        let mut flash = Flash::new(SEED + 2 * u64::from(round));
        match round {
            0 => flash.cells.fill(0),
            1 => flash.cells[256..512].fill(0),
            2 => flash.cells.fill(0x55),
            // A record of another kind.
            3 => flash.cells[..PLACE_LEN].copy_from_slice(&{
                let mut other = place(0, b"another");
                other[3] ^= 1;
                other
            }),
            // Versions in places of other numbers.
            4 => flash.cells[..PLACE_LEN].copy_from_slice(&place(19, b"displaced")),
            5 => flash.cells[..PLACE_LEN].copy_from_slice(&place(1, b"displaced")),
            // A version longer than the record's values.
            6 => flash.cells[..20].copy_from_slice(&{
                let mut long = [0; 20];
                long.copy_from_slice(&place(0, b"long")[..20]);
                long[15] = 17;
                long
            }),
            _ => flash.litter(),
        }
        let step = usize::from(round);
        let mut record = open(&flash)?;
        ensure!(
            has::<VALUE_LEN>(record.read(&mut flash, &mut buffer), None),
            step
        );
        for number in 0..45 {
            ensure!(
                record
                    .write(&mut flash, &value::<VALUE_LEN>(number))
                    .is_ok(),
                step
            );
            let mut reopened = open(&flash)?;
            let read = reopened.read(&mut flash, &mut buffer);
            ensure!(has::<VALUE_LEN>(read, Some(number)), step);
        }
    }
    Ok(())
}

fn misplaced() -> Result<(), Failure> {
    let mut buffer = [0; VALUE_LEN];
    let others = [
        (0, place(39, b"misplaced")),
        (0, place(24, b"misplaced")),
        (44, place_with(21, !22, b"number once")),
        (44, place_with(21, 0, b"number once")),
    ];
    let long = too_long_by_one();
    let others = others.into_iter().chain(long.map(|long| (44, long)));
    ensure!(long.is_some());
    for (step, (at, other)) in others.enumerate() {
        let mut flash = Flash::new(SEED);
        // The fifth place of the last sector.
        flash.cells[944..988].copy_from_slice(&place(19, b"stands"));
        flash.cells[at..at + PLACE_LEN].copy_from_slice(&other);
        let mut record = open(&flash)?;
        let before = flash.cells;
        ensure!(
            record.read(&mut flash, &mut buffer) == Ok(Some(b"stands")),
            step
        );
        ensure!(flash.cells == before, step);
    }
    Ok(())
}

/// Returns a version that is right in all but that its value is a byte too long and ends in the commit word.
fn too_long_by_one() -> Option<[u8; PLACE_LEN]> {
    (0..=u16::MAX).find_map(|tried| {
        let [first, last] = tried.to_be_bytes();
        let mut place = place(21, &[first; VALUE_LEN]);
        place[15] = 17;
        let value = [first; VALUE_LEN];
        let covered = place[..16].iter().chain(&value);
        let checksum = crc32(covered.fold(u32::MAX, crc32), &last).to_be_bytes();
        place[36..40].copy_from_slice(&checksum);
        for (place, byte) in place[16..20].iter_mut().zip(checksum) {
            *place = !byte;
        }
        (checksum[0] == last).then_some(place)
    })
}

fn regions() -> Result<(), Failure> {
    let flash = Flash::new(SEED);
    let opened = |start, len| Record::<_, VALUE_LEN>::new(&flash, Region { start, len }, KIND);
    for (step, (start, len)) in [(0, 512), (512, 512), (256, 768), (0, 1024)]
        .into_iter()
        .enumerate()
    {
        ensure!(opened(start, len).is_ok(), step);
    }
    for (step, (start, len)) in [
        (0, 0),
        (0, 256),
        (0, 500),
        (4, 512),
        (768, 512),
        (1024, 512),
        (u32::MAX - 255, 512),
    ]
    .into_iter()
    .enumerate()
    {
        ensure!(opened(start, len).err() == Some(StorageError::Region), step);
    }
    ensure!(Record::<_, 228>::new(&flash, whole(1024), KIND).is_ok());
    let long = Record::<_, 229>::new(&flash, whole(1024), KIND).err();
    ensure!(long == Some(StorageError::Region));
    let odd = Nor::<3, 4, 256, 1024>::new(SEED);
    ensure!(Record::<_, 4>::new(&odd, whole(1024), KIND).err() == Some(StorageError::Region));
    let wide = Nor::<4, 128, 256, 1024>::new(SEED);
    ensure!(Record::<_, 4>::new(&wide, whole(1024), KIND).err() == Some(StorageError::Region));
    Ok(())
}

fn too_long() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let mut record = open(&flash)?;
    ensure!(record.write(&mut flash, &[1; VALUE_LEN]) == Ok(()));
    let before = flash.cells;
    let refused = record.write(&mut flash, &[2; VALUE_LEN + 1]);
    ensure!(refused == Err(StorageError::TooLong) && flash.cells == before);
    let mut buffer = [0; VALUE_LEN];
    ensure!(record.read(&mut flash, &mut buffer) == Ok(Some(&[1; VALUE_LEN])));
    Ok(())
}
