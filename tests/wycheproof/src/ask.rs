//! What each kind of case asks, and which answers are right.

use moorline_core::crypto::provider::{Agreeing, Authenticating, Provider, Sealing, Verifying};
use moorline_core::crypto::{Hash, Secret, Signature, Suite, expand, extract};

use crate::table::{Case, Expected, Table};

/// A kind of case.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    Signature,
    Agreement,
    Seal(Suite),
    Derivation,
    Code,
}

impl Ask {
    /// Asks `P` each case of `table` and says of each by its number whether the answer is right.
    pub(crate) fn each<P: Provider>(self, table: &Table, say: &mut dyn FnMut(u16, bool)) {
        match self {
            Self::Signature => judged(table, say, signature::<P>),
            Self::Agreement => judged(table, say, agreement::<P>),
            Self::Seal(suite) => judged(table, say, |case| seal::<P>(suite, case)),
            Self::Derivation => judged(table, say, derivation),
            Self::Code => judged(table, say, code::<P>),
        }
    }
}

/// A case whose fields do not have the lengths that they should have is not answered right.
fn judged<const N: usize>(
    table: &Table,
    say: &mut dyn FnMut(u16, bool),
    is_right: impl Fn(&Case<N>) -> Option<bool>,
) {
    for case in table.cases::<N>() {
        say(case.number, is_right(&case).unwrap_or(false));
    }
}

fn signature<P: Provider>(case: &Case<3>) -> Option<bool> {
    let [point, message, signature] = case.fields;
    // A file may have a key that is none; then nothing verifies under it.
    let verifies = P::PublicKey::from_point(point.try_into().ok()?).is_some_and(|key| {
        signature
            .try_into()
            .is_ok_and(|signature| key.verifies(&Hash::of(&[message]), &Signature(signature)))
    });
    Some(verifies == (case.expected == Expected::Valid))
}

fn agreement<P: Provider>(case: &Case<3>) -> Option<bool> {
    let [scalar, peer, shared] = case.fields;
    let (key, _) = P::AgreementKey::from_scalar(&Secret::new(scalar.try_into().ok()?));
    let agreed = key.agree(peer.try_into().ok()?);
    let is_zero = shared.iter().all(|byte| *byte == 0);
    Some(match (case.expected, agreed) {
        (Expected::Valid | Expected::Acceptable, Some(agreed)) => {
            !is_zero && agreed.expose() == shared
        }
        (Expected::Acceptable, None) => is_zero,
        (Expected::Invalid, agreed) => agreed.is_none(),
        (Expected::Valid, None) => false,
    })
}

fn seal<P: Provider>(suite: Suite, case: &Case<6>) -> Option<bool> {
    let [key, nonce, aad, plaintext, ciphertext, tag] = case.fields;
    let key = P::AeadKey::new(suite, &Secret::new(key.try_into().ok()?));
    let (nonce, tag) = (nonce.try_into().ok()?, tag.try_into().ok()?);
    let mut buffer = [0; MAX_MESSAGE_LEN];
    let buffer = buffer.get_mut(..ciphertext.len())?;
    buffer.copy_from_slice(ciphertext);
    let is_open = key.open(nonce, aad, buffer, tag);
    if case.expected != Expected::Valid {
        return Some(!is_open);
    }
    if !is_open || buffer != plaintext {
        return Some(false);
    }
    let made = key.seal(nonce, aad, buffer);
    Some(made == Some(*tag) && buffer == ciphertext)
}

fn derivation(case: &Case<5>) -> Option<bool> {
    let [input, salt, info, size, output] = case.fields;
    let size = usize::from(u16::from_be_bytes(size.try_into().ok()?));
    let mut buffer = [0; MAX_DERIVED_LEN];
    let buffer = buffer.get_mut(..size)?;
    let is_derived = expand(&extract(salt, input), &[info], buffer);
    Some(match case.expected {
        Expected::Valid => is_derived && buffer == output,
        _ => !is_derived,
    })
}

fn code<P: Provider>(case: &Case<3>) -> Option<bool> {
    let [key, message, code] = case.fields;
    let mut mac = P::Mac::new(key);
    mac.update(message);
    let made = mac.finish();
    let is_same = made.expose().get(..code.len())? == code;
    Some(is_same == (case.expected == Expected::Valid))
}

/// Longest message of an AEAD in the files.
const MAX_MESSAGE_LEN: usize = 1024;

/// Longest output that a derivation is asked for in the files; it is over what HKDF can give.
const MAX_DERIVED_LEN: usize = 8192;
