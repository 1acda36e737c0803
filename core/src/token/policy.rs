//! What a token must be to be good in one place.

use super::claims::{Claims, TokenKind};
use super::limits::{LEEWAY, PREKEY_GRACE};
use super::payload::Audiences;
use super::reason::TokenReason;
use super::role::{Role, RoleSet};
use crate::time::UnixMillis;

/// What a token must be to be good in one place at one moment.
///
/// There is one constructor for each place of the protocol and no other way to make one, so that no caller can
/// widen a limit. Every constructor asks for the time: a machine that does not know it verifies no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy<'a> {
    audience: &'a str,
    now: UnixMillis,
    roles: RoleSet,
    takes_offline: bool,
    /// Seconds after `exp` for which the token still counts.
    grace: u64,
}

impl<'a> Policy<'a> {
    /// Returns the policy of the hub named `hub` for who comes over a link: agents and commanders.
    #[must_use]
    pub fn link(hub: &'a str, now: UnixMillis) -> Self {
        Self {
            audience: hub,
            now,
            roles: RoleSet::Any,
            takes_offline: false,
            grace: 0,
        }
    }

    /// Returns the policy of a peer in `group` for who is at the other end of a channel, which must be a `role`.
    #[must_use]
    pub fn channel(group: &'a str, role: Role, now: UnixMillis) -> Self {
        let roles = RoleSet::Only(role);
        Self {
            audience: group,
            now,
            roles,
            takes_offline: false,
            grace: 0,
        }
    }

    /// Returns the policy of an agent in `group` for the sender of an offline command (PROTOCOL.md §12.5).
    #[must_use]
    pub fn offline_command(group: &'a str, now: UnixMillis) -> Self {
        let roles = RoleSet::Only(Role::Commander);
        Self {
            audience: group,
            now,
            roles,
            takes_offline: true,
            grace: 0,
        }
    }

    /// Returns the policy of a commander for the agent in `group` whose prekey it holds (PROTOCOL.md §12.5).
    #[must_use]
    pub fn prekey_bundle(group: &'a str, now: UnixMillis) -> Self {
        let roles = RoleSet::Only(Role::Agent);
        Self {
            audience: group,
            now,
            roles,
            takes_offline: false,
            grace: PREKEY_GRACE,
        }
    }

    /// Returns the same policy with only `roles` accepted, for a hub that takes one of them on this link.
    #[must_use]
    pub fn only(mut self, role: Role) -> Self {
        if self.roles.contains(role) {
            self.roles = RoleSet::Only(role);
        }
        self
    }

    /// Checks what the issuer key has no part in, in the order of PROTOCOL.md §2, up to `aud`.
    pub(super) fn check_times_and_audience(
        &self,
        claims: &Claims,
        audiences: &Audiences<'_>,
    ) -> Result<(), TokenReason> {
        let now = self.now.secs();
        if now >= claims.expires_at.saturating_add(self.grace) {
            return Err(TokenReason::Expired);
        }
        let latest_start = now.saturating_add(LEEWAY);
        if claims.issued_at > latest_start {
            return Err(TokenReason::IssuedInFuture);
        }
        if claims.not_before > latest_start {
            return Err(TokenReason::NotYetValid);
        }
        if !audiences.contains(self.audience) {
            return Err(TokenReason::AudienceMismatch);
        }
        Ok(())
    }

    /// Checks whether who the token stands for is wanted here.
    pub(super) fn check_role(&self, claims: &Claims) -> Result<(), TokenReason> {
        if !self.roles.contains(claims.role) {
            return Err(TokenReason::RoleNotAccepted);
        }
        if claims.kind == TokenKind::Offline && !self.takes_offline {
            return Err(TokenReason::TypeNotAccepted);
        }
        Ok(())
    }
}
