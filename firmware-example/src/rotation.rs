//! The device's next key, in steps of which each is in flash before the next begins.
//!
//! | stage | in flash | what happens |
//! |---|---|---|
//! | wanted | that a key is wanted | a commander was told so |
//! | made | the key | the hub is asked for a token that names it |
//! | named | the key and that token | the key is proved to the hub, in the session that the old key opened |
//! | proved | the key in the place of the old one | the old key is of no use to anyone |
//!
//! The hub takes up the new key when it is proved, and from then on refuses the old one. A device that lost its power before
//! it heard of that finds out when its old key is refused: it tries the new one, and only when the hub takes that does it
//! give up the old one. So no cut of power strands it. A token that names a key not yet proved is good in the session
//! that it was given in: in the next one another is asked for.

use heapless::Vec;
use moorline_core::connection::NewToken;
use moorline_core::crypto::{PUBLIC_KEY_LEN, SigningKey};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};

use crate::board::Entropy;
use crate::kept::{Kept, NextKey};

/// The device's next key.
pub struct Rotation {
    is_wanted: bool,
    key: Option<SigningKey>,
    /// The token that names the key, unpacked; empty until there is one.
    token: Vec<u8, MAX_UNPACKED_LEN>,
    /// Milliseconds since the start before which the hub is not asked again for a token.
    pause_until: u64,
}

/// A key that the hub has taken up, with the token that names it, unpacked.
pub struct Proved {
    /// The key.
    pub key: SigningKey,
    /// The token.
    pub token: Vec<u8, MAX_UNPACKED_LEN>,
}

impl Rotation {
    /// Returns it without a key.
    pub const fn new() -> Self {
        Self {
            is_wanted: false,
            key: None,
            token: Vec::new(),
            pause_until: 0,
        }
    }

    /// Takes in `next`, which `kept` has kept through a reset, unless that came when it was in the place of the key before:
    /// then it is `own`.
    #[inline(never)]
    pub fn restore(&mut self, next: NextKey, own: &SigningKey, kept: &mut Kept) {
        let key = next.scalar.as_ref().and_then(SigningKey::from_scalar);
        if key.as_ref().map(SigningKey::public_key) == Some(own.public_key()) {
            let _said = kept.forget_next();
            return;
        }
        defmt::info!("another key is on its way");
        self.is_wanted = true;
        self.key = key;
        self.token = next.token;
    }

    /// Notes that another key is wanted, also when one is on its way already. Returns whether that is kept.
    pub fn want(&mut self, kept: &mut Kept) -> bool {
        self.is_wanted = self.is_wanted || kept.keep_next(&NextKey::default()).is_ok();
        self.is_wanted
    }

    /// Returns whether another key is on its way.
    pub fn is_under_way(&self) -> bool {
        self.is_wanted
    }

    /// Begins with a link that is open now: there is no pause left from the one before.
    pub fn begin(&mut self) {
        self.pause_until = 0;
    }

    /// Returns the public key that the hub is to name in a token at `now_ms`, in milliseconds since the start; the key is
    /// made and kept when there is none. Then there is a pause.
    #[inline(never)]
    pub fn ask(
        &mut self,
        now_ms: u64,
        kept: Option<&mut Kept>,
        entropy: &mut Entropy,
    ) -> Option<[u8; PUBLIC_KEY_LEN]> {
        let kept = kept.filter(|_| self.is_wanted && now_ms >= self.pause_until)?;
        self.pause_until = now_ms + PAUSE_MS;
        if self.key.is_none() {
            let key = SigningKey::generate(entropy).ok()?;
            let next = NextKey {
                scalar: Some(key.to_scalar()),
                token: Vec::new(),
            };
            kept.keep_next(&next).ok()?;
            self.key = Some(key);
        }
        self.key().map(|key| key.public_key().to_bytes())
    }

    /// Returns the key that is on its way.
    pub fn key(&self) -> Option<&SigningKey> {
        self.key.as_ref()
    }

    /// Returns the token that names the key, unpacked; once there is one the hub may have taken up the key.
    pub fn token(&self) -> Option<&[u8]> {
        (!self.token.is_empty()).then_some(&self.token)
    }

    /// Keeps `token`, which was verified and names the key that is on its way. Returns whether the key is to be proved: not
    /// one that a reset would take away.
    #[inline(never)]
    pub fn name(&mut self, token: &[u8], kept: Option<&mut Kept>) -> bool {
        let (Some(kept), Some(key), Ok(token)) = (kept, &self.key, Vec::from_slice(token)) else {
            return false;
        };
        let next = NextKey {
            scalar: Some(key.to_scalar()),
            token,
        };
        let is_kept = kept.keep_next(&next).is_ok();
        if is_kept {
            self.token = next.token;
        }
        is_kept
    }

    /// Returns what proves the key to the hub.
    pub fn proof(&self) -> Option<NewToken<'_>> {
        Some(NewToken {
            token: UnpackedToken::parse_exact(self.token()?).ok()?,
            key: self.key(),
        })
    }

    /// Puts the key, which the hub has taken up, in the place of the device's own, and returns it.
    ///
    /// When the flash does not take it the two keys stand there as before, and the device finds out again after a reset.
    #[inline(never)]
    pub fn prove(&mut self, kept: Option<&mut Kept>) -> Option<Proved> {
        let key = self.key.take()?;
        let token = core::mem::take(&mut self.token);
        self.is_wanted = false;
        if let Some(kept) = kept {
            let _said = kept.keep_key(&key, &token);
        }
        defmt::info!("the key is now {}", key.public_key());
        Some(Proved { key, token })
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self::new()
    }
}

/// Milliseconds before the hub is asked again for a token.
const PAUSE_MS: u64 = 60_000;
