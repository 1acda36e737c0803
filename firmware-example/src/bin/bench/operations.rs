//! The operations that are measured.

use core::hint::black_box;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Hmac, KeyInit, Mac};
use moorline_core::connection::Connection;
use moorline_core::session::Session;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

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
    size("state.aes256gcm", size_of::<Aes256Gcm>()),
    size("state.chacha20poly1305", size_of::<ChaCha20Poly1305>()),
    size("state.p256.signing-key", size_of::<SigningKey>()),
    size("state.connection", size_of::<Connection<'static>>()),
    size("state.session", size_of::<Session>()),
];

/// Everything that is run, in the order of the report.
pub(crate) static OPERATIONS: &[Bench] = &[
    bench("calibration.4002", calibration),
    bench("sha256.1024", sha256_1024),
    bench("hmac-sha256.256", hmac_256),
    bench("aes256gcm.key", aes256gcm_key),
    bench("aes256gcm.seal.256", aes256gcm_seal_256),
    bench("chacha20poly1305.seal.256", chacha20poly1305_seal_256),
    bench("p256.key", p256_key),
    bench("p256.sign", p256_sign),
    bench("p256.verify", p256_verify),
    bench("x25519.public", x25519_public),
    bench("x25519.shared", x25519_shared),
    bench("handshake.full", link::handshake_full),
    bench("handshake.critical", link::handshake_critical),
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
        provider: "default",
        run,
    }
}

const fn size(name: &'static str, bytes: usize) -> Size {
    Size {
        name,
        provider: "default",
        bytes,
    }
}

/// A loop of two instructions, 2001 times: says whether the meter counts what it claims to count.
fn calibration(meter: &mut Meter<'_>) {
    meter.measure(|| cortex_m::asm::delay(2000));
}

fn sha256_1024(meter: &mut Meter<'_>) {
    let message = black_box([0x5A; 1024]);
    black_box(meter.measure(|| Sha256::digest(message)));
}

fn hmac_256(meter: &mut Meter<'_>) {
    let key = black_box(SECRET);
    let message = black_box([0x5A; 256]);
    let tag = meter.measure(|| {
        <Hmac<Sha256> as KeyInit>::new_from_slice(&key)
            .map(|mac| mac.chain_update(message).finalize().into_bytes())
    });
    black_box(tag.expect("HMAC takes a key of any length"));
}

fn aes256gcm_key(meter: &mut Meter<'_>) {
    let key = black_box(SECRET);
    black_box(meter.measure(|| Aes256Gcm::new(&key.into())));
}

fn aes256gcm_seal_256(meter: &mut Meter<'_>) {
    let cipher = Aes256Gcm::new(&black_box(SECRET).into());
    let nonce = black_box([7; 12]).into();
    let mut buffer = black_box([0x5A; 256]);
    let tag = meter.measure(|| {
        cipher.encrypt_inout_detached(&nonce, &[1, 2, 3], buffer.as_mut_slice().into())
    });
    black_box(tag.expect("256 bytes are not too long"));
}

fn chacha20poly1305_seal_256(meter: &mut Meter<'_>) {
    let cipher = ChaCha20Poly1305::new(&black_box(SECRET).into());
    let nonce = black_box([7; 12]).into();
    let mut buffer = black_box([0x5A; 256]);
    let tag = meter.measure(|| {
        cipher.encrypt_inout_detached(&nonce, &[1, 2, 3], buffer.as_mut_slice().into())
    });
    black_box(tag.expect("256 bytes are not too long"));
}

fn p256_key(meter: &mut Meter<'_>) {
    let secret = black_box(SECRET);
    black_box(meter.measure(|| SigningKey::from_slice(&secret)).is_ok());
}

fn p256_sign(meter: &mut Meter<'_>) {
    let key = signing_key();
    let signature: Signature = meter.measure(|| key.sign(black_box(b"a message")));
    black_box(signature);
}

fn p256_verify(meter: &mut Meter<'_>) {
    let key = signing_key();
    let signature: Signature = key.sign(b"a message");
    let verifier = VerifyingKey::from(&key);
    let verified = meter.measure(|| verifier.verify(black_box(b"a message"), &signature));
    verified.expect("the signature is good");
}

fn x25519_public(meter: &mut Meter<'_>) {
    let secret = StaticSecret::from(black_box(SECRET));
    black_box(meter.measure(|| PublicKey::from(&secret)));
}

fn x25519_shared(meter: &mut Meter<'_>) {
    let secret = StaticSecret::from(black_box(SECRET));
    let public = PublicKey::from(&StaticSecret::from(black_box([0x33; 32])));
    black_box(meter.measure(|| secret.diffie_hellman(&public).to_bytes()));
}

fn self_test(meter: &mut Meter<'_>) {
    let passed = meter.measure(moorline_core::crypto::self_test);
    passed.expect("every primitive is right");
}

fn signing_key() -> SigningKey {
    SigningKey::from_slice(&black_box(SECRET)).expect("the bytes are a scalar of the curve")
}

/// Any bytes do: none of the operations takes another path for other bytes.
const SECRET: [u8; 32] = [0x42; 32];
