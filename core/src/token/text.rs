//! Which characters the strings of the profile have.

use heapless::String;

use super::reason::{Member, TokenReason};

/// Returns `text` as an issuer or audience: visible ASCII but for `"` and `\`, which JSON would escape.
pub(super) fn printable<const N: usize>(
    text: &str,
    member: Member,
) -> Result<String<N>, TokenReason> {
    checked(text, member, |byte| {
        byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
    })
}

/// Returns `text` as a subject or group: letters, digits, `_`, `.` and `-`.
pub(super) fn name<const N: usize>(text: &str, member: Member) -> Result<String<N>, TokenReason> {
    checked(text, member, |byte| {
        byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
    })
}

/// Returns `text` as a key id: letters, digits, `_` and `-`.
pub(super) fn key_id<const N: usize>(text: &str) -> Result<String<N>, TokenReason> {
    checked(text, Member::Kid, |byte| {
        byte.is_ascii_alphanumeric() || b"_-".contains(&byte)
    })
}

fn checked<const N: usize>(
    text: &str,
    member: Member,
    is_allowed: fn(u8) -> bool,
) -> Result<String<N>, TokenReason> {
    if text.is_empty() {
        return Err(TokenReason::Length(member));
    }
    let copy = String::try_from(text).map_err(|_| TokenReason::Length(member))?;
    if text.bytes().all(is_allowed) {
        Ok(copy)
    } else {
        Err(TokenReason::Character(member))
    }
}
