//! `moorline renew`: a newer token, and perhaps a new key.

use clap::Args;
use moorline_core::connection::NewToken;
use moorline_core::token::UnpackedToken;
use serde_json::json;

use super::session::with_client;
use super::{Failure, output};
use crate::admin::Credential;
use crate::client::{Client, ClientError, Profile, ProfileError};

/// What is renewed.
#[derive(Debug, Args)]
pub struct RenewArguments {
    /// Makes a new key too; the hub knows the commander by it from then on, and other sessions of the old one end.
    #[arg(long)]
    new_key: bool,
}

impl RenewArguments {
    /// Renews and says until when the token is good.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let mut expires_at = 0;
        with_client(profile, async |client, credential| {
            expires_at = if self.new_key {
                rekey(client, credential, profile).await?
            } else {
                renew(client, credential, profile).await?
            };
            Ok(())
        })?;
        let answer = json!({ "expires_at": expires_at, "new_key": self.new_key });
        output::print(
            json,
            &answer,
            &format!("the token is good until {expires_at} (seconds since 1970)"),
        )
    }
}

/// Gets a newer token for the key that is there and stores it; returns when it expires.
pub(super) async fn renew(
    client: &mut Client<'_>,
    credential: &Credential,
    profile: &Profile,
) -> Result<u64, Failure> {
    let token = client.ask_token(None).await?;
    let token = UnpackedToken::parse_exact(&token).map_err(ProfileError::BadToken)?;
    let renewed = credential.with_token(&token)?;
    client.take_up(&NewToken { token, key: None }).await?;
    profile.store(&renewed)?;
    Ok(renewed.expires_at)
}

/// Makes a key, gets a token for it, proves it, and stores both; returns when the token expires. Whenever this machine
/// stops, it has a key that the hub takes.
async fn rekey(
    client: &mut Client<'_>,
    credential: &Credential,
    profile: &Profile,
) -> Result<u64, Failure> {
    let staged = profile.staged();
    let key = staged.key()?;
    let token = client.ask_token(Some(key.public_key())).await?;
    let token = UnpackedToken::parse_exact(&token).map_err(ProfileError::BadToken)?;
    let renewed = credential.with_token(&token)?;
    staged.store(&renewed)?;
    let new = NewToken {
        token,
        key: Some(&key),
    };
    client.take_up(&new).await?;
    staged.promote()?;
    Ok(renewed.expires_at)
}

/// Renews a token of which half the life is over. What the hub refuses is no failure: the old one is still good.
pub(super) async fn renew_in_time(
    client: &mut Client<'_>,
    credential: &Credential,
    profile: &Profile,
) -> Result<(), Failure> {
    if !credential.is_to_be_renewed(crate::clock::now().unix.secs()) {
        return Ok(());
    }
    match renew(client, credential, profile).await {
        Err(Failure::Client(ClientError::RenewalRefused)) => Ok(()),
        other => other.map(|_| ()),
    }
}
