//! `moorline keys`: the identity key of the hub on this machine, on its files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::enroll::data_dir;
use super::{Failure, output};
use crate::store::{HubKeys, IDENTITY_NAME, ROOT_NAME, encode_key, load_key, rotate};

/// What is done with the hub's keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Prints the hub's identity key and its root key, and how many keys before lead to it.
    Show(ShowArguments),
    /// Makes a new identity key, which peers follow to by themselves; the hub has it from its next start on.
    Rotate(RotateArguments),
}

/// Which keys are shown.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// How the key is rotated.
#[derive(Debug, Args)]
pub struct RotateArguments {
    /// The root key: it says that the new key is the hub's, and that the one before is not to be trusted again.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
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

impl ShowArguments {
    fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        // A hub makes the keys that it misses; a look at them does not.
        if !folder.join(IDENTITY_NAME).exists() {
            let why = format!("{}: no hub has its keys here", folder.display());
            return Err(Failure::Usage(why));
        }
        let keys = HubKeys::open(&folder)?;
        let succession = &keys.succession;
        let root_is_here = folder.join(ROOT_NAME).exists();
        let (hub_key, root_key) = (encode_key(keys.identity_key()), encode_key(&keys.root));
        let (earlier, by_root) = (succession.earlier.len(), succession.by_root.is_some());
        let value = json!({
            "hub_key": hub_key,
            "root_key": root_key,
            "root_counter": succession.root_counter,
            "earlier_keys": earlier,
            "vouched_by_root": by_root,
            "root_key_is_here": root_is_here,
        });
        let vouches = if by_root { ", and the root key" } else { "" };
        let advice = if root_is_here {
            "\nroot.key lies beside it: move it to a place that this machine does not reach"
        } else {
            ""
        };
        let text = format!(
            "hub key   {hub_key}\nroot key  {root_key}, counter {}\n\
             keys before that lead to it: {earlier}{vouches}{advice}",
            succession.root_counter
        );
        output::print(json, &value, &text)
    }
}

impl RotateArguments {
    fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        let root = self.root.as_deref().map(load_key).transpose();
        let root = root.map_err(crate::store::StoreError::from)?;
        let rotated = rotate(&folder, root.as_ref())?;
        let (key, before) = (encode_key(&rotated.key), encode_key(&rotated.before));
        let value = json!({
            "hub_key": key,
            "before": before,
            "before_is_revoked": root.is_some(),
            "earlier_keys": rotated.earlier,
        });
        let follow = match (root.is_some(), rotated.earlier) {
            (true, _) => "the root key vouches for it, and the key before is revoked".into(),
            (false, 1) => "the key before vouches for it".into(),
            (false, count) => format!("the last {count} keys vouch for it"),
        };
        let text = format!(
            "new hub key  {key}\n{follow}\nthe hub has it from its next start on: restart moorlined"
        );
        output::print(json, &value, &text)
    }
}
