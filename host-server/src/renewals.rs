//! The newer tokens that a session asks for (PROTOCOL.md §5.7, §10.4).

use moorline_core::crypto::PublicKey;
use moorline_core::time::Instant;
use moorline_core::token::Claims;

use crate::access::narrowed;
use crate::clock;
use crate::gate::Newcomer;
use crate::issuer::Issuer;
use crate::shared::Shared;
use crate::standing::TokenName;
use crate::store::{Login, Peer, Registry, decode_key, encode_key};

/// Fewest milliseconds between two tokens for one session.
const PAUSE_MILLIS: u64 = 10_000;

/// What a session knows of the tokens that it was given.
#[derive(Debug, Default)]
pub(crate) struct Renewals {
    /// The peer's name, once it is proved.
    name: String,
    /// When the token was issued that the session rests on, in seconds since 1970.
    issued_at: u64,
    /// The key that the token names.
    key: Option<PublicKey>,
    /// What names the token.
    token: Option<TokenName>,
    /// The external key that the session rests on, until it rests on a token.
    external: Option<[u8; 16]>,
    given: Option<Given>,
    /// The new key that the last token names.
    next_key: Option<PublicKey>,
}

/// The last token that was given, or that none was.
#[derive(Debug)]
struct Given {
    at: Instant,
    key: Option<Vec<u8>>,
    /// The token, unpacked; empty where there was none.
    token: Vec<u8>,
}

impl Renewals {
    /// Notes which token the session rests on now.
    pub(crate) fn note(&mut self, claims: &Claims) {
        self.name = claims.subject.as_str().into();
        self.issued_at = claims.issued_at;
        self.key = Some(claims.key);
        self.token = Some(TokenName::of(claims));
        self.next_key = None;
        self.external = None;
    }

    /// Returns the name of the peer, or nothing before it is proved.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Notes that the session rests on the external key called `identity`.
    pub(crate) fn note_external(&mut self, identity: [u8; 16]) {
        self.external = Some(identity);
    }

    /// Returns the name of the external key that the session rests on.
    pub(crate) fn external(&self) -> Option<[u8; 16]> {
        self.external
    }

    /// Returns the key that the peer may take up.
    pub(crate) fn next_key(&self) -> Option<PublicKey> {
        self.next_key
    }

    /// Returns a token for the peer as it is enrolled now, unpacked, or why there is none. It names `key`, or the key that
    /// is enrolled. Asked again soon, it is the one that was given, for the same key alone: the answer may be lost.
    pub(crate) fn give(&mut self, shared: &Shared, key: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let now = clock::instant();
        match &self.given {
            Some(given) if now.since(given.at) < PAUSE_MILLIS => {
                let is_same = given.key.as_deref() == key && !given.token.is_empty();
                return if is_same {
                    Ok(given.token.clone())
                } else {
                    Err("it was asked for too soon".into())
                };
            }
            _ => {}
        }
        let made = self.make(shared, key);
        self.given = Some(Given {
            at: now,
            key: key.map(<[u8]>::to_vec),
            token: made.clone().unwrap_or_default(),
        });
        made
    }

    fn make(&mut self, shared: &Shared, key: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let key = match key {
            None => None,
            Some(bytes) => Some(
                bytes
                    .try_into()
                    .ok()
                    .and_then(PublicKey::from_bytes)
                    .ok_or("the public key is not a point on P-256")?,
            ),
        };
        let registry = shared.registry();
        let peer = if let Some(identity) = &self.external {
            let invited = shared.invitations().invited(identity);
            let (name, peer) = invited.ok_or("the external key is spent")?;
            key.as_ref()
                .ok_or("it has no key that a token could name")?;
            self.name = name;
            peer
        } else {
            let peer = registry.find(&self.name).filter(|peer| !peer.revoked);
            peer.ok_or("the peer is shut out")?.clone()
        };
        if let Some(key) = &key {
            registry
                .check_key(&self.name, &encode_key(key))
                .map_err(|error| error.to_string())?;
        }
        let own = decode_key(&peer.key);
        let (peer, named) = match self.key.filter(|current| own != Some(*current)) {
            Some(current) => {
                if key.is_some() {
                    return Err("the key of a login is not replaced: log in again".into());
                }
                let peer = logged_in(shared, &registry, &peer, self.token.as_ref())?;
                (peer, Some(current))
            }
            None => (peer, key.or(own)),
        };
        let named = named.ok_or("the peer has no key that a token could name")?;
        let issuer = Issuer {
            hub: &shared.name,
            keys: &shared.keys(),
            limits: &shared.config().limits,
            registry: &registry,
        };
        let issued = issuer.issue(&self.name, &peer, named, self.issued_at)?;
        self.next_key = key;
        Ok(issued.unpacked)
    }
}

/// Returns `peer` as the login of its `token` has it. The session by which it asks is a use of the login.
fn logged_in(
    shared: &Shared,
    registry: &Registry,
    peer: &Peer,
    token: Option<&TokenName>,
) -> Result<Peer, String> {
    let now = clock::now().unix.secs();
    let mut logins = shared.logins();
    let login = token.and_then(|token| logins.of_token(token, true, now));
    let login = login.ok_or("the login is over")?.clone();
    logins.touch(&login.id, now);
    Ok(narrowed(registry, peer, login.ceiling.as_deref()))
}

/// What a newcomer is given.
#[derive(Debug, Clone)]
pub(crate) struct FirstToken {
    /// Its token, unpacked.
    pub(crate) token: Vec<u8>,
    /// The group that it belongs to.
    pub(crate) group: Option<String>,
}

/// Makes the first token of `newcomer`. Returns why there is none, in words.
pub(crate) fn first_token(shared: &Shared, newcomer: &Newcomer) -> Result<FirstToken, String> {
    let (name, login) = (newcomer.name.as_str(), newcomer.login.as_ref());
    let registry = shared.registry();
    let peer = registry.find(name).filter(|peer| !peer.revoked);
    let peer = peer.ok_or("the peer is shut out")?;
    let ceiling = login.and_then(|login| login.ceiling.as_deref());
    let peer = narrowed(&registry, peer, ceiling);
    let key = login.map_or_else(|| decode_key(&peer.key), Login::key);
    let key = key.ok_or("the peer has no key that a token could name")?;
    let issuer = Issuer {
        hub: &shared.name,
        keys: &shared.keys(),
        limits: &shared.config().limits,
        registry: &registry,
    };
    let issued = issuer.issue(name, &peer, key, 0)?;
    Ok(FirstToken {
        token: issued.unpacked,
        group: peer.group.clone(),
    })
}
