//! TLS to a hub.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use futures_rustls::{TlsConnector, TlsStream};

use super::{HTTP_11, Skin, TlsError, open, provider, read};

/// Whom this process takes for authorities, once that is settled.
static AUTHORITIES: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// Has this process take the certificates in `file`, which is PEM, for authorities in place of the system's. It is settled
/// once, before the first connection.
///
/// # Errors
///
/// [`TlsError`] when there are none in it.
pub(crate) fn trust_only(file: &Path) -> Result<(), TlsError> {
    let bytes = read(&open(file)?, file)?;
    let no_certificate = || TlsError::NoCertificate { path: file.into() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|_| no_certificate())?;
        roots.add(certificate).map_err(|_| no_certificate())?;
    }
    if roots.is_empty() {
        return Err(no_certificate());
    }
    // Whoever was first is obeyed.
    let _ = AUTHORITIES.set(Arc::new(roots));
    Ok(())
}

/// Puts `stream` into TLS to the hub that an authority knows as `host`, a name or an address.
///
/// # Errors
///
/// That of the stream; [`io::ErrorKind::InvalidData`] when the certificate does not prove the name.
pub(crate) async fn connect<S>(host: &str, stream: S) -> io::Result<Skin<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| invalid("no name of a host"))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(io::Error::other)?
        .with_root_certificates(authorities()?)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_11.to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await?;
    Ok(Skin::Tls(Box::new(TlsStream::Client(stream))))
}

/// Returns whom this process takes for authorities: those that were named, or else the system's.
fn authorities() -> io::Result<Arc<RootCertStore>> {
    if let Some(roots) = AUTHORITIES.get() {
        return Ok(Arc::clone(roots));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, TlsError::NoRoots));
    }
    Ok(Arc::clone(AUTHORITIES.get_or_init(|| Arc::new(roots))))
}
