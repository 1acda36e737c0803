//! `moorline join`: enrols the key of this home with a hub, by a code.

use std::io::{BufRead, IsTerminal};

use base64ct::{Base64UrlUnpadded, Encoding};
use clap::Args;
use futures_lite::future;
use moorline_core::crypto::Secret;
use moorline_core::handshake::ExternalKey;
use moorline_core::trust::TrustStore;
use moorline_core::wire::EnrolmentCode;
use zeroize::Zeroizing;

use super::invitation_link::InvitationLink;
use super::{Failure, output};
use crate::client::{ClientError, Newcomer, Profile, ProfileError};
use crate::store::decode_key;

/// Which hub is joined.
#[derive(Debug, Args)]
pub struct JoinArguments {
    /// Where the hub is: `ws://HOST:PORT/ws`, `wss://HOST:PORT/ws` or `udp://HOST:PORT`; or the whole invitation in one line,
    /// as the QR code of `moorline enroll --code --qr` says it: `moorline:join?...`.
    url: String,
    /// The hub's public key, as `moorline enroll --code` prints it.
    #[arg(long)]
    hub_key: Option<String>,
    /// The hub's root key, printed beside it.
    #[arg(long)]
    root_key: Option<String>,
    /// How often the root key has spoken, printed beside it unless it is zero.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    root_counter: u32,
    /// The code; without it, it is read from the standard input, where other users of the machine do not see it.
    #[arg(
        long,
        env = "MOORLINE_CODE",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    code: Option<String>,
}

impl JoinArguments {
    /// Makes a key unless there is one, enrols it, and stores the credential.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let wanted = self.wanted()?;
        let point = |text: &str, name: &str| {
            decode_key(text).ok_or_else(|| Failure::Usage(format!("{name} is no point on P-256")))
        };
        let hub_key = point(&wanted.hub_key, "--hub-key")?;
        let root_key = point(&wanted.root_key, "--root-key")?;
        let code = Zeroizing::new(wanted.code);
        let code = Opener::read(code.trim())?;
        let key = match profile.key() {
            Err(ProfileError::NoKey(_)) => profile.create_key()?,
            other => other?,
        };
        let trust = TrustStore::new(root_key, wanted.root_counter, hub_key);
        let keeper = profile.newcomers_trust_file();
        keeper.forget()?;
        future::block_on(async {
            let joined = match &code {
                Opener::Code(code) => {
                    Newcomer::join(&wanted.url, &trust, Some(&keeper), &key, *code).await
                }
                Opener::Key(external) => {
                    Newcomer::join_with_key(&wanted.url, &trust, Some(&keeper), &key, external)
                        .await
                }
            };
            let newcomer = joined.map_err(|error| match error {
                ClientError::CredentialRefused => {
                    Failure::Refused("this code is wrong, used, or over".into())
                }
                other => other.into(),
            })?;
            profile.enrol(newcomer.credential())?;
            let credential = newcomer.credential().clone();
            newcomer.finish().await?;
            output::enrolled(json, &credential)
        })
    }
}

impl JoinArguments {
    /// Returns which hub is meant, and by what it is joined.
    fn wanted(self) -> Result<InvitationLink, Failure> {
        let is_bare = self.hub_key.is_none() && self.root_key.is_none() && self.code.is_none();
        match InvitationLink::parse(&self.url) {
            Some(link) if is_bare => return link,
            Some(_) => {
                let why = "an invitation in one line says the keys and the code itself";
                return Err(Failure::Usage(why.into()));
            }
            None => {}
        }
        let missing = |name: &str| Failure::Usage(format!("{name} KEY is missing"));
        Ok(InvitationLink {
            hub_key: self.hub_key.ok_or_else(|| missing("--hub-key"))?,
            root_key: self.root_key.ok_or_else(|| missing("--root-key"))?,
            root_counter: self.root_counter,
            code: match self.code {
                Some(code) => code,
                None => read_code()?,
            },
            url: self.url,
        })
    }
}

/// What opens the enrolment.
enum Opener<'c> {
    Code(EnrolmentCode<'c>),
    Key(ExternalKey),
}

impl<'c> Opener<'c> {
    /// Reads a code, or an external key as `moorline enroll --external-key` prints it.
    fn read(text: &'c str) -> Result<Self, Failure> {
        let Some((identity, secret)) = text.split_once(':') else {
            let code = EnrolmentCode::new(text.as_bytes());
            let wrong = || Failure::Usage("a code has 8 to 32 characters".into());
            return code.map(Self::Code).ok_or_else(wrong);
        };
        let mut key = ExternalKey {
            identity: [0; 16],
            secret: Secret::new([0; 32]),
        };
        let mut bytes = Zeroizing::new([0; 32]);
        let read = Base64UrlUnpadded::decode(identity, &mut key.identity)
            .is_ok_and(|identity| identity.len() == 16)
            && Base64UrlUnpadded::decode(secret, &mut *bytes)
                .is_ok_and(|secret| secret.len() == 32);
        if !read {
            return Err(Failure::Usage("this is no external key".into()));
        }
        key.secret = Secret::new(*bytes);
        Ok(Self::Key(key))
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
