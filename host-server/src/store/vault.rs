//! Secrets in files, sealed under a secret of the operator's where there is one.
//!
//! ```text
//! magic 8 | salt 32 | AES-256-GCM(contents) | tag 16
//! ```
//!
//! The key of a file is made of the operator's secret and the salt, which is fresh each time the file is written: it seals once.
//! A file that is not sealed yet is taken as it is, and sealed when it is opened; so a secret can be brought in later.

use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{AeadKey, Secret, Suite, expand_label, extract};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyFileError, StoreError, replace};
use crate::entropy::random;

const MAGIC: &[u8; 8] = b"MLSEAL1\n";
const SALT_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// Fewest bytes of a secret file: what is shorter may be guessed.
const MIN_SECRET_LEN: usize = 32;

/// Most bytes of a secret or a passphrase that are read.
const MAX_SECRET_LEN: u64 = 4096;

/// What a passphrase costs to try: 64 MiB of memory, three times over (RFC 9106 §4, the second choice).
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// The salt of the passphrase, in the data directory.
const SALT_NAME: &str = "passphrase.json";

/// Where the operator's secret comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SecretSource {
    /// There is none: files are as private as the disk.
    #[default]
    None,
    /// A file of at least 32 random bytes, such as a credential of a service manager.
    File(PathBuf),
    /// A file with a passphrase on one line.
    Passphrase(PathBuf),
}

/// Reads and writes files with secrets in them.
#[derive(Debug, Default)]
pub struct Vault {
    master: Option<Secret<32>>,
}

/// How the passphrase becomes a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stretching {
    /// In base64url.
    salt: String,
    memory_kib: u32,
    passes: u32,
}

impl Vault {
    /// Opens the vault of the files in `data_dir` by the secret that `source` names.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the secret cannot be read, others can read it, or it is too short. Whether it is the right one shows
    /// when a file is opened.
    pub fn open(data_dir: &Path, source: &SecretSource) -> Result<Self, StoreError> {
        let master = match source {
            SecretSource::None => None,
            SecretSource::File(path) => {
                let bytes = read_secret(path)?;
                if bytes.len() < MIN_SECRET_LEN {
                    return Err(StoreError::WeakSecret { path: path.clone() });
                }
                Some(extract(b"moorline at rest", &bytes))
            }
            SecretSource::Passphrase(path) => {
                let bytes = read_secret(path)?;
                let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                if line.is_empty() {
                    return Err(StoreError::WeakSecret { path: path.clone() });
                }
                Some(stretch(data_dir, line)?)
            }
        };
        Ok(Self { master })
    }

    /// Reads the secret file `path`; nothing when there is none. One that is not sealed and should be is sealed.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Sealed`] when it is sealed under another secret, or there is no secret here.
    pub fn read(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let io = |error| StoreError::Io {
            path: path.into(),
            error,
        };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mode = std::fs::metadata(path).map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyFileError::NotPrivate { path: path.into() }.into());
        }
        let Some(sealed) = bytes.strip_prefix(MAGIC) else {
            if self.master.is_some() {
                self.write(path, &bytes)?;
            }
            return Ok(Some(bytes));
        };
        self.opened(sealed)
            .map(Some)
            .ok_or_else(|| StoreError::Sealed { path: path.into() })
    }

    /// Replaces the secret file `path`. When it returns, the new file is on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the file is as it was then.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(master) = &self.master else {
            return replace(path, bytes);
        };
        let failed = |text: &str| StoreError::Io {
            path: path.into(),
            error: io::Error::other(text.to_owned()),
        };
        let salt = random::<SALT_LEN>().map_err(|_| failed("no random bytes"))?;
        let mut contents = Zeroizing::new(bytes.to_vec());
        let tag = file_key(master, &salt)
            .seal_in_place(0, MAGIC, &mut contents)
            .ok_or_else(|| failed("too long to be sealed"))?;
        replace(path, &[MAGIC, &salt[..], &contents, &tag.0].concat())
    }

    /// Returns the key of a stream with `salt`; nothing when there is no secret.
    pub(crate) fn stream_key(&self, salt: &[u8]) -> Option<AeadKey> {
        let secret = extract(salt, self.master.as_ref()?.expose());
        Some(AeadKey::new(
            Suite::Aes256Gcm,
            &expand_label(&secret, "stream key", b""),
            expand_label(&secret, "stream iv", b""),
        ))
    }

    fn opened(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let master = self.master.as_ref()?;
        let (salt, rest) = sealed.split_at_checked(SALT_LEN)?;
        let (contents, tag) = rest.split_last_chunk::<TAG_LEN>()?;
        let mut contents = Zeroizing::new(contents.to_vec());
        let is_whole = file_key(master, salt).open_in_place(0, MAGIC, &mut contents, tag);
        is_whole.then_some(contents)
    }
}

/// Returns the key of the file with `salt`.
fn file_key(master: &Secret<32>, salt: &[u8]) -> AeadKey {
    let secret = extract(salt, master.expose());
    AeadKey::new(
        Suite::Aes256Gcm,
        &expand_label(&secret, "at rest key", b""),
        expand_label(&secret, "at rest iv", b""),
    )
}

/// Reads what the operator keeps secret, from a file that its owner alone can read.
fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let io = |error| StoreError::Io {
        path: path.into(),
        error,
    };
    let file = std::fs::File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyFileError::NotPrivate { path: path.into() }.into());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_SECRET_LEN)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Ok(bytes)
}

/// Makes a key of a passphrase, with the salt in `data_dir`, which is made at the first time.
fn stretch(data_dir: &Path, passphrase: &[u8]) -> Result<Secret<32>, StoreError> {
    let path = data_dir.join(SALT_NAME);
    let bad = |reason: String| StoreError::Io {
        path: path.clone(),
        error: io::Error::other(reason),
    };
    let stretching = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let salt = random::<SALT_LEN>().map_err(|_| bad("no random bytes".into()))?;
            let fresh = Stretching {
                salt: Base64UrlUnpadded::encode_string(&salt),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
            };
            let bytes =
                serde_json::to_vec_pretty(&fresh).map_err(|error| bad(error.to_string()))?;
            replace(&path, &bytes)?;
            fresh
        }
        Err(error) => return Err(StoreError::Io { path, error }),
    };
    let salt = Base64UrlUnpadded::decode_vec(&stretching.salt)
        .map_err(|_| bad("the salt is not base64url".into()))?;
    if stretching.memory_kib < MEMORY_KIB || stretching.passes < PASSES {
        return Err(bad("it makes the passphrase cheap to try".into()));
    }
    let params = Params::new(stretching.memory_kib, stretching.passes, 1, Some(32))
        .map_err(|error| bad(error.to_string()))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, &salt, &mut *key)
        .map_err(|error| bad(error.to_string()))?;
    Ok(Secret::new(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private_file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        replace(&path, bytes).expect("a file");
        path
    }

    #[test]
    fn what_is_sealed_opens_under_the_same_secret_alone_and_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let source = |name, byte| SecretSource::File(private_file(folder, name, &[byte; 32]));
        let open = |source: &SecretSource| Vault::open(folder, source).expect("a secret");
        let (vault, other) = (open(&source("a", 1)), open(&source("b", 2)));
        let path = folder.join("x.key");
        vault.write(&path, b"the private key").expect("written");
        let sealed = std::fs::read(&path).expect("a file");
        assert!(!sealed.windows(7).any(|part| part == b"private"));
        let read = vault.read(&path).expect("it opens").expect("a file");
        assert_eq!(&**read, b"the private key");
        for stranger in [&other, &Vault::default()] {
            let error = stranger.read(&path).expect_err("another secret");
            assert!(matches!(error, StoreError::Sealed { .. }), "{error}");
        }
        for at in MAGIC.len()..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            replace(&path, &damaged).expect("a file");
            assert!(vault.read(&path).is_err(), "{at}");
        }
        for len in MAGIC.len()..sealed.len() {
            replace(&path, &sealed[..len]).expect("a file");
            assert!(vault.read(&path).is_err(), "{len}");
        }
        assert!(vault.read(&folder.join("none")).expect("read").is_none());
    }

    #[test]
    fn each_time_it_is_written_it_is_sealed_anew_and_what_was_plain_is_sealed_when_it_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let secret = SecretSource::File(private_file(folder, "secret", &[3; 40]));
        let vault = Vault::open(folder, &secret).expect("a secret");
        let path = private_file(folder, "x.key", b"plain");
        let read = vault.read(&path).expect("it is taken").expect("a file");
        assert_eq!(&**read, b"plain");
        let first = std::fs::read(&path).expect("a file");
        assert!(first.starts_with(MAGIC));
        vault.write(&path, b"plain").expect("written");
        assert_ne!(std::fs::read(&path).expect("a file"), first);
    }

    #[test]
    fn a_passphrase_opens_what_it_sealed_and_another_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let open = |name, text: &[u8]| {
            let path = private_file(folder, name, text);
            Vault::open(folder, &SecretSource::Passphrase(path))
        };
        let vault = open("a", b"correct horse\n").expect("a passphrase");
        let path = folder.join("x.key");
        vault.write(&path, b"secret").expect("written");
        let same = open("b", b"correct horse").expect("a passphrase");
        assert_eq!(
            &**same.read(&path).expect("opens").expect("a file"),
            b"secret"
        );
        let other = open("c", b"correct hors\n").expect("a passphrase");
        assert!(other.read(&path).is_err());
        assert!(open("d", b"\n").is_err(), "an empty one");
        let cheap = Stretching {
            salt: Base64UrlUnpadded::encode_string(&[7; 32]),
            memory_kib: MEMORY_KIB,
            passes: PASSES - 1,
        };
        let bytes = serde_json::to_vec(&cheap).expect("it is JSON");
        private_file(folder, SALT_NAME, &bytes);
        assert!(open("e", b"correct horse").is_err(), "cheaper to try");
    }

    #[test]
    fn a_secret_that_is_short_or_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let short = private_file(folder, "short", &[1; 31]);
        let error = Vault::open(folder, &SecretSource::File(short)).expect_err("31 bytes");
        assert!(matches!(error, StoreError::WeakSecret { .. }), "{error}");
        let open = private_file(folder, "open", &[1; 32]);
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o640)).expect("own file");
        assert!(Vault::open(folder, &SecretSource::File(open)).is_err());
        let missing = SecretSource::Passphrase(folder.join("missing"));
        assert!(Vault::open(folder, &missing).is_err());
    }
}
