//! What is kept for several readers: PROTOCOL.md §10.3.

use moorline_core::feed::{Cursor, Feed, Item, TooLong};

use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "items come in their order, each once, to each reader",
        order,
    ),
    case(
        "the oldest items give way, and a late reader is told how many",
        late,
    ),
    case(
        "an item longer than the feed is refused, and nothing gives way to it",
        too_long,
    ),
    case(
        "an item that the reader has no room for is still there for one that has",
        no_room,
    ),
    case(
        "a reader that names a number that was not given gets everything",
        numbers,
    ),
    case(
        "a feed is the list of its newest items, step by step",
        model,
    ),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "PROTOCOL.md §10.3",
        run,
    }
}

fn read(feed: &Feed<32>, cursor: &mut Cursor) -> Option<(Item, [u8; 32])> {
    let mut out = [0; 32];
    feed.read(cursor, &mut out).map(|item| (item, out))
}

fn order() -> Result<(), Failure> {
    let mut feed = Feed::<32>::new();
    let mut readers = [feed.begin(); 2];
    ensure!(read(&feed, &mut readers[0]).is_none() && !feed.has_more(readers[0]));
    for number in 0..4 {
        ensure!(feed.push(&[b"ab", &[number]]).is_ok());
    }
    for (step, reader) in readers.iter_mut().enumerate() {
        for number in 0..4u8 {
            ensure!(feed.has_more(*reader), step);
            let expected = Item {
                number: u64::from(number),
                lost: 0,
                len: 3,
            };
            let (item, bytes) = read(&feed, reader).ok_or_else(missing)?;
            ensure!(item == expected && bytes[..3] == [b'a', b'b', number], step);
        }
        ensure!(read(&feed, reader).is_none(), step);
    }
    // An empty item is one.
    ensure!(feed.push(&[]).is_ok());
    let (item, _) = read(&feed, &mut readers[1]).ok_or_else(missing)?;
    ensure!(item.number == 4 && item.len == 0);
    Ok(())
}

fn late() -> Result<(), Failure> {
    let mut feed = Feed::<32>::new();
    let mut early = feed.begin();
    // Each takes 8 bytes: there is room for four.
    for number in 0..10 {
        ensure!(feed.push(&[&[number; 6]]).is_ok());
        if number == 2 {
            let (item, _) = read(&feed, &mut early).ok_or_else(missing)?;
            ensure!(item.number == 0 && item.lost == 0);
        }
    }
    let (item, bytes) = read(&feed, &mut early).ok_or_else(missing)?;
    ensure!(item.number == 6 && item.lost == 5 && bytes[..6] == [6; 6]);
    let (item, _) = read(&feed, &mut early).ok_or_else(missing)?;
    ensure!(item.number == 7 && item.lost == 0);
    let mut new = feed.begin();
    let (item, _) = read(&feed, &mut new).ok_or_else(missing)?;
    ensure!(item.number == 6 && item.lost == 0);
    // One long item takes the place of several.
    ensure!(feed.push(&[&[9; 20]]).is_ok());
    let (item, _) = read(&feed, &mut new).ok_or_else(missing)?;
    ensure!(item.number == 9 && item.lost == 2);
    Ok(())
}

fn too_long() -> Result<(), Failure> {
    let mut feed = Feed::<32>::new();
    let mut reader = feed.begin();
    ensure!(feed.push(&[b"first"]).is_ok());
    ensure!(feed.push(&[&[0; 16], &[0; 15]]) == Err(TooLong));
    let (item, bytes) = read(&feed, &mut reader).ok_or_else(missing)?;
    ensure!(item.number == 0 && bytes[..5] == *b"first");
    // The longest fills it.
    ensure!(feed.push(&[&[7; 30]]).is_ok());
    let (item, bytes) = read(&feed, &mut reader).ok_or_else(missing)?;
    ensure!(item.number == 1 && item.lost == 0 && bytes[..30] == [7; 30]);
    ensure!(Feed::<1>::new().push(&[]) == Err(TooLong));
    Ok(())
}

fn no_room() -> Result<(), Failure> {
    let mut feed = Feed::<32>::new();
    ensure!(feed.push(&[b"four"]).is_ok());
    let mut reader = feed.begin();
    ensure!(feed.read(&mut reader, &mut [0; 3]).is_none());
    ensure!(reader == feed.begin());
    ensure!(feed.read(&mut reader, &mut [0; 4]).is_some());
    Ok(())
}

fn numbers() -> Result<(), Failure> {
    let mut feed = Feed::<32>::new();
    for number in 0..6 {
        ensure!(feed.push(&[&[number; 6]]).is_ok());
    }
    let lost = |number| {
        let mut reader = feed.at(number);
        read(&feed, &mut reader).map(|(item, _)| (item.number, item.lost))
    };
    ensure!(lost(4) == Some((4, 0)));
    ensure!(lost(0) == Some((2, 2)));
    ensure!(lost(6).is_none());
    ensure!(feed.is_behind(feed.at(1)) && !feed.is_behind(feed.at(2)));
    ensure!(feed.begin().number() == 2 && feed.end().number() == 6);
    ensure!(!feed.has_more(feed.end()));
    // It counted before the feed began anew.
    ensure!(lost(7) == Some((2, 0)) && lost(u64::MAX) == Some((2, 0)));
    Ok(())
}

fn model() -> Result<(), Failure> {
    let mut feed = Feed::<32>::new();
    let mut lens = heapless::Deque::<(u64, u8), 16>::new();
    let mut reader = feed.begin();
    let mut next_read = 0;
    let mut seed = 0x9E37_79B9_u32;
    let mut given = 0;
    for step in 0..2_000 {
        // Xorshift32 (Marsaglia 2003).
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        let [draw, len, ..] = seed.to_be_bytes();
        let len = len % 31;
        if draw < 160 {
            ensure!(feed.push(&[&[len; 31][..usize::from(len)]]).is_ok(), step);
            ensure!(lens.push_back((given, len)).is_ok(), step);
            given += 1;
            let taken = |lens: &heapless::Deque<(u64, u8), 16>| {
                lens.iter()
                    .map(|(_, len)| usize::from(*len) + 2)
                    .sum::<usize>()
            };
            while taken(&lens) > 32 {
                lens.pop_front();
            }
        }
        if draw >= 128 {
            let expected = lens.iter().find(|(number, _)| *number >= next_read);
            let got = read(&feed, &mut reader);
            ensure!(got.is_some() == expected.is_some(), step);
            if let (Some((item, bytes)), Some((number, len))) = (got, expected) {
                ensure!(
                    item.number == *number && item.lost == number - next_read,
                    step
                );
                let same = bytes[..item.len].iter().all(|byte| byte == len);
                ensure!(item.len == usize::from(*len) && same, step);
                next_read = number + 1;
            }
        }
    }
    Ok(())
}

fn missing() -> Failure {
    Failure {
        condition: "there is an item",
        file: file!(),
        line: line!(),
        step: 0,
    }
}
