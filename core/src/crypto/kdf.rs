//! HKDF-SHA256 (RFC 5869) and the labelled expansion of PROTOCOL.md §3.1.

use super::mac::secret_mac;
use super::provider::{Active, Authenticating, Provider};
use super::{Hash, Secret};

/// Longest label with its prefix, and longest context, in bytes.
const MAX_LABEL_LEN: usize = 32;

/// Longest context of a labelled expansion in bytes: one hash, and a few bytes more.
const MAX_CONTEXT_LEN: usize = 64;

/// Most bytes that HKDF-Expand gives: 255 blocks.
const MAX_EXPANDED_LEN: usize = 255 * 32;

/// What every label begins with.
const LABEL_PREFIX: &[u8] = b"ML1 ";

/// Returns HKDF-Extract of `input` under `salt` (RFC 5869 §2.2).
#[must_use]
pub fn extract(salt: &[u8], input: &[u8]) -> Secret<32> {
    secret_mac(salt, &[input])
}

/// Fills `output`, at most 8,160 bytes, with HKDF-Expand of `key` and `info` (RFC 5869 §2.3).
///
/// Returns `false`, with `output` zero, when more bytes are asked for than the construction can give.
#[must_use]
pub fn expand(key: &Secret<32>, info: &[&[u8]], output: &mut [u8]) -> bool {
    output.fill(0);
    if output.len() > MAX_EXPANDED_LEN {
        return false;
    }
    let keyed = <Active as Provider>::Mac::new(key.expose());
    let mut previous: Option<Secret<32>> = None;
    for (number, output) in (1..=u8::MAX).zip(output.chunks_mut(32)) {
        let mut mac = keyed.clone();
        if let Some(previous) = &previous {
            mac.update(previous.expose());
        }
        for part in info {
            mac.update(part);
        }
        mac.update(&[number]);
        let block = mac.finish();
        for (to, from) in output.iter_mut().zip(block.expose()) {
            *to = *from;
        }
        previous = Some(block);
    }
    true
}

/// Returns `L(secret, label, context, N)` of PROTOCOL.md §3.1.
///
/// The label is without its prefix and at most 28 bytes, the context at most 64; every caller is in this crate.
#[must_use]
pub fn expand_label<const N: usize>(
    secret: &Secret<32>,
    label: &'static str,
    context: &[u8],
) -> Secret<N> {
    let label = label.as_bytes();
    let label_len = LABEL_PREFIX.len() + label.len();
    debug_assert!(label_len <= MAX_LABEL_LEN && context.len() <= MAX_CONTEXT_LEN && N <= 255);
    let length = u16::try_from(N).unwrap_or(0).to_be_bytes();
    let label_head = [u8::try_from(label_len).unwrap_or(u8::MAX)];
    let context_head = [u8::try_from(context.len()).unwrap_or(u8::MAX)];
    let info: [&[u8]; 6] = [
        &length,
        &label_head,
        LABEL_PREFIX,
        label,
        &context_head,
        context,
    ];
    if N <= 32 {
        // One block of HKDF-Expand is one HMAC: T(1) = HMAC(PRK, info | 0x01). Set up once, not once a call.
        let [length, label_head, prefix, label, context_head, context] = info;
        let parts = [
            length,
            label_head,
            prefix,
            label,
            context_head,
            context,
            &[1],
        ];
        let block = secret_mac(secret.expose(), &parts);
        return Secret::filled_by(|output| {
            for (to, from) in output.iter_mut().zip(block.expose()) {
                *to = *from;
            }
        });
    }
    Secret::filled_by(|output| {
        // At most 255 bytes are asked for, far under the bound of 8,160.
        let _ = expand(secret, &info, output);
    })
}

/// Returns `L(secret, label, context, 32)` for a context that is a hash.
#[must_use]
pub(crate) fn expand_hash(secret: &Secret<32>, label: &'static str, context: &Hash) -> Secret<32> {
    expand_label(secret, label, context.as_bytes())
}
