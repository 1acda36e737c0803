//! `moorline keys`: the keys of the hub on this machine.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::enroll::data_dir;
use super::{Failure, output};
use crate::admin::{AdminAnswer, AdminError, AdminRequest, ask};
use crate::clock;
use crate::keyring::HubKey;
use crate::store::{
    HubKeys, IDENTITY_NAME, ROOT_NAME, SecretSource, StoreError, Vault, encode_key, kid, load_key,
    rotate, rotate_issuer,
};

/// What is done with the hub's keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Prints the hub's keys, and what leads to them.
    Show(ShowArguments),
    /// Puts another key in the place of one; peers follow by themselves.
    Rotate(RotateArguments),
}

/// Where the hub's keys are.
#[derive(Debug, Args)]
pub struct PlaceArguments {
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// The file with the secret under which the keys are sealed.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    secret_file: Option<PathBuf>,
    /// The file with the passphrase under which the keys are sealed.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Which keys are shown.
#[derive(Debug, Args)]
pub struct ShowArguments {
    #[command(flatten)]
    place: PlaceArguments,
}

/// Which key is rotated, and how.
#[derive(Debug, Args)]
pub struct RotateArguments {
    /// The key.
    #[arg(value_enum, default_value = "identity")]
    key: HubKey,
    /// The root key: it says which key is good from now on, and that those before are not.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArguments,
}

impl KeysCommand {
    /// Does it and says what was done.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Show(show) => show.run(json),
            Self::Rotate(rotate) => rotate.run(json),
        }
    }
}

impl PlaceArguments {
    fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = data_dir(self.data_dir.clone());
        // A hub makes the keys that it misses; a look at them does not.
        if folder.join(IDENTITY_NAME).exists() {
            return Ok(folder);
        }
        let why = format!("{}: no hub has its keys here", folder.display());
        Err(Failure::Usage(why))
    }

    fn vault(&self, folder: &Path) -> Result<Vault, StoreError> {
        let source = match (&self.secret_file, &self.passphrase_file) {
            (Some(path), _) => SecretSource::File(path.clone()),
            (None, Some(path)) => SecretSource::Passphrase(path.clone()),
            (None, None) => SecretSource::None,
        };
        Vault::open(folder, &source)
    }
}

impl ShowArguments {
    fn run(self, json: bool) -> Result<(), Failure> {
        let folder = self.place.folder()?;
        let now = clock::now().unix.secs();
        // Tokens name the hub; its keys have no name.
        let keys = HubKeys::open(&folder, "hub", &self.place.vault(&folder)?, now)?;
        let succession = &keys.succession;
        let root_is_here = folder.join(ROOT_NAME).exists();
        let (hub_key, root_key) = (encode_key(keys.identity_key()), encode_key(&keys.root));
        let (earlier, by_root) = (succession.earlier.len(), succession.by_root.is_some());
        let issuers = &keys.issuers;
        let retired = issuers.retired.iter();
        let retired: Vec<String> = retired
            .filter(|retired| retired.until > now)
            .map(|retired| kid(&retired.key))
            .collect();
        let value = json!({
            "hub_key": hub_key,
            "root_key": root_key,
            "root_counter": keys.root_counter(),
            "earlier_keys": earlier,
            "vouched_by_root": by_root,
            "root_key_is_here": root_is_here,
            "issuer": {
                "current": { "kid": keys.issuer_kid(), "key": encode_key(keys.issuer().public_key()), "since": issuers.since },
                "next": { "kid": kid(&issuers.next), "key": encode_key(&issuers.next) },
                "retired": retired,
            },
        });
        let vouches = if by_root { ", and the root key" } else { "" };
        let advice = if root_is_here {
            "\nroot.key lies beside it: move it to a place that this machine does not reach"
        } else {
            ""
        };
        let text = format!(
            "hub key   {hub_key}\nroot key  {root_key}, counter {}\n\
             keys before that lead to it: {earlier}{vouches}\n\
             issuer    {} signs, {} is next, {} more are good{advice}",
            keys.root_counter(),
            keys.issuer_kid(),
            kid(&issuers.next),
            retired.len(),
        );
        output::print(json, &value, &text)
    }
}

/// What a rotation led to.
struct Done {
    value: serde_json::Value,
    text: String,
}

impl RotateArguments {
    fn run(self, json: bool) -> Result<(), Failure> {
        let folder = self.place.folder()?;
        if self.root.is_none()
            && let Some(in_use) = self.done_by_daemon(&folder)?
        {
            return self.say_in_use(&in_use, json);
        }
        let root = self.root.as_deref().map(load_key).transpose();
        let root = root.map_err(StoreError::from)?;
        let vault = self.place.vault(&folder)?;
        let now = clock::now().unix.secs();
        let Done { mut value, text } = match self.key {
            HubKey::Tickets => {
                let why = "tickets are rotated by the daemon, and none runs here: it makes their key anew if \
                           you remove tickets.key and tickets";
                return Err(Failure::Usage(why.into()));
            }
            HubKey::Identity => {
                let rotated = rotate(&folder, &vault, root.as_ref(), now)?;
                let (key, before) = (encode_key(&rotated.key), encode_key(&rotated.before));
                let follow = match (root.is_some(), rotated.earlier) {
                    (true, _) => {
                        "the root key vouches for it, and the key before is revoked".into()
                    }
                    (false, 1) => "the key before vouches for it".into(),
                    (false, count) => format!("the last {count} keys vouch for it"),
                };
                Done {
                    value: json!({
                        "hub_key": key,
                        "before": before,
                        "before_is_revoked": root.is_some(),
                        "earlier_keys": rotated.earlier,
                    }),
                    text: format!("new hub key  {key}\n{follow}"),
                }
            }
            HubKey::Issuer => {
                let issuers = rotate_issuer(&folder, &vault, root.as_ref(), now)?;
                let kid = kid(issuers.current.public_key());
                let follow = if root.is_some() {
                    "the root key vouches for it; tokens of the keys before are refused"
                } else {
                    "tokens of the keys before are good until they end"
                };
                Done {
                    value: json!({ "issuer_kid": kid, "before_is_revoked": root.is_some() }),
                    text: format!("the issuer signs with {kid}\n{follow}"),
                }
            }
        };
        let is_in_use = match ask(&folder, &AdminRequest::TakeUpKeys) {
            Ok(answer) => in_use(answer).map(|_| true)?,
            Err(AdminError::Unreachable { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if let Some(object) = value.as_object_mut() {
            object.insert("in_use".into(), is_in_use.into());
        }
        let when = if is_in_use {
            "the hub uses it"
        } else {
            "no hub runs here: it has it from its next start on"
        };
        output::print(json, &value, &format!("{text}\n{when}"))
    }

    /// Has the daemon do it; returns the keys that it uses then, if one runs.
    fn done_by_daemon(&self, folder: &Path) -> Result<Option<InUse>, Failure> {
        match ask(folder, &AdminRequest::RotateKey { key: self.key }) {
            Ok(answer) => in_use(answer).map(Some),
            Err(AdminError::Unreachable { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn say_in_use(&self, InUse { hub_key, kid }: &InUse, json: bool) -> Result<(), Failure> {
        let said = match self.key {
            HubKey::Identity => format!("new hub key  {hub_key}"),
            HubKey::Issuer => format!("the issuer signs with {kid}"),
            HubKey::Tickets => "tickets are sealed under another key".into(),
        };
        let value = json!({
            "rotated": self.key,
            "hub_key": hub_key,
            "issuer_kid": kid,
            "in_use": true,
        });
        output::print(
            json,
            &value,
            &format!("{said}\nthe hub uses it; peers follow"),
        )
    }
}

/// The keys that a daemon uses.
struct InUse {
    hub_key: String,
    kid: String,
}

fn in_use(answer: AdminAnswer) -> Result<InUse, Failure> {
    match answer {
        AdminAnswer::KeysInUse {
            hub_key,
            issuer_kid: kid,
        } => Ok(InUse { hub_key, kid }),
        AdminAnswer::Refused(why) => Err(Failure::Refused(why)),
        _ => Err(Failure::Refused("it gave another answer".into())),
    }
}
