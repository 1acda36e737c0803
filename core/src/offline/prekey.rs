//! A prekey as a commander gets it from the hub (PROTOCOL.md §12.1).

use super::layout::{MeasuredPrekey, PREKEY_PREFIX_LEN};
use crate::crypto::{Hash, PublicKey, SIGNATURE_LEN, Share, Signature, Suite};
use crate::handshake::{Label, WantedAgent, verify};
use crate::reason::Reason;
use crate::time::{Now, TimeQuality, UnixMillis};
use crate::token::{AgentId, Candidate, Claims, PREKEY_GRACE, Policy, UnpackedToken};
use crate::wire::Reader;

/// A prekey that an agent vouches for. Only [`AgentPrekey::check`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct AgentPrekey {
    pub(super) prefix: [u8; PREKEY_PREFIX_LEN],
    pub(super) prekey: PrekeyFacts,
    /// The agent's key.
    pub(super) agent_key: PublicKey,
    issued_at: u64,
}

/// What a command needs of a prekey.
#[derive(Debug, Clone, Copy)]
pub(super) struct PrekeyFacts {
    pub(super) agent: AgentId,
    pub(super) id: u32,
    pub(super) suite: Suite,
    pub(super) expires: UnixMillis,
    pub(super) share: Share,
}

/// The newest prekey of an agent that a commander saw. It is kept in storage: a hub that hands out old prekeys is found
/// out by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenPrekey {
    /// The hash of the agent's key that signed it. Ids are counted for each key of an agent.
    pub agent_key: Hash,
    /// Its id.
    pub id: u32,
    /// `iat` of the newest token of the agent that came with a prekey, in seconds since 1970.
    pub issued_at: u64,
}

impl AgentPrekey {
    /// Checks `bundle`, a signed prekey and the agent's token, in the order of PROTOCOL.md §12.5. `seen` is what
    /// [`AgentPrekey::seen`] gave the last time.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails.
    pub fn check(
        bundle: &[u8],
        wanted: &WantedAgent<'_>,
        is_revoked: &dyn Fn(&Claims) -> bool,
        seen: Option<&SeenPrekey>,
        now: &Now,
    ) -> Result<Self, Reason> {
        let mut reader = Reader::new(bundle);
        let prefix = reader.array::<PREKEY_PREFIX_LEN>()?;
        let signature = Signature(*reader.array::<SIGNATURE_LEN>()?);
        let measured = MeasuredPrekey::parse(prefix)?;
        let token = UnpackedToken::parse_exact(reader.rest())?;
        if measured.agent != wanted.id {
            return Err(Reason::OtherAgent);
        }
        if now.quality == TimeQuality::Unknown {
            return Err(Reason::NoTime);
        }
        let policy = Policy::prekey_bundle(wanted.audience, now.unix);
        let candidate = Candidate::check(&token, wanted.anchors, &policy)?;
        if candidate.claims().agent_id() != Some(wanted.id) {
            return Err(Reason::OtherAgent);
        }
        if is_revoked(candidate.claims()) {
            return Err(Reason::Revoked);
        }
        let verified = candidate.verify_signature()?;
        let claims = verified.claims();
        verify(&claims.key, Label::Prekey, &Hash::of(&[prefix]), &signature)
            .map_err(|_| Reason::PrekeySignature)?;
        let suite = Suite::from_number(measured.suite).ok_or(Reason::Suite)?;
        let latest = UnixMillis::from_secs(claims.expires_at.saturating_add(PREKEY_GRACE));
        if measured.expires <= now.unix || measured.expires > latest {
            return Err(Reason::PrekeyExpiry);
        }
        let checked = Self {
            prefix: *prefix,
            prekey: PrekeyFacts {
                agent: measured.agent,
                id: measured.id,
                suite,
                expires: measured.expires,
                share: measured.share,
            },
            agent_key: claims.key,
            issued_at: claims.issued_at,
        };
        if seen.is_some_and(|seen| !checked.may_follow(seen)) {
            return Err(Reason::PrekeyId);
        }
        Ok(checked)
    }

    /// Returns what to keep for the next check, with what was kept so far.
    #[must_use]
    pub fn seen(&self, before: Option<&SeenPrekey>) -> SeenPrekey {
        let own = SeenPrekey {
            agent_key: self.agent_key.hash(),
            id: self.prekey.id,
            issued_at: self.issued_at,
        };
        match before {
            Some(before) if before.agent_key == own.agent_key => SeenPrekey {
                agent_key: own.agent_key,
                id: own.id.max(before.id),
                issued_at: own.issued_at.max(before.issued_at),
            },
            _ => own,
        }
    }

    /// Returns the number that the agent gave the prekey.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.prekey.id
    }

    /// Returns what commands to it are sealed with.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.prekey.suite
    }

    /// Returns when no command is to be sealed to it any more.
    #[must_use]
    pub fn expires(&self) -> UnixMillis {
        self.prekey.expires
    }

    /// Returns whether the prekey is not older than the last but one; under another key of the agent, whether its token
    /// is newer than every one before.
    fn may_follow(&self, seen: &SeenPrekey) -> bool {
        if self.agent_key.hash() == seen.agent_key {
            self.prekey.id >= seen.id.saturating_sub(1)
        } else {
            self.issued_at > seen.issued_at
        }
    }
}
