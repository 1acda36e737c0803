//! The device's token: the one that it was provisioned with, and those that follow it.
//!
//! When half of a token's life is over the device asks the hub for the next one, in the session that it has. It takes
//! the next one when the issuer signed it for the device, keeps it in flash, and rests the session on it.

use heapless::Vec;
use moorline_core::time::Now;
use moorline_core::token::{
    Candidate, Claims, MAX_UNPACKED_LEN, Policy, Role, TrustAnchors, UnpackedToken,
    UnverifiedClaims,
};

use crate::identity::Identity;

/// The newest token of the device, and when the next one is to be asked for.
pub struct Renewal {
    token: Vec<u8, MAX_UNPACKED_LEN>,
    issued_at: u64,
    expires_at: u64,
    /// Milliseconds since the start before which the hub is not asked again.
    pause_until: u64,
}

/// Who the device is: what a next token must say.
pub struct Own<'i> {
    /// What the provisioned token says.
    pub claims: &'i Claims,
    /// The issuers that count.
    pub anchors: &'i TrustAnchors,
    /// The audience that tokens of the site name.
    pub audience: &'i str,
}

impl Renewal {
    /// Returns it without a token that follows.
    pub const fn new() -> Self {
        Self {
            token: Vec::new(),
            issued_at: 0,
            expires_at: 0,
            pause_until: 0,
        }
    }

    /// Notes the life of the provisioned token, in seconds since 1970.
    pub fn begin(&mut self, issued_at: u64, expires_at: u64) {
        self.issued_at = issued_at;
        self.expires_at = expires_at;
    }

    /// Takes in the token that was kept through a reset, if it follows the provisioned one and is not over.
    ///
    /// It was verified before it was kept, and is not verified again: the hub and commanders do that.
    #[inline(never)]
    pub fn restore(&mut self, bytes: &[u8], own: &Own<'_>) {
        let Ok(token) = UnpackedToken::parse_exact(bytes) else {
            return;
        };
        let Ok(claims) = UnverifiedClaims::decode(&token) else {
            return;
        };
        let claims = claims.claims_unverified();
        if let Some(token) = self.next(bytes, claims, own) {
            self.token = token;
            self.begin(claims.issued_at, claims.expires_at);
        }
    }

    /// Returns the token in `bytes`, of which `claims` are the claims, if it is one that may follow.
    fn next(
        &self,
        bytes: &[u8],
        claims: &Claims,
        own: &Own<'_>,
    ) -> Option<Vec<u8, MAX_UNPACKED_LEN>> {
        let is_own = claims.issuer == own.claims.issuer
            && claims.subject == own.claims.subject
            && claims.key == own.claims.key;
        Vec::from_slice(bytes)
            .ok()
            .filter(|_| is_own && claims.issued_at > self.issued_at)
    }

    /// Returns the newest token: that of `identity` until one has followed it.
    pub fn token_or<'t>(&'t self, identity: &'t Identity) -> UnpackedToken<'t> {
        UnpackedToken::parse_exact(&self.token).unwrap_or(identity.token())
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

    /// Takes in `bytes`, which the hub says are the next token. Returns whether they are: a hub that gives another one
    /// does not get the device to forget the token that works.
    #[inline(never)]
    pub fn take(&mut self, bytes: &[u8], own: &Own<'_>, now: &Now) -> bool {
        let verified = UnpackedToken::parse_exact(bytes).and_then(|token| {
            let policy = Policy::channel(own.audience, Role::Agent, now.unix);
            Candidate::check(&token, own.anchors, &policy)?.verify_signature()
        });
        let verified = match verified {
            Ok(verified) => verified,
            Err(reason) => {
                defmt::warn!("no token: {}", reason);
                return false;
            }
        };
        let claims = verified.claims();
        let Some(token) = self.next(bytes, claims, own) else {
            defmt::warn!("no token: it is another's, or older");
            return false;
        };
        self.token = token;
        self.issued_at = claims.issued_at;
        self.expires_at = claims.expires_at;
        true
    }
}

impl Default for Renewal {
    fn default() -> Self {
        Self::new()
    }
}

/// Milliseconds before the hub is asked again.
const PAUSE_MS: u64 = 60_000;
