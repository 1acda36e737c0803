//! Tokens for peers that are enrolled.

use moorline_core::token::{
    AgentId, AgentScope, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, NewClaims, TokenKind, mint,
};

use crate::clock;
use crate::config::Limits;
use crate::entropy::random;
use crate::store::{HubKeys, Peer, PeerRole, Reach, decode_key};

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

/// Signs a token for `peer`, whose name is `name`. The hub called `hub` is both its issuer and its audience. It is issued
/// in the second after `after` at the earliest, in seconds since 1970: a token that follows another is the later one.
///
/// Returns what is wrong with the peer's particulars, in words.
pub(crate) fn issue(
    hub: &str,
    keys: &HubKeys,
    limits: &Limits,
    name: &str,
    peer: &Peer,
    after: u64,
) -> Result<Issued, String> {
    let key = decode_key(&peer.key).ok_or("the public key is not a point on P-256")?;
    let agents = scope(hub, &peer.reach)?;
    let (lifetime, permissions) = match peer.role {
        PeerRole::Agent => (limits.agent_token_seconds, &[][..]),
        PeerRole::Commander => (limits.commander_token_seconds, &peer.permissions[..]),
    };
    let permissions: Vec<&str> = permissions.iter().map(String::as_str).collect();
    let group = peer.group.as_deref().or(match &peer.reach {
        Reach::Group(group) => Some(group.as_str()),
        Reach::Nobody | Reach::Agents(_) => None,
    });
    let audience: Vec<&str> = std::iter::once(hub).chain(group).collect();
    let issued_at = clock::now().unix.secs().max(after.saturating_add(1));
    let no_entropy = |_| "the system gives no random bytes";
    let new = NewClaims {
        kind: TokenKind::Access,
        kid: &keys.issuer_kid(),
        issuer: hub,
        audience: &audience,
        subject: name,
        key,
        role: peer.role.into(),
        permissions: &permissions,
        agents,
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

fn scope(hub: &str, reach: &Reach) -> Result<AgentScope, String> {
    match reach {
        Reach::Nobody => Ok(AgentScope::None),
        Reach::Agents(names) => {
            let ids: Vec<AgentId> = names.iter().map(|name| AgentId::of(hub, name)).collect();
            AgentScope::of_agents(&ids)
                .ok_or_else(|| "a token names 1 to 8 agents; put more into a group".into())
        }
        Reach::Group(group) => {
            AgentScope::of_group(group).ok_or_else(|| format!("`{group}` is no name of a group"))
        }
    }
}
