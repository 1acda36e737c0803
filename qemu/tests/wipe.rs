//! What the RAM of a device holds of a link's secrets: while it stands, after a key update and after the close.

use std::io::Write;
use std::net::TcpListener;
use std::ops::Range;

use moorline_conformance::fixture::World;
use moorline_conformance::reference::{Block, frame_keys};
use moorline_conformance::vectors::Run;
use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::monitor::{Monitor, RAM_ADDRESS};
use moorline_qemu::{Error, Qemu};

#[test]
fn no_secret_of_a_link_outlives_it_in_ram() -> Result<(), Error> {
    let run = Run::new(&World::new().expect("the fixture is sound")).expect("the example");
    let secrets = Secrets::of(&run);
    let looks = play(&run)?;
    let names: Vec<_> = looks.iter().map(|look| look.stands.as_str()).collect();
    assert_eq!(names, STANDS);
    for look in &looks {
        println!("{}: connections at {:x?}", look.stands, look.connections);
        for (name, places) in secrets.found_in(&look.image) {
            println!("{}: {name} at {places:x?}", look.stands);
        }
    }
    let [open, updated, closed, _, wiped] = looks.as_slice() else {
        unreachable!("they are five");
    };
    // The search finds what is there, in the connections and out of them.
    assert_ne!(secrets.within(Kind::Epoch0, open), [""; 0]);
    assert_ne!(secrets.within(Kind::Epoch1, updated), [""; 0]);
    // A connection has wiped what it needs no longer.
    for (look, kinds) in [
        (open, &[Kind::Handshake][..]),
        (updated, &[Kind::Handshake, Kind::Epoch0]),
        (closed, &[Kind::Handshake, Kind::Epoch0, Kind::Epoch1]),
    ] {
        for kind in kinds {
            let left = secrets.within(*kind, look);
            assert_eq!(
                left, [""; 0],
                "{kind:?} in a connection that is {}",
                look.stands
            );
        }
    }
    // What moves have left lies on the free stack alone, and is gone when that is wiped.
    assert_eq!(secrets.found_in(&wiped.image), []);
    Ok(())
}

/// When a secret is to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Once the link is open.
    Handshake,
    /// After the key update.
    Epoch0,
    /// After the close.
    Epoch1,
}

/// The secrets of a run, by name.
struct Secrets(Vec<(String, Kind, Block)>);

impl Secrets {
    fn of(run: &Run) -> Self {
        let mut secrets = Vec::new();
        let mut add =
            |name: &str, kind, secret: Block| secrets.push((name.to_owned(), kind, secret));
        for (name, scalar) in &run.scalars {
            if name.ends_with("ephemeral_scalar") {
                add(name, Kind::Handshake, *scalar);
                add(
                    &format!("{name}, clamped"),
                    Kind::Handshake,
                    clamped(scalar),
                );
            }
        }
        add("shared secret", Kind::Handshake, run.agreed.dh);
        add("handshake secret", Kind::Handshake, run.agreed.hs);
        add("key of M2", Kind::Handshake, run.answered.responder.key);
        add("key of M3", Kind::Handshake, run.answered.initiator.key);
        add("master secret", Kind::Handshake, run.proved.master);
        add("key of M4", Kind::Handshake, run.proved.m4_keys().key);
        // Lasts as long as the link.
        add("exporter secret", Kind::Epoch1, run.proved.secret("exp"));
        for (index, name) in ["initiator's", "responder's", "resumption"]
            .iter()
            .enumerate()
        {
            add(
                &format!("epoch 0, {name} secret"),
                Kind::Epoch0,
                run.epoch_0[index],
            );
            add(
                &format!("epoch 1, {name} secret"),
                Kind::Epoch1,
                run.epoch_1[index],
            );
        }
        for (index, name) in ["initiator's", "responder's"].iter().enumerate() {
            let key = |secret: &Block| frame_keys(secret).key;
            add(
                &format!("epoch 0, {name} frame key"),
                Kind::Epoch0,
                key(&run.epoch_0[index]),
            );
            add(
                &format!("epoch 1, {name} frame key"),
                Kind::Epoch1,
                key(&run.epoch_1[index]),
            );
            add(
                &format!("{name} fresh scalar"),
                Kind::Epoch0,
                run.fresh[index],
            );
            add(
                &format!("{name} fresh scalar, clamped"),
                Kind::Epoch0,
                clamped(&run.fresh[index]),
            );
        }
        Self(secrets)
    }

    /// Returns the name of each secret of `kind` that is in the connections of `look`.
    fn within(&self, kind: Kind, look: &Look) -> Vec<&str> {
        let of_kind = |name: &str| {
            self.0
                .iter()
                .any(|secret| secret.0 == name && secret.1 == kind)
        };
        let found = self.found_in(&look.image).into_iter();
        let within = found.filter(|(name, places)| {
            of_kind(name) && places.iter().any(|place| look.connections.contains(place))
        });
        within.map(|(name, _)| name).collect()
    }

    /// Returns each secret that is in `image`, with the addresses at which it is.
    fn found_in(&self, image: &[u8]) -> Vec<(&str, Vec<u64>)> {
        let found = |secret: &Block| -> Vec<u64> {
            let windows = (RAM_ADDRESS..).zip(image.windows(secret.len()));
            let same = windows.filter(|(_, window)| window == secret);
            same.map(|(address, _)| address).collect()
        };
        let places = self
            .0
            .iter()
            .map(|(name, _, secret)| (name.as_str(), found(secret)));
        places.filter(|(_, places)| !places.is_empty()).collect()
    }
}

/// The RAM at one moment.
struct Look {
    stands: String,
    /// The addresses of both connections; none when they are gone.
    connections: Range<u64>,
    image: Vec<u8>,
}

/// Runs the image and takes the RAM at each of its stops.
fn play(run: &Run) -> Result<Vec<Look>, Error> {
    let scalar = |name: &str| {
        let found = run.scalars.iter().find(|(other, _)| *other == name);
        found.map_or([0; 32], |(_, scalar)| *scalar)
    };
    let drawn = [
        scalar("initiator_ephemeral_scalar"),
        run.hedges[1],
        run.fresh[0],
        scalar("responder_ephemeral_scalar"),
        run.hedges[0],
        run.fresh[1],
    ]
    .concat();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("monitor");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let mut running = Qemu::new(build_image("wipe", Profile::Device)?)
        .provision(drawn)
        .serial(address.to_string())
        .monitor(&socket)
        .spawn()?;
    let (mut line, _) = listener.accept().expect("the device connects");
    let mut monitor = Monitor::connect(&socket)?;
    let mut looks = Vec::new();
    for _ in STANDS {
        let said = running.wait_for("look ")?;
        let mut words = said.message.split(' ').skip(1);
        let stands = words.next().unwrap_or_default().to_owned();
        let mut address = || words.next().and_then(|word| word.parse().ok());
        let connections = address().unwrap_or(0)..address().unwrap_or(0);
        let image = monitor.ram_image()?;
        looks.push(Look {
            stands,
            connections,
            image,
        });
        line.write_all(&[1]).expect("a byte goes out");
    }
    running.wait()?.check()?;
    Ok(looks)
}

/// Returns the scalar as X25519 uses it (RFC 7748 §5).
fn clamped(scalar: &Block) -> Block {
    let mut clamped = *scalar;
    clamped[0] &= 248;
    clamped[31] = clamped[31] & 127 | 64;
    clamped
}

/// Where the image stops, in order.
const STANDS: [&str; 5] = ["open", "updated", "closed", "dropped", "wiped"];
