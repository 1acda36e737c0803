//! The daemon's side of the operator's socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use futures_lite::io::BufReader;
use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, future};
use moorline_core::handshake::ExternalKey;
use smol::net::unix::{UnixListener, UnixStream};

use super::{
    AdminAnswer, AdminRequest, Credential, Invitation, MAX_LINE_LEN, SOCKET_NAME, accounts, people,
    revocation,
};
use crate::audit::{Event, Kind};
use crate::clock;
use crate::gate::enrolled;
use crate::issuer::Issuer;
use crate::shared::Shared;
use crate::store::{Particulars, Peer, PeerRole, Reach, RegistryError, decode_key, encode_key};

/// Seconds for which a code may be good.
const CODE_SECONDS: std::ops::RangeInclusive<u64> = 60..=86_400;

/// Connections that one answer speaks of: they fit into a line.
const MAX_SESSIONS: usize = 100;

/// How long an operator's request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the listener in `data_dir`. The folder is private, and the daemon that holds its lock is the only one here.
pub(crate) fn bind(data_dir: &Path) -> std::io::Result<UnixListener> {
    let path = data_dir.join(SOCKET_NAME);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Serves operators for ever, one at a time.
pub(crate) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let late = async {
                    smol::Timer::after(PATIENCE).await;
                    Err(std::io::ErrorKind::TimedOut.into())
                };
                if let Err(error) = future::or(serve_one(stream, &shared), late).await {
                    tracing::debug!(%error, "an operator's request failed");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an operator");
                smol::Timer::after(PATIENCE).await;
            }
        }
    }
}

async fn serve_one(stream: UnixStream, shared: &Shared) -> std::io::Result<()> {
    let mut line = String::new();
    let limit = u64::try_from(MAX_LINE_LEN).unwrap_or(u64::MAX);
    BufReader::new(stream.clone().take(limit))
        .read_line(&mut line)
        .await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let answer = handle(request, shared).await;
            if let AdminAnswer::Refused(why) = &answer {
                let refused = Event::new(Kind::OperatorRefused).text("why", why);
                shared.witness.note(refused);
            }
            answer
        }
        Err(error) => AdminAnswer::Refused(format!("not a request: {error}")),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    let mut stream = stream;
    stream.write_all(text.as_bytes()).await?;
    stream.close().await
}

async fn handle(request: AdminRequest, shared: &Shared) -> AdminAnswer {
    match request {
        AdminRequest::Enrol {
            name,
            key,
            particulars,
        } => {
            let role = particulars.role;
            let known = decode_key(&key);
            match enrol(&name, key, particulars, shared) {
                Ok(credential) => {
                    tracing::info!(name, ?role, "enrolled");
                    shared.end_revoked_sessions().await;
                    let act = known.map(|key| enrolled(&name, "operator", &key));
                    on_record(act, shared, AdminAnswer::Enrolled(credential)).await
                }
                Err(why) => AdminAnswer::Refused(why),
            }
        }
        AdminRequest::Invite {
            name,
            particulars,
            seconds,
            with_key,
        } => {
            let role = particulars.role;
            let replaces = shared.invitations().is_invited(&name);
            match invite(&name, particulars, seconds, with_key, shared) {
                Ok(invitation) => {
                    tracing::info!(name, ?role, "invited");
                    let act = Event::new(Kind::Invited)
                        .subject(&name)
                        .text("with", if with_key { "external key" } else { "code" })
                        .number("seconds", seconds);
                    let withdrawn = withdrawn(&name, replaces, "another takes its place");
                    let acts = withdrawn.into_iter().chain([act]);
                    on_record(acts, shared, AdminAnswer::Invited(invitation)).await
                }
                Err(why) => AdminAnswer::Refused(why),
            }
        }
        AdminRequest::ChangeAccount { name, change } => {
            match accounts::change(&name, change, shared).await {
                Ok((answer, act)) => on_record([act], shared, answer).await,
                Err(why) => AdminAnswer::Refused(why),
            }
        }
        AdminRequest::Roles => people::roles(shared),
        AdminRequest::Users { after, name } => people::users(after, name, shared),
        AdminRequest::Access { agent } => people::access(&agent, shared),
        AdminRequest::ChangeAccess(change) => match people::change(&change, shared) {
            Ok(act) => on_record([act], shared, AdminAnswer::Changed).await,
            Err(error) => AdminAnswer::Refused(error.to_string()),
        },
        AdminRequest::RotateKey { key } => match shared.rotate_key(key).await {
            Ok(acts) => on_record(acts, shared, keys_in_use(shared)).await,
            Err(error) => AdminAnswer::Refused(error.to_string()),
        },
        AdminRequest::TakeUpKeys => match shared.take_up_keys().await {
            Ok(acts) => on_record(acts, shared, keys_in_use(shared)).await,
            Err(error) => AdminAnswer::Refused(error.to_string()),
        },
        AdminRequest::Sessions { after } => {
            let mut sessions = shared.budget.report(after, MAX_SESSIONS + 1);
            let more = sessions.len() > MAX_SESSIONS;
            sessions.truncate(MAX_SESSIONS);
            AdminAnswer::Sessions { sessions, more }
        }
        AdminRequest::CloseSessions { whom } => match shared.budget.close(&whom) {
            0 => AdminAnswer::Refused(format!("no connection is called `{whom}`")),
            count => {
                tracing::info!(whom, count, "an operator closes connections");
                let act = Event::new(Kind::ConnectionsEnded).subject(&whom);
                on_record([act], shared, AdminAnswer::Closed(count)).await
            }
        },
        AdminRequest::Status => AdminAnswer::Status(Box::new(shared.status().await)),
        AdminRequest::Revoke { name } => match revocation::shut_out(&name, shared).await {
            Ok(acts) => on_record(acts, shared, AdminAnswer::Revoked).await,
            Err(why) => AdminAnswer::Refused(why),
        },
        AdminRequest::RevokeTokens(tokens) => {
            match revocation::revoke_tokens(&tokens, shared).await {
                Ok(act) => on_record([act], shared, AdminAnswer::Revoked).await,
                Err(why) => AdminAnswer::Refused(why),
            }
        }
    }
}

fn keys_in_use(shared: &Shared) -> AdminAnswer {
    let keys = shared.keys();
    AdminAnswer::KeysInUse {
        hub_key: encode_key(keys.identity_key()),
        issuer_kid: keys.issuer_kid(),
    }
}

/// Returns `answer` when the acts are on record: who asked does not hear of them before.
async fn on_record(
    acts: impl IntoIterator<Item = Event>,
    shared: &Shared,
    answer: AdminAnswer,
) -> AdminAnswer {
    for act in acts {
        if let Err(error) = shared.witness.record_durably(act).await {
            return AdminAnswer::Refused(format!("it is done, and not on record: {error}"));
        }
    }
    answer
}

/// Returns the record that the invitation for `name` is over, if there was one.
pub(super) fn withdrawn(name: &str, was_invited: bool, why: &str) -> Option<Event> {
    let withdrawn = Event::new(Kind::Withdrawn).subject(name).text("why", why);
    was_invited.then_some(withdrawn)
}

/// A token is made first: what no token can say is not enrolled.
fn enrol(
    name: &str,
    key: String,
    particulars: Particulars,
    shared: &Shared,
) -> Result<Credential, String> {
    let key = decode_key(&key).ok_or("the public key is not a point on P-256")?;
    if shared.revocations().refuses(key.hash().as_bytes()) {
        return Err("this key is refused for ever; make another one".into());
    }
    let peer = Peer::new(checked(particulars)?, encode_key(&key));
    let (config, keys) = (shared.config(), shared.keys());
    let mut registry = shared.registry_mut();
    let refused = |error: RegistryError| error.to_string();
    let peer = registry.following(name, peer).map_err(refused)?;
    let issuer = Issuer {
        hub: &shared.name,
        keys: &keys,
        limits: &config.limits,
        registry: &registry,
    };
    let issued = issuer.issue(name, &peer, key, 0)?;
    // Where the name is given to another key, who logged in under it does so no more.
    if registry
        .find(name)
        .is_some_and(|known| known.key != peer.key)
    {
        shared.forget_account(name)?;
    }
    registry.enrol(name, peer.clone()).map_err(refused)?;
    drop(registry);
    Ok(Credential::new(shared, &keys, name, &peer, issued))
}

/// What no token can say nobody is invited to.
fn invite(
    name: &str,
    particulars: Particulars,
    seconds: u64,
    with_key: bool,
    shared: &Shared,
) -> Result<Invitation, String> {
    if !CODE_SECONDS.contains(&seconds) {
        return Err("a code is good for a minute at least and a day at most".into());
    }
    let peer = Peer::new(checked(particulars)?, String::new());
    let (config, keys) = (shared.config(), shared.keys());
    let registry = shared.registry();
    registry
        .check_invitation(name, peer.role)
        .and_then(|()| registry.check(name, &peer))
        .map_err(|error| error.to_string())?;
    let issuer = Issuer {
        hub: &shared.name,
        keys: &keys,
        limits: &config.limits,
        registry: &registry,
    };
    // Any key shows whether a token can say the rest.
    issuer.issue(name, &peer, *keys.issuer().public_key(), 0)?;
    drop(registry);
    let now = clock::now().unix.secs();
    let expires_at = now.saturating_add(seconds);
    let code = if with_key {
        let key = shared
            .invitations()
            .invite_with_key(name, peer, now, expires_at);
        key.map(|key| written(&key))
    } else {
        shared.invitations().invite(name, peer, now, expires_at)
    };
    Ok(Invitation {
        url: format!("ws://{}/ws", config.listen),
        hub_key: encode_key(keys.identity_key()),
        root_key: encode_key(&keys.root),
        root_counter: keys.root_counter(),
        name: name.into(),
        code: code.map_err(|error| error.to_string())?,
        expires_at,
    })
}

/// Returns an external key as it is carried by hand.
fn written(key: &ExternalKey) -> String {
    let identity = Base64UrlUnpadded::encode_string(&key.identity);
    let secret = Base64UrlUnpadded::encode_string(key.secret.expose());
    format!("{identity}:{secret}")
}

/// Returns `particulars` if they belong to what the peer is.
fn checked(mut particulars: Particulars) -> Result<Particulars, String> {
    match (particulars.role, &particulars.reach) {
        (PeerRole::Agent, Reach::Nobody) if particulars.roles.is_empty() => {
            particulars.permissions.clear();
        }
        (PeerRole::Agent, Reach::Nobody) => return Err("an agent has no roles".into()),
        (PeerRole::Agent, _) => return Err("an agent reaches nobody".into()),
        (PeerRole::Commander, _) if particulars.group.is_some() => {
            return Err("a commander is in no group; it reaches one".into());
        }
        (PeerRole::Commander, _) if particulars.owner.is_some() => {
            return Err("a commander belongs to nobody; it owns agents".into());
        }
        (PeerRole::Commander, _) => {}
    }
    Ok(particulars)
}
