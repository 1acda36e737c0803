//! The keys, tokens and times that the protocol's cases share. None of them is used anywhere else.

use heapless::Vec;
use moorline_core::crypto::{EphemeralKey, Hash, PublicKey, Secret, SigningKey};
use moorline_core::entropy::{Entropy, EntropyError};
use moorline_core::handshake::{
    Admission, ExternalKey, ExternalRecord, Gate, Initiator, Offer, RespondAs, Responder, Shown,
    Succession, TicketRecord, Wanted,
};
use moorline_core::time::{Instant, Now, TimeQuality, UnixMillis};
use moorline_core::token::{
    AgentId, AgentScope, Claims, MAX_UNPACKED_LEN, NewClaims, Permissions, Renewal, Role,
    TokenKind, TrustAnchor, TrustAnchors, UnpackedToken, VerifiedClaims, mint,
};
use moorline_core::trust::TrustStore;
use moorline_core::wire::{
    EnrolmentCode, Form, Limits, Refuse, RefuseCode, SuiteList, TICKET_ID_LEN,
};

use crate::Failure;

/// The name of the hub.
pub const HUB: &str = "hub.example";

/// The name of the issuer.
pub const ISSUER: &str = "https://issuer.example";

/// The name of the agent.
pub const AGENT: &str = "boiler-1";

/// The name of the issuer's key.
pub const KID: &str = "k1";

/// The moment of every case: 2026-01-01T00:00:00Z.
pub const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

/// The session id that [`Door`] gives.
pub const SESSION_ID: [u8; 8] = *b"session1";

/// How many tickets a [`Door`] has room for.
pub const MAX_TICKETS: usize = 2;

/// What every end takes.
pub const LIMITS: Limits = Limits {
    mtu: 1500,
    max_payload_len: 1024,
    max_token_len: 834,
};

/// Entropy that is the same in every run: SHA-256 of a name and a count.
#[derive(Debug, Clone)]
pub struct FixedEntropy {
    name: &'static str,
    count: u32,
}

impl FixedEntropy {
    /// Returns the entropy called `name`.
    pub fn new(name: &'static str) -> Self {
        Self { name, count: 0 }
    }
}

impl Entropy for FixedEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in bytes.chunks_mut(32) {
            let block = Hash::of(&[self.name.as_bytes(), &self.count.to_be_bytes()]);
            self.count += 1;
            for (to, from) in chunk.iter_mut().zip(block.as_bytes()) {
                *to = *from;
            }
        }
        Ok(())
    }
}

/// Returns the secret called `name`.
pub fn secret(name: &str) -> Secret<32> {
    Secret::new(*Hash::of(&[name.as_bytes()]).as_bytes())
}

/// Returns the signing key called `name`.
pub fn signing_key(name: &str) -> Result<SigningKey, Failure> {
    SigningKey::from_scalar(&secret(name)).ok_or(Failure {
        condition: "the name gives a scalar in range",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

/// Returns the ephemeral key called `name`.
pub fn ephemeral_key(name: &str) -> EphemeralKey {
    EphemeralKey::from_scalar(&secret(name))
}

/// Returns the id of the agent, which commanders reach.
pub fn agent_id() -> AgentId {
    AgentId::of(ISSUER, AGENT)
}

/// Writes a token for the holder of `key` to `out`.
pub fn token<'o>(
    role: Role,
    subject: &str,
    key: PublicKey,
    issuer: &SigningKey,
    out: &'o mut [u8; MAX_UNPACKED_LEN],
) -> Result<UnpackedToken<'o>, Failure> {
    let permissions: &[&str] = match role {
        Role::Agent => &[],
        Role::Commander => &["agent.command.*", "agent.list"],
    };
    let new = NewClaims {
        kind: TokenKind::Access,
        kid: KID,
        issuer: ISSUER,
        audience: &[HUB, "site-1"],
        subject,
        key,
        role,
        permissions,
        agents: match role {
            Role::Agent => AgentScope::None,
            Role::Commander => AgentScope::of_agents(&[agent_id()]).unwrap_or_default(),
        },
        generation: 1,
        issued_at: NOW.secs(),
        not_before: None,
        expires_at: NOW.secs() + 3600,
        jti: Hash::of(&[subject.as_bytes()]).prefix(),
    };
    mint(&new, issuer, &[], out).map_err(|_| Failure {
        condition: "the token can be minted",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

/// Both ends of a link, and the issuer.
#[derive(Debug)]
pub struct World {
    /// The issuer's key.
    pub issuer: SigningKey,
    /// The hub's keys.
    pub hub: [SigningKey; 1],
    /// The agent's key.
    pub agent: SigningKey,
    /// The issuers that the hub trusts.
    pub anchors: TrustAnchors,
    /// The hub's root key, which is kept offline.
    pub root: SigningKey,
    /// The keys that the agent takes for the hub's.
    pub trust: TrustStore,
}

impl World {
    /// Returns the world of the cases.
    pub fn new() -> Result<Self, Failure> {
        let issuer = signing_key("issuer")?;
        let hub = [signing_key("hub")?];
        let agent = signing_key("agent")?;
        let mut anchors = TrustAnchors::new();
        let anchor = TrustAnchor::new(ISSUER, KID, *issuer.public_key());
        let taken = anchor.is_ok_and(|anchor| anchors.insert(anchor).is_ok());
        crate::ensure!(taken);
        let root = signing_key("root")?;
        let trust = TrustStore::new(*root.public_key(), 0, *hub[0].public_key());
        Ok(Self {
            issuer,
            hub,
            agent,
            anchors,
            root,
            trust,
        })
    }

    /// Lets the agent expect the hub's key called `name` in place of the one that the hub has.
    pub fn expect_hub(&mut self, name: &str) -> Result<(), Failure> {
        let key = signing_key(name)?;
        self.trust = TrustStore::new(*self.root.public_key(), 0, *key.public_key());
        Ok(())
    }

    /// Returns the hub's side.
    pub fn responder(&self) -> Responder<'_> {
        Responder {
            keys: &self.hub,
            anchors: &self.anchors,
            audience: HUB,
            suites: SuiteList::AES_FIRST,
            limits: LIMITS,
            respond_as: RespondAs::Hub(Form::Stream, Succession::NONE),
        }
    }

    /// Returns what the agent offers.
    pub fn offer(&self) -> Offer {
        Offer {
            suites: SuiteList::DEFAULT,
            mtu: 1500,
            max_payload_len: 1024,
            no_clock: true,
            wants_ticket: false,
        }
    }

    /// Returns the agent's side.
    pub fn initiator<'k>(&'k self, token: UnpackedToken<'k>) -> Initiator<'k> {
        let offer = self.offer();
        Initiator {
            key: &self.agent,
            shows: Shown::Token(token),
            wanted: Wanted::Hub(&self.trust, Form::Stream),
            offer,
        }
    }

    /// Writes the agent's token to `out`.
    pub fn agent_token<'o>(
        &self,
        out: &'o mut [u8; MAX_UNPACKED_LEN],
    ) -> Result<UnpackedToken<'o>, Failure> {
        token(
            Role::Agent,
            AGENT,
            *self.agent.public_key(),
            &self.issuer,
            out,
        )
    }
}

/// A gate that admits everyone, no one, or no one that it looks up.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// Whether every token is revoked.
    pub revoked: bool,
    /// Whether nobody is admitted.
    pub full: bool,
    /// How many peers were admitted.
    pub admitted: usize,
    /// The tickets that were given; none are when there is no room.
    pub tickets: Vec<TicketRecord, MAX_TICKETS>,
    /// Whether tickets are given.
    pub gives_tickets: bool,
    /// Whether newer tokens are taken.
    pub renews: bool,
    /// A code that was given out and not used.
    pub code: Option<&'static [u8]>,
    /// The name and the fixture's name of an external key.
    pub external: Option<([u8; TICKET_ID_LEN], &'static str)>,
    /// Until when it is good, in milliseconds after the start of the cases.
    pub external_until: u64,
    /// Whether another uses the code between the look at it and its use.
    pub spent_meanwhile: bool,
    /// How often a code was shown that is none.
    pub wrong_codes: usize,
    /// The hash of the key that was enrolled last.
    pub enrolled: Option<Hash>,
    /// The first byte of the hash of the key of a peer that is enrolled: every byte here is one of a small board's stack.
    pub knows: Option<u8>,
    /// Whether its holder was let in by it.
    pub readmitted: bool,
}

impl Gate for Door {
    fn find_ticket(&self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        self.tickets
            .iter()
            .find(|ticket| ticket.id() == id)
            .cloned()
    }

    fn redeem_ticket(&mut self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        let place = self.tickets.iter().position(|ticket| ticket.id() == id)?;
        Some(self.tickets.swap_remove(place))
    }

    fn keep_ticket(&mut self, record: TicketRecord) -> bool {
        self.gives_tickets && self.tickets.push(record).is_ok()
    }

    fn find_external(&self, identity: &[u8; TICKET_ID_LEN]) -> Option<ExternalRecord> {
        let (own, name) = self.external.filter(|(own, _)| own == identity)?;
        Some(ExternalRecord {
            key: ExternalKey {
                identity: own,
                secret: secret(name),
            },
            expires: NOW.plus(self.external_until),
        })
    }

    fn admit_external(&mut self, _: &[u8; TICKET_ID_LEN]) -> Result<Admission, Refuse> {
        if self.full {
            return Err(Refuse {
                code: RefuseCode::Overload,
                argument: 1000,
            });
        }
        Ok(Admission {
            session_id: SESSION_ID,
            permissions: Permissions::ENROL,
        })
    }

    fn knows_code(&mut self, code: EnrolmentCode<'_>) -> bool {
        let is_known = self.code == Some(code.expose());
        self.wrong_codes += usize::from(!is_known);
        is_known
    }

    fn enrol(&mut self, code: EnrolmentCode<'_>, key: &PublicKey) -> Result<[u8; 8], Refuse> {
        if self.spent_meanwhile || self.code.take() != Some(code.expose()) {
            return Err(Refuse {
                code: RefuseCode::BadCredential,
                argument: 0,
            });
        }
        self.enrolled = Some(key.hash());
        Ok(SESSION_ID)
    }

    fn knows_key(&self, key: &PublicKey) -> bool {
        self.knows == key.hash().0.first().copied()
    }

    fn readmit(&mut self, _: &PublicKey) -> Result<[u8; 8], Refuse> {
        if self.full {
            return Err(Refuse {
                code: RefuseCode::BadCredential,
                argument: 0,
            });
        }
        self.readmitted = true;
        Ok(SESSION_ID)
    }

    fn renew(&mut self, claims: &VerifiedClaims, _: Renewal) -> Option<Permissions> {
        self.renews.then_some(claims.claims().permissions)
    }

    fn is_revoked(&self, _: &Claims) -> bool {
        self.revoked
    }

    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse> {
        if self.full {
            return Err(Refuse {
                code: RefuseCode::Overload,
                argument: 1000,
            });
        }
        self.admitted += 1;
        let permissions: Permissions = claims.claims().permissions;
        Ok(Admission {
            session_id: SESSION_ID,
            permissions,
        })
    }
}

/// Returns the time of the cases, `millis` after their start.
pub fn at(millis: u64) -> Now {
    Now {
        instant: Instant(millis),
        unix: UnixMillis(NOW.0 + millis),
        quality: TimeQuality::Synchronised,
    }
}
