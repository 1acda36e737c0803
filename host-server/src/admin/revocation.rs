//! Revoking: what counts no more is on the disk before anybody hears of it, and then sessions and tickets go.

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::token::{AgentId, MAX_AGENT_LIFETIME, TOKEN_ID_LEN};

use super::server::withdrawn;
use crate::audit::{Event, Kind};
use crate::clock;
use crate::shared::Shared;
use crate::standing::Tokens;
use crate::store::{Login, decode_key};

/// Shuts the peer `name` out. Returns what is to be recorded of it, or why it is not done.
pub(super) async fn shut_out(name: &str, shared: &Shared) -> Result<Vec<Event>, String> {
    let is_invited = shared.invitations().is_invited(name);
    write_that_it_is_out(name, shared)?;
    tracing::info!(name, "revoked");
    let id = AgentId::of(&shared.name, name);
    shared.offline.revoke(name.to_owned(), id).await;
    shared.end_revoked_sessions().await;
    let act = Event::new(Kind::Revoked).subject(name);
    let withdrawn = withdrawn(name, is_invited, "revoked");
    Ok([act].into_iter().chain(withdrawn).collect())
}

fn write_that_it_is_out(name: &str, shared: &Shared) -> Result<(), String> {
    let generation = {
        let mut registry = shared.registry_mut();
        let is_known = registry.revoke(name).map_err(in_words)?;
        let known = registry.find(name).filter(|_| is_known);
        let known = known.ok_or_else(|| format!("nobody called `{name}` is enrolled"))?;
        known.generation
    };
    let (now, until) = (clock::now().unix.secs(), shared.tokens_end());
    let least = generation.saturating_add(1);
    shared
        .revocations()
        .revoke_subject(name, least, now, until)
        .map_err(in_words)?;
    shared.accounts().forget(name).map_err(in_words)?;
    end_logins(shared, |login| login.account == name)?;
    shared.tickets().revoke(name);
    let withdrawal = shared.invitations().withdraw(name);
    withdrawal.map(drop).map_err(in_words)
}

/// Revokes `tokens`. Returns what is to be recorded of it, or why it is not done.
pub(super) async fn revoke_tokens(tokens: &Tokens, shared: &Shared) -> Result<Event, String> {
    let act = write_that_they_are_revoked(tokens, shared)?;
    tracing::info!(?tokens, "tokens are revoked");
    shared.end_revoked_sessions().await;
    Ok(act)
}

fn write_that_they_are_revoked(tokens: &Tokens, shared: &Shared) -> Result<Event, String> {
    let now = clock::now().unix.secs();
    // No token that the hub gives lives longer, whoever it is for.
    let until = now.saturating_add(MAX_AGENT_LIFETIME);
    let act = Event::new(Kind::TokensRevoked);
    let act = match tokens {
        Tokens::OfPeer(name) => {
            let least = shared.registry_mut().begin_generation(name);
            let least = least.map_err(in_words)?;
            let mut revocations = shared.revocations();
            let revoked = revocations.revoke_subject(name, least, now, shared.tokens_end());
            revoked.map_err(in_words)?;
            end_logins(shared, |login| login.account == *name)?;
            act.subject(name).number("generation", least.into())
        }
        Tokens::WithId(id) => {
            let mut jti = [0; TOKEN_ID_LEN];
            let decoded = Base64UrlUnpadded::decode(id, &mut jti);
            if decoded.map(<[u8]>::len) != Ok(TOKEN_ID_LEN) {
                return Err("a token's id is 22 characters of base64url".into());
            }
            let revoked = shared.revocations().revoke_token(&jti, now, until);
            revoked.map_err(in_words)?;
            act.text("token", id)
        }
        Tokens::ForKey(key) => {
            let key = decode_key(key).ok_or("the public key is not a point on P-256")?;
            let refused = shared.revocations().refuse_key(&key, now, until);
            refused.map_err(in_words)?;
            let whose = shared.registry_mut().disown(&key).map_err(in_words)?;
            end_logins(shared, |login| login.key() == Some(key))?;
            let name = Base64UrlUnpadded::encode_string(&key.hash().prefix::<8>());
            let act = act.text("key", &name);
            match whose {
                Some(whose) => act.subject(&whose),
                None => act,
            }
        }
        Tokens::SignedBy(kid) => {
            let keys = shared.keys();
            if keys.issuer_kid() == *kid {
                return Err(format!(
                    "`{kid}` signs now: `moorline keys rotate issuer` puts another key in its place, \
                     and with --root FILE agents refuse its tokens too"
                ));
            }
            if keys.anchors.find(kid).is_none() {
                return Err(format!(
                    "no key of the issuer is called `{kid}`, whose tokens are still good"
                ));
            }
            let revoked = shared.revocations().revoke_issuer_key(kid, now, until);
            revoked.map_err(in_words)?;
            act.text("issuer_key", kid)
        }
    };
    let standing = &shared.standing;
    shared
        .tickets()
        .revoke_tokens(|token| standing.is_revoked(token));
    Ok(act)
}

fn end_logins(shared: &Shared, is_meant: impl Fn(&Login) -> bool) -> Result<(), String> {
    let ended = shared.logins().end(is_meant);
    ended.map(drop).map_err(in_words)
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
