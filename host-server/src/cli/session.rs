//! A session with the hub, for one command.

use std::cell::OnceCell;

use futures_lite::future;
use moorline_core::crypto::SigningKey;
use moorline_core::token::{
    AgentId, MAX_UNPACKED_LEN, TrustAnchors, UnpackedToken, UnverifiedClaims,
};

use super::Failure;
use super::renew::{renew, renew_in_time};
use crate::admin::Credential;
use crate::client::{Client, ClientError, Commander, Newcomer, Profile, ProfileError};
use crate::clock;

/// Connects as `profile` says, runs `work`, and says goodbye. A token that grows old is renewed on the way.
pub(super) fn with_client(
    profile: &Profile,
    mut work: impl AsyncFnMut(&mut Client<'_>, &Credential) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let staged = profile.staged();
    staged.recover()?;
    // Who has no key has no use for a credential: that is the first thing to say.
    profile.key()?;
    match with_credential(profile, profile.credential()?, true, &mut work) {
        // The hub took up the next key, and this machine did not hear of it.
        Err(Failure::Client(ClientError::CredentialRefused)) if staged.is_ready() => {
            staged.promote()?;
            with_credential(profile, profile.credential()?, true, &mut work)
        }
        // Its issuer's key may be over before the token is; who is shut out is refused again.
        Err(Failure::Client(ClientError::CredentialRefused)) => {
            let credential = come_back(profile, &profile.key()?, &profile.credential()?)?;
            with_credential(profile, credential, true, &mut work)
        }
        done => done,
    }
}

fn with_credential(
    profile: &Profile,
    mut credential: Credential,
    may_renew: bool,
    work: &mut impl AsyncFnMut(&mut Client<'_>, &Credential) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let key = profile.key()?;
    if clock::now().unix.secs() >= credential.expires_at {
        credential = come_back(profile, &key, &credential)?;
    }
    let (trust, keeper) = (profile.trust(&credential)?, profile.trust_file());
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let mut issuers = profile.issuers(&credential)?;
    let enrolled = credential.anchors()?;
    let anchors = issuers.anchors(&credential.hub, &enrolled);
    let followed = OnceCell::new();
    let commander = Commander {
        key: &key,
        token: credential.token(&mut buffer)?,
        trust: &trust,
        keeper: Some(&keeper),
        anchors: &anchors,
        audience: &credential.hub,
    };
    let url = profile.hub(&credential);
    let is_served = future::block_on(async {
        let mut client = match profile.take_ticket(None) {
            Some(ticket) => Client::resume(url, commander, ticket).await?,
            None => Client::connect(url, commander).await?,
        };
        if let Some(ticket) = client.take_ticket() {
            profile.store_ticket(None, &ticket)?;
        }
        if client.follow_issuers(&mut issuers).await? {
            profile.store_issuers(&issuers)?;
            let anchors = || issuers.anchors(&credential.hub, &enrolled);
            client.trust_issuers(followed.get_or_init(anchors));
        }
        // Agents that have followed the issuer do not know the key of this token any more.
        if !is_of_any(&commander.token, followed.get().unwrap_or(&anchors)) {
            renew(&mut client, &credential, profile).await?;
            client.close().await;
            return Ok(false);
        }
        let done = work(&mut client, &credential).await;
        let renewed = match &done {
            Ok(()) | Err(Failure::Agent(_)) => {
                renew_in_time(&mut client, &credential, profile).await
            }
            Err(_) => Ok(()),
        };
        client.close().await;
        done.and(renewed).map(|()| true)
    })?;
    if is_served {
        return Ok(());
    }
    if !may_renew {
        return Err(ClientError::RenewalRefused.into());
    }
    with_credential(profile, profile.credential()?, false, work)
}

/// Returns whether `token` names a key among `anchors`.
fn is_of_any(token: &UnpackedToken<'_>, anchors: &TrustAnchors) -> bool {
    let claims = UnverifiedClaims::decode(token);
    claims.is_ok_and(|claims| anchors.find(&claims.claims_unverified().kid).is_some())
}

/// Gets a token by the key alone, for one that is over, and stores it.
fn come_back(
    profile: &Profile,
    key: &SigningKey,
    credential: &Credential,
) -> Result<Credential, Failure> {
    let (trust, keeper) = (profile.trust(credential)?, profile.trust_file());
    future::block_on(async {
        let url = profile.hub(credential);
        let back = Newcomer::come_back(url, &trust, Some(&keeper), key).await?;
        let token = UnpackedToken::parse_exact(back.token()).map_err(ProfileError::BadToken)?;
        // What the hub says of itself beside the token is for who does not know it yet.
        let credential = credential.with_token(&token)?;
        profile.store(&credential)?;
        back.finish().await?;
        Ok(credential)
    })
}

/// Runs `work`, which speaks with `agent`, on a channel that costs the agent no signature where it left a ticket, and keeps
/// the next one.
pub(super) async fn with_ticket<'k, R>(
    profile: &Profile,
    client: &mut Client<'k>,
    agent: AgentId,
    work: impl AsyncFnOnce(&mut Client<'k>) -> R,
) -> Result<R, Failure> {
    if let Some(ticket) = profile.take_ticket(Some(agent)) {
        client.give_agent_ticket(agent, ticket);
    }
    let done = work(client).await;
    if let Some(ticket) = client.take_agent_ticket(agent) {
        profile.store_ticket(Some(agent), &ticket)?;
    }
    Ok(done)
}
