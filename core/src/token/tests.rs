//! What the conformance cases leave out: long inputs and many mutations, for which a host has the memory and time.

extern crate std;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::crypto::{PublicKey, Secret, SigningKey};
use crate::time::UnixMillis;

const NOW: u64 = 1_800_000_000;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_scalar(&Secret::new([byte; 32])).unwrap()
}

fn new_claims(holder: PublicKey) -> NewClaims<'static> {
    NewClaims {
        kind: TokenKind::Access,
        kid: "k1",
        issuer: "https://issuer.example",
        audience: &["hub.example", "harbour"],
        subject: "crane-7",
        key: holder,
        role: Role::Commander,
        permissions: &["agent.*", "chat.send"],
        agents: AgentScope::of_group("harbour").unwrap(),
        generation: 3,
        issued_at: NOW,
        not_before: Some(NOW),
        expires_at: NOW + 3600,
        jti: [7; 16],
    }
}

fn anchors(issuer: &SigningKey) -> TrustAnchors {
    let mut anchors = TrustAnchors::new();
    let anchor = TrustAnchor::new("https://issuer.example", "k1", *issuer.public_key()).unwrap();
    anchors.insert(anchor).unwrap();
    anchors
}

#[test]
fn a_compact_token_of_a_mebibyte_is_refused_by_its_length() {
    let long = vec![b'A'; 1 << 20];
    let mut out = [0; MAX_UNPACKED_LEN];
    assert_eq!(
        UnpackedToken::from_compact(&long, &mut out),
        Err(TokenReason::CompactTooLong)
    );
}

#[test]
fn every_single_byte_change_of_a_signed_part_is_refused_before_or_at_the_signature() {
    let (issuer, holder) = (key(1), key(2));
    let mut out = [0; MAX_UNPACKED_LEN];
    let token = mint(&new_claims(*holder.public_key()), &issuer, &[], &mut out).unwrap();
    let anchors = anchors(&issuer);
    let policy = Policy::link("hub.example", UnixMillis::from_secs(NOW));
    let signed_len = token.as_bytes().len() - 64;
    let mut bytes = Vec::from(token.as_bytes());
    let mut at_signature = 0;
    for at in 0..signed_len {
        for value in [
            0, b'"', b'\\', b'{', b'}', b'0', b'A', b'a', b',', 0x80, 0xff,
        ] {
            let before = bytes[at];
            if value == before {
                continue;
            }
            bytes[at] = value;
            if let Ok(token) = UnpackedToken::parse_exact(&bytes)
                && let Ok(candidate) = Candidate::check(&token, &anchors, &policy)
            {
                at_signature += 1;
                assert!(
                    candidate.verify_signature().is_err(),
                    "byte {at} as {value:#x}"
                );
            }
            bytes[at] = before;
        }
    }
    assert!(at_signature > 0);
}

#[test]
fn seven_agents_and_every_permission_fit_a_payload() {
    let (issuer, holder) = (key(1), key(2));
    let mut out = [0; MAX_UNPACKED_LEN];
    let mut new = new_claims(*holder.public_key());
    new.issuer = "issuer.example";
    new.audience = &["hub.example"];
    new.permissions = &["*"];
    new.not_before = None;
    let ids: [_; 7] = core::array::from_fn(|at| AgentId([u8::try_from(at).unwrap(); 16]));
    new.agents = AgentScope::of_agents(&ids).unwrap();
    let token = mint(&new, &issuer, &[], &mut out).unwrap();
    assert!(token.payload().len() <= MAX_PAYLOAD_LEN);
    new.subject = "a.subject.of.the.longest.kind.32";
    new.issuer = "https://an.issuer.with.a.long.name.example";
    assert_eq!(
        mint(&new, &issuer, &[], &mut out),
        Err(MintError::Refused(TokenReason::PayloadTooLong))
    );
}

#[test]
fn a_short_buffer_is_told_how_many_bytes_do() {
    let (issuer, holder) = (key(1), key(2));
    let mut out = [0; MAX_UNPACKED_LEN];
    let new = new_claims(*holder.public_key());
    let needed = mint(&new, &issuer, &[], &mut out).unwrap().as_bytes().len();
    let mut short = vec![0; needed - 1];
    let error = MintError::TooSmall(crate::wire::TooSmall { needed });
    assert_eq!(mint(&new, &issuer, &[], &mut short), Err(error));
    short.push(0);
    assert!(mint(&new, &issuer, &[], &mut short).is_ok());
}
