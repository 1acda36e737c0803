//! A seeded run of every fuzz target: bytes at random, and messages that are right but for a few bytes.

use std::collections::BTreeSet;
use std::path::Path;

use moorline_conformance::fixture::{World, at};
use moorline_conformance::fuzz::TARGETS;
use moorline_conformance::pair::Pair;
use moorline_conformance::vectors;
use moorline_core::connection::Settings;
use moorline_core::token::MAX_UNPACKED_LEN;

#[path = "../examples/corpus/seeds.rs"]
mod seeds;

/// Executions of each target; those of whole connections, which compute with real keys, have a tenth.
const EXECUTIONS: usize = 100_000;

const SEED: u64 = 0x5DEE_CE66_D1CE_5EED;

/// Bytes that are the same in every run.
struct Bytes(u64);

impl Bytes {
    /// Draws a number (xorshift64, Marsaglia 2003).
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).expect("a small number");
        usize::try_from(self.next() % count).expect("a small number")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }

    /// Returns one of `seeds` with a few bytes changed, put in, taken out or cut off, or bytes at random.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if seeds.is_empty() || self.below(4) == 0 {
            let len = self.below(300);
            return (0..len).map(|_| self.byte()).collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..self.below(4) {
            let place = self.below(input.len());
            match self.below(5) {
                0 => input.truncate(place),
                1 if !input.is_empty() => drop(input.remove(place)),
                2 => input.insert(place, self.byte()),
                _ if !input.is_empty() => input[place] = self.byte(),
                _ => {}
            }
        }
        input
    }
}

/// Returns every message of a handshake and of a session, and what is in them.
fn seeds() -> Vec<Vec<u8>> {
    let world = World::new().expect("the fixture is sound");
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer).expect("a token");
    let mut compact = [0; moorline_core::token::MAX_COMPACT_LEN];
    let compact = token.to_compact(&mut compact).expect("a token");
    let mut pair = Pair::start(&world, token, Settings::DEFAULT).expect("M1");
    let mut seeds = vec![
        pair.m1.to_vec(),
        token.as_bytes().to_vec(),
        compact.as_bytes().to_vec(),
        world.agent.public_key().to_bytes().to_vec(),
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec(),
        vec![0x82, 4, 1, 2, 3, 4, 0x89, 0, 0x88, 2, 3, 0xE8],
        vec![0x20, 7, 0, 1, b'a', b'b'],
        vec![0, 5, 1, 2, 3, 4, 0],
        vec![1, 7, 3, b'l', b'e', b'd', 1, 2, b'o', b'n'],
        vec![1, 7, 0, 1, 2, b'o', b'n', 0, 1],
    ];
    seeds.extend(
        pair.finish(0)
            .expect("a handshake")
            .map(|message| message.to_vec()),
    );
    seeds.push(pair.initiator.say(b"hello").expect("open").to_vec());
    seeds.push(
        pair.initiator
            .update(at(3_000).instant.0)
            .expect("open")
            .to_vec(),
    );
    let run = vectors::Run::new(&world).expect("the example");
    seeds.push(run.answered.message.to_vec());
    seeds.push(moorline_conformance::storage::reading::seed().to_vec());
    seeds.extend(moorline_conformance::link::seeds().map(|seed| seed.to_vec()));
    seeds.extend(moorline_conformance::trust::seeds().map(|seed| seed.to_vec()));
    seeds
}

#[test]
fn nothing_panics_and_what_parses_is_written_again_the_same() {
    let mut bytes = Bytes(SEED);
    let plain = seeds();
    // Whole connections take messages with their lengths before them.
    let framed: Vec<Vec<u8>> = plain
        .iter()
        .map(|seed| {
            let eighths = u8::try_from(seed.len().div_ceil(8)).unwrap_or(u8::MAX);
            [&[eighths], &seed[..]].concat()
        })
        .collect();
    for target in TARGETS {
        let is_whole =
            ["responder", "initiator", "session", "datagram_link"].contains(&target.name);
        let (seeds, executions) = if is_whole {
            (&framed, EXECUTIONS / 100)
        } else {
            (&plain, EXECUTIONS)
        };
        for _ in 0..executions {
            (target.run)(&bytes.input(seeds));
        }
    }
}

#[test]
fn every_input_that_was_worth_keeping_runs_again() {
    for target in TARGETS {
        let inputs = seeds::kept(target.name).expect("the target has a file of inputs");
        assert!(!inputs.is_empty(), "{}", target.name);
        for input in inputs {
            (target.run)(&input);
        }
    }
}

#[test]
fn every_target_has_its_program_for_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/targets");
    let programs: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let names = TARGETS.iter().map(|target| target.name.to_owned());
    assert_eq!(programs, names.collect());
}
