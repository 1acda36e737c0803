use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::SigningKey;
use moorline_core::time::UnixMillis;
use moorline_core::token::{
    AgentId, AgentScope, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, NewClaims, Permissions, Role,
    TokenKind, TokenReason, mint,
};

use super::{Outside, Why};
use crate::config::{Config, OutsideIssuer};
use crate::entropy::SystemEntropy;

const HUB: &str = "hub";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const BEGUN: u64 = 1_800_000_000 - 10;

fn key() -> SigningKey {
    SigningKey::generate(&mut SystemEntropy).expect("random bytes")
}

/// Returns the public half of `key` as a JSON Web Key.
pub(crate) fn jwk(kid: &str, key: &SigningKey) -> String {
    let point = key.public_key().to_bytes();
    let half = |range: std::ops::Range<usize>| Base64UrlUnpadded::encode_string(&point[range]);
    let (x, y) = (half(1..33), half(33..65));
    format!("{{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"{kid}\",\"x\":\"{x}\",\"y\":\"{y}\"}}")
}

/// Returns a set of these keys.
pub(crate) fn set(keys: &[String]) -> String {
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// What a token says that is good, with every permission of commands.
fn claims<'a>(issuer: &'a str, kid: &'a str, holder: &SigningKey) -> NewClaims<'a> {
    NewClaims {
        kind: TokenKind::Access,
        kid,
        issuer,
        audience: &[HUB],
        subject: "alice",
        key: *holder.public_key(),
        role: Role::Commander,
        permissions: &["agent.command.*"],
        agents: AgentScope::None,
        generation: 1,
        issued_at: BEGUN,
        not_before: None,
        expires_at: BEGUN + 600,
        jti: [7; 16],
    }
}

fn signed(claims: &NewClaims<'_>, signer: &SigningKey) -> String {
    let (mut unpacked, mut compact) = ([0; MAX_UNPACKED_LEN], [0; MAX_COMPACT_LEN]);
    let token = mint(claims, signer, &[1; 32], &mut unpacked).expect("a token");
    token.to_compact(&mut compact).expect("it fits").to_owned()
}

fn issuer(folder: &Path, name: &str, keys: &[(&str, &SigningKey)]) -> OutsideIssuer {
    let keys: Vec<String> = keys.iter().map(|(kid, key)| jwk(kid, key)).collect();
    let jwks = folder.join(format!("{name}.json"));
    std::fs::write(&jwks, set(&keys)).expect("a file");
    OutsideIssuer {
        name: name.into(),
        jwks,
        permissions: vec!["agent.command.read".into(), "agent.list".into()],
    }
}

fn judge(outside: &Outside, token: &str) -> Result<super::Judged, Why> {
    outside.judge(token, HUB, NOW)
}

#[test]
fn what_the_issuer_may_not_permit_is_taken_away_and_the_rest_is_its_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let (signer, holder) = (key(), key());
    let issuers = [issuer(folder.path(), "idp", &[("k1", &signer)])];
    let outside = Outside::open(&issuers).expect("keys");
    let judged = judge(&outside, &signed(&claims("idp", "k1", &holder), &signer));
    let judged = judged.expect("it is good");
    assert_eq!((&*judged.issuer, &*judged.subject), ("idp", "alice"));
    assert_eq!(judged.key, *holder.public_key());
    let read = Permissions::from_name("agent.command.read").expect("a name");
    assert_eq!(judged.permissions, read, "what both of them permit");
}

#[test]
fn no_issuer_vouches_for_another_whatever_its_keys_are_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b, holder) = (key(), key(), key());
    // Both call their key the same.
    let issuers = [
        issuer(folder.path(), "a", &[("k", &a)]),
        issuer(folder.path(), "b", &[("k", &b), ("only-b", &holder)]),
    ];
    let outside = Outside::open(&issuers).expect("keys");
    for (name, kid, signer, expected) in [
        ("a", "k", &a, Ok("a")),
        ("b", "k", &b, Ok("b")),
        ("b", "k", &a, Err(Why::Token(TokenReason::SignatureInvalid))),
        ("a", "k", &b, Err(Why::Token(TokenReason::SignatureInvalid))),
        (
            "a",
            "only-b",
            &holder,
            Err(Why::Token(TokenReason::KidUnknown)),
        ),
        ("b", "other", &b, Err(Why::Token(TokenReason::KidUnknown))),
        ("c", "k", &a, Err(Why::IssuerUnknown)),
        ("A", "k", &a, Err(Why::IssuerUnknown)),
        ("a/", "k", &a, Err(Why::IssuerUnknown)),
        (HUB, "k", &a, Err(Why::IssuerUnknown)),
    ] {
        let judged = judge(&outside, &signed(&claims(name, kid, &holder), signer));
        let judged = judged.map(|judged| judged.issuer);
        assert_eq!(
            judged.as_deref(),
            expected.as_ref().copied(),
            "{name} {kid}"
        );
    }
}

#[test]
fn a_token_for_another_hub_moment_or_role_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (signer, holder) = (key(), key());
    let issuers = [issuer(folder.path(), "idp", &[("k", &signer)])];
    let outside = Outside::open(&issuers).expect("keys");
    let good = || claims("idp", "k", &holder);
    let refused = |claims: NewClaims<'_>| match judge(&outside, &signed(&claims, &signer)) {
        Err(Why::Token(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let cases = [
        (
            NewClaims {
                audience: &["other"],
                ..good()
            },
            TokenReason::AudienceMismatch,
        ),
        (
            NewClaims {
                issued_at: BEGUN - 3_000,
                expires_at: BEGUN + 10,
                ..good()
            },
            TokenReason::Expired,
        ),
        (
            NewClaims {
                issued_at: BEGUN + 600,
                expires_at: BEGUN + 700,
                ..good()
            },
            TokenReason::IssuedInFuture,
        ),
        (
            NewClaims {
                role: Role::Agent,
                permissions: &[],
                ..good()
            },
            TokenReason::RoleNotAccepted,
        ),
        (
            NewClaims {
                kind: TokenKind::Offline,
                agents: AgentScope::of_agents(&[AgentId::of(HUB, "boiler")]).expect("a scope"),
                ..good()
            },
            TokenReason::TypeNotAccepted,
        ),
    ];
    for (claims, expected) in cases {
        assert_eq!(refused(claims), expected);
    }
    let token = signed(&good(), &signer);
    let (front, _) = token.rsplit_once('.').expect("three parts");
    for (text, expected) in [
        (String::new(), TokenReason::PartCount),
        (front.to_owned(), TokenReason::PartCount),
        (format!("{front}."), TokenReason::PartEmpty),
        (
            format!("{front}.{}", "A".repeat(86)),
            TokenReason::SignatureInvalid,
        ),
        ("a".repeat(MAX_COMPACT_LEN + 1), TokenReason::CompactTooLong),
    ] {
        assert_eq!(judge(&outside, &text), Err(Why::Token(expected)), "{text}");
    }
}

#[test]
fn keys_that_were_good_go_on_when_their_file_goes_bad_and_end_with_their_issuer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second, holder) = (key(), key(), key());
    let mut settings = issuer(folder.path(), "idp", &[("k1", &first)]);
    let outside = Outside::open(std::slice::from_ref(&settings)).expect("keys");
    let by_first = signed(&claims("idp", "k1", &holder), &first);
    let by_second = signed(&claims("idp", "k2", &holder), &second);
    std::fs::write(&settings.jwks, "half a fi").expect("a file");
    settings.permissions.clear();
    let outside = outside.read_again(std::slice::from_ref(&settings));
    let judged = judge(&outside, &by_first).expect("its keys go on");
    assert_eq!(
        judged.permissions,
        Permissions::NONE,
        "under the new ceiling"
    );
    // Another issuer has no part in these keys.
    let other = OutsideIssuer {
        name: "other".into(),
        ..settings.clone()
    };
    assert_eq!(
        judge(&outside.read_again(&[other]), &by_first),
        Err(Why::IssuerUnknown)
    );
    let settings = issuer(folder.path(), "idp", &[("k2", &second)]);
    let outside = outside.read_again(&[settings]);
    assert!(judge(&outside, &by_second).is_ok());
    assert_eq!(
        judge(&outside, &by_first),
        Err(Why::Token(TokenReason::KidUnknown))
    );
    let outside = outside.read_again(&[]);
    assert_eq!(judge(&outside, &by_second), Err(Why::IssuerUnknown));
}

#[test]
fn every_mistake_is_named_with_its_key_and_its_issuer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (key(), key());
    let good = || issuer(folder.path(), "idp", &[("k", &one)]);
    let other = || issuer(folder.path(), "other", &[("k", &two)]);
    let mistakes = |outside: Vec<OutsideIssuer>| {
        let config = Config {
            name: HUB.into(),
            outside,
            ..Config::default()
        };
        let mistakes = config.mistakes();
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(mistakes(vec![good(), other()]), [""; 0]);
    let changed = |change: &dyn Fn(&mut OutsideIssuer)| {
        let mut issuer = good();
        change(&mut issuer);
        vec![issuer]
    };
    let shared = issuer(folder.path(), "third", &[("x", &one)]);
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).into())
            .collect::<Vec<String>>()
    };
    for (outside, key, why) in [
        (
            changed(&|issuer| issuer.name = HUB.into()),
            "outside.name: `hub`",
            "is this hub",
        ),
        (
            changed(&|issuer| issuer.name = String::new()),
            "outside.name: ``",
            "1 to 64",
        ),
        (
            changed(&|issuer| issuer.name = "a b".into()),
            "outside.name: `a b`",
            "1 to 64",
        ),
        (
            changed(&|issuer| issuer.name = "a".repeat(65)),
            "outside.name: ",
            "1 to 64",
        ),
        (
            changed(&|issuer| issuer.permissions = list(&["agent.commands.*"])),
            "outside.permissions: `idp`",
            "covers no permission",
        ),
        (
            changed(&|issuer| issuer.jwks = "/nowhere/keys.json".into()),
            "outside.jwks: `idp`",
            "/nowhere/keys.json",
        ),
        (
            vec![good(), shared],
            "outside.jwks: `third`",
            "key of another issuer",
        ),
    ] {
        let found = mistakes(outside);
        assert_eq!(found.len(), 1, "{why}: {found:?}");
        assert!(
            found[0].starts_with(key) && found[0].contains(why),
            "{found:?}"
        );
    }
    let twice = mistakes(vec![good(), good()]);
    assert!(twice[0].contains("stands here twice"), "{twice:?}");
}
