//! What is signed to log in, made without keeping anything: a stranger that asks for challenges costs one code each.

use std::collections::HashMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{Mac, Secret};
use moorline_core::entropy::EntropyError;
use subtle::ConstantTimeEq;

use crate::entropy::random;

/// Length of a challenge in bytes: `u64 seconds | nonce 16 | code 16`.
const CHALLENGE_LEN: usize = 8 + NONCE_LEN + CODE_LEN;
const NONCE_LEN: usize = 16;
const CODE_LEN: usize = 16;

/// Challenges that are remembered as used: those of logins that were good, of the last minutes.
const MAX_USED: usize = 4_096;

/// Makes challenges and knows them again.
#[derive(Debug)]
pub(crate) struct Challenges {
    secret: Secret<32>,
    /// What was used, and the seconds since 1970 from which it is over anyway.
    used: HashMap<[u8; NONCE_LEN], u64>,
}

impl Challenges {
    /// Makes those of one run of the daemon.
    pub(crate) fn new() -> Result<Self, EntropyError> {
        Ok(Self {
            secret: Secret::new(random()?),
            used: HashMap::new(),
        })
    }

    /// Returns a challenge for `account` in base64url, good until `until` in seconds since 1970.
    pub(crate) fn make(&self, account: &str, until: u64) -> Result<String, EntropyError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let code = self.code(account, until, &nonce);
        let challenge = [&until.to_be_bytes()[..], &nonce, &code].concat();
        Ok(Base64UrlUnpadded::encode_string(&challenge))
    }

    /// Returns the bytes of `challenge` if it was made for `account`, is not over at `now`, and was not used.
    pub(crate) fn check(
        &self,
        account: &str,
        challenge: &str,
        now: u64,
    ) -> Option<[u8; CHALLENGE_LEN]> {
        let mut bytes = [0; CHALLENGE_LEN];
        let decoded = Base64UrlUnpadded::decode(challenge, &mut bytes).ok()?;
        if decoded.len() != CHALLENGE_LEN {
            return None;
        }
        let (until, nonce, code) = parts(&bytes)?;
        let is_ours = bool::from(code.ct_eq(&self.code(account, until, &nonce)));
        (is_ours && now < until && !self.used.contains_key(&nonce)).then_some(bytes)
    }

    /// Notes that `challenge` is used. Returns whether it was good until now: of two at once, one is the first.
    pub(crate) fn spend(&mut self, challenge: &[u8; CHALLENGE_LEN], now: u64) -> bool {
        let Some((until, nonce, _)) = parts(challenge) else {
            return false;
        };
        self.used.retain(|_, until| now < *until);
        // Each was paid for with a login that is counted; without room nobody logs in twice by the same one either.
        self.used.len() < MAX_USED && self.used.insert(nonce, until).is_none()
    }

    fn code(&self, account: &str, until: u64, nonce: &[u8; NONCE_LEN]) -> [u8; CODE_LEN] {
        let parts: [&[u8]; 4] = [
            b"Moorline challenge v1\0",
            &until.to_be_bytes(),
            nonce,
            account.as_bytes(),
        ];
        let mut code = [0; CODE_LEN];
        let whole = Mac::of(self.secret.expose(), &parts);
        code.copy_from_slice(&whole.as_bytes()[..CODE_LEN]);
        code
    }
}

fn parts(challenge: &[u8; CHALLENGE_LEN]) -> Option<(u64, [u8; NONCE_LEN], [u8; CODE_LEN])> {
    let (until, rest) = challenge.split_first_chunk::<8>()?;
    let (nonce, code) = rest.split_first_chunk::<NONCE_LEN>()?;
    Some((u64::from_be_bytes(*until), *nonce, code.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_good_once_for_its_account_until_its_end() {
        let mut challenges = Challenges::new().expect("random bytes");
        let challenge = challenges.make("alice", 100).expect("random bytes");
        assert_eq!(challenges.check("bob", &challenge, 99), None);
        assert_eq!(challenges.check("alice", &challenge, 100), None);
        let bytes = challenges
            .check("alice", &challenge, 99)
            .expect("it is good");
        assert!(challenges.spend(&bytes, 99));
        assert!(!challenges.spend(&bytes, 99));
        assert_eq!(challenges.check("alice", &challenge, 99), None);
        // What is over is not remembered.
        challenges.used.retain(|_, until| 100 < *until);
        assert!(challenges.used.is_empty());
    }

    #[test]
    fn a_challenge_of_another_hub_or_that_was_changed_is_none() {
        let [ours, others] = [(); 2].map(|()| Challenges::new().expect("random bytes"));
        let challenge = others.make("alice", 100).expect("random bytes");
        assert_eq!(ours.check("alice", &challenge, 1), None);
        let challenge = ours.make("alice", 100).expect("random bytes");
        let bytes = Base64UrlUnpadded::decode_vec(&challenge).expect("base64url");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = Base64UrlUnpadded::encode_string(&changed);
            assert_eq!(ours.check("alice", &changed, 1), None, "{at}");
        }
        for text in ["", "AAAA", &challenge[1..], "ü"] {
            assert_eq!(ours.check("alice", text, 1), None, "{text}");
        }
    }
}
