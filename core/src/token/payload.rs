//! The payload of the profile.

use heapless::{String, Vec};

use super::agents::AgentScope;
use super::claims::{Claims, TokenKind};
use super::header::Header;
use super::limits::{
    MAX_AGENT_LIFETIME, MAX_AUDIENCE_COUNT, MAX_AUDIENCE_LEN, MAX_COMMANDER_LIFETIME,
    MAX_ISSUER_LEN, MAX_OFFLINE_LIFETIME, MAX_SUBJECT_LEN, MAX_TIME, TOKEN_ID_LEN,
};
use super::members::{Members, OneOrMany};
use super::permissions::Permissions;
use super::reason::{Member, TokenReason};
use super::role::Role;
use super::{base64url, text};
use crate::crypto::PublicKey;

/// Length of a coordinate of a point in bytes.
const COORDINATE_LEN: usize = 32;

/// The value of `role` that is reserved for hubs.
const RESERVED_ROLE: &str = "daemon";

/// Where a token is good: the entries of `aud`.
pub(super) struct Audiences<'a>(Vec<&'a str, MAX_AUDIENCE_COUNT>);

impl Audiences<'_> {
    /// Returns whether one entry is `audience`, compared whole.
    pub(super) fn contains(&self, audience: &str) -> bool {
        self.0.contains(&audience)
    }
}

/// The members of a payload as far as they were met.
#[derive(Default)]
struct Draft<'a> {
    issuer: Option<String<MAX_ISSUER_LEN>>,
    audiences: Vec<&'a str, MAX_AUDIENCE_COUNT>,
    subject: Option<String<MAX_SUBJECT_LEN>>,
    issued_at: Option<u64>,
    expires_at: Option<u64>,
    not_before: Option<u64>,
    jti: Option<[u8; TOKEN_ID_LEN]>,
    key: Option<PublicKey>,
    role: Option<Role>,
    permissions: Permissions,
    agents: AgentScope,
    generation: Option<u32>,
}

/// Reads `text` and returns the claims of a token with it and `header`, and where the token is good.
pub(super) fn parse<'a>(
    text: &'a [u8],
    header: Header,
) -> Result<(Claims, Audiences<'a>), TokenReason> {
    let mut members = Members::open(text, TokenReason::PayloadJson)?;
    let mut draft = Draft::default();
    while let Some(name) = members.next_name()? {
        draft.read_member(name, &mut members)?;
    }
    members.finish()?;
    draft.into_claims(header)
}

impl<'a> Draft<'a> {
    fn read_member(&mut self, name: &str, members: &mut Members<'a>) -> Result<(), TokenReason> {
        match name {
            "iss" => {
                let issuer = members.string(Member::Issuer)?;
                self.issuer = Some(text::printable(issuer, Member::Issuer)?);
            }
            "aud" => self.audiences = audiences(members)?,
            "sub" => {
                let subject = members.string(Member::Subject)?;
                self.subject = Some(text::name(subject, Member::Subject)?);
            }
            "iat" => self.issued_at = Some(members.integer(Member::IssuedAt, MAX_TIME)?),
            "exp" => self.expires_at = Some(members.integer(Member::ExpiresAt, MAX_TIME)?),
            "nbf" => self.not_before = Some(members.integer(Member::NotBefore, MAX_TIME)?),
            "jti" => self.jti = Some(fixed(members, Member::TokenId)?),
            "cnf" => self.key = Some(confirmation(members)?),
            "role" => self.role = Some(role(members)?),
            "perm" => self.permissions = Permissions::parse(members)?,
            "agt" => self.agents = AgentScope::parse(members)?,
            "gen" => {
                let generation = members.integer(Member::Generation, u32::MAX.into())?;
                let too_large = TokenReason::TooLarge(Member::Generation);
                self.generation = Some(u32::try_from(generation).map_err(|_| too_large)?);
            }
            _ => members.skip()?,
        }
        Ok(())
    }

    fn into_claims(self, header: Header) -> Result<(Claims, Audiences<'a>), TokenReason> {
        if self.audiences.is_empty() {
            return Err(TokenReason::Missing(Member::Audience));
        }
        let issued_at = required(self.issued_at, Member::IssuedAt)?;
        let claims = Claims {
            kind: header.kind,
            kid: header.kid,
            issuer: required(self.issuer, Member::Issuer)?,
            subject: required(self.subject, Member::Subject)?,
            key: required(self.key, Member::Confirmation)?,
            role: required(self.role, Member::Role)?,
            permissions: self.permissions,
            agents: self.agents,
            generation: required(self.generation, Member::Generation)?,
            issued_at,
            not_before: self.not_before.unwrap_or(issued_at),
            expires_at: required(self.expires_at, Member::ExpiresAt)?,
            jti: required(self.jti, Member::TokenId)?,
        };
        check_together(&claims)?;
        Ok((claims, Audiences(self.audiences)))
    }
}

/// Checks what the members say together.
fn check_together(claims: &Claims) -> Result<(), TokenReason> {
    if claims.role == Role::Agent && claims.agents != AgentScope::None {
        return Err(TokenReason::ScopeOfAgent);
    }
    let max_lifetime = match (claims.kind, claims.role) {
        (TokenKind::Access, Role::Agent) => MAX_AGENT_LIFETIME,
        (TokenKind::Access, Role::Commander) => MAX_COMMANDER_LIFETIME,
        (TokenKind::Offline, Role::Agent) => return Err(TokenReason::OfflineRole),
        (TokenKind::Offline, Role::Commander) => {
            if !matches!(&claims.agents, AgentScope::Agents(ids) if ids.len() == 1) {
                return Err(TokenReason::OfflineScope);
            }
            MAX_OFFLINE_LIFETIME
        }
    };
    let lifetime = claims.expires_at.saturating_sub(claims.issued_at);
    if lifetime == 0 {
        return Err(TokenReason::ExpiresBeforeIssued);
    }
    if claims.not_before > claims.expires_at {
        return Err(TokenReason::ExpiresBeforeValid);
    }
    if lifetime > max_lifetime {
        return Err(TokenReason::LifetimeTooLong);
    }
    Ok(())
}

fn required<T>(value: Option<T>, member: Member) -> Result<T, TokenReason> {
    value.ok_or(TokenReason::Missing(member))
}

/// Reads `aud`: a string, or an array of at most four, none twice (RFC 7519 §4.1.3).
fn audiences<'a>(
    members: &mut Members<'a>,
) -> Result<Vec<&'a str, MAX_AUDIENCE_COUNT>, TokenReason> {
    let member = Member::Audience;
    let mut audiences = Vec::new();
    if let OneOrMany::One(audience) = members.string_or_array(member)? {
        text::printable::<MAX_AUDIENCE_LEN>(audience, member)?;
        audiences
            .push(audience)
            .map_err(|_| TokenReason::Count(member))?;
        return Ok(audiences);
    }
    while let Some(audience) = members.next_string(member)? {
        text::printable::<MAX_AUDIENCE_LEN>(audience, member)?;
        if audiences.contains(&audience) {
            return Err(TokenReason::Repeated(member));
        }
        audiences
            .push(audience)
            .map_err(|_| TokenReason::Count(member))?;
    }
    if audiences.is_empty() {
        Err(TokenReason::Count(member))
    } else {
        Ok(audiences)
    }
}

/// Reads `cnf`, which has one key and nothing that could name another (RFC 7800 §3.1).
fn confirmation(members: &mut Members<'_>) -> Result<PublicKey, TokenReason> {
    members.object(Member::Confirmation)?;
    let mut key = None;
    while let Some(name) = members.next_name()? {
        match name {
            "jwk" => key = Some(jwk(members)?),
            _ => return Err(TokenReason::ConfirmationMemberNotAllowed),
        }
    }
    required(key, Member::Key)
}

/// Reads `cnf.jwk`: a public key on P-256 (RFC 7518 §6.2.1), without a private part or anything else.
fn jwk(members: &mut Members<'_>) -> Result<PublicKey, TokenReason> {
    members.object(Member::Key)?;
    let (mut has_type, mut has_curve) = (false, false);
    let (mut x, mut y) = (None, None);
    while let Some(name) = members.next_name()? {
        match name {
            "kty" => {
                if members.string(Member::KeyType)? != "EC" {
                    return Err(TokenReason::KeyTypeNotAllowed);
                }
                has_type = true;
            }
            "crv" => {
                if members.string(Member::Curve)? != "P-256" {
                    return Err(TokenReason::CurveNotAllowed);
                }
                has_curve = true;
            }
            "x" => x = Some(fixed::<COORDINATE_LEN>(members, Member::X)?),
            "y" => y = Some(fixed::<COORDINATE_LEN>(members, Member::Y)?),
            _ => return Err(TokenReason::KeyMemberNotAllowed),
        }
    }
    if !has_type {
        return Err(TokenReason::Missing(Member::KeyType));
    }
    if !has_curve {
        return Err(TokenReason::Missing(Member::Curve));
    }
    let (x, y) = (required(x, Member::X)?, required(y, Member::Y)?);
    PublicKey::from_coordinates(&x, &y).ok_or(TokenReason::KeyNotOnCurve)
}

fn role(members: &mut Members<'_>) -> Result<Role, TokenReason> {
    match members.string(Member::Role)? {
        RESERVED_ROLE => Err(TokenReason::RoleReserved),
        name => Role::from_name(name).ok_or(TokenReason::RoleUnknown),
    }
}

/// Reads a string of base64url that stands for exactly `N` bytes.
fn fixed<const N: usize>(
    members: &mut Members<'_>,
    member: Member,
) -> Result<[u8; N], TokenReason> {
    base64url::decode_exact(members.string(member)?)
        .ok_or(TokenReason::Length(member))?
        .map_err(|reason| TokenReason::Encoding(member, reason))
}
