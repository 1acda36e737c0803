//! A commander's side of the line, for programs.
//!
//! A [`Client`] is connected once its hub is proved and its token accepted. It takes the hub for whom the pinned key
//! says and for nobody else.
//!
//! ```no_run
//! use std::path::Path;
//! use std::time::Duration;
//!
//! use moorline_core::message::Command;
//! use moorline_core::token::MAX_UNPACKED_LEN;
//! use moorline_server::client::{Client, Profile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let profile = Profile::new(Path::new("/home/alice/.config/moorline"));
//! let (key, credential) = (profile.key()?, profile.credential()?);
//! let pins = credential.pins()?;
//! let mut buffer = [0; MAX_UNPACKED_LEN];
//! let token = credential.token(&mut buffer)?;
//! let status = smol::block_on(async {
//!     let mut client = Client::connect(&credential.url, &key, token, &pins).await?;
//!     let command = Command { name: "led", arguments: ["on"].into_iter().collect() };
//!     let agent = credential.agent_id("boiler-1");
//!     let patience = Duration::from_secs(10);
//!     let (status, _) = client.send(agent, command, patience, |reply| reply.status).await?;
//!     client.close().await;
//!     Ok::<_, moorline_server::client::ClientError>(status)
//! })?;
//! println!("{status:?}");
//! # Ok(())
//! # }
//! ```

mod line;
mod profile;

pub use line::{Agent, Client, ClientError, Sent};
pub use profile::{Profile, ProfileError};
