//! `moorline login` and `moorline login-key`: a key of this machine is bound to an account.

use std::fs::File;
use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use futures_lite::future;
use moorline_core::token::MAX_COMPACT_LEN;
use moorline_core::trust::TrustStore;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Failure, output};
use crate::client::{ClientError, LoginSigner, Newcomer, Profile, ProfileError, Shows, log_in};
use crate::store::{decode_key, read_private};

/// Which account, at which hub.
#[derive(Debug, Args)]
pub struct LoginArguments {
    /// Where the hub is: `https://HOST:PORT`, or `http://HOST:PORT` on this machine.
    url: String,
    /// The hub's public key, as its operator says it.
    #[arg(long)]
    hub_key: String,
    /// The hub's root key.
    #[arg(long)]
    root_key: String,
    /// How often the root key has spoken, if it has.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    root_counter: u32,
    /// The account; an API key says by itself whose it is.
    #[arg(
        long,
        value_name = "NAME",
        requires = "login_key",
        required_unless_present_any = ["api_key", "token"]
    )]
    account: Option<String>,
    /// The file with the login key, as `moorline login-key` writes it.
    #[arg(
        long,
        value_name = "FILE",
        requires = "account",
        conflicts_with = "api_key"
    )]
    login_key: Option<PathBuf>,
    /// A file with an API key, for its owner alone.
    #[arg(long, value_name = "FILE")]
    api_key: Option<PathBuf>,
    /// A file with the token that another issuer has made for the key of the home folder.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["login_key", "api_key"])]
    token: Option<PathBuf>,
    /// Makes the account first: of this login key.
    #[arg(long, requires = "login_key")]
    register: bool,
    /// The code of an invitation to register; `-` reads it from the standard input.
    #[arg(
        long,
        env = "MOORLINE_CODE",
        hide_env_values = true,
        requires = "register"
    )]
    code: Option<String>,
}

impl LoginArguments {
    /// Makes a key unless there is one, binds it to the account, and stores the credential that comes of it.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let point = |text: &str, name: &str| {
            decode_key(text).ok_or_else(|| Failure::Usage(format!("{name} is no point on P-256")))
        };
        let hub_key = point(&self.hub_key, "--hub-key")?;
        let root_key = point(&self.root_key, "--root-key")?;
        let line = line(&self.url)?;
        let signer = self.login_key.as_deref().map(LoginSigner::load).transpose();
        let signer = signer.map_err(|error| Failure::Usage(error.to_string()))?;
        let api_key = read_line(self.api_key.as_deref(), |file| {
            read_private(file).map_err(|error| error.to_string())
        })?;
        let token = read_line(self.token.as_deref(), read_token)?;
        let code = match self.code.as_deref() {
            Some("-") => Some(read_code()?),
            other => other.map(|code| Zeroizing::new(code.to_owned())),
        };
        let account = self.account.as_deref().unwrap_or_default();
        let key = match profile.key() {
            Err(ProfileError::NoKey(_)) => profile.create_key()?,
            other => other?,
        };
        let shows = match (&signer, &api_key, &token) {
            (Some(signer), ..) if self.register => {
                Shows::NewKey(signer, account, code.as_ref().map(|code| code.as_str()))
            }
            (Some(signer), ..) => Shows::Key(signer, account),
            (None, Some(key), _) => Shows::ApiKey(key),
            (None, None, Some(token)) => Shows::Token(token, &key),
            (None, None, None) => {
                let why = "--login-key, --api-key or --token says by what you log in";
                return Err(Failure::Usage(why.into()));
            }
        };
        let trust = TrustStore::new(root_key, self.root_counter, hub_key);
        let keeper = profile.newcomers_trust_file();
        keeper.forget()?;
        future::block_on(async {
            let logged_in = log_in(&self.url, &hub_key, shows, key.public_key()).await;
            logged_in.map_err(|error| match error {
                ClientError::CredentialRefused => {
                    let why = "the account, its key, or the hub's key is not the right one";
                    Failure::Refused(why.into())
                }
                other => other.into(),
            })?;
            // The hub proves itself by the key that is trusted, and says the rest over the line.
            let newcomer = Newcomer::come_back(&line, &trust, Some(&keeper), &key).await?;
            let credential = newcomer.credential().clone();
            profile.enrol(&credential)?;
            newcomer.finish().await?;
            output::enrolled(json, &credential)
        })
    }
}

/// Returns where the line is of the hub whose HTTP is at `url`.
fn line(url: &str) -> Result<String, Failure> {
    let url = url.strip_suffix('/').unwrap_or(url);
    let line = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => Some(format!("wss://{rest}/ws")),
        (None, Some(rest)) => Some(format!("ws://{rest}/ws")),
        (None, None) => None,
    };
    let why =
        format!("{url}: `https://HOST:PORT` is expected, or `http://HOST:PORT` on this machine");
    line.ok_or(Failure::Usage(why))
}

/// Returns the line in `file`, if there is one.
fn read_line(
    file: Option<&Path>,
    read: impl FnOnce(&Path) -> Result<Zeroizing<Vec<u8>>, String>,
) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(file) = file else {
        return Ok(None);
    };
    let bytes = read(file).map_err(Failure::Usage)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(Zeroizing::new(text.trim().to_owned())))
}

/// Reads a token, which is no secret without its key.
fn read_token(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let most = u64::try_from(MAX_COMPACT_LEN + 2).unwrap_or(u64::MAX);
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn read_code() -> Result<Zeroizing<String>, Failure> {
    if std::io::stdin().is_terminal() {
        eprint!("code: ");
    }
    let mut code = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut code)?;
    Ok(Zeroizing::new(code.trim().to_owned()))
}

/// Where a login key is written.
#[derive(Debug, Args)]
pub struct LoginKeyArguments {
    /// The file, which must not exist.
    file: PathBuf,
    /// Makes one of Ed25519 in place of P-256.
    #[arg(long)]
    ed25519: bool,
}

impl LoginKeyArguments {
    /// Makes a login key, and prints its public half.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let signer = LoginSigner::create(&self.file, self.ed25519)?;
        let public = signer.public().to_string();
        let value = json!({ "login_key": public, "file": self.file });
        output::print(json, &value, &public)
    }
}
