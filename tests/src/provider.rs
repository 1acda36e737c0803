//! The active provider beside the default one: what one makes the other takes, and both give the same bytes.
//!
//! A build without a feature holds the default provider to itself, one with a feature holds the two to each other.

use moorline_core::crypto::provider::{
    Active, Agreeing, Authenticating, Hashing, Provider, RustCrypto, Sealing, Signing, Verifying,
};
use moorline_core::crypto::{Hash, Secret, Signature, Suite};

use crate::hex::hex;
use crate::primitives::RFC_6979_KEY;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "providers sign alike, with the lower s, and verify each other's signatures",
        clause: "RFC 6979 §3.2",
        run: || {
            signatures::<RustCrypto, Active>()?;
            signatures::<Active, RustCrypto>()
        },
    },
    Case {
        name: "providers derive the same public key, and give back the private one",
        clause: "FIPS 186-5 §A.2",
        run: keys::<RustCrypto, Active>,
    },
    Case {
        name: "every provider refuses a private key of zero, of the order or over it",
        clause: "FIPS 186-5 §A.2",
        run: || {
            scalars_out_of_range::<RustCrypto>()?;
            scalars_out_of_range::<Active>()
        },
    },
    Case {
        name: "every provider refuses points off the curve, coordinates over the prime, and infinity",
        clause: "SEC 1 §2.3.4",
        run: || {
            points::<RustCrypto>()?;
            points::<Active>()
        },
    },
    Case {
        name: "every provider refuses a signature whose r or s is zero, the order or over it",
        clause: "FIPS 186-5 §6.4.2",
        run: || {
            signatures_out_of_range::<RustCrypto>()?;
            signatures_out_of_range::<Active>()
        },
    },
    Case {
        name: "providers make the same shares and agree with each other",
        clause: "RFC 7748 §6.1",
        run: agreements::<RustCrypto, Active>,
    },
    Case {
        name: "every provider refuses a share of small order",
        clause: "RFC 7748 §6.1",
        run: || {
            small_orders::<RustCrypto>()?;
            small_orders::<Active>()
        },
    },
    Case {
        name: "providers seal alike in both suites and open what the other sealed",
        clause: "PROTOCOL.md §2.2",
        run: || {
            seals::<RustCrypto, Active>()?;
            seals::<Active, RustCrypto>()
        },
    },
    Case {
        name: "providers hash and authenticate alike, however the message is cut",
        clause: "RFC 2104 §2",
        run: hashes::<RustCrypto, Active>,
    },
];

/// The order of P-256.
const ORDER: [u8; 32] = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

/// The prime of P-256.
const PRIME: [u8; 32] = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");

/// Half of the order, rounded down: the largest lower s.
const HALF_ORDER: [u8; 32] =
    hex("7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8");

/// What a case takes apart; a provider that does not give it fails the case.
const NOTHING: Failure = Failure {
    condition: "the provider gives it",
    file: file!(),
    line: line!(),
    step: 0,
};

fn signatures<A: Provider, B: Provider>() -> Result<(), Failure> {
    for step in 0..4 {
        let seed = Hash::of(&[b"key", &[step]]);
        let scalar = Secret::new(seed.0);
        let (one, of_one) = A::SigningKey::from_scalar(&scalar).ok_or(NOTHING)?;
        let (other, of_other) = B::SigningKey::from_scalar(&scalar).ok_or(NOTHING)?;
        let digest = Hash::of(&[b"message", &[step]]);
        let step = usize::from(step);
        for hedge in [&[][..], &[7; 32], &seed.0] {
            let signature = one.sign(&digest, hedge);
            ensure!(signature == other.sign(&digest, hedge), step);
            ensure!(signature.0[32..] <= HALF_ORDER[..], step);
            ensure!(of_one.verifies(&digest, &signature), step);
            ensure!(of_other.verifies(&digest, &signature), step);
            for bit in [0, 255, 256, 511] {
                let mut wrong = signature;
                wrong.0[bit / 8] ^= 1 << (bit % 8);
                ensure!(!of_other.verifies(&digest, &wrong), step);
            }
            ensure!(!of_other.verifies(&seed, &signature), step);
        }
    }
    Ok(())
}

fn keys<A: Provider, B: Provider>() -> Result<(), Failure> {
    let mut last = ORDER;
    last[31] -= 1;
    let mut two = [0; 32];
    two[31] = 2;
    for (step, scalar) in [[0x42; 32], last, two].into_iter().enumerate() {
        let scalar = Secret::new(scalar);
        let (one, of_one) = A::SigningKey::from_scalar(&scalar).ok_or(NOTHING)?;
        let (other, of_other) = B::SigningKey::from_scalar(&scalar).ok_or(NOTHING)?;
        ensure!(of_one.to_point() == of_other.to_point(), step);
        ensure!(one.to_scalar().same_as(&scalar), step);
        ensure!(other.to_scalar().same_as(&scalar), step);
        let read = B::PublicKey::from_point(&of_one.to_point());
        ensure!(read == Some(of_other), step);
    }
    Ok(())
}

fn scalars_out_of_range<P: Provider>() -> Result<(), Failure> {
    let mut over = ORDER;
    over[31] += 1;
    for (step, scalar) in [[0; 32], ORDER, over, [0xff; 32]].into_iter().enumerate() {
        let key = P::SigningKey::from_scalar(&Secret::new(scalar));
        ensure!(key.is_none(), step);
    }
    Ok(())
}

fn points<P: Provider>() -> Result<(), Failure> {
    let refuses = |x: [u8; 32], y: [u8; 32]| {
        let mut point = [4; 65];
        point[1..33].copy_from_slice(&x);
        point[33..].copy_from_slice(&y);
        P::PublicKey::from_point(&point).is_none()
    };
    // y² = b has a root: (0, y) is on the curve, and so is (p, y) to whoever does not compare with the prime.
    let root = hex("66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4");
    ensure!(!refuses([0; 32], root));
    ensure!(refuses(PRIME, root));
    ensure!(refuses([0; 32], [0; 32]));
    ensure!(refuses([0xff; 32], root));
    ensure!(refuses([0; 32], PRIME));
    ensure!(P::PublicKey::from_point(&RFC_6979_KEY).is_some());
    for at in 1..65 {
        let mut point = RFC_6979_KEY;
        point[at] ^= 1;
        ensure!(P::PublicKey::from_point(&point).is_none(), at);
    }
    Ok(())
}

fn signatures_out_of_range<P: Provider>() -> Result<(), Failure> {
    let key = P::PublicKey::from_point(&RFC_6979_KEY).ok_or(NOTHING)?;
    let good = hex::<64>(
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367\
         019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
    );
    let digest = Hash::of(&[b"test"]);
    ensure!(key.verifies(&digest, &Signature(good)));
    for (step, half) in [[0; 32], ORDER, [0xff; 32]].into_iter().enumerate() {
        let (mut wrong_r, mut wrong_s) = (good, good);
        wrong_r[..32].copy_from_slice(&half);
        wrong_s[32..].copy_from_slice(&half);
        ensure!(!key.verifies(&digest, &Signature(wrong_r)), step);
        ensure!(!key.verifies(&digest, &Signature(wrong_s)), step);
    }
    ensure!(!key.verifies(&digest, &Signature([0; 64])));
    Ok(())
}

fn agreements<A: Provider, B: Provider>() -> Result<(), Failure> {
    for step in 0..4 {
        let [one, other] = [b"one", b"two"].map(|end: &[u8; 3]| Hash::of(&[end, &[step]]).0);
        let step = usize::from(step);
        let (one, other) = (Secret::new(one), Secret::new(other));
        let (key, share) = A::AgreementKey::from_scalar(&one);
        let (peer, peer_share) = B::AgreementKey::from_scalar(&other);
        ensure!(B::AgreementKey::from_scalar(&one).1 == share, step);
        ensure!(A::AgreementKey::from_scalar(&other).1 == peer_share, step);
        let shared = key.agree(&peer_share).ok_or(NOTHING)?;
        let of_peer = peer.agree(&share).ok_or(NOTHING)?;
        ensure!(shared.same_as(&of_peer), step);
        // One key agrees twice: the handshake needs it.
        let again = key.agree(&peer_share).ok_or(NOTHING)?;
        ensure!(shared.same_as(&again), step);
    }
    Ok(())
}

fn small_orders<P: Provider>() -> Result<(), Failure> {
    let (key, _) = P::AgreementKey::from_scalar(&Secret::new([0x42; 32]));
    for (step, share) in crate::primitives::SMALL_ORDERS.iter().enumerate() {
        ensure!(key.agree(share).is_none(), step);
        // The top bit does not count (RFC 7748 §5).
        let mut same = *share;
        same[31] ^= 0x80;
        ensure!(key.agree(&same).is_none(), step);
    }
    Ok(())
}

fn seals<A: Provider, B: Provider>() -> Result<(), Failure> {
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        let secret = Secret::new([0x5A; 32]);
        let (sealer, opener) = (
            A::AeadKey::new(suite, &secret),
            B::AeadKey::new(suite, &secret),
        );
        for len in (0..=130).chain([255, 256, 257]) {
            let plaintext: [u8; 257] = core::array::from_fn(|at| at.to_le_bytes()[0]);
            let (nonce, aad) = ([9; 12], &plaintext[..len % 21]);
            let mut buffer = plaintext;
            let buffer = &mut buffer[..len];
            let tag = sealer.seal(nonce, aad, buffer).ok_or(NOTHING)?;
            let mut same = plaintext;
            ensure!(opener.seal(nonce, aad, &mut same[..len]) == Some(tag), len);
            ensure!(same[..len] == *buffer, len);
            let mut wrong = tag;
            wrong[len % 16] ^= 1;
            ensure!(!opener.open(nonce, aad, &mut same[..len], &wrong), len);
            ensure!(len < 16 || same[..len] != plaintext[..len], len);
            ensure!(opener.open(nonce, aad, buffer, &tag), len);
            ensure!(*buffer == plaintext[..len], len);
        }
    }
    Ok(())
}

fn hashes<A: Provider, B: Provider>() -> Result<(), Failure> {
    let message = [0x5A; 200];
    for len in 0..message.len() {
        let (head, tail) = message.split_at(len);
        let (mut one, mut other) = (A::Hasher::new(), B::Hasher::new());
        one.update(head);
        one.update(tail);
        other.update(&message);
        ensure!(one.finish() == other.finish(), len);
        let (mut one, mut other) = (A::Mac::new(head), B::Mac::new(head));
        one.update(head);
        one.update(tail);
        other.update(&message);
        ensure!(one.finish().same_as(&other.finish()), len);
    }
    Ok(())
}
