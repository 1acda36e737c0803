//! The hub's part in the decision about a peer: what it has stored, and its policy.

use std::cell::RefCell;
use std::net::IpAddr;

use moorline_core::crypto::PublicKey;
use moorline_core::entropy::EntropyError;
use moorline_core::handshake::{Admission, ExternalRecord, Gate, TicketRecord};
use moorline_core::time::UnixMillis;
use moorline_core::token::{Claims, Permissions, Renewal, UnpackedToken, VerifiedClaims};
use moorline_core::wire::{EnrolmentCode, Refuse, RefuseCode, TICKET_ID_LEN};

use crate::audit::{Event, Kind};
use crate::clock;
use crate::entropy::random;
use crate::hub::{Hex, SessionKey};
use crate::shared::Shared;
use crate::store::{Login, decode_key, encode_key};

/// The shell's part in the decision about a peer.
pub(crate) struct Door<'s> {
    pub(crate) shared: &'s Shared,
    pub(crate) session: Option<SessionKey>,
    /// A key that the peer may take up in this session.
    pub(crate) next_key: Option<PublicKey>,
    /// Where the peer comes from.
    pub(crate) network: IpAddr,
    /// Who is given a first token: a newcomer, or who comes back.
    pub(crate) newcomer: Option<Newcomer>,
    /// The external key that the session rests on.
    pub(crate) external: Option<[u8; TICKET_ID_LEN]>,
    /// The token of the peer that is about to be admitted.
    pub(crate) token: Vec<u8>,
    /// What was done that the peer is not to hear of before it is recorded.
    pub(crate) acts: Vec<Event>,
    /// Whose token was looked at last. Nobody vouches for it: it counts where a later check shows that its issuer does.
    pub(crate) subject: RefCell<Option<String>>,
}

impl Door<'_> {
    /// Returns the login that is bound to `key`, of somebody who is not shut out.
    fn login_of(&self, key: &PublicKey) -> Option<Login> {
        let now = clock::now().unix.secs();
        let mut logins = self.shared.logins();
        let login = logins.of_key(key, now)?.clone();
        logins.touch(&login.id, now);
        drop(logins);
        (!self.shared.registry().is_shut_out(&login.account)).then_some(login)
    }

    /// Has nobody log in any more who did under `name` before: a newcomer takes it.
    fn forget_account(&self, name: &str) -> Option<()> {
        let forgotten = self.shared.forget_account(name);
        forgotten
            .inspect_err(|why| tracing::error!(name, why, "a newcomer is not enrolled"))
            .ok()
    }

    /// Enrols the holder of the external key called `identity`, under the key that it has proved.
    fn enrol_by_key(&mut self, identity: &[u8; TICKET_ID_LEN], key: &PublicKey) -> Option<()> {
        let spent = self.shared.invitations().spend_key(identity);
        let (name, mut peer) = spent
            .inspect_err(|error| tracing::error!(%error, "an external key cannot be spent"))
            .ok()
            .flatten()?;
        peer.key = encode_key(key);
        self.forget_account(&name)?;
        let mut registry = self.shared.registry_mut();
        registry
            .enrol_invited(&name, peer)
            .inspect_err(|error| tracing::warn!(name, %error, "a newcomer is not enrolled"))
            .ok()?;
        drop(registry);
        self.acts.push(enrolled(&name, "external key", key));
        Some(())
    }
}

/// Who is given a first token.
#[derive(Debug)]
pub(crate) struct Newcomer {
    /// The name under which it is enrolled.
    pub(crate) name: String,
    /// The login by whose key it comes, where it is not the key that it is enrolled with.
    pub(crate) login: Option<Login>,
}

/// Returns the record of an enrolment under `name`.
pub(crate) fn enrolled(name: &str, how: &str, key: &PublicKey) -> Event {
    let event = Event::new(Kind::Enrolled).subject(name).text("how", how);
    event.text("key", &name_of_key(key))
}

/// Returns the first 8 bytes of the hash of `key`, in hexadecimal.
fn name_of_key(key: &PublicKey) -> String {
    Hex(&key.hash().prefix::<8>()).to_string()
}

impl Gate for Door<'_> {
    fn is_revoked(&self, claims: &Claims) -> bool {
        self.subject.replace(Some(claims.subject.as_str().into()));
        let registry = self.shared.registry();
        if let Some(identity) = &self.external {
            // It is not enrolled yet: the hub has just made the token for its key.
            let invited = self.shared.invitations().invited(identity);
            let is_invited = invited.is_some_and(|(name, _)| name == claims.subject.as_str());
            let is_refused = self
                .shared
                .revocations()
                .refuses(claims.key.hash().as_bytes());
            return !is_invited || is_refused || self.next_key.as_ref() != Some(&claims.key);
        }
        drop(registry);
        !self.shared.standing.admits(claims, self.next_key.as_ref())
    }

    fn knows_code(&mut self, code: EnrolmentCode<'_>) -> bool {
        let now = clock::now().unix.secs();
        let mut invitations = self.shared.invitations();
        let before = invitations.codes();
        let is_known = invitations.knows(code.expose(), self.network, now);
        if invitations.codes() < before {
            let withdrawn = Event::new(Kind::Withdrawn);
            self.acts.push(
                withdrawn
                    .text("why", "too many wrong codes")
                    .number("invitations", before),
            );
        }
        is_known
    }

    fn enrol(&mut self, code: EnrolmentCode<'_>, key: &PublicKey) -> Result<[u8; 8], Refuse> {
        let refused = || Refuse {
            code: RefuseCode::BadCredential,
            argument: 0,
        };
        if self.shared.revocations().refuses(key.hash().as_bytes()) {
            return Err(refused());
        }
        let now = clock::now().unix.secs();
        let session_id = random().map_err(|_| refused())?;
        let spent = self.shared.invitations().spend(code.expose(), now);
        let (name, mut peer) = spent
            .inspect_err(|error| tracing::error!(%error, "a code cannot be spent"))
            .ok()
            .flatten()
            .ok_or_else(refused)?;
        peer.key = encode_key(key);
        self.forget_account(&name).ok_or_else(refused)?;
        let mut registry = self.shared.registry_mut();
        registry.enrol_invited(&name, peer).map_err(|error| {
            tracing::warn!(name, %error, "a newcomer is not enrolled");
            refused()
        })?;
        drop(registry);
        self.acts.push(enrolled(&name, "code", key));
        self.session = Some(SessionKey(session_id));
        self.newcomer = Some(Newcomer { name, login: None });
        Ok(session_id)
    }

    fn knows_key(&self, key: &PublicKey) -> bool {
        let is_enrolled = self.shared.registry().name_of(key).is_some();
        is_enrolled || self.login_of(key).is_some()
    }

    fn readmit(&mut self, key: &PublicKey) -> Result<[u8; 8], Refuse> {
        let refused = || Refuse {
            code: RefuseCode::BadCredential,
            argument: 0,
        };
        let session_id = random().map_err(|_| refused())?;
        let enrolled = self.shared.registry().name_of(key).map(String::from);
        let newcomer = match enrolled {
            Some(name) => Newcomer { name, login: None },
            None => {
                let login = self.login_of(key).ok_or_else(refused)?;
                let name = login.account.clone();
                let login = Some(login);
                Newcomer { name, login }
            }
        };
        self.session = Some(SessionKey(session_id));
        self.newcomer = Some(newcomer);
        Ok(session_id)
    }

    fn find_external(&self, identity: &[u8; TICKET_ID_LEN]) -> Option<ExternalRecord> {
        let (key, until) = self.shared.invitations().find_key(identity)?;
        Some(ExternalRecord {
            key,
            expires: UnixMillis::from_secs(until),
        })
    }

    fn admit_external(&mut self, identity: &[u8; TICKET_ID_LEN]) -> Result<Admission, Refuse> {
        let session_id = random().map_err(|_| Refuse {
            code: RefuseCode::Overload,
            argument: 1_000,
        })?;
        self.session = Some(SessionKey(session_id));
        tracing::debug!(identity = %Hex(identity), "an external key is shown");
        Ok(Admission {
            session_id,
            permissions: Permissions::ENROL,
        })
    }

    fn renew(&mut self, claims: &VerifiedClaims, renewal: Renewal) -> Option<Permissions> {
        let claims = claims.claims();
        if let Some(identity) = self.external {
            self.enrol_by_key(&identity, &claims.key)?;
        } else if renewal == Renewal::NewKey {
            let mut registry = self.shared.registry_mut();
            let old = registry.find(&claims.subject);
            let old = old.and_then(|peer| decode_key(&peer.key));
            if let Err(error) = registry.rekey(&claims.subject, &claims.key) {
                tracing::warn!(name = %claims.subject, %error, "the new key is not taken");
                return None;
            }
            drop(registry);
            let rekeyed = Event::new(Kind::Rekeyed).subject(&claims.subject);
            self.acts
                .push(rekeyed.text("key", &name_of_key(&claims.key)));
            if let Some(old) = old {
                let (now, until) = (clock::now().unix.secs(), self.shared.tokens_end());
                if let Err(error) = self.shared.revocations().revoke_key(&old, now, until) {
                    tracing::error!(%error, "agents will not hear that a key is gone");
                }
            }
        }
        Some(claims.permissions)
    }

    fn note_token(&mut self, token: &UnpackedToken<'_>) {
        self.token = token.as_bytes().to_vec();
    }

    fn find_ticket(&self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        self.shared.tickets().find(id)
    }

    fn redeem_ticket(&mut self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        self.shared.tickets().redeem(id)
    }

    fn keep_ticket(&mut self, record: TicketRecord) -> bool {
        self.shared.tickets().keep(record)
    }

    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse> {
        let overload = |_: EntropyError| Refuse {
            code: RefuseCode::Overload,
            argument: 1_000,
        };
        let session_id = random().map_err(overload)?;
        self.session = Some(SessionKey(session_id));
        tracing::debug!(session = %Hex(&session_id), "admitted");
        Ok(Admission {
            session_id,
            permissions: claims.claims().permissions,
        })
    }
}
