//! The operations that are measured.

use core::hint::black_box;

use moorline_core::connection::Connection;
use moorline_core::crypto::provider::{Active, Provider};
use moorline_core::crypto::{
    AeadKey, EphemeralKey, Hash, Mac, PublicKey, Secret, Share, SigningKey, Suite,
};
use moorline_core::session::Session;

use super::link;
use super::meter::Meter;

/// One operation.
pub(crate) struct Bench {
    /// Its name in `qemu/budget.toml`.
    pub(crate) name: &'static str,
    /// Whose arithmetic it runs on.
    pub(crate) provider: &'static str,
    /// Prepares it, and runs it under the meter.
    pub(crate) run: fn(&mut Meter<'_>),
}

/// How many bytes of RAM a value takes for as long as it is kept.
pub(crate) struct Size {
    /// Its name in `qemu/budget.toml`.
    pub(crate) name: &'static str,
    /// Whose arithmetic it belongs to.
    pub(crate) provider: &'static str,
    /// The bytes.
    pub(crate) bytes: usize,
}

/// The values that a device keeps, in the order of the report.
pub(crate) static SIZES: &[Size] = &[
    size("state.aead-key", size_of::<AeadKey>()),
    size("state.p256.signing-key", size_of::<SigningKey>()),
    size("state.p256.public-key", size_of::<PublicKey>()),
    size("state.x25519.key", size_of::<EphemeralKey>()),
    size("state.connection", size_of::<Connection<'static>>()),
    size("state.session", size_of::<Session>()),
];

/// Everything that is run, in the order of the report.
pub(crate) static OPERATIONS: &[Bench] = &[
    bench("calibration.4002", calibration),
    bench("sha256.1024", sha256_1024),
    bench("hmac-sha256.256", hmac_256),
    bench("aes256gcm.key", aes256gcm_key),
    bench("aes256gcm.seal.256", seal_256::<1>),
    bench("chacha20poly1305.seal.256", seal_256::<2>),
    bench("p256.key", p256_key),
    bench("p256.point", p256_point),
    bench("p256.sign", p256_sign),
    bench("p256.verify", p256_verify),
    bench("x25519.public", x25519_public),
    bench("x25519.shared", x25519_shared),
    bench("handshake.full", link::handshake_full),
    bench("handshake.critical", link::handshake_critical),
    bench("handshake.resumed", link::handshake_resumed),
    bench("token.verify", link::token_verify),
    bench("frame.seal.64", link::seal::<64>),
    bench("frame.seal.256", link::seal::<256>),
    bench("frame.seal.1024", link::seal::<1024>),
    bench("frame.open.64", link::open::<64>),
    bench("frame.open.256", link::open::<256>),
    bench("frame.open.1024", link::open::<1024>),
    bench("self_test", self_test),
];

const fn bench(name: &'static str, run: fn(&mut Meter<'_>)) -> Bench {
    Bench {
        name,
        provider: Active::NAME,
        run,
    }
}

const fn size(name: &'static str, bytes: usize) -> Size {
    Size {
        name,
        provider: Active::NAME,
        bytes,
    }
}

/// A loop of two instructions, 2001 times: says whether the meter counts what it claims to count.
fn calibration(meter: &mut Meter<'_>) {
    meter.measure(|| cortex_m::asm::delay(2000));
}

fn sha256_1024(meter: &mut Meter<'_>) {
    let message = black_box([0x5A; 1024]);
    black_box(meter.measure(|| Hash::of(&[&message])));
}

fn hmac_256(meter: &mut Meter<'_>) {
    let key = black_box(SECRET);
    let message = black_box([0x5A; 256]);
    let mac = meter.measure(|| Mac::of(&key, &[&message]));
    black_box(mac);
}

fn aes256gcm_key(meter: &mut Meter<'_>) {
    let (key, iv) = (secret(), black_box([7; 12]));
    black_box(meter.measure(|| AeadKey::new(Suite::Aes256Gcm, &key, Secret::new(iv))));
}

/// The suite of number `SUITE`, its key kept.
fn seal_256<const SUITE: u8>(meter: &mut Meter<'_>) {
    let suite = Suite::from_number(SUITE).expect("the number of a suite");
    let key = AeadKey::new(suite, &secret(), Secret::new(black_box([7; 12])));
    let mut buffer = black_box([0x5A; 256]);
    let tag = meter.measure(|| key.seal_in_place(1, &[1, 2, 3], &mut buffer));
    black_box(tag.expect("256 bytes are not too long"));
}

fn p256_key(meter: &mut Meter<'_>) {
    let scalar = secret();
    let key = meter.measure(|| SigningKey::from_scalar(&scalar));
    black_box(key.expect("the bytes are a scalar of the curve"));
}

fn p256_point(meter: &mut Meter<'_>) {
    let point = black_box(signing_key().public_key().to_bytes());
    let key = meter.measure(|| PublicKey::from_bytes(&point));
    black_box(key.expect("the bytes are a point of the curve"));
}

fn p256_sign(meter: &mut Meter<'_>) {
    let (key, digest) = (signing_key(), black_box(Hash::of(&[b"a message"])));
    black_box(meter.measure(|| key.sign(&digest, &SECRET)));
}

fn p256_verify(meter: &mut Meter<'_>) {
    let (key, digest) = (signing_key(), black_box(Hash::of(&[b"a message"])));
    let signature = key.sign(&digest, &SECRET);
    let verified = meter.measure(|| key.public_key().verify(&digest, &signature));
    verified.expect("the signature is good");
}

fn x25519_public(meter: &mut Meter<'_>) {
    let scalar = secret();
    black_box(meter.measure(|| EphemeralKey::from_scalar(&scalar)));
}

fn x25519_shared(meter: &mut Meter<'_>) {
    let key = EphemeralKey::from_scalar(&secret());
    let peer: Share = EphemeralKey::from_scalar(&Secret::new(black_box([0x33; 32]))).share();
    let shared = meter.measure(|| key.agree(&peer));
    black_box(shared.expect("the peer's share is not of small order"));
}

fn self_test(meter: &mut Meter<'_>) {
    let passed = meter.measure(moorline_core::crypto::self_test);
    passed.expect("every primitive is right");
}

fn signing_key() -> SigningKey {
    SigningKey::from_scalar(&secret()).expect("the bytes are a scalar of the curve")
}

fn secret() -> Secret<32> {
    Secret::new(black_box(SECRET))
}

/// Any bytes do: none of the operations takes another path for other bytes.
const SECRET: [u8; 32] = [0x42; 32];
