//! Logging in: a key of this machine is bound to an account, and tokens for it come over the line.

use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::Signer;
use hyper::header::{AUTHORIZATION, HeaderName};
use moorline_core::crypto::{Hash, PublicKey, Secret, SigningKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::ClientError;
use super::http::Api;
use crate::accounts::{LoginKey, Proof, Purpose, Signed};
use crate::clock;
use crate::entropy::random;
use crate::store::{KeyFileError, StoreError, encode_key, read_private, replace};

/// Where one logs in.
const LOGIN: &str = "/api/v1/login";

/// The proof of a token's key (RFC 9449 §4.1).
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// A private key by which somebody logs in.
pub enum LoginSigner {
    /// ECDSA over P-256.
    P256(SigningKey),
    /// Ed25519.
    Ed25519(ed25519_dalek::SigningKey),
}

impl std::fmt::Debug for LoginSigner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LoginSigner({})", self.public())
    }
}

impl LoginSigner {
    /// Makes one and writes it to `path`, which must not exist: `p256:` or `ed25519:` and the private key in base64url, for
    /// its owner alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; no file is left behind then.
    pub fn create(path: &Path, is_ed25519: bool) -> Result<Self, StoreError> {
        if path.exists() {
            return Err(KeyFileError::Exists { path: path.into() }.into());
        }
        let no_entropy = |_| KeyFileError::NoEntropy;
        let (signer, kind, secret) = if is_ed25519 {
            let seed = Zeroizing::new(random::<32>().map_err(no_entropy)?);
            let key = ed25519_dalek::SigningKey::from_bytes(&seed);
            (Self::Ed25519(key), "ed25519", seed)
        } else {
            let key = SigningKey::generate(&mut crate::entropy::SystemEntropy);
            let key = key.map_err(no_entropy)?;
            let scalar = Zeroizing::new(*key.to_scalar().expose());
            (Self::P256(key), "p256", scalar)
        };
        let encoded = Zeroizing::new(Base64UrlUnpadded::encode_string(&*secret));
        let text = Zeroizing::new(format!("{kind}:{}\n", *encoded));
        replace(path, text.as_bytes())?;
        Ok(signer)
    }

    /// Reads the one in `path`.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]; a file that others can read is refused.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let malformed = || KeyFileError::Malformed { path: path.into() };
        let text = read_private(path)?;
        let text = std::str::from_utf8(&text).map_err(|_| malformed())?;
        let (kind, encoded) = text.trim_end().split_once(':').ok_or_else(malformed)?;
        let mut secret = Zeroizing::new([0; 32]);
        let decoded = Base64UrlUnpadded::decode(encoded, &mut *secret);
        if decoded.map(<[u8]>::len) != Ok(32) {
            return Err(malformed());
        }
        match kind {
            "p256" => SigningKey::from_scalar(&Secret::new(*secret))
                .map(Self::P256)
                .ok_or_else(malformed),
            "ed25519" => Ok(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(
                &secret,
            ))),
            _ => Err(malformed()),
        }
    }

    /// Returns its public half.
    #[must_use]
    pub fn public(&self) -> LoginKey {
        match self {
            Self::P256(key) => LoginKey::P256(*key.public_key()),
            Self::Ed25519(key) => LoginKey::Ed25519(key.verifying_key()),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], ClientError> {
        Ok(match self {
            Self::P256(key) => {
                let hedge = random::<32>().map_err(|_| ClientError::NoEntropy)?;
                key.sign(&Hash::of(&[message]), &hedge).0
            }
            Self::Ed25519(key) => key.sign(message).to_bytes(),
        })
    }
}

/// What somebody shows to log in.
#[derive(Debug, Clone, Copy)]
pub enum Shows<'a> {
    /// A login key, for this account.
    Key(&'a LoginSigner, &'a str),
    /// A login key, to make this account of it, and the code of an invitation where there is one.
    NewKey(&'a LoginSigner, &'a str, Option<&'a str>),
    /// An API key, which says whose it is.
    ApiKey(&'a str),
    /// The token of another issuer for the key that is bound, and that key.
    Token(&'a str, &'a SigningKey),
}

/// Binds `holder` to an account of the hub at `url`, `http://HOST:PORT` or `https://HOST:PORT`, whose identity key is
/// `hub_key`. Until the login is over, the hub gives tokens for the key to who comes with it:
/// [`Newcomer::come_back`](super::Newcomer::come_back).
///
/// # Errors
///
/// [`ClientError`]; nothing is signed for another hub than the one that is meant.
pub async fn log_in(
    url: &str,
    hub_key: &PublicKey,
    shows: Shows<'_>,
    holder: &PublicKey,
) -> Result<(), ClientError> {
    let mut api = Api::connect(url).await?;
    let (signer, account, code, purpose) = match shows {
        Shows::ApiKey(key) => {
            let body = json!({ "holder_key": encode_key(holder) });
            let shown = [(AUTHORIZATION, format!("Bearer {key}"))];
            return api.post(LOGIN, Some(&body), shown).await.map(drop);
        }
        Shows::Token(token, key) => {
            let proof = Proof {
                method: "POST",
                authority: api.authority(),
                path: LOGIN,
                token,
                key: key.public_key(),
                body: &[],
            };
            let (jti, hedge) = (random::<16>(), random::<32>());
            let no_entropy = |_| ClientError::NoEntropy;
            let jti = Base64UrlUnpadded::encode_string(&jti.map_err(no_entropy)?);
            let now = clock::now().unix.secs();
            let proof = proof.make(key, &jti, now, &hedge.map_err(no_entropy)?);
            let shown = [(AUTHORIZATION, format!("DPoP {token}")), (DPOP, proof)];
            return api.post(LOGIN, None, shown).await.map(drop);
        }
        Shows::Key(signer, account) => (signer, account, None, Purpose::LogIn),
        Shows::NewKey(signer, account, code) => (signer, account, code, Purpose::Register),
    };
    let asked = json!({ "account": account });
    let challenge = api.post("/api/v1/challenge", Some(&asked), []).await?;
    let text = |name: &str| {
        let text = challenge[name].as_str();
        text.ok_or_else(|| ClientError::NotLoggedIn(format!("the hub says no `{name}`")))
    };
    let bytes = Base64UrlUnpadded::decode_vec(text("challenge")?);
    let bytes = bytes.map_err(|_| ClientError::NotLoggedIn("the challenge is none".into()))?;
    let signed = Signed {
        purpose,
        hub: text("hub")?,
        hub_key,
        // A proxy that speaks TLS for the hub has another channel than the hub: the hub says whether it binds its own.
        channel: api.channel().filter(|_| challenge["binds_channel"] == true),
        account,
        challenge: &bytes,
        holder: Some(holder),
    };
    let signature = signer.sign(&signed.to_bytes())?;
    let mut body = json!({
        "account": account,
        "challenge": text("challenge")?,
        "login_key": signer.public().to_string(),
        "signature": Base64UrlUnpadded::encode_string(&signature),
        "holder_key": encode_key(holder),
    });
    if let Some(code) = code {
        body["code"] = Value::from(code);
    }
    let path = match purpose {
        Purpose::LogIn => LOGIN,
        Purpose::Register => "/api/v1/register",
    };
    api.post(path, Some(&body), []).await.map(drop)
}
