//! A commander's side of the line, for programs.
//!
//! A [`Client`] is connected once its hub is proved and its token accepted. It takes the hub for whom the keys
//! say that it trusts, and for nobody else. Commands go over a channel of its own to each agent, which proves itself by its token; the
//! hub carries them and can neither read nor forge them. A command to an agent that is away is left for it with
//! [`Client::send_offline`]; the [`Ledger`] holds what opens its reply.
//!
//! ```no_run
//! use std::path::Path;
//! use std::time::Duration;
//!
//! use moorline_core::message::Command;
//! use moorline_core::token::MAX_UNPACKED_LEN;
//! use moorline_server::client::{Client, Commander, Profile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let profile = Profile::new(Path::new("/home/alice/.config/moorline"));
//! let (key, credential) = (profile.key()?, profile.credential()?);
//! let (trust, anchors) = (profile.trust(&credential)?, credential.anchors()?);
//! let keeper = profile.trust_file();
//! let mut buffer = [0; MAX_UNPACKED_LEN];
//! let commander = Commander {
//!     key: &key,
//!     token: credential.token(&mut buffer)?,
//!     trust: &trust,
//!     keeper: Some(&keeper),
//!     anchors: &anchors,
//!     audience: &credential.hub,
//! };
//! let status = smol::block_on(async {
//!     let mut client = Client::connect(&credential.url, commander).await?;
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

mod again;
mod channel;
mod commander;
mod error;
mod http;
mod issuers_file;
mod join;
mod ledger;
mod link;
mod login;
mod offline;
mod profile;
mod reports;
mod road;
mod staged;
mod trust_file;

pub use commander::{Agent, Client, Commander, Sent};
pub use error::ClientError;
pub use join::Newcomer;
pub use ledger::{Account, Ledger, MAX_OPEN_COMMANDS, OpenCommand, is_over};
pub use login::{LoginSigner, Shows, log_in};
pub use offline::{OfflineOrder, OfflineOutcome};
pub use profile::{Profile, ProfileError};
pub use reports::Report;
pub use staged::Staged;
pub use trust_file::TrustFile;
