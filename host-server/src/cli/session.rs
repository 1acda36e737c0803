//! A session with the hub, for one command.

use futures_lite::future;
use moorline_core::token::MAX_UNPACKED_LEN;

use super::Failure;
use super::renew::renew_in_time;
use crate::admin::Credential;
use crate::client::{Client, ClientError, Commander, Profile, ProfileError};
use crate::clock;

/// Connects as `profile` says, runs `work`, and says goodbye. A token that grows old is renewed on the way.
pub(super) fn with_client(
    profile: &Profile,
    mut work: impl AsyncFnMut(&mut Client<'_>, &Credential) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let staged = profile.staged();
    staged.recover()?;
    match with_credential(profile, &mut work) {
        // The hub took up the next key, and this machine did not hear of it.
        Err(Failure::Client(ClientError::CredentialRefused)) if staged.is_ready() => {
            staged.promote()?;
            with_credential(profile, &mut work)
        }
        done => done,
    }
}

fn with_credential(
    profile: &Profile,
    work: &mut impl AsyncFnMut(&mut Client<'_>, &Credential) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let key = profile.key()?;
    let credential = profile.credential()?;
    if clock::now().unix.secs() >= credential.expires_at {
        return Err(ProfileError::Expired(credential.name).into());
    }
    let pins = credential.pins()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let anchors = credential.anchors()?;
    let commander = Commander {
        key: &key,
        token: credential.token(&mut buffer)?,
        pins: &pins,
        anchors: &anchors,
        audience: &credential.hub,
    };
    let url = profile.hub(&credential);
    future::block_on(async {
        let mut client = match profile.take_ticket(None) {
            Some(ticket) => Client::resume(url, commander, ticket).await?,
            None => Client::connect(url, commander).await?,
        };
        if let Some(ticket) = client.take_ticket() {
            profile.store_ticket(None, &ticket)?;
        }
        let done = work(&mut client, &credential).await;
        let renewed = match &done {
            Ok(()) | Err(Failure::Agent(_)) => {
                renew_in_time(&mut client, &credential, profile).await
            }
            Err(_) => Ok(()),
        };
        client.close().await;
        done.and(renewed)
    })
}
