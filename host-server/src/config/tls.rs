//! `[tls]` of the configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::require;
use super::{ConfigError, address_or_off, path_or_off};

/// How HTTP is served in TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// Where HTTP is served in TLS; `"off"` for nowhere.
    #[serde(with = "address_or_off")]
    pub listen: Option<SocketAddr>,
    /// The file with the certificate and those that lead to its authority, PEM; `"off"` for none.
    #[serde(with = "path_or_off")]
    pub certificate: Option<PathBuf>,
    /// The file with the certificate's private key, PEM, which nobody else may read; `"off"` for none.
    #[serde(with = "path_or_off")]
    pub key: Option<PathBuf>,
    /// Whether HTTP without TLS does nothing but to say where there is TLS.
    pub require_tls: bool,
}

impl TlsSettings {
    pub(super) fn mistakes(&self) -> impl Iterator<Item = ConfigError> {
        let is_served = self.listen.is_some();
        let checks = [
            require(
                "tls.certificate",
                self.certificate.is_some() == self.key.is_some(),
                "a `certificate` and its `key` go together",
            ),
            require(
                "tls.listen",
                !is_served || self.pair().is_some(),
                "needs a `certificate` and its `key`",
            ),
            require(
                "tls.require_tls",
                !self.require_tls || is_served,
                "needs an address to `listen` at",
            ),
        ];
        checks.into_iter().filter_map(Result::err)
    }

    /// Returns the files with the certificate and its key.
    pub(crate) fn pair(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.key.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::TlsSettings;

    #[test]
    fn tls_needs_its_files_and_what_requires_it_needs_an_address() {
        let address = Some(([127, 0, 0, 1], 7445).into());
        let (file, none) = (Some("a.pem".into()), None);
        for (listen, certificate, key, require_tls, wrong) in [
            (None, &none, &none, false, &[][..]),
            (address, &file, &file, true, &[]),
            (None, &file, &file, false, &[]),
            (None, &file, &none, false, &["tls.certificate"]),
            (address, &none, &none, false, &["tls.listen"]),
            (
                address,
                &none,
                &file,
                false,
                &["tls.certificate", "tls.listen"],
            ),
            (None, &none, &none, true, &["tls.require_tls"]),
        ] {
            let settings = TlsSettings {
                listen,
                certificate: certificate.clone(),
                key: key.clone(),
                require_tls,
            };
            let mistakes: Vec<String> =
                settings.mistakes().map(|error| error.to_string()).collect();
            assert_eq!(mistakes.len(), wrong.len(), "{mistakes:?}");
            for (mistake, key) in mistakes.iter().zip(wrong) {
                assert!(mistake.starts_with(&format!("{key}: ")), "{mistake}");
            }
        }
    }
}
