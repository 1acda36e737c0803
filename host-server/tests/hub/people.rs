//! People who log in over HTTP, and what the API answers them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::Signer;
use moorline_core::crypto::{Hash, PublicKey, SigningKey};
use moorline_server::accounts::{LoginKey, Purpose, Signed};
use moorline_server::admin::{AccountChange, AdminAnswer, AdminRequest, Credential};
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::Particulars;
use serde_json::{Value, json};

use crate::http::{parts, talk};
use crate::programs::moorline;
use crate::world::{Peer, World};

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// The headers, as they came.
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Sends a request with these lines of headers.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    lines: &[String],
    body: &str,
) -> Said {
    let mut request =
        format!("{method} /api/v1/{path} HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\n");
    for line in lines {
        request.push_str(&format!("{line}\r\n"));
    }
    if !body.is_empty() {
        let len = body.len();
        request.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {len}\r\n"
        ));
    }
    let answer = talk(address, &format!("{request}\r\n{body}"));
    let (status, _, text) = parts(&answer);
    let head = answer.split_once("\r\n\r\n").expect("headers").0.to_owned();
    if status != 204 || method != "OPTIONS" {
        assert!(head.contains("cache-control: no-store"), "{head}");
    }
    Said {
        status,
        body: serde_json::from_str(text).unwrap_or_default(),
        head,
    }
}

pub(crate) fn post(address: SocketAddr, path: &str, body: &Value) -> Said {
    ask(address, "POST", path, &[], &body.to_string())
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(&mut SystemEntropy).expect("random bytes")
}

/// Somebody who logs in by an Ed25519 key.
pub(crate) struct Person {
    pub(crate) account: &'static str,
    pub(crate) key: ed25519_dalek::SigningKey,
}

impl Person {
    pub(crate) fn new(account: &'static str, seed: u8) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        Self { account, key }
    }

    pub(crate) fn login_key(&self) -> LoginKey {
        LoginKey::Ed25519(self.key.verifying_key())
    }

    /// Returns the body of a login that is good, as `change` changes what is signed.
    pub(crate) fn body(
        &self,
        world: &World,
        holder: Option<&PublicKey>,
        change: impl FnOnce(&mut Signed<'_>),
    ) -> Value {
        let asked = post(world.http, "challenge", &json!({ "account": self.account }));
        assert_eq!(asked.status, 200, "{asked:?}");
        let challenge = asked.body["challenge"].as_str().expect("a challenge");
        let hub_key = asked.body["hub_key"].as_str().expect("a key");
        let hub_key = Base64UrlUnpadded::decode_vec(hub_key).expect("base64url");
        let hub_key = PublicKey::from_bytes(&hub_key.try_into().expect("a point")).expect("a key");
        let bytes = Base64UrlUnpadded::decode_vec(challenge).expect("base64url");
        let mut signed = Signed {
            purpose: Purpose::LogIn,
            hub: "moorline",
            hub_key: &hub_key,
            channel: None,
            account: self.account,
            challenge: &bytes,
            holder,
        };
        change(&mut signed);
        let signature = self.key.sign(&signed.to_bytes()).to_bytes();
        let mut body = json!({
            "account": self.account,
            "challenge": challenge,
            "login_key": self.login_key().to_string(),
            "signature": Base64UrlUnpadded::encode_string(&signature),
        });
        if let Some(holder) = holder {
            body["holder_key"] = Base64UrlUnpadded::encode_string(&holder.to_bytes()).into();
        }
        body
    }

    /// Logs in with a new key.
    pub(crate) fn log_in(&self, world: &World) -> Peer {
        let key = key();
        let body = self.body(world, Some(key.public_key()), |_| {});
        let said = post(world.http, "login", &body);
        assert_eq!(said.status, 200, "{said:?}");
        let credential = credential(&said);
        Peer { key, credential }
    }
}

pub(crate) fn credential(said: &Said) -> Credential {
    serde_json::from_value(said.body.clone()).expect("a credential")
}

pub(crate) fn change(world: &World, name: &str, change: AccountChange) -> AdminAnswer {
    let name = name.into();
    world.ask(&AdminRequest::ChangeAccount { name, change })
}

/// A hub with an agent's name, and alice, who reaches it and logs in by a key.
pub(crate) fn with_alice(world: &World) -> Person {
    world.commander("alice", "boiler");
    let alice = Person::new("alice", 1);
    let added = change(world, "alice", AccountChange::AddKey(alice.login_key()));
    assert!(matches!(added, AdminAnswer::Changed), "{added:?}");
    alice
}

/// Returns the lines of headers that prove a request by the token of `peer`.
pub(crate) fn proof(peer: &Peer, method: &str, path: &str, jti: &str) -> Vec<String> {
    let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let point = peer.key.public_key().to_bytes();
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]),
    });
    let now = moorline_server::clock::now().unix.secs();
    let token = &peer.credential.token;
    let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
    let payload = json!({
        "jti": jti,
        "htm": method,
        "htu": format!("http://hub.example/api/v1/{path}"),
        "iat": now,
        "ath": encode(Hash::of(&[token.as_bytes()]).as_bytes()),
    });
    let [header, payload] = [header, payload].map(|part| encode(part.to_string().as_bytes()));
    let signed = format!("{header}.{payload}");
    let signature = peer.key.sign(&Hash::of(&[signed.as_bytes()]), &[1; 32]).0;
    vec![
        format!("Authorization: DPoP {token}"),
        format!("DPoP: {signed}.{}", encode(&signature)),
    ]
}

/// Runs `moorline login` at the hub's HTTP, whose keys are trusted, with `more` arguments.
pub(crate) fn log_in_by_program(home: &Path, world: &World, more: &[&str]) -> Output {
    log_in_at(&format!("http://{}", world.http), home, world, more)
}

/// Runs `moorline login` at `url`.
pub(crate) fn log_in_at(url: &str, home: &Path, world: &World, more: &[&str]) -> Output {
    let (hub_key, root_key) = pins(world);
    let keys = ["login", url, "--hub-key", &hub_key, "--root-key", &root_key];
    moorline(home, world.folder.path(), &[&keys[..], more].concat())
}

/// Returns the hub's key and root key, as an operator says them.
pub(crate) fn pins(world: &World) -> (String, String) {
    let invited = world.ask(&AdminRequest::Invite {
        name: "somebody".into(),
        particulars: Particulars::agent(None),
        seconds: 900,
        with_key: false,
    });
    match invited {
        AdminAnswer::Invited(invitation) => (invitation.hub_key, invitation.root_key),
        other => panic!("{other:?}"),
    }
}
