//! The code of a message outside a session: PROTOCOL.md §13.

use moorline_core::crypto::{Mac, Secret};
use moorline_core::message_mac::{NonceCache, Stamp, message_mac};
use moorline_core::reason::Reason;
use moorline_core::time::{Now, TimeQuality, UnixMillis};

use crate::fixture::{FixedEntropy, NOW, at, secret};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case("the code is that of the layout, byte for byte", layout),
    case(
        "a message is taken once, within a minute of its time either way",
        once,
    ),
    case(
        "a changed message, context, time, nonce, key or code is refused",
        changed,
    ),
    case("a context that ends elsewhere gives another code", framed),
    case(
        "a full cache refuses and forgets nothing that could come again",
        full,
    ),
    case("without the time no message is taken", without_time),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "PROTOCOL.md §13",
        run,
    }
}

const CONTEXT: &[u8] = b"POST /messages";
const MESSAGE: &[u8] = b"{\"to\":\"bob\"}";

fn stamp(name: &'static str, time: u64) -> Stamp {
    let made = Stamp::new(UnixMillis(time), &mut FixedEntropy::new(name));
    made.unwrap_or(Stamp {
        time: UnixMillis(0),
        nonce: [0; 16],
    })
}

fn code(key: &Secret<32>, stamp: &Stamp) -> [u8; 32] {
    message_mac(key, stamp, CONTEXT, MESSAGE).map_or([0; 32], |mac| *mac.as_bytes())
}

fn layout() -> Result<(), Failure> {
    let key = secret("message key");
    let stamp = stamp("nonce", NOW.0);
    let mut bytes = [0u8; 8 + 8 + 16 + 2 + 14 + 4 + 12];
    bytes[..8].copy_from_slice(b"ML1 mac\0");
    bytes[8..16].copy_from_slice(&NOW.0.to_be_bytes());
    bytes[16..32].copy_from_slice(&stamp.nonce);
    bytes[32..34].copy_from_slice(&[0, 14]);
    bytes[34..48].copy_from_slice(CONTEXT);
    bytes[48..52].copy_from_slice(&[0, 0, 0, 12]);
    bytes[52..].copy_from_slice(MESSAGE);
    ensure!(code(&key, &stamp) == *Mac::of(key.expose(), &[&bytes]).as_bytes());
    Ok(())
}

fn once() -> Result<(), Failure> {
    let key = secret("message key");
    let mut cache = NonceCache::<8>::new();
    let offsets: [(i64, bool); 6] = [
        (0, true),
        (60_000, true),
        (60_001, false),
        (-60_000, true),
        (-60_001, false),
        (-1, true),
    ];
    for (step, (offset, good)) in offsets.into_iter().enumerate() {
        let names = ["0", "1", "2", "3", "4", "5"];
        let stamp = stamp(names[step], NOW.0.saturating_add_signed(offset));
        let mac = code(&key, &stamp);
        let first = cache.verify(&key, &stamp, CONTEXT, MESSAGE, &mac, &at(0));
        ensure!(
            first == if good { Ok(()) } else { Err(Reason::Stale) },
            step
        );
        let again = cache.verify(&key, &stamp, CONTEXT, MESSAGE, &mac, &at(0));
        let reason = if good {
            Reason::Replayed
        } else {
            Reason::Stale
        };
        ensure!(again == Err(reason), step);
    }
    // Until its own time is over it stays remembered.
    let early = stamp("1", NOW.0 + 60_000);
    let mac = code(&key, &early);
    let verdict = cache.verify(&key, &early, CONTEXT, MESSAGE, &mac, &at(120_000));
    ensure!(verdict == Err(Reason::Replayed));
    let verdict = cache.verify(&key, &early, CONTEXT, MESSAGE, &mac, &at(120_001));
    ensure!(verdict == Err(Reason::Stale));
    Ok(())
}

fn changed() -> Result<(), Failure> {
    let key = secret("message key");
    let good = stamp("nonce", NOW.0);
    let mac = code(&key, &good);
    let mut cache = NonceCache::<2>::new();
    let other_time = Stamp {
        time: UnixMillis(NOW.0 + 1),
        ..good
    };
    let other_nonce = Stamp {
        nonce: [7; 16],
        ..good
    };
    let other_key = secret("another key");
    let mut other_mac = mac;
    other_mac[31] ^= 1;
    let mut verify = |key: &Secret<32>, stamp: &Stamp, context: &[u8], message: &[u8], mac| {
        cache.verify(key, stamp, context, message, mac, &at(0))
    };
    let verdicts = [
        verify(&key, &other_time, CONTEXT, MESSAGE, &mac),
        verify(&key, &other_nonce, CONTEXT, MESSAGE, &mac),
        verify(&key, &good, b"GET /messages", MESSAGE, &mac),
        verify(&key, &good, CONTEXT, b"{}", &mac),
        verify(&other_key, &good, CONTEXT, MESSAGE, &mac),
        verify(&key, &good, CONTEXT, MESSAGE, &other_mac),
    ];
    for (step, verdict) in verdicts.into_iter().enumerate() {
        ensure!(verdict == Err(Reason::MessageMac), step);
    }
    // None of them took a place.
    ensure!(
        cache
            .verify(&key, &good, CONTEXT, MESSAGE, &mac, &at(0))
            .is_ok()
    );
    Ok(())
}

fn framed() -> Result<(), Failure> {
    let key = secret("message key");
    let stamp = stamp("nonce", NOW.0);
    let one = message_mac(&key, &stamp, b"ab", b"c").map(|mac| *mac.as_bytes());
    let two = message_mac(&key, &stamp, b"a", b"bc").map(|mac| *mac.as_bytes());
    ensure!(one.is_ok() && two.is_ok() && one != two);
    Ok(())
}

fn full() -> Result<(), Failure> {
    let key = secret("message key");
    let mut cache = NonceCache::<2>::new();
    let take = |cache: &mut NonceCache<2>, name, time, now| {
        let stamp = stamp(name, time);
        let mac = code(&key, &stamp);
        cache.verify(&key, &stamp, CONTEXT, MESSAGE, &mac, &at(now))
    };
    ensure!(take(&mut cache, "a", NOW.0, 0) == Ok(()));
    ensure!(take(&mut cache, "b", NOW.0 + 30_000, 0) == Ok(()));
    ensure!(take(&mut cache, "c", NOW.0, 0) == Err(Reason::NotAdmitted));
    ensure!(take(&mut cache, "a", NOW.0, 0) == Err(Reason::Replayed));
    // The first one's time is over: there is room.
    ensure!(take(&mut cache, "c", NOW.0 + 60_000, 60_001) == Ok(()));
    ensure!(take(&mut cache, "b", NOW.0 + 30_000, 60_001) == Err(Reason::Replayed));
    Ok(())
}

fn without_time() -> Result<(), Failure> {
    let key = secret("message key");
    let stamp = stamp("nonce", NOW.0);
    let mac = code(&key, &stamp);
    let now = Now {
        quality: TimeQuality::Unknown,
        ..at(0)
    };
    let verdict = NonceCache::<2>::new().verify(&key, &stamp, CONTEXT, MESSAGE, &mac, &now);
    ensure!(verdict == Err(Reason::NoTime));
    Ok(())
}
