//! A hub's data directory in one file, and back.
//!
//! The file is a tar archive, sealed where there is a secret. Its last entry names each file before it with its length and
//! hash. It can be taken while the daemon runs: the files that have to agree with each other are read until two looks at them
//! say the same. Tickets are not in it: one that was used would be good again.

mod sealed;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::Hash;
use sealed::{MAGIC, Opener, SALT_LEN, Sealer};
use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};
use zeroize::Zeroizing;

use crate::entropy::random;
use crate::store::{StoreError, Vault, make_private_dir, sync_folder};

/// The files that have to agree with each other, those that are there.
const FILES: &[&str] = &[
    "identity.key",
    "identity.next.key",
    "succession.json",
    "issuers.json",
    "root.key",
    "root.pub",
    "passphrase.json",
    "peers.json",
    "roles.json",
    "accounts.json",
    "invitations.json",
    "revocations.json",
    "tickets.key",
    "audit.key",
    "audit.pub",
];

/// The folders whose files stand for themselves.
const FOLDERS: &[&str] = &["offline", "audit"];

const MANIFEST: &str = "manifest.json";

/// Looks that are taken at most until two say the same.
const MAX_LOOKS: usize = 100;

/// Most bytes of one file, and most files.
const MAX_LEN: u64 = 4 << 30;
const MAX_FILES: usize = 200_000;

/// Why there is no backup, or nothing is restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder failed.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The secret, or a file, is not right.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is something already.
    #[error("{0}: there is something already; it is not replaced")]
    Exists(PathBuf),
    /// There is no hub.
    #[error("{0}: no hub has its keys here")]
    NoHub(PathBuf),
    /// The files change all the time.
    #[error("the hub's files change faster than they can be read; try again")]
    Restless,
    /// It is sealed, and no secret was given.
    #[error("{0}: it is sealed; `--secret-file` opens it")]
    Sealed(PathBuf),
    /// It is not a backup, or a damaged one.
    #[error("{path}: not a whole backup: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Files.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    files: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    len: u64,
    /// SHA-256 in base64url.
    hash: String,
}

impl Entry {
    fn of(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.into(),
            len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            hash: Base64UrlUnpadded::encode_string(Hash::of(&[bytes]).as_bytes()),
        }
    }
}

type Contents = Zeroizing<Vec<u8>>;

/// Writes a backup of the hub in `data_dir` to `out`, sealed under the secret of `vault` if it has one. When it returns, that is
/// on the disk.
///
/// # Errors
///
/// [`BackupError`]; nothing is left at `out` then.
pub fn write(data_dir: &Path, out: &Path, vault: &Vault) -> Result<Summary, BackupError> {
    if !data_dir.join("identity.key").exists() {
        return Err(BackupError::NoHub(data_dir.into()));
    }
    if out.exists() {
        return Err(BackupError::Exists(out.into()));
    }
    let io = |error| BackupError::Io {
        path: out.into(),
        error,
    };
    let fresh = out.with_extension("part");
    let written = write_to(&fresh, data_dir, vault).and_then(|summary| {
        std::fs::rename(&fresh, out).map_err(io)?;
        Ok(summary)
    });
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&fresh);
    }
    let folder = out.parent().filter(|path| !path.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))?;
    written
}

fn write_to(path: &Path, data_dir: &Path, vault: &Vault) -> Result<Summary, BackupError> {
    let io = |error| BackupError::Io {
        path: path.into(),
        error,
    };
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).map_err(io)?;
    let salt = random::<SALT_LEN>().map_err(|_| io(io::Error::other("no random bytes")))?;
    let (file, summary) = match vault.stream_key(&salt) {
        Some(key) => {
            file.write_all(MAGIC)
                .and_then(|()| file.write_all(&salt))
                .map_err(io)?;
            let (sealer, summary) = archive(Sealer::new(file, key), path, data_dir)?;
            (sealer.finish().map_err(io)?, summary)
        }
        None => archive(file, path, data_dir)?,
    };
    file.sync_all().map_err(io)?;
    Ok(summary)
}

/// Writes the archive to `out`, which `path` names in errors.
fn archive<W: Write>(out: W, path: &Path, data_dir: &Path) -> Result<(W, Summary), BackupError> {
    let io = |error| BackupError::Io {
        path: path.into(),
        error,
    };
    let mut builder = Builder::new(out);
    let mut entries = Vec::new();
    let mut summary = Summary::default();
    let mut add = |builder: &mut Builder<W>, name: &str, bytes: &[u8]| {
        let entry = Entry::of(name, bytes);
        summary.files += 1;
        summary.bytes = summary.bytes.saturating_add(entry.len);
        entries.push(entry);
        append(builder, name, bytes).map_err(io)
    };
    for (name, bytes) in settled(data_dir)? {
        add(&mut builder, name, &bytes)?;
    }
    for folder in FOLDERS {
        for name in listed(data_dir, folder)? {
            // What is gone since was dealt with.
            if let Some(bytes) = look(&data_dir.join(&name))? {
                add(&mut builder, &name, &bytes)?;
            }
        }
    }
    let manifest = Manifest {
        version: 1,
        files: entries,
    };
    let manifest = serde_json::to_vec(&manifest).map_err(|error| io(error.into()))?;
    append(&mut builder, MANIFEST, &manifest).map_err(io)?;
    Ok((builder.into_inner().map_err(io)?, summary))
}

fn append<W: Write>(builder: &mut Builder<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(u64::try_from(bytes.len()).map_err(io::Error::other)?);
    header.set_mode(0o600);
    header.set_entry_type(EntryType::Regular);
    builder.append_data(&mut header, name, bytes)
}

/// Reads the files that have to agree with each other, as they were at one moment.
fn settled(data_dir: &Path) -> Result<Vec<(&'static str, Contents)>, BackupError> {
    let read = || {
        let files = FILES.iter().filter_map(|name| {
            let bytes = look(&data_dir.join(name)).transpose()?;
            Some(bytes.map(|bytes| (*name, bytes)))
        });
        files.collect::<Result<Vec<_>, BackupError>>()
    };
    let mut before = read()?;
    for _ in 0..MAX_LOOKS {
        let now = read()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(BackupError::Restless)
}

/// Reads a file; nothing when there is none.
fn look(path: &Path) -> Result<Option<Contents>, BackupError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupError::Io {
            path: path.into(),
            error,
        }),
    }
}

/// Returns the names of all files in `folder` and the folders in it, relative to `data_dir`.
fn listed(data_dir: &Path, folder: &str) -> Result<Vec<String>, BackupError> {
    let path = data_dir.join(folder);
    let io = |error| BackupError::Io {
        path: path.clone(),
        error,
    };
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        // What has another name than the hub gives is not the hub's, and neither is what it is about to write.
        let Some(name) = name.to_str().filter(|name| !name.ends_with(".new")) else {
            continue;
        };
        let name = format!("{folder}/{name}");
        match entry.file_type().map_err(io)? {
            kind if kind.is_dir() => names.extend(listed(data_dir, &name)?),
            kind if kind.is_file() => names.push(name),
            _ => {}
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Checks that `backup` is whole, and restores it to `data_dir` if one is given, where nothing may be yet. When it returns, that
/// is on the disk.
///
/// # Errors
///
/// [`BackupError`]; nothing is at `data_dir` then.
pub fn read(backup: &Path, data_dir: Option<&Path>, vault: &Vault) -> Result<Summary, BackupError> {
    let Some(data_dir) = data_dir else {
        return unpack(backup, None, vault);
    };
    if data_dir.exists() {
        return Err(BackupError::Exists(data_dir.into()));
    }
    let io = |error| BackupError::Io {
        path: data_dir.into(),
        error,
    };
    let fresh = data_dir.with_extension("restoring");
    if fresh.exists() {
        return Err(BackupError::Exists(fresh));
    }
    make_private_dir(&fresh)?;
    let restored = unpack(backup, Some(&fresh), vault).and_then(|summary| {
        std::fs::rename(&fresh, data_dir).map_err(io)?;
        Ok(summary)
    });
    if restored.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_dir_all(&fresh);
    }
    let folder = data_dir
        .parent()
        .filter(|path| !path.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))?;
    restored
}

fn unpack(backup: &Path, target: Option<&Path>, vault: &Vault) -> Result<Summary, BackupError> {
    let io = |error| BackupError::Io {
        path: backup.into(),
        error,
    };
    let mut file = File::open(backup).map_err(io)?;
    let mut begin = [0; MAGIC.len()];
    let is_sealed = file.read_exact(&mut begin).is_ok() && begin == *MAGIC;
    if !is_sealed {
        let file = File::open(backup).map_err(io)?;
        return extract(file, backup, target);
    }
    let mut salt = [0; SALT_LEN];
    file.read_exact(&mut salt)
        .map_err(|_| BackupError::Damaged {
            path: backup.into(),
            reason: "it is cut".into(),
        })?;
    let key = vault.stream_key(&salt);
    let key = key.ok_or_else(|| BackupError::Sealed(backup.into()))?;
    extract(Opener::new(file, key), backup, target)
}

fn extract<R: Read>(
    mut input: R,
    backup: &Path,
    target: Option<&Path>,
) -> Result<Summary, BackupError> {
    let damaged = |reason: String| BackupError::Damaged {
        path: backup.into(),
        reason,
    };
    let failed = |error: io::Error| damaged(error.to_string());
    let mut found = Vec::new();
    let mut manifest: Option<Manifest> = None;
    let mut summary = Summary::default();
    {
        let mut archive = Archive::new(&mut input);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            if manifest.is_some() || found.len() >= MAX_FILES {
                return Err(damaged("there is more than its list names".into()));
            }
            let path = entry.path().map_err(failed)?.into_owned();
            let name = name_of(&path).filter(|_| entry.header().entry_type() == EntryType::Regular);
            let name = name.ok_or_else(|| damaged(format!("{} has no place", path.display())))?;
            if entry.size() > MAX_LEN {
                return Err(damaged(format!("{name} is too long")));
            }
            let mut bytes = Zeroizing::new(Vec::new());
            entry.read_to_end(&mut bytes).map_err(failed)?;
            if name == MANIFEST {
                let list = serde_json::from_slice(&bytes);
                manifest = Some(list.map_err(|error| damaged(error.to_string()))?);
                continue;
            }
            if let Some(target) = target {
                place(&target.join(&name), &bytes)?;
            }
            let entry = Entry::of(&name, &bytes);
            summary.files += 1;
            summary.bytes = summary.bytes.saturating_add(entry.len);
            found.push(entry);
        }
    }
    // The last chunk of a sealed one is behind the end of the archive.
    io::copy(&mut input, &mut io::sink()).map_err(failed)?;
    let manifest = manifest.ok_or_else(|| damaged("its list is not there".into()))?;
    if manifest.version != 1 {
        return Err(damaged(format!(
            "version {} is not known",
            manifest.version
        )));
    }
    if manifest.files != found {
        return Err(damaged("a file is not as its list says".into()));
    }
    Ok(summary)
}

/// Returns the name of a file that a backup may hold.
fn name_of(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            _ => return None,
        }
    }
    let is_known = match parts.as_slice() {
        [name] => *name == MANIFEST || FILES.contains(name),
        [folder, ..] => FOLDERS.contains(folder) && parts.len() <= 4,
        [] => false,
    };
    is_known.then(|| parts.join("/"))
}

fn place(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let io = |error| BackupError::Io {
        path: path.into(),
        error,
    };
    if let Some(folder) = path.parent() {
        make_private_dir(folder)?;
    }
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).map_err(io)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(io)
}
