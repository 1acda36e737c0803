//! Tokens for peers that are enrolled.

use moorline_core::crypto::PublicKey;
use moorline_core::token::{MAX_COMPACT_LEN, MAX_UNPACKED_LEN, NewClaims, TokenKind, mint};

use crate::access::compile;
use crate::clock;
use crate::config::Limits;
use crate::entropy::random;
use crate::store::{HubKeys, Peer, PeerRole, Registry};

/// A token, and when it ends.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The token in its compact form.
    pub(crate) token: String,
    /// The same, unpacked.
    pub(crate) unpacked: Vec<u8>,
    /// Seconds since 1970 at which it is no longer good.
    pub(crate) expires_at: u64,
}

/// What tokens are made of.
#[derive(Clone, Copy)]
pub(crate) struct Issuer<'a> {
    /// The hub's name.
    pub(crate) hub: &'a str,
    pub(crate) keys: &'a HubKeys,
    pub(crate) limits: &'a Limits,
    pub(crate) registry: &'a Registry,
}

impl Issuer<'_> {
    /// Signs a token for `peer`, whose name is `name`, that names `key`. The hub called `hub` is both its issuer and its
    /// audience. It is issued in the second after `after` at the earliest, in seconds since 1970: a token that follows another
    /// is the later one.
    ///
    /// Returns what is wrong with the peer's particulars, in words.
    pub(crate) fn issue(
        &self,
        name: &str,
        peer: &Peer,
        key: PublicKey,
        after: u64,
    ) -> Result<Issued, String> {
        let Self {
            hub,
            keys,
            limits,
            registry,
        } = *self;
        let entitlement = compile(hub, registry, name, peer)?;
        let lifetime = match peer.role {
            PeerRole::Agent => limits.agent_token_seconds,
            PeerRole::Commander => limits.commander_token_seconds,
        };
        let issued_at = clock::now().unix.secs().max(after.saturating_add(1));
        let no_entropy = |_| "the system gives no random bytes";
        let new = NewClaims {
            kind: TokenKind::Access,
            kid: &keys.issuer_kid(),
            issuer: hub,
            audience: &texts(&entitlement.audience),
            subject: name,
            key,
            role: peer.role.into(),
            permissions: &texts(&entitlement.permissions),
            agents: entitlement.agents,
            generation: peer.generation,
            issued_at,
            not_before: None,
            expires_at: issued_at + lifetime,
            jti: random().map_err(no_entropy)?,
        };
        let hedge = random::<32>().map_err(no_entropy)?;
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = mint(&new, keys.issuer(), &hedge, &mut buffer)
            .map_err(|error| format!("no token can say this: {error:?}"))?;
        let unpacked = token.as_bytes().to_vec();
        let mut compact = [0; MAX_COMPACT_LEN];
        let token = token
            .to_compact(&mut compact)
            .map_err(|_| "the token is too long")?;
        Ok(Issued {
            token: token.into(),
            unpacked,
            expires_at: new.expires_at,
        })
    }
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}
