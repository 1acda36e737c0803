//! Forgeries: a valid token with one thing changed.

use heapless::Vec;
use moorline_core::crypto::{PublicKey, Secret, SigningKey};
use moorline_core::time::UnixMillis;
use moorline_core::token::{
    Candidate, Claims, Policy, TokenReason, TrustAnchor, TrustAnchors, UnpackedToken, jws,
};

use crate::hex::hex;
use crate::primitives::{RFC_6979_KEY, RFC_6979_SCALAR};
use crate::{Case, Failure, ensure};

/// The moment of every case, in seconds: when the valid tokens were issued.
pub(super) const NOW: u64 = 1_800_000_000;

/// The hub that verifies.
pub(super) const HUB: &str = "hub.example";

/// The group to which the offline token is addressed.
pub(super) const GROUP: &str = "harbour";

/// Who signs, with the key of RFC 6979 §A.2.5.
pub(super) const ISSUER: &str = "https://issuer.example";

/// The id of the issuer's key.
pub(super) const KID: &str = "k1";

/// The header of a valid token.
pub(super) const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#;

/// The payload of a valid agent's token; the holder's key is that of RFC 7515 §A.3.
pub(super) const AGENT: &str = concat!(
    r#"{"iss":"https://issuer.example","aud":"hub.example","sub":"crane-7","#,
    r#""iat":1800000000,"exp":1800003600,"jti":"AAECAwQFBgcICQoLDA0ODw","cnf":{"jwk":"#,
    r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#,
    r#""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}},"role":"agent","gen":3}"#,
);

/// What turns the agent's payload into a commander's.
const COMMANDER_ROLE: &str =
    r#""role":"commander","perm":["agent.command.*","chat.send"],"agt":"harbour""#;

/// What turns the agent's payload into that of a commander's offline token.
const OFFLINE_ROLE: &str =
    r#""role":"commander","perm":["agent.command.led"],"agt":["AAECAwQFBgcICQoLDA0ODw"]"#;

/// The issuer's signature over the valid agent's token, made without a hedge; computed with OpenSSL, and the lower s
/// taken.
pub(super) const AGENT_SIGNATURE: [u8; 64] = hex(
    "a183f7be2ead2ab9a51659a7f06553509ffbe3038c3cf47a47911a716d781d86\
     2fa26a196b8ef554ab164b8f7b2d0af4656dbdb026596a4787310c6a11f5768d",
);

/// Longest forged payload in bytes, some more than the profile allows.
const MAX_FORGED_LEN: usize = 640;

/// A token of parts that may be wrong, and the place at which it is shown.
pub(super) struct Forgery {
    header: Vec<u8, 255>,
    payload: Vec<u8, MAX_FORGED_LEN>,
    signature: [u8; 64],
    policy: Policy<'static>,
    /// Every change was made exactly once.
    is_sound: bool,
}

/// A forgery's bytes as they travel.
pub(super) type Bytes = Vec<u8, 1024>;

impl Forgery {
    /// Returns the valid agent's token, shown to the hub.
    pub(super) fn agent() -> Self {
        let mut forgery = Self {
            header: Vec::new(),
            payload: Vec::new(),
            signature: AGENT_SIGNATURE,
            policy: Self::link(),
            is_sound: true,
        };
        forgery.is_sound = forgery.header.extend_from_slice(HEADER.as_bytes()).is_ok()
            && forgery.payload.extend_from_slice(AGENT.as_bytes()).is_ok();
        forgery
    }

    /// Returns a valid commander's token but for its signature, shown to the hub.
    pub(super) fn commander() -> Self {
        Self::agent().payload(r#""role":"agent""#, COMMANDER_ROLE)
    }

    /// Returns a valid offline token but for its signature, shown to an agent of the group.
    pub(super) fn offline() -> Self {
        Self::agent()
            .header("at+jwt", "ml-off+jwt")
            .payload(r#""role":"agent""#, OFFLINE_ROLE)
            .payload(HUB, GROUP)
            .policy(Policy::offline_command(GROUP, UnixMillis::from_secs(NOW)))
    }

    /// Returns the policy of the hub at the moment of every case.
    pub(super) fn link() -> Policy<'static> {
        Policy::link(HUB, UnixMillis::from_secs(NOW))
    }

    /// Replaces the one `from` in the header.
    pub(super) fn header(mut self, from: &str, to: impl AsRef<[u8]>) -> Self {
        self.is_sound &= replace(&mut self.header, from.as_bytes(), to.as_ref());
        self
    }

    /// Replaces the one `from` in the payload.
    pub(super) fn payload(mut self, from: &str, to: impl AsRef<[u8]>) -> Self {
        self.is_sound &= replace(&mut self.payload, from.as_bytes(), to.as_ref());
        self
    }

    /// Adds a member at the end of the payload.
    pub(super) fn member(self, member: &str) -> Self {
        self.payload(r#""gen":3}"#, r#""gen":3,"#)
            .append(member.as_bytes())
            .append(b"}")
    }

    /// Adds bytes after the payload.
    pub(super) fn append(mut self, bytes: &[u8]) -> Self {
        self.is_sound &= self.payload.extend_from_slice(bytes).is_ok();
        self
    }

    /// Shows the token `now` seconds after 1970 to the hub.
    pub(super) fn at(self, now: u64) -> Self {
        self.policy(Policy::link(HUB, UnixMillis::from_secs(now)))
    }

    /// Shows the token in another place.
    pub(super) fn policy(mut self, policy: Policy<'static>) -> Self {
        self.policy = policy;
        self
    }

    /// Puts another signature to the token.
    pub(super) fn signature(mut self, signature: [u8; 64]) -> Self {
        self.signature = signature;
        self
    }

    /// Has the issuer sign the token as it is.
    pub(super) fn signed(mut self) -> Self {
        match SigningKey::from_scalar(&Secret::new(RFC_6979_SCALAR)) {
            Some(issuer) => {
                self.signature = issuer
                    .sign(&jws::signing_hash(&self.header, &self.payload), &[])
                    .0;
            }
            None => self.is_sound = false,
        }
        self
    }

    /// Returns the token's bytes as they travel; none when a change was not made.
    pub(super) fn bytes(&self) -> Bytes {
        let mut bytes = Vec::new();
        let header_len = u8::try_from(self.header.len()).unwrap_or(u8::MAX);
        let payload_len = u16::try_from(self.payload.len()).unwrap_or(u16::MAX);
        let is_whole = self.is_sound
            && bytes.push(header_len).is_ok()
            && bytes.extend_from_slice(&payload_len.to_be_bytes()).is_ok()
            && bytes.extend_from_slice(&self.header).is_ok()
            && bytes.extend_from_slice(&self.payload).is_ok()
            && bytes.extend_from_slice(&self.signature).is_ok();
        if !is_whole {
            bytes.clear();
        }
        bytes
    }

    /// Fails unless the token is refused for `reason`.
    pub(super) fn refused(self, reason: TokenReason) -> Result<(), Failure> {
        let bytes = self.bytes();
        ensure!(!bytes.is_empty());
        ensure!(check(&bytes, &self.policy).err() == Some(reason));
        Ok(())
    }

    /// Fails unless all but the signature is right.
    pub(super) fn good_but_for_signature(self) -> Result<(), Failure> {
        let bytes = self.bytes();
        ensure!(!bytes.is_empty());
        ensure!(read(&bytes, &self.policy).is_ok());
        Ok(())
    }

    /// Fails unless the token is accepted; returns what it says.
    pub(super) fn accepted(&self) -> Result<Claims, Failure> {
        let bytes = self.bytes();
        ensure!(!bytes.is_empty());
        check(&bytes, &self.policy).map_err(|_| NOT_ACCEPTED)
    }

    /// Fails unless the token is accepted.
    pub(super) fn good(&self) -> Result<(), Failure> {
        self.accepted().map(|_| ())
    }
}

/// How a case fails whose token is refused and should not be.
const NOT_ACCEPTED: Failure = Failure {
    condition: "the token is accepted",
    file: file!(),
    line: line!(),
    step: 0,
};

/// Returns the set with the one issuer.
pub(super) fn anchors() -> TrustAnchors {
    let mut anchors = TrustAnchors::new();
    if let Some(key) = PublicKey::from_bytes(&RFC_6979_KEY)
        && let Ok(anchor) = TrustAnchor::new(ISSUER, KID, key)
    {
        // An anchor that was not taken makes every case fail.
        let _ = anchors.insert(anchor);
    }
    anchors
}

/// Does all checks up to the signature.
pub(super) fn read<'a>(bytes: &'a [u8], policy: &Policy<'_>) -> Result<Candidate<'a>, TokenReason> {
    Candidate::check(&UnpackedToken::parse_exact(bytes)?, &anchors(), policy)
}

/// Does all checks.
pub(super) fn check(bytes: &[u8], policy: &Policy<'_>) -> Result<Claims, TokenReason> {
    let verified = read(bytes, policy)?.verify_signature()?;
    Ok(verified.claims().clone())
}

/// Returns a case of a table.
pub(super) const fn case(
    name: &'static str,
    clause: &'static str,
    run: fn() -> Result<(), Failure>,
) -> Case {
    Case { name, clause, run }
}

/// Replaces `from` in `text`; `false` when it does not stand there exactly once, or there is no room.
fn replace<const N: usize>(text: &mut Vec<u8, N>, from: &[u8], to: &[u8]) -> bool {
    let found = text
        .windows(from.len())
        .filter(|window| *window == from)
        .count();
    let Some(at) = text.windows(from.len()).position(|window| window == from) else {
        return false;
    };
    let mut tail = Vec::<u8, MAX_FORGED_LEN>::new();
    let Some(rest) = text.get(at + from.len()..) else {
        return false;
    };
    let is_kept = tail.extend_from_slice(rest).is_ok();
    text.truncate(at);
    found == 1
        && is_kept
        && text.extend_from_slice(to).is_ok()
        && text.extend_from_slice(&tail).is_ok()
}
