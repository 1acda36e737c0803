//! Making tokens, for issuers.

use super::agents::AgentScope;
use super::claims::{TokenKind, UnverifiedClaims};
use super::header::ALGORITHM;
use super::limits::{
    MAX_AUDIENCE_LEN, MAX_HEADER_LEN, MAX_ISSUER_LEN, MAX_KID_LEN, MAX_PAYLOAD_LEN,
    MAX_SUBJECT_LEN, TOKEN_ID_LEN,
};
use super::permissions::Permissions;
use super::reason::{Member, TokenReason};
use super::role::Role;
use super::unpacked::UnpackedToken;
use super::{base64url, jws, text};
use crate::crypto::{PublicKey, SigningKey};
use crate::wire::{TooSmall, Writer};

/// What a new token says. Times are in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone)]
pub struct NewClaims<'a> {
    /// `typ`.
    pub kind: TokenKind,
    /// `kid`: the name of the signer's key.
    pub kid: &'a str,
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`: 1 to 4 hubs and groups.
    pub audience: &'a [&'a str],
    /// `sub`.
    pub subject: &'a str,
    /// `cnf.jwk`: the holder's key.
    pub key: PublicKey,
    /// `role`.
    pub role: Role,
    /// `perm`: names and patterns of [`Permissions::from_pattern`]; not written when there are none.
    pub permissions: &'a [&'a str],
    /// `agt`.
    pub agents: AgentScope,
    /// `gen`.
    pub generation: u32,
    /// `iat`.
    pub issued_at: u64,
    /// `nbf`; not written when absent.
    pub not_before: Option<u64>,
    /// `exp`.
    pub expires_at: u64,
    /// `jti`: 16 bytes that the issuer has not used before.
    pub jti: [u8; TOKEN_ID_LEN],
}

/// Why no token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MintError {
    /// A verifier would refuse the token.
    Refused(TokenReason),
    /// The buffer does not take the token.
    TooSmall(TooSmall),
}

/// Signs a token that says `new` and writes it to the front of `out`;
/// [`MAX_UNPACKED_LEN`](super::MAX_UNPACKED_LEN) bytes always do.
///
/// The JSON has no white space and its members stand in the order of PROTOCOL.md §4, so that the same claims are
/// the same bytes. `hedge` is as for [`SigningKey::sign`].
///
/// # Errors
///
/// [`MintError::Refused`] with the reason that a verifier would have; [`MintError::TooSmall`] for a short `out`.
pub fn mint<'a>(
    new: &NewClaims<'_>,
    signer: &SigningKey,
    hedge: &[u8],
    out: &'a mut [u8],
) -> Result<UnpackedToken<'a>, MintError> {
    check_texts(new).map_err(MintError::Refused)?;
    let mut header = [0; MAX_HEADER_LEN];
    let header = write_header(new, Writer::new(&mut header))
        .map_err(|_| MintError::Refused(TokenReason::HeaderTooLong))?;
    let mut payload = [0; MAX_PAYLOAD_LEN];
    let payload = write_payload(new, Writer::new(&mut payload))
        .map_err(|_| MintError::Refused(TokenReason::PayloadTooLong))?;
    let token = jws::sign(header, payload, signer, hedge, out)?;
    // The verifier's own eyes: a rule that stands there need not be written here again.
    UnverifiedClaims::decode(&token).map_err(MintError::Refused)?;
    Ok(token)
}

/// Checks every text before it stands in JSON, where a quotation mark would end it.
fn check_texts(new: &NewClaims<'_>) -> Result<(), TokenReason> {
    text::key_id::<MAX_KID_LEN>(new.kid)?;
    text::printable::<MAX_ISSUER_LEN>(new.issuer, Member::Issuer)?;
    for audience in new.audience {
        text::printable::<MAX_AUDIENCE_LEN>(audience, Member::Audience)?;
    }
    text::name::<MAX_SUBJECT_LEN>(new.subject, Member::Subject)?;
    for pattern in new.permissions {
        Permissions::from_pattern(pattern).ok_or(TokenReason::PermissionUnknown)?;
    }
    if let AgentScope::Group(group) = &new.agents {
        text::name::<MAX_SUBJECT_LEN>(group, Member::Agents)?;
    }
    Ok(())
}

fn write_header<'a>(new: &NewClaims<'_>, mut to: Writer<'a>) -> Result<&'a [u8], TooSmall> {
    to.bytes(br#"{"alg":"#);
    string(&mut to, ALGORITHM);
    to.bytes(br#","typ":"#);
    string(&mut to, new.kind.name());
    to.bytes(br#","kid":"#);
    string(&mut to, new.kid);
    to.u8(b'}');
    to.finish().map(|text| &*text)
}

fn write_payload<'a>(new: &NewClaims<'_>, mut to: Writer<'a>) -> Result<&'a [u8], TooSmall> {
    to.bytes(br#"{"iss":"#);
    string(&mut to, new.issuer);
    to.bytes(br#","aud":"#);
    match new.audience {
        [audience] => string(&mut to, audience),
        audiences => array(&mut to, audiences.iter().copied(), string),
    }
    to.bytes(br#","sub":"#);
    string(&mut to, new.subject);
    to.bytes(br#","iat":"#);
    number(&mut to, new.issued_at);
    to.bytes(br#","exp":"#);
    number(&mut to, new.expires_at);
    if let Some(not_before) = new.not_before {
        to.bytes(br#","nbf":"#);
        number(&mut to, not_before);
    }
    to.bytes(br#","jti":"#);
    base64url_string(&mut to, &new.jti);
    to.bytes(br#","cnf":{"jwk":{"kty":"EC","crv":"P-256""#);
    let [_, coordinates @ ..] = new.key.to_bytes();
    for (name, coordinate) in [r#","x":"#, r#","y":"#]
        .into_iter()
        .zip(coordinates.chunks(32))
    {
        to.bytes(name.as_bytes());
        base64url_string(&mut to, coordinate);
    }
    to.bytes(br#"}},"role":"#);
    string(&mut to, new.role.name());
    if !new.permissions.is_empty() {
        to.bytes(br#","perm":"#);
        array(&mut to, new.permissions.iter().copied(), string);
    }
    match &new.agents {
        AgentScope::None => {}
        AgentScope::Group(group) => {
            to.bytes(br#","agt":"#);
            string(&mut to, group);
        }
        AgentScope::Agents(ids) => {
            to.bytes(br#","agt":"#);
            array(&mut to, ids.iter(), |to, id| base64url_string(to, &id.0));
        }
    }
    to.bytes(br#","gen":"#);
    number(&mut to, new.generation.into());
    to.u8(b'}');
    to.finish().map(|text| &*text)
}

fn array<T>(to: &mut Writer<'_>, elements: impl Iterator<Item = T>, write: fn(&mut Writer<'_>, T)) {
    to.u8(b'[');
    for (at, element) in elements.enumerate() {
        if at > 0 {
            to.u8(b',');
        }
        write(to, element);
    }
    to.u8(b']');
}

fn string(to: &mut Writer<'_>, text: &str) {
    to.u8(b'"').bytes(text.as_bytes()).u8(b'"');
}

fn base64url_string(to: &mut Writer<'_>, bytes: &[u8]) {
    to.u8(b'"');
    base64url::encode_in_chunks(bytes, |text| {
        to.bytes(text);
    });
    to.u8(b'"');
}

fn number(to: &mut Writer<'_>, value: u64) {
    // 2^64 has 20 digits.
    let mut digits = [0; 20];
    let (mut rest, mut count) = (value, 0);
    for digit in digits.iter_mut().rev() {
        // A remainder of ten is one digit.
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    to.bytes(digits.get(digits.len() - count..).unwrap_or(&[]));
}
