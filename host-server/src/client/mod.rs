//! A commander's side of the line, for programs.
//!
//! A [`Client`] is connected once its hub is proved and its token accepted. It takes the hub for whom the pinned key
//! says and for nobody else.

mod line;
mod profile;

pub use line::{Agent, Client, ClientError, Sent};
pub use profile::{Profile, ProfileError};
