//! The hub's certificate and its key, as they are on the disk now.
//!
//! The two files are looked at whenever a connection is accepted, and read when they are not those that were read before:
//! a certificate that is renewed is shown from the next connection on. A new pair that does not fit together is logged once,
//! and the one before goes on, so that the two files may be replaced one after the other.

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::ServerConfig;
use futures_rustls::rustls::version::{TLS12, TLS13};

use super::{HTTP_11, TlsError, open, provider, read};
use crate::config::TlsSettings;

/// The hub's certificate and its key.
#[derive(Debug, Default)]
pub(crate) struct Certificates(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Of the files that were read last, in order or not.
    looks: Option<Looks>,
    served: Option<Arc<ServerConfig>>,
}

/// What two files look like from outside.
#[derive(Debug, PartialEq, Eq)]
struct Looks {
    certificate: (PathBuf, Option<Look>),
    key: (PathBuf, Option<Look>),
}

/// Device and inode, bytes, seconds and nanoseconds of the last change, the mode.
type Look = (u64, u64, u64, i64, i64, u32);

impl Looks {
    fn of(certificate: &Path, key: &Path) -> Self {
        let look = |path: &Path| (path.to_path_buf(), path.metadata().ok().map(look));
        Self {
            certificate: look(certificate),
            key: look(key),
        }
    }
}

fn look(data: Metadata) -> Look {
    (
        data.dev(),
        data.ino(),
        data.len(),
        data.ctime(),
        data.ctime_nsec(),
        data.mode(),
    )
}

impl Certificates {
    /// Reads what `settings` name; nothing when they name nothing.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub(crate) fn open(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut state = State::default();
        if let Some((certificate, key)) = settings.pair() {
            state.looks = Some(Looks::of(certificate, key));
            state.served = Some(Arc::new(load(certificate, key)?));
        }
        Ok(Self(Mutex::new(state)))
    }

    /// Returns how TLS is spoken now; nothing when no certificate was ever in order.
    pub(crate) fn now(&self, settings: &TlsSettings) -> Option<Arc<ServerConfig>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((certificate, key)) = settings.pair() {
            let looks = Some(Looks::of(certificate, key));
            if state.looks != looks {
                // Files that change while they are read are read again.
                state.looks = looks;
                match load(certificate, key) {
                    Ok(config) => {
                        tracing::info!(path = %certificate.display(), "another certificate is shown");
                        state.served = Some(Arc::new(config));
                    }
                    Err(error) => {
                        tracing::error!(%error, "the certificate before goes on");
                    }
                }
            }
        }
        state.served.clone()
    }
}

/// Returns how TLS is spoken with the chain in `certificate` and the private key in `key`, both PEM.
fn load(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let no_certificate = || TlsError::NoCertificate {
        path: certificate.into(),
    };
    let chain = read(&open(certificate)?, certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|_| no_certificate())?;
    if chain.is_empty() {
        return Err(no_certificate());
    }
    let file = open(key)?;
    check_private(&file, key)?;
    let text = read(&file, key)?;
    let private = PrivateKeyDer::from_pem_slice(&text);
    let private = private.map_err(|_| TlsError::NoKey { path: key.into() })?;
    let no_pair = |error: futures_rustls::rustls::Error| TlsError::NoPair {
        path: certificate.into(),
        reason: error.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(no_pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(no_pair)?;
    config.alpn_protocols = vec![HTTP_11.to_vec()];
    Ok(config)
}

fn check_private(file: &File, path: &Path) -> Result<(), TlsError> {
    let data = file.metadata().map_err(|error| TlsError::Unreadable {
        path: path.into(),
        error,
    })?;
    if data.permissions().mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(TlsError::NotPrivate { path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::Arc;

    use super::Certificates;
    use crate::config::TlsSettings;
    use crate::tls::TlsError;

    fn settings(folder: &Path) -> TlsSettings {
        TlsSettings {
            certificate: Some(folder.join("hub.pem")),
            key: Some(folder.join("hub.key")),
            ..TlsSettings::default()
        }
    }

    fn put(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).expect("a file");
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    }

    /// Returns a certificate and its key.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["hub.example".to_owned()]);
        let made = made.expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_no_pair_is_not_taken_and_a_key_that_others_read_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, settings) = (folder.path(), settings(folder.path()));
        let (certificate, key) = pair();
        let (_, other) = pair();
        let write = |certificate: &str, key: &str, mode| {
            put(&folder.join("hub.pem"), certificate, 0o644);
            put(&folder.join("hub.key"), key, mode);
            Certificates::open(&settings)
        };
        let long = "x".repeat(65_537);
        assert!(matches!(
            write("", &key, 0o600),
            Err(TlsError::NoCertificate { .. })
        ));
        assert!(matches!(
            write(&long, &key, 0o600),
            Err(TlsError::TooLong { .. })
        ));
        assert!(matches!(
            write(&certificate, "", 0o600),
            Err(TlsError::NoKey { .. })
        ));
        assert!(matches!(
            write(&certificate, &other, 0o600),
            Err(TlsError::NoPair { .. })
        ));
        for mode in [0o640, 0o604, 0o660] {
            let error = write(&certificate, &key, mode).expect_err("others read it");
            assert!(matches!(error, TlsError::NotPrivate { .. }), "{error}");
        }
        std::fs::remove_file(folder.join("hub.key")).expect("it was there");
        assert!(matches!(
            Certificates::open(&settings),
            Err(TlsError::Unreadable { .. })
        ));
        assert!(write(&certificate, &key, 0o600).is_ok());
        let none = Certificates::open(&TlsSettings::default()).expect("nothing to read");
        assert!(none.now(&TlsSettings::default()).is_none());
    }

    #[test]
    fn another_pair_is_taken_up_and_until_it_is_whole_the_one_before_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, settings) = (folder.path(), settings(folder.path()));
        let (certificate, key) = pair();
        put(&folder.join("hub.pem"), &certificate, 0o644);
        put(&folder.join("hub.key"), &key, 0o600);
        let certificates = Certificates::open(&settings).expect("a pair");
        let now = || certificates.now(&settings).expect("a pair");
        let first = now();
        assert!(Arc::ptr_eq(&first, &now()), "nothing changed");
        let (certificate, key) = pair();
        put(&folder.join("next"), &certificate, 0o644);
        std::fs::rename(folder.join("next"), folder.join("hub.pem")).expect("renamed");
        assert!(Arc::ptr_eq(&first, &now()), "half of it is no pair");
        put(&folder.join("next"), &key, 0o600);
        std::fs::rename(folder.join("next"), folder.join("hub.key")).expect("renamed");
        let second = now();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::remove_file(folder.join("hub.pem")).expect("it was there");
        assert!(Arc::ptr_eq(&second, &now()), "it goes on without its files");
    }
}
