//! Logging in: how a commander gets a token for a key of the machine that it works at.
//!
//! ```text
//! login_key   the keys by which somebody logs in, and what they sign
//! challenge   what is signed, made without keeping anything
//! api_key     secrets of programs, which the hub knows by their hashes
//! cookie      what a browser shows
//! dpop        the proof that comes with each request by a token (RFC 9449)
//! engine      logs in, renews and logs out
//! ```
//!
//! A login binds a token to a key that its machine has made. It has an end, is over when it is not used, and a commander
//! has a few at a time. The key that the commander is enrolled with is none of these: by it peers come back over the line.

mod api_key;
mod challenge;
pub(crate) mod cookie;
mod dpop;
mod engine;
mod login_key;

pub(crate) use api_key::ApiKeySecret;
pub(crate) use challenge::Challenges;
pub(crate) use dpop::Proof;
pub(crate) use engine::{LoginError, LoginRequest, Opened, RegisterRequest, Wants};
pub use login_key::{LoginKey, LoginKeyError, Purpose, Signed};
