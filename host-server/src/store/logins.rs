//! Who is logged in: a token's key or a browser's cookie, for a while.

use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{Hash, PublicKey};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::registry::{read, write};
use super::{StoreError, encode_key};
use crate::standing::TokenName;

/// Proofs of one login that are remembered: more in their time is a limit.
const MAX_PROOFS: usize = 256;

/// How many logins there may be, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoginLimits {
    /// Of one commander at a time; the one that was used longest ago goes first.
    pub(crate) per_account: usize,
    /// Seconds after which one is over that is not used.
    pub(crate) idle_seconds: u64,
    /// Seconds after which one is over in any case.
    pub(crate) seconds: u64,
}

/// What a login is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// A key of the machine, which tokens name: the uncompressed point in base64url.
    Key(String),
    /// A browser's cookie, by the hash of its secret in base64url.
    Cookie(String),
}

/// One login.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// Its name: 16 bytes in base64url.
    pub(crate) id: String,
    /// The commander.
    pub(crate) account: String,
    pub(crate) bound: Bound,
    /// By what: a login key, or the name of an API key.
    pub(crate) by: String,
    /// The most that it permits: names and patterns; without one it is all that the commander may do.
    pub(crate) ceiling: Option<Vec<String>>,
    /// Seconds since 1970 at which it began.
    pub(crate) since: u64,
    /// Seconds since 1970 at which it was last used, as far as this run of the daemon knows.
    #[serde(skip)]
    pub(crate) used: u64,
    /// The proofs that came with requests, and the seconds since 1970 from which each is over anyway.
    #[serde(skip)]
    proofs: Vec<(Hash, u64)>,
}

/// Who is logged in.
#[derive(Debug)]
pub(crate) struct Logins {
    path: PathBuf,
    limits: LoginLimits,
    logins: Vec<Login>,
}

/// Why a proof is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reused {
    /// It came before.
    Known,
    /// Too many came in their time.
    TooMany,
}

impl Logins {
    /// Reads those in `data_dir`; without a file nobody is logged in. They count as used at `now`, in seconds since 1970.
    pub(crate) fn open(data_dir: &Path, limits: LoginLimits, now: u64) -> Result<Self, StoreError> {
        let path = data_dir.join("logins.json");
        let mut logins: Vec<Login> = read(&path)?;
        for login in &mut logins {
            login.used = now;
        }
        Ok(Self {
            path,
            limits,
            logins,
        })
    }

    /// Has other limits hold from now on.
    pub(crate) fn set_limits(&mut self, limits: LoginLimits) {
        self.limits = limits;
    }

    /// Logs `account` in. The one of its logins that was used longest ago is over when there are too many. When it
    /// returns, that is on the disk. Returns the login, and those that are over for it: not one of the same key, which goes on.
    pub(crate) fn begin(
        &mut self,
        account: &str,
        id: [u8; 16],
        bound: Bound,
        (by, ceiling): (&str, Option<&[String]>),
        now: u64,
    ) -> Result<(Login, Vec<Login>), StoreError> {
        let mut kept = self.logins.clone();
        kept.retain(|login| self.is_live(login, now) && login.bound != bound);
        let mut own: Vec<(u64, String)> = kept
            .iter()
            .filter(|login| login.account == account)
            .map(|login| (login.used, login.id.clone()))
            .collect();
        own.sort_unstable();
        let surplus = (own.len() + 1).saturating_sub(self.limits.per_account);
        for (_, oldest) in own.into_iter().take(surplus) {
            kept.retain(|login| login.id != oldest);
        }
        let login = Login {
            id: Base64UrlUnpadded::encode_string(&id),
            account: account.into(),
            bound: bound.clone(),
            by: by.into(),
            ceiling: ceiling.map(<[String]>::to_vec),
            since: now,
            used: now,
            proofs: Vec::new(),
        };
        kept.push(login.clone());
        let mut over = self.replace(kept)?;
        over.retain(|login| login.bound != bound);
        Ok((login, over))
    }

    /// Returns the login of which `token` is, if it is not over at `now`: its key's, and not one of before with the same key.
    /// One that is not used is over, unless `is_in_use`.
    pub(crate) fn of_token(&self, token: &TokenName, is_in_use: bool, now: u64) -> Option<&Login> {
        let (account, key) = (token.subject.as_str(), &token.key);
        let mut own = self.logins.iter().filter(|login| login.account == account);
        own.find(|login| {
            let is_live = self.is_live(login, now) || (is_in_use && !self.has_ended(login, now));
            is_live
                && token.issued_at >= login.since
                && login
                    .key()
                    .is_some_and(|named| named.hash().as_bytes() == key)
        })
    }

    /// Returns the login whose tokens name `key`, if it is not over at `now`.
    pub(crate) fn of_key(&self, key: &PublicKey, now: u64) -> Option<&Login> {
        let bound = Bound::to_key(key);
        let login = self.logins.iter().find(|login| login.bound == bound)?;
        self.is_live(login, now).then_some(login)
    }

    /// Returns the login whose cookie names it `id` and has `secret`, if it is not over at `now`.
    pub(crate) fn by_cookie(&self, id: &str, secret: &[u8; 32], now: u64) -> Option<&Login> {
        let login = self.logins.iter().find(|login| login.id == id)?;
        let Bound::Cookie(hash) = &login.bound else {
            return None;
        };
        let shown = Base64UrlUnpadded::encode_string(Hash::of(&[secret]).as_bytes());
        let is_it = bool::from(shown.as_bytes().ct_eq(hash.as_bytes()));
        (is_it && self.is_live(login, now)).then_some(login)
    }

    /// Returns whether tokens of somebody else's login than `account`'s name `key`, which is in base64url.
    pub(crate) fn is_named_by_another(&self, account: &str, key: &str) -> bool {
        let names_it = |login: &Login| matches!(&login.bound, Bound::Key(named) if named == key);
        let mut others = self.logins.iter().filter(|login| login.account != account);
        others.any(names_it)
    }

    /// Notes that the login of which `token` is, if there is one, is used at `now`.
    pub(crate) fn touch_of(&mut self, token: &TokenName, now: u64) {
        if let Some(id) = self
            .of_token(token, true, now)
            .map(|login| login.id.clone())
        {
            self.touch(&id, now);
        }
    }

    /// Notes that the login called `id` is used at `now`.
    pub(crate) fn touch(&mut self, id: &str, now: u64) {
        if let Some(login) = self.logins.iter_mut().find(|login| login.id == id) {
            login.used = login.used.max(now);
        }
    }

    /// Takes a proof that came with a request by the login called `id`, good until `until`.
    ///
    /// # Errors
    ///
    /// [`Reused`].
    pub(crate) fn take_proof(
        &mut self,
        id: &str,
        proof: Hash,
        until: u64,
        now: u64,
    ) -> Result<(), Reused> {
        let login = self.logins.iter_mut().find(|login| login.id == id);
        let login = login.ok_or(Reused::Known)?;
        login.proofs.retain(|(_, until)| now < *until);
        if login.proofs.iter().any(|(known, _)| known.same_as(&proof)) {
            return Err(Reused::Known);
        }
        if login.proofs.len() >= MAX_PROOFS {
            return Err(Reused::TooMany);
        }
        login.proofs.push((proof, until));
        Ok(())
    }

    /// Ends those that `is_meant`. When it returns, that is on the disk. Returns them.
    pub(crate) fn end(
        &mut self,
        is_meant: impl Fn(&Login) -> bool,
    ) -> Result<Vec<Login>, StoreError> {
        let mut kept = self.logins.clone();
        kept.retain(|login| !is_meant(login));
        if kept.len() == self.logins.len() {
            return Ok(Vec::new());
        }
        self.replace(kept)
    }

    /// Returns those of `account` that are not over at `now`.
    pub(crate) fn of(&self, account: &str, now: u64) -> Vec<Login> {
        let own = self.logins.iter().filter(|login| login.account == account);
        own.filter(|login| self.is_live(login, now))
            .cloned()
            .collect()
    }

    fn replace(&mut self, kept: Vec<Login>) -> Result<Vec<Login>, StoreError> {
        write(&self.path, &kept)?;
        let mut before = std::mem::replace(&mut self.logins, kept);
        before.retain(|login| self.logins.iter().all(|kept| kept.id != login.id));
        Ok(before)
    }

    fn has_ended(&self, login: &Login, now: u64) -> bool {
        now >= login.since.saturating_add(self.limits.seconds)
    }

    fn is_live(&self, login: &Login, now: u64) -> bool {
        !self.has_ended(login, now) && now < login.used.saturating_add(self.limits.idle_seconds)
    }
}

impl Login {
    /// Returns the key that its tokens name.
    pub(crate) fn key(&self) -> Option<PublicKey> {
        match &self.bound {
            Bound::Key(key) => super::decode_key(key),
            Bound::Cookie(_) => None,
        }
    }
}

impl Bound {
    /// Returns what binds to `key`.
    pub(crate) fn to_key(key: &PublicKey) -> Self {
        Self::Key(encode_key(key))
    }

    /// Returns what binds to a cookie with `secret`.
    pub(crate) fn to_cookie(secret: &[u8; 32]) -> Self {
        Self::Cookie(Base64UrlUnpadded::encode_string(
            Hash::of(&[secret]).as_bytes(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::crypto::SigningKey;

    use super::*;
    use crate::entropy::SystemEntropy;

    const LIMITS: LoginLimits = LoginLimits {
        per_account: 2,
        idle_seconds: 10,
        seconds: 100,
    };

    fn token(account: &str, key: &PublicKey, issued_at: u64) -> TokenName {
        TokenName {
            subject: account.into(),
            jti: [1; 16],
            key: *key.hash().as_bytes(),
            generation: 1,
            kid: "kid".into(),
            issued_at,
        }
    }

    fn key() -> PublicKey {
        *SigningKey::generate(&mut SystemEntropy)
            .expect("a key")
            .public_key()
    }

    #[test]
    fn a_login_is_over_when_it_is_not_used_and_in_any_case_at_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut logins = Logins::open(folder.path(), LIMITS, 0).expect("there are none");
        let key = key();
        let [hers, bobs] = ["alice", "bob"].map(|account| token(account, &key, 0));
        let begun = logins.begin("alice", [1; 16], Bound::to_key(&key), ("key", None), 0);
        let (_, over) = begun.expect("on the disk");
        assert!(over.is_empty());
        assert!(logins.of_token(&hers, false, 9).is_some());
        assert!(logins.of_token(&hers, false, 10).is_none());
        assert!(logins.of_token(&hers, true, 10).is_some());
        assert!(logins.of_token(&bobs, false, 9).is_none());
        logins.touch_of(&bobs, 95);
        assert!(logins.of_token(&hers, false, 95).is_none());
        logins.touch_of(&hers, 95);
        assert!(logins.of_token(&hers, false, 99).is_some());
        assert!(logins.of_token(&hers, true, 100).is_none());
        // A restart does not end it, and its end stays.
        let logins = Logins::open(folder.path(), LIMITS, 98).expect("they are read");
        assert!(logins.of_token(&hers, false, 99).is_some());
        assert!(logins.of_token(&hers, false, 100).is_none());
    }

    #[test]
    fn a_login_with_the_same_key_goes_on_and_tokens_of_before_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut logins = Logins::open(folder.path(), LIMITS, 0).expect("there are none");
        let key = key();
        for (id, now) in [(1, 0), (2, 5)] {
            let bound = Bound::to_key(&key);
            let begun = logins.begin("alice", [id; 16], bound, ("key", None), now);
            let (_, over) = begun.expect("on the disk");
            assert!(over.is_empty());
        }
        assert_eq!(logins.of("alice", 5).len(), 1);
        let of = |issued_at| logins.of_token(&token("alice", &key, issued_at), false, 6);
        assert!(of(4).is_none());
        assert!(of(5).is_some());
    }

    #[test]
    fn the_one_that_was_used_longest_ago_goes_for_one_too_many() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut logins = Logins::open(folder.path(), LIMITS, 0).expect("there are none");
        let begin = |logins: &mut Logins, account: &str, id: u8, now: u64| {
            let bound = Bound::to_key(&key());
            let begun = logins.begin(account, [id; 16], bound, ("key", None), now);
            begun.expect("on the disk")
        };
        let (first, _) = begin(&mut logins, "alice", 1, 0);
        let (second, _) = begin(&mut logins, "alice", 2, 1);
        begin(&mut logins, "bob", 3, 1);
        logins.touch(&first.id, 2);
        let (third, over) = begin(&mut logins, "alice", 4, 3);
        assert_eq!(
            over.iter().map(|login| &login.id).collect::<Vec<_>>(),
            [&second.id]
        );
        let left: Vec<String> = logins
            .of("alice", 3)
            .into_iter()
            .map(|login| login.id)
            .collect();
        assert_eq!(left, [first.id, third.id]);
        assert_eq!(logins.of("bob", 3).len(), 1);
        let ended = logins
            .end(|login| login.account == "alice")
            .expect("on the disk");
        assert_eq!(ended.len(), 2);
        assert!(logins.of("alice", 3).is_empty());
    }

    #[test]
    fn a_cookie_is_known_by_its_secret_and_a_proof_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut logins = Logins::open(folder.path(), LIMITS, 0).expect("there are none");
        let bound = Bound::to_cookie(&[7; 32]);
        let begun = logins.begin("alice", [1; 16], bound, ("key", None), 0);
        let (login, _) = begun.expect("on the disk");
        assert!(logins.by_cookie(&login.id, &[7; 32], 1).is_some());
        assert!(logins.by_cookie(&login.id, &[8; 32], 1).is_none());
        assert!(logins.by_cookie("other", &[7; 32], 1).is_none());
        assert!(logins.by_cookie(&login.id, &[7; 32], 10).is_none());
        let proof = |number: u64| Hash::of(&[&number.to_be_bytes()]);
        assert_eq!(logins.take_proof(&login.id, proof(0), 5, 1), Ok(()));
        assert_eq!(
            logins.take_proof(&login.id, proof(0), 5, 1),
            Err(Reused::Known)
        );
        assert_eq!(
            logins.take_proof("other", proof(1), 5, 1),
            Err(Reused::Known)
        );
        for number in 1..256 {
            assert_eq!(logins.take_proof(&login.id, proof(number), 5, 1), Ok(()));
        }
        assert_eq!(
            logins.take_proof(&login.id, proof(256), 5, 1),
            Err(Reused::TooMany)
        );
        assert_eq!(logins.take_proof(&login.id, proof(256), 9, 5), Ok(()));
    }
}
