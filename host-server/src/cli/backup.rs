//! `moorline backup` and `moorline restore`: the hub on this machine in one file, and back.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::enroll::data_dir;
use super::{Failure, output};
use crate::backup;
use crate::store::{SecretSource, Vault};

/// What is backed up, and where to.
#[derive(Debug, Args)]
pub struct BackupArguments {
    /// The file to write; it may not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The file with the secret that seals it: 32 random bytes at least.
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    secret_file: Option<PathBuf>,
    /// Does not seal it: whoever has the file has the hub's keys, unless they are sealed themselves.
    #[arg(long, conflicts_with = "secret_file")]
    plain: bool,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// What is restored, and where to.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The backup.
    file: PathBuf,
    /// The file with the secret that seals it.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Checks the backup, and restores nothing.
    #[arg(long)]
    check: bool,
    /// The data directory to make; it may not be there yet.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl BackupArguments {
    /// Writes the backup and says how much is in it.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        let vault = vault(self.secret_file)?;
        let done = backup::write(&folder, &self.out, &vault)?;
        let path = self.out.display().to_string();
        let value = json!({ "backup": path, "files": done.files, "bytes": done.bytes, "sealed": !self.plain });
        let text = format!("{path}: {} files, {} bytes", done.files, done.bytes);
        output::print(json, &value, &text)
    }
}

impl RestoreArguments {
    /// Restores the backup, or checks it, and says how much is in it.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        let vault = vault(self.secret_file)?;
        let target = (!self.check).then_some(folder.as_path());
        let done = backup::read(&self.file, target, &vault)?;
        let path = target.map(|path| path.display().to_string());
        let value = json!({ "data_dir": path, "files": done.files, "bytes": done.bytes });
        let what = format!("{} files, {} bytes", done.files, done.bytes);
        let text = match path {
            Some(path) => format!("{path}: {what}"),
            None => format!("whole: {what}"),
        };
        output::print(json, &value, &text)
    }
}

fn vault(secret_file: Option<PathBuf>) -> Result<Vault, Failure> {
    let source = secret_file.map_or(SecretSource::None, SecretSource::File);
    // A secret file needs nothing of a data directory.
    Ok(Vault::open(std::path::Path::new(""), &source)?)
}
