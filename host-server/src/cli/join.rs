//! `moorline join`: enrols the key of this home with a hub, by a code.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use futures_lite::future;
use moorline_core::handshake::Pins;
use moorline_core::wire::EnrolmentCode;
use zeroize::Zeroizing;

use super::{Failure, output};
use crate::client::{Newcomer, Profile, ProfileError};
use crate::store::decode_key;

/// Which hub is joined.
#[derive(Debug, Args)]
pub struct JoinArguments {
    /// Where the hub is: `ws://HOST:PORT/ws`.
    url: String,
    /// The hub's public key, as `moorline enroll --code` prints it.
    #[arg(long)]
    hub_key: String,
    /// The code; without it, it is read from the standard input, where other users of the machine do not see it.
    #[arg(long, env = "MOORLINE_CODE", hide_env_values = true)]
    code: Option<String>,
}

impl JoinArguments {
    /// Makes a key unless there is one, enrols it, and stores the credential.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let hub_key = decode_key(&self.hub_key)
            .ok_or_else(|| Failure::Usage("--hub-key is no point on P-256".into()))?;
        let code = Zeroizing::new(match self.code {
            Some(code) => code,
            None => read_code()?,
        });
        let code = EnrolmentCode::new(code.trim().as_bytes())
            .ok_or_else(|| Failure::Usage("a code has 8 to 32 characters".into()))?;
        let key = match profile.key() {
            Err(ProfileError::NoKey(_)) => profile.create_key()?,
            other => other?,
        };
        let pins = Pins::new(hub_key);
        future::block_on(async {
            let newcomer = Newcomer::join(&self.url, &pins, &hub_key, &key, code).await?;
            profile.store(newcomer.credential())?;
            let credential = newcomer.credential().clone();
            newcomer.finish().await?;
            output::enrolled(json, &credential)
        })
    }
}

fn read_code() -> Result<String, Failure> {
    let mut input = std::io::stdin().lock();
    if std::io::stdin().is_terminal() {
        eprint!("code: ");
    }
    let mut code = String::new();
    input.read_line(&mut code)?;
    Ok(code)
}
