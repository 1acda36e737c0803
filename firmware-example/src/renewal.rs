//! The device's token: the one that it was provisioned with, and those that follow it.
//!
//! When half of a token's life is over the device asks the hub for the next one, in the session that it has. It takes
//! the next one when the issuer signed it for the device, keeps it in flash, and rests the session on it.

use heapless::Vec;
use moorline_core::crypto::PublicKey;
use moorline_core::time::Now;
use moorline_core::token::{
    Candidate, Claims, MAX_UNPACKED_LEN, Policy, Role, TokenReason, TrustAnchors, UnpackedToken,
    UnverifiedClaims,
};

/// The newest token of the device, and when the next one is to be asked for.
pub struct Renewal {
    token: Vec<u8, MAX_UNPACKED_LEN>,
    issued_at: u64,
    expires_at: u64,
    /// Milliseconds since the start before which the hub is not asked again.
    pause_until: u64,
}

/// Who the device is: what a token of its own must say.
pub struct Own<'i> {
    /// What the provisioned token says.
    pub claims: &'i Claims,
    /// The issuers that count.
    pub anchors: &'i TrustAnchors,
    /// The audience that tokens of the site name.
    pub audience: &'i str,
}

impl Own<'_> {
    /// Verifies `bytes`, which the hub says are a token of the device's. Whose key it names is not looked at.
    ///
    /// # Errors
    ///
    /// The first [`TokenReason`]: a hub that gives another token does not get the device to forget the one that works.
    #[inline(never)]
    pub fn verify(&self, bytes: &[u8], now: &Now) -> Result<Claims, TokenReason> {
        let token = UnpackedToken::parse_exact(bytes)?;
        let policy = Policy::channel(self.audience, Role::Agent, now.unix);
        let verified = Candidate::check(&token, self.anchors, &policy)?.verify_signature()?;
        Ok(verified.claims().clone())
    }

    /// Returns whether `claims` are of the device's own name and name `key`.
    pub fn names(&self, claims: &Claims, key: &PublicKey) -> bool {
        claims.issuer == self.claims.issuer
            && claims.subject == self.claims.subject
            && claims.key == *key
    }
}

impl Renewal {
    /// Returns it without a token.
    pub const fn new() -> Self {
        Self {
            token: Vec::new(),
            issued_at: 0,
            expires_at: 0,
            pause_until: 0,
        }
    }

    /// Rests on `token`, of which `claims` are the claims.
    pub fn begin(&mut self, token: &[u8], claims: &Claims) {
        self.token = Vec::from_slice(token).unwrap_or_default();
        self.issued_at = claims.issued_at;
        self.expires_at = claims.expires_at;
    }

    /// Takes in the token that was kept through a reset, if it names `key`. Returns whether it does.
    ///
    /// It was verified before it was kept, and is not verified again: the hub and commanders do that. By the time in it it
    /// may be no newer than the one whose place it took: the hub's clock may have been set back.
    #[inline(never)]
    pub fn restore(&mut self, bytes: &[u8], own: &Own<'_>, key: &PublicKey) -> bool {
        let claims =
            UnpackedToken::parse_exact(bytes).and_then(|token| UnverifiedClaims::decode(&token));
        claims.is_ok_and(|claims| {
            let claims = claims.claims_unverified();
            let is_own = own.names(claims, key);
            if is_own {
                self.begin(bytes, claims);
            }
            is_own
        })
    }

    /// Begins with a token that was verified and kept.
    pub fn rest_on(&mut self, bytes: &[u8]) {
        let claims =
            UnpackedToken::parse_exact(bytes).and_then(|token| UnverifiedClaims::decode(&token));
        if let Ok(claims) = claims {
            self.begin(bytes, claims.claims_unverified());
        }
    }

    /// Returns the newest token as bytes, unpacked.
    pub fn bytes(&self) -> &[u8] {
        &self.token
    }

    /// Returns the newest token.
    pub fn token(&self) -> Option<UnpackedToken<'_>> {
        UnpackedToken::parse_exact(&self.token).ok()
    }

    /// Returns whether the next token is to be asked for at `now`; if so, it is not for a while.
    pub fn is_due(&mut self, now: &Now) -> bool {
        let half = self.expires_at.saturating_sub(self.issued_at) / 2;
        let is_due = now.unix.secs() >= self.issued_at + half && now.instant.0 >= self.pause_until;
        if is_due {
            self.pause_until = now.instant.0 + PAUSE_MS;
        }
        is_due
    }

    /// Has the next token asked for at once when the key that signed this one is not among `anchors`: commanders who came later
    /// do not know it either.
    #[inline(never)]
    pub fn note_issuers(&mut self, anchors: &TrustAnchors) {
        let claims = self.token().map(|token| UnverifiedClaims::decode(&token));
        if let Some(Ok(claims)) = claims
            && anchors.find(&claims.claims_unverified().kid).is_none()
        {
            self.expires_at = self.issued_at;
            self.pause_until = 0;
        }
    }

    /// Takes in `bytes`, of which `claims` are the claims, if it is newer than the token that there is; returns whether it
    /// is.
    pub fn take(&mut self, bytes: &[u8], claims: &Claims) -> bool {
        let is_newer = claims.issued_at > self.issued_at;
        if is_newer {
            self.begin(bytes, claims);
        }
        is_newer
    }
}

impl Default for Renewal {
    fn default() -> Self {
        Self::new()
    }
}

/// Milliseconds before the hub is asked again.
const PAUSE_MS: u64 = 60_000;
