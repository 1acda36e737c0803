//! Prints what each primitive costs on this machine under each provider that is compiled, in microseconds:
//!
//! ```sh
//! cargo run --release --package moorline-conformance --features host --example providers
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use moorline_core::crypto::provider::{
    Active, Agreeing, Authenticating, Hashing, Provider, RustCrypto, Sealing, Signing, Verifying,
};
use moorline_core::crypto::{Hash, Secret, Suite};

fn main() {
    let default = figures::<RustCrypto>();
    let active = figures::<Active>();
    println!(
        "{:<28} {:>10} {:>10} {:>6}",
        "operation",
        RustCrypto::NAME,
        Active::NAME,
        "ratio"
    );
    for ((name, default), (_, active)) in default.iter().zip(&active) {
        println!(
            "{name:<28} {default:>10.2} {active:>10.2} {:>6.1}",
            default / active
        );
    }
}

fn figures<P: Provider>() -> [(&'static str, f64); 9] {
    let scalar = Secret::new([0x42; 32]);
    let digest = Hash::of(&[b"message"]);
    let (key, public) = P::SigningKey::from_scalar(&scalar).expect("a scalar in range");
    let signature = key.sign(&digest, &[7; 32]);
    let point = public.to_point();
    let (_, share) = P::AgreementKey::from_scalar(&Secret::new([0x33; 32]));
    let seal_and_open = |suite| {
        let key = P::AeadKey::new(suite, &scalar);
        micros(|| {
            let mut buffer = black_box([0x5A; 256]);
            let tag = key.seal([9; 12], b"header", &mut buffer);
            key.open([9; 12], b"header", &mut buffer, &tag.expect("it is short"))
        })
    };
    [
        (
            "P-256 key from scalar",
            micros(|| P::SigningKey::from_scalar(&scalar).is_some()),
        ),
        (
            "P-256 key from point",
            micros(|| P::PublicKey::from_point(&point).is_some()),
        ),
        ("ECDSA sign", micros(|| key.sign(&digest, &[7; 32]))),
        (
            "ECDSA verify",
            micros(|| public.verifies(&digest, &signature)),
        ),
        (
            "X25519 key and agree",
            micros(|| {
                P::AgreementKey::from_scalar(&scalar)
                    .0
                    .agree(&share)
                    .is_some()
            }),
        ),
        (
            "AES-256-GCM both ways, 256 B",
            seal_and_open(Suite::Aes256Gcm),
        ),
        (
            "ChaCha20 both ways, 256 B",
            seal_and_open(Suite::ChaCha20Poly1305),
        ),
        (
            "SHA-256, 256 B",
            micros(|| {
                let mut hasher = P::Hasher::new();
                hasher.update(&black_box([0x5A; 256]));
                hasher.finish()
            }),
        ),
        (
            "HMAC-SHA256, 64 B",
            micros(|| {
                let mut mac = P::Mac::new(scalar.expose());
                mac.update(&black_box([0x5A; 64]));
                mac.finish()
            }),
        ),
    ]
}

/// Returns the mean of the best of several batches: whatever else the machine does only adds.
fn micros<R>(operation: impl Fn() -> R) -> f64 {
    let batch = |count: u32| {
        let start = Instant::now();
        for _ in 0..count {
            black_box(operation());
        }
        start.elapsed()
    };
    let mut count = 1;
    while batch(count) < Duration::from_millis(10) {
        count *= 2;
    }
    let best = (0..10).map(|_| batch(count)).min().unwrap_or_default();
    best.as_secs_f64() * 1e6 / f64::from(count)
}
