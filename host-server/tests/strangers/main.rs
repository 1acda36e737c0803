//! What a stranger costs the daemon for as long as it is held, in bytes of the heap.
//!
//! The daemon works in this process, whose allocations are all counted: to the byte, and with no clock. It is a program of
//! its own because it has an allocator of its own, and one test because what another would allocate would count too.

#[path = "../hub/world.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod world;

mod datagrams;
mod kinds;

use futures_lite::future;
use kinds::{Doors, Kind};
use moorline_server::admin::{AdminAnswer, AdminRequest};
use world::{Peer, World};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Strangers that are held at once: as many as the default lets in.
const STRANGERS: usize = 64;

/// Strangers that come before these.
const FIRST: usize = 16;

/// Most bytes of the heap that one of them may hold.
const MAX_BYTES: usize = 16 * 1024;

/// Returns how many bytes of the heap are in use.
fn held() -> usize {
    dhat::HeapStats::get().curr_bytes
}

/// Waits until the hub has `count` connections, and has taken in what they have said.
fn wait_until_taken(world: &World, doors: &Doors, count: usize) {
    loop {
        let AdminAnswer::Status(status) = world.ask(&AdminRequest::Status) else {
            panic!("no status");
        };
        if status.states.values().sum::<usize>() == count && doors.are_quiet() {
            break;
        }
        std::thread::yield_now();
    }
    future::block_on(world.control.hear_hub());
}

/// Returns how many bytes one of the strangers holds that `hold` connects.
fn cost<S>(hold: impl Fn(&World, &Doors, &Peer) -> S) -> usize {
    let world = World::start_with(|config| {
        config.limits.handshakes = 512;
        config.limits.handshakes_per_address = 512;
        config.limits.handshake_millis = 60_000;
    });
    let doors = Doors {
        http: world.http,
        tcp: world.tcp,
        https: None,
    };
    let peer = world.commander("mallory", "boiler");
    let mut strangers = Vec::with_capacity(FIRST + STRANGERS);
    // What all share is paid for by the first ones.
    strangers.extend((0..FIRST).map(|_| hold(&world, &doors, &peer)));
    wait_until_taken(&world, &doors, FIRST);
    let before = held();
    strangers.extend((0..STRANGERS).map(|_| hold(&world, &doors, &peer)));
    wait_until_taken(&world, &doors, FIRST + STRANGERS);
    held().saturating_sub(before) / STRANGERS
}

#[test]
fn a_stranger_holds_no_more_than_its_share() {
    let profiler = dhat::Profiler::builder().testing().build();
    let costs = Kind::ALL.map(|kind| {
        let bytes = cost(|_, doors, peer| kind.hold(doors, peer));
        (kind.to_string(), bytes)
    });
    let datagrams = cost(|world, _, peer| datagrams::begin(world.udp, peer));
    drop(profiler);
    let datagrams = ("datagrams, half a handshake".to_owned(), datagrams);
    let costs: Vec<_> = costs.into_iter().chain([datagrams]).collect();
    for (kind, bytes) in &costs {
        println!("{bytes:6} bytes: {kind}");
    }
    for (kind, bytes) in &costs {
        assert!(*bytes <= MAX_BYTES, "{bytes} bytes: {kind}");
    }
}
