//! Enrolment with a code or an external key, and a first token by a key that is enrolled (PROTOCOL.md §2.9, §2.12).

use moorline_core::connection::NewToken;
use moorline_core::crypto::{PUBLIC_KEY_LEN, PublicKey, SigningKey};
use moorline_core::handshake::{ExternalKey, Shown};
use moorline_core::message::ToHub;
use moorline_core::token::{UnpackedToken, UnverifiedClaims};
use moorline_core::trust::TrustStore;
use moorline_core::wire::EnrolmentCode;

use super::again::Again;
use super::link::{Got, Link, WantedHub};
use super::{ClientError, ProfileError, TrustFile};
use crate::admin::Credential;
use crate::store::{PeerRole, encode_key, kid};

/// A newcomer that the hub has enrolled, in the session in which it was.
#[derive(Debug)]
pub struct Newcomer<'k> {
    link: Link<'k>,
    token: Vec<u8>,
    /// The key that the token names, when the session has not proved it.
    proves: Option<&'k SigningKey>,
    credential: Credential,
}

impl<'k> Newcomer<'k> {
    /// Enrols the holder of `key` with the hub at `url`, which it knows by `trust`, by `code`. The code is spent when this
    /// returns. `keeper` keeps whom it trusts, where the hub has changed its key meanwhile.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a hub that is not proved learns nothing of the code.
    pub async fn join(
        url: &str,
        trust: &'k TrustStore,
        keeper: Option<&'k TrustFile>,
        key: &'k SigningKey,
        code: EnrolmentCode<'k>,
    ) -> Result<Self, ClientError> {
        let hub = WantedHub { trust, keeper };
        let link = Link::open_as(url, key, Shown::Code(code), hub, None).await?;
        Self::enrolled(link, url, trust, None, None).await
    }

    /// Gets a first token for the holder of `key`, which is enrolled with the hub at `url`: the one that it had is over.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn come_back(
        url: &str,
        trust: &'k TrustStore,
        keeper: Option<&'k TrustFile>,
        key: &'k SigningKey,
    ) -> Result<Self, ClientError> {
        let hub = WantedHub { trust, keeper };
        let link = Link::open_as(url, key, Shown::Key, hub, None).await?;
        Self::enrolled(link, url, trust, None, None).await
    }

    /// Enrols the holder of `key` with the hub at `url` as [`Newcomer::join`] does, by an external key that the hub was
    /// given too. The external key is spent by [`Newcomer::finish`].
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn join_with_key(
        url: &str,
        trust: &'k TrustStore,
        keeper: Option<&'k TrustFile>,
        key: &'k SigningKey,
        external: &'k ExternalKey,
    ) -> Result<Self, ClientError> {
        let shows = Shown::ExternalKey(external);
        let hub = WantedHub { trust, keeper };
        let link = Link::open_as(url, key, shows, hub, None).await?;
        let own = key.public_key().to_bytes();
        let mut message = [0; PUBLIC_KEY_LEN + 8];
        let message = ToHub::RenewToken { key: Some(&own) }
            .encode(&mut message)
            .map_err(|_| ClientError::TooLong)?;
        let asks = Some(&*message);
        Self::enrolled(link, url, trust, Some(key), asks).await
    }

    /// Waits for the token, which has to be asked for where `asks` says how. Over datagrams it is asked for again, and the
    /// hub says again what it gives unasked.
    async fn enrolled(
        mut link: Link<'k>,
        url: &str,
        trust: &TrustStore,
        proves: Option<&'k SigningKey>,
        asks: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        let mut again = Again::new(link.is_lossy() && asks.is_some());
        if let Some(message) = asks {
            link.send_application(message).await?;
        }
        let enrolled = loop {
            match link.wait(again.due()).await? {
                Got::Enrolled(enrolled) => break enrolled,
                Got::Application(_) => return Err(ClientError::RenewalRefused),
                Got::Late if again.is_due() => {
                    link.send_application(asks.unwrap_or_default()).await?;
                }
                _ => {}
            }
        };
        let malformed = |_| ClientError::Malformed(moorline_core::reason::Reason::Malformed);
        let token = UnpackedToken::parse_exact(&enrolled.token).map_err(malformed)?;
        let claims = UnverifiedClaims::decode(&token).map_err(malformed)?;
        let claims = claims.claims_unverified();
        let unknown = || ClientError::Malformed(moorline_core::reason::Reason::PublicKey);
        let signs = |key: &&PublicKey| kid(key) == claims.kid.as_str();
        let signer = enrolled.issuer_keys.iter().find(signs);
        let credential = Credential {
            hub: claims.issuer.as_str().into(),
            hub_key: encode_key(trust.current()),
            root_key: encode_key(trust.root()),
            root_counter: trust.root_counter(),
            issuer_key: encode_key(signer.ok_or_else(unknown)?),
            issuer_kid: claims.kid.as_str().into(),
            issuer_keys: enrolled.issuer_keys.iter().map(encode_key).collect(),
            group: enrolled.group,
            url: url.into(),
            name: claims.subject.as_str().into(),
            role: match claims.role {
                moorline_core::token::Role::Agent => PeerRole::Agent,
                moorline_core::token::Role::Commander => PeerRole::Commander,
            },
            token: String::new(),
            expires_at: claims.expires_at,
        };
        let credential = credential.with_token(&token).map_err(|error| match error {
            ProfileError::BadToken(reason) => ClientError::Malformed(reason.into()),
            _ => ClientError::Malformed(moorline_core::reason::Reason::Malformed),
        })?;
        Ok(Self {
            link,
            token: enrolled.token,
            proves,
            credential,
        })
    }

    /// Returns the token, unpacked.
    #[must_use]
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// Returns the credential. It is stored before [`Newcomer::finish`].
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Shows the hub the token, so that both know it works, and says goodbye.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn finish(mut self) -> Result<(), ClientError> {
        let token = UnpackedToken::parse_exact(&self.token)
            .map_err(|reason| ClientError::Malformed(reason.into()))?;
        let new = NewToken {
            token,
            key: self.proves,
        };
        self.link.renew(&new).await?;
        self.link.close().await;
        Ok(())
    }
}
