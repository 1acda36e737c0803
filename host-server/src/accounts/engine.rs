//! Logs in, renews and logs out.

use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};

use moorline_core::crypto::PublicKey;

use super::{ApiKeySecret, LoginKey, Proof, Purpose, Signed};
use crate::access::{narrowed, patterns};
use crate::admin::Credential;
use crate::audit::{Event, Kind};
use crate::clock;
use crate::config::Registration;
use crate::entropy::random;
use crate::hub::Input;
use crate::issuer::Issuer;
use crate::shared::Shared;
use crate::store::{
    Accounts, Bound, Login, LoginLimits, Logins, Particulars, Peer, PeerRole, Reach, encode_key,
};

/// What somebody who logs in wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wants {
    /// A token that names this key.
    Token(PublicKey),
    /// A browser's cookie.
    Cookie,
}

impl Wants {
    fn holder(&self) -> Option<&PublicKey> {
        match self {
            Self::Token(key) => Some(key),
            Self::Cookie => None,
        }
    }
}

/// A challenge that was signed.
#[derive(Debug)]
pub(crate) struct LoginRequest<'a> {
    pub(crate) account: &'a str,
    pub(crate) challenge: &'a str,
    pub(crate) login_key: &'a LoginKey,
    pub(crate) signature: &'a [u8; 64],
    /// What names the TLS connection, where there is one.
    pub(crate) channel: Option<&'a [u8; 32]>,
    pub(crate) wants: Wants,
}

/// What makes an account.
#[derive(Debug)]
pub(crate) struct RegisterRequest<'a> {
    pub(crate) signed: LoginRequest<'a>,
    /// The code with which the operator invited whoever registers.
    pub(crate) code: Option<&'a str>,
    /// Where it comes from.
    pub(crate) network: IpAddr,
}

/// What a login gives.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A token, with what its holder needs to reach the hub.
    Token(Box<Credential>),
    /// What the cookie says, and what has to come with each request that changes something.
    Cookie {
        cookie: zeroize::Zeroizing<String>,
        csrf: String,
    },
}

/// Why nobody is logged in. What is wrong with an account is not said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    /// No account logs in so.
    #[error("the account, its key, the challenge or the signature is not the right one")]
    Refused,
    /// What is asked for cannot be.
    #[error("{0}")]
    Impossible(String),
    /// Nobody registers here, or not so.
    #[error("registration is closed, or by invitation")]
    Closed,
    /// The hub could not do its part.
    #[error("the hub cannot do this now")]
    Unavailable,
}

impl Shared {
    /// Returns by what commanders log in, for a moment.
    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns who is logged in, for a moment.
    pub(crate) fn logins(&self) -> MutexGuard<'_, Logins> {
        self.standing.logins()
    }

    /// Returns a challenge for `account`, whether there is one or not, and the seconds since 1970 until which it is good.
    pub(crate) fn challenge(&self, account: &str) -> Result<(String, u64), LoginError> {
        let life = self.config().accounts.challenge_seconds;
        let until = clock::now().unix.secs().saturating_add(life);
        let challenges = self.challenges();
        let challenge = challenges.make(account, until);
        Ok((challenge.map_err(|_| LoginError::Unavailable)?, until))
    }

    /// Logs in who has signed a challenge.
    pub(crate) async fn log_in(&self, request: &LoginRequest<'_>) -> Result<Opened, LoginError> {
        let has_key = {
            let accounts = self.accounts();
            let account = accounts.find(request.account);
            account.is_some_and(|account| account.login_keys.contains(request.login_key))
        };
        let is_known = has_key || self.is_enrolled_with(request.account, request.login_key);
        if !is_known || self.is_refused(request.login_key) {
            return Err(LoginError::Refused);
        }
        self.check_signature(request, Purpose::LogIn)?;
        let by = request.login_key.to_string();
        self.open_login(request.account, ("key", &by), None, request.wants)
            .await
    }

    /// Logs in the program that has shown the API key `shown`.
    pub(crate) async fn log_in_by_api_key(
        &self,
        shown: &ApiKeySecret,
        wants: Wants,
    ) -> Result<Opened, LoginError> {
        let now = clock::now().unix.secs();
        let (name, ceiling) = {
            let accounts = self.accounts();
            let (name, key) = accounts.holder(shown, now).ok_or(LoginError::Refused)?;
            (name.to_owned(), key.permissions.clone())
        };
        let ceiling = Some(ceiling.as_slice()).filter(|ceiling| !ceiling.is_empty());
        self.open_login(&name, ("api_key", shown.id()), ceiling, wants)
            .await
    }

    /// Logs in who has shown a `token` of another issuer, and by `proof` that it has the key which the token names. The
    /// request was for `path` at `authority`.
    pub(crate) async fn log_in_from_outside(
        &self,
        token: &str,
        proof: &str,
        (authority, path): (&str, &str),
    ) -> Result<Opened, LoginError> {
        let now = clock::now().unix;
        let judged = self.outside.now().judge(token, &self.name, now);
        let judged = judged.map_err(|_| LoginError::Refused)?;
        let wanted = Proof {
            method: "POST",
            authority,
            path,
            token,
            key: &judged.key,
            body: &[],
        };
        // One that is shown again binds the same key again, and nobody but its holder has use of that.
        wanted
            .check(proof, now.secs())
            .map_err(|_| LoginError::Refused)?;
        let account = {
            let accounts = self.accounts();
            let account = accounts.of_outside(&judged.issuer, &judged.subject);
            account.ok_or(LoginError::Refused)?.to_owned()
        };
        let ceiling = patterns(judged.permissions);
        let by = format!("{} {}", judged.issuer, judged.subject);
        let wants = Wants::Token(judged.key);
        self.open_login(&account, ("outside", &by), Some(&ceiling), wants)
            .await
    }

    /// Makes an account of who has signed a challenge, and logs it in.
    pub(crate) async fn register(
        &self,
        request: &RegisterRequest<'_>,
    ) -> Result<Opened, LoginError> {
        let signed = &request.signed;
        let now = clock::now().unix.secs();
        let rule = self.config().accounts.registration;
        let is_open = match (rule, request.code) {
            (Registration::Invited | Registration::Open, Some(code)) => {
                let mut invitations = self.invitations();
                let is_known = invitations.knows(code.as_bytes(), request.network, now);
                let whose = invitations.whose(code.as_bytes(), now);
                let is_whose = whose == Some((signed.account, PeerRole::Commander));
                is_known && is_whose
            }
            (Registration::Open, None) => true,
            _ => false,
        };
        if !is_open {
            return Err(LoginError::Closed);
        }
        self.check_signature(signed, Purpose::Register)?;
        self.write_account(request, now)?;
        // Who had the name before is logged in no more.
        let is_its = |login: &Login| login.account == signed.account;
        self.log_out("the account is another's", is_its).await?;
        self.end_revoked_sessions().await;
        let enrolled = Event::new(Kind::Enrolled)
            .subject(signed.account)
            .text(
                "how",
                if request.code.is_some() {
                    "registered by code"
                } else {
                    "registered"
                },
            )
            .text("key", &signed.login_key.to_string());
        self.on_record(enrolled).await?;
        let by = signed.login_key.to_string();
        self.open_login(signed.account, ("key", &by), None, signed.wants)
            .await
    }

    fn write_account(&self, request: &RegisterRequest<'_>, now: u64) -> Result<(), LoginError> {
        let name = request.signed.account;
        let unavailable = |error: &dyn std::fmt::Display| {
            tracing::error!(name, %error, "an account is not made");
            LoginError::Unavailable
        };
        let invited = match request.code {
            Some(code) => {
                let spent = self.invitations().spend(code.as_bytes(), now);
                spent.map_err(|error| unavailable(&error))?
            }
            None => {
                let particulars = Particulars {
                    roles: vec!["guest".into()],
                    ..Particulars::commander(Reach::Nobody, &[])
                };
                Some((name.to_owned(), Peer::new(particulars, String::new())))
            }
        };
        let (name, peer) = invited.ok_or(LoginError::Closed)?;
        let most = self.config().accounts.guests;
        if request.code.is_none() && self.accounts().guests() >= most {
            return Err(LoginError::Closed);
        }
        // Who was invited under the name finds it free.
        if request.code.is_none() && self.invitations().is_invited(&name) {
            return Err(LoginError::Impossible("the name is taken".into()));
        }
        {
            let mut registry = self.registry_mut();
            // Without a code nobody takes a name that somebody has.
            if request.code.is_none() && registry.find(&name).is_some() {
                return Err(LoginError::Impossible("the name is taken".into()));
            }
            registry
                .enrol_invited(&name, peer)
                .map_err(|error| LoginError::Impossible(error.to_string()))?;
        }
        let mut accounts = self.accounts();
        // Who had the name before logs in no more.
        accounts
            .forget(&name)
            .map_err(|error| unavailable(&error))?;
        let key = request.signed.login_key.clone();
        let is_guest = request.code.is_none();
        accounts
            .begin(&name, key, is_guest)
            .map_err(|error| unavailable(&error))
    }

    /// Has nobody log in as `name` by what was written so far, and ends its logins: the name is given to another key. Sessions
    /// that rest on those end when it is looked at them again.
    ///
    /// # Errors
    ///
    /// In words.
    pub(crate) fn forget_account(&self, name: &str) -> Result<(), String> {
        let forgotten = self.accounts().forget(name);
        forgotten.map_err(|error| error.to_string())?;
        let ended = self.logins().end(|login| login.account == name);
        ended.map(drop).map_err(|error| error.to_string())
    }

    /// Returns another token for the login called `id` of `account`, as it is entitled to now. It is issued after `after`.
    pub(crate) fn refresh(&self, login: &Login, after: u64) -> Result<Credential, LoginError> {
        let key = login.key();
        let key = key.ok_or_else(|| LoginError::Impossible("a cookie has no token".into()))?;
        let now = clock::now().unix.secs();
        self.logins().touch(&login.id, now);
        self.token_for(&login.account, key, login.ceiling.as_deref(), after)
    }

    /// Ends the logins that `is_meant`: their tokens and cookies are good no more, and sessions that rest on them end.
    pub(crate) async fn log_out(
        &self,
        why: &str,
        is_meant: impl Fn(&Login) -> bool,
    ) -> Result<usize, LoginError> {
        let ended = self.logins().end(is_meant);
        let ended = ended.map_err(|error| {
            tracing::error!(%error, "a login is not ended");
            LoginError::Unavailable
        })?;
        self.end_of(&ended, why).await?;
        Ok(ended.len())
    }

    /// Has everybody hear that the logins `ended` are over.
    async fn end_of(&self, ended: &[Login], why: &str) -> Result<(), LoginError> {
        if ended.is_empty() {
            return Ok(());
        }
        let (now, until) = (clock::now().unix.secs(), self.tokens_end());
        for key in ended.iter().filter_map(Login::key) {
            let revoked = self.revocations().revoke_key(&key, now, until);
            if let Err(error) = revoked {
                tracing::error!(%error, "agents will not hear that a login is over");
            }
        }
        let standing = &self.standing;
        self.tickets()
            .revoke_tokens(|token| standing.is_revoked(token));
        self.end_revoked_sessions().await;
        for login in ended {
            let event = Event::new(Kind::LoggedOut).subject(&login.account);
            self.on_record(event.text("login", &login.id).text("why", why))
                .await?;
        }
        Ok(())
    }

    /// Ends the sessions that rest on what is revoked, and tells agents. When it returns, each has been told to end.
    pub(crate) async fn end_revoked_sessions(&self) {
        let (done, told) = async_channel::bounded(1);
        if self.hub.tell(Input::Revoked(done)).await {
            let _ = told.recv().await;
        }
        if let Some(message) = self.revoked_message() {
            self.hub.tell(Input::ToAgents { message }).await;
        }
    }

    async fn open_login(
        &self,
        account: &str,
        (how, by): (&str, &str),
        ceiling: Option<&[String]>,
        wants: Wants,
    ) -> Result<Opened, LoginError> {
        let unavailable = |_| LoginError::Unavailable;
        let id: [u8; 16] = random().map_err(unavailable)?;
        let now = clock::now().unix.secs();
        let (bound, opened) = match wants {
            Wants::Token(key) => {
                self.check_holder(account, &key)?;
                (Bound::to_key(&key), None)
            }
            Wants::Cookie => {
                let secret = zeroize::Zeroizing::new(random::<32>().map_err(unavailable)?);
                let (cookie, csrf) = super::cookie::of(&id, &secret);
                let opened = Opened::Cookie { cookie, csrf };
                (Bound::to_cookie(&secret), Some(opened))
            }
        };
        if self.registry().is_shut_out(account) {
            return Err(LoginError::Refused);
        }
        let begun = self.logins().begin(account, id, bound, (by, ceiling), now);
        let (login, over) = begun.map_err(|error| {
            tracing::error!(account, %error, "nobody is logged in");
            LoginError::Unavailable
        })?;
        self.end_of(&over, "another takes its place").await?;
        self.pardon(&login).await?;
        let opened = match (opened, login.key()) {
            (Some(opened), _) => opened,
            (None, Some(key)) => {
                let credential = self.token_for(account, key, ceiling, 0);
                Opened::Token(Box::new(credential?))
            }
            (None, None) => return Err(LoginError::Unavailable),
        };
        tracing::info!(account, how, "logged in");
        let event = Event::new(Kind::LoggedIn).subject(account).text("how", how);
        self.on_record(event.text("by", by).text("login", &login.id))
            .await?;
        Ok(opened)
    }

    /// Has agents take tokens for the key of `login` again, which they refuse since an earlier login by it was over.
    async fn pardon(&self, login: &Login) -> Result<(), LoginError> {
        let now = clock::now().unix.secs();
        let pardoned = match login.key() {
            Some(key) => self.revocations().pardon_key(&key, now),
            None => Ok(false),
        };
        let is_pardoned = pardoned.map_err(|error| {
            tracing::error!(%error, "agents go on to refuse a key");
            LoginError::Unavailable
        })?;
        if is_pardoned && let Some(message) = self.revoked_message() {
            self.hub.tell(Input::ToAgents { message }).await;
        }
        Ok(())
    }

    /// Checks that a token for `account` may name `key`: it is nobody else's, and nobody's who is refused.
    fn check_holder(&self, account: &str, key: &PublicKey) -> Result<(), LoginError> {
        let impossible = |why: String| LoginError::Impossible(why);
        let hash = key.hash();
        if self.revocations().refuses(hash.as_bytes()) {
            return Err(impossible(
                "this key is refused for ever; make another one".into(),
            ));
        }
        let registry = self.registry();
        let encoded = encode_key(key);
        registry
            .check_key(account, &encoded)
            .map_err(|_| impossible("this key is another peer's; make another one".into()))?;
        if registry
            .find(account)
            .is_some_and(|peer| peer.key == encoded)
        {
            let why = "the account is enrolled with this key, and needs no login for it";
            return Err(impossible(why.into()));
        }
        if self.logins().is_named_by_another(account, &encoded) {
            return Err(impossible(
                "this key is another login's; make another one".into(),
            ));
        }
        Ok(())
    }

    /// Returns a token for `account` that names `key` and permits no more than `ceiling`.
    pub(crate) fn token_for(
        &self,
        account: &str,
        key: PublicKey,
        ceiling: Option<&[String]>,
        after: u64,
    ) -> Result<Credential, LoginError> {
        let registry = self.registry();
        let peer = registry.find(account).filter(|peer| !peer.revoked);
        let peer = peer.ok_or(LoginError::Refused)?;
        let peer = narrowed(&registry, peer, ceiling);
        let keys = self.keys();
        let issuer = Issuer {
            hub: &self.name,
            keys: &keys,
            limits: &self.config().limits,
            registry: &registry,
        };
        let issued = issuer.issue(account, &peer, key, after);
        let issued = issued.map_err(LoginError::Impossible)?;
        drop(registry);
        Ok(Credential::new(self, &keys, account, &peer, issued))
    }

    /// Returns whether `key` is refused for ever.
    fn is_refused(&self, key: &LoginKey) -> bool {
        match key {
            LoginKey::P256(key) => self.revocations().refuses(key.hash().as_bytes()),
            LoginKey::Ed25519(_) => false,
        }
    }

    fn is_enrolled_with(&self, account: &str, key: &LoginKey) -> bool {
        let LoginKey::P256(key) = key else {
            return false;
        };
        let registry = self.registry();
        let peer = registry.find(account);
        let commander = peer.filter(|peer| peer.role == PeerRole::Commander && !peer.revoked);
        commander.is_some_and(|peer| peer.key == encode_key(key))
    }

    /// Checks what was signed, and spends the challenge.
    fn check_signature(
        &self,
        request: &LoginRequest<'_>,
        purpose: Purpose,
    ) -> Result<(), LoginError> {
        let now = clock::now().unix.secs();
        let challenge = self
            .challenges()
            .check(request.account, request.challenge, now)
            .ok_or(LoginError::Refused)?;
        let keys = self.keys();
        let signed = Signed {
            purpose,
            hub: &self.name,
            hub_key: keys.identity_key(),
            channel: request.channel,
            account: request.account,
            challenge: &challenge,
            holder: request.wants.holder(),
        };
        if !request
            .login_key
            .has_signed(&signed.to_bytes(), request.signature)
        {
            return Err(LoginError::Refused);
        }
        if self.challenges().spend(&challenge, now) {
            Ok(())
        } else {
            Err(LoginError::Refused)
        }
    }

    async fn on_record(&self, event: Event) -> Result<(), LoginError> {
        let recorded = self.witness.record_durably(event).await;
        recorded.map_err(|error| {
            tracing::error!(%error, "it is done, and not on record");
            LoginError::Unavailable
        })
    }
}

impl LoginLimits {
    /// Returns what `settings` say of logins.
    pub(crate) fn of(settings: &crate::config::AccountSettings) -> Self {
        Self {
            per_account: settings.logins,
            idle_seconds: settings.idle_seconds,
            seconds: settings.login_seconds,
        }
    }
}
