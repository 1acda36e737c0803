//! The command line `moorline`.
//!
//! Exit codes, for scripts: 0 done; 1 the agent ran the command and says that it failed, or the audit log is damaged; 2
//! the command line, the profile or the key file is wrong; 3 the hub is not reached, or is not the one whose key is
//! trusted; 4 the hub refuses the token or the permission; 5 no such agent, it is offline, or it has left no prekey; 6 no
//! answer in time.

mod access;
mod audit;
mod backup;
mod enroll;
mod follow;
mod invitation_link;
mod join;
mod keys;
mod log_lines;
mod login;
mod offline;
mod output;
mod provision;
mod renew;
mod revoke;
mod roles;
mod send;
mod session;
mod sessions;
mod status;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

pub use access::AccessArguments;
pub use audit::AuditCommand;
pub use backup::{BackupArguments, RestoreArguments};
use clap::{CommandFactory, Parser, Subcommand};
pub use enroll::EnrollArguments;
pub use follow::{LogsArguments, WatchArguments};
pub use join::JoinArguments;
pub use keys::{KeysCommand, PlaceArguments};
pub use login::{LoginArguments, LoginKeyArguments};
use moorline_core::message::{OfflineRefusal, RouteRefusal};
pub use offline::{OfflineArguments, RepliesArguments};
use output::printable;
pub use provision::ProvisionArguments;
pub use renew::RenewArguments;
pub use revoke::RevokeArguments;
pub use roles::RolesArguments;
pub use send::SendArguments;
pub use sessions::SessionsArguments;
pub use status::StatusArguments;
pub use users::UsersArguments;

use crate::admin::{AdminAnswer, AdminError};
use crate::backup::BackupError;
use crate::client::{ClientError, Profile, ProfileError};
use crate::manual::{CompletionsArguments, ManArguments};
use crate::store::{StoreError, encode_key};
use crate::tls::trust_only;

/// Commands devices over a Moorline hub.
#[derive(Debug, Parser)]
#[command(name = "moorline", version)]
pub struct Arguments {
    /// The folder with the private key and the credential.
    #[arg(long, env = "MOORLINE_HOME", global = true, value_name = "FOLDER")]
    home: Option<PathBuf>,
    /// Where the hub is, in place of what the credential says: `ws://HOST:PORT/ws`, `wss://HOST:PORT/ws` or
    /// `udp://HOST:PORT`.
    #[arg(long, env = "MOORLINE_HUB", global = true, value_name = "URL")]
    hub: Option<String>,
    /// The certificates of the authorities that vouch for a hub at `wss://`, PEM, in place of the system's.
    #[arg(long, env = "MOORLINE_CA", global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Prints JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a private key and prints its public half.
    Keygen,
    /// Prints the public half of the private key.
    Pubkey,
    /// Enrols an agent or a commander with the hub on this machine, and stores its credential.
    Enroll(EnrollArguments),
    /// Enrols the key of the home folder with a hub, by a code that its operator gave out.
    Join(JoinArguments),
    /// Logs in to an account of a hub, and binds the key of the home folder to it for a while.
    Login(LoginArguments),
    /// Makes a key to log in by, and prints its public half.
    LoginKey(LoginKeyArguments),
    /// Shows or rotates the identity key of the hub on this machine.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Checks and searches the audit log of the hub on this machine.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Writes all that the hub on this machine has to one file, also while it runs.
    Backup(BackupArguments),
    /// Makes a hub's data directory of a backup, or checks one.
    Restore(RestoreArguments),
    /// Shuts a peer out of the hub on this machine, or revokes tokens alone; sessions that rest on them end.
    Revoke(RevokeArguments),
    /// Lists the commanders of the hub on this machine, or gives one other roles.
    Users(UsersArguments),
    /// Lists the roles of the hub on this machine, or changes one.
    Roles(RolesArguments),
    /// Says or changes which commanders own an agent of the hub on this machine and are granted it.
    Access(AccessArguments),
    /// Lists the connections of the hub on this machine, or closes some.
    Sessions(SessionsArguments),
    /// Says how the hub on this machine does.
    Status(StatusArguments),
    /// Writes the image that an agent's flash is given: its key, its token and the hub's pin.
    Provision(ProvisionArguments),
    /// Gets a newer token from the hub; other commands do so by themselves when half of the token's life is over.
    Renew(RenewArguments),
    /// Lists the agents that this commander reaches.
    Agents,
    /// Sends a command to an agent and prints its reply.
    Send(SendArguments),
    /// Prints what an agent notices, as it says it.
    Watch(WatchArguments),
    /// Prints an agent's log, as it writes it.
    Logs(LogsArguments),
    /// Fetches the replies to commands that were left for agents with `send --offline`.
    Replies(RepliesArguments),
    /// Prints what completes the command line in a shell.
    Completions(CompletionsArguments),
    /// Writes the manual pages into a folder.
    Man(ManArguments),
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Keys(#[from] StoreError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("the hub refuses: {0}")]
    Refused(String),
    #[error("{0}")]
    Usage(String),
    #[error("the agent answered: {0}")]
    Agent(String),
    #[error("{0}")]
    NoReply(String),
    #[error("the audit log is damaged: {0}")]
    Damaged(crate::audit::Damage),
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
}

impl Failure {
    /// Returns why `answer` is not the one that was asked for.
    fn of_answer(answer: AdminAnswer) -> Self {
        match answer {
            AdminAnswer::Refused(why) => Self::Refused(why),
            _ => Self::Refused("an answer to another question".into()),
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Agent(_) | Self::Damaged(_) | Self::Print(_) => 1,
            Self::Profile(_) | Self::Keys(_) | Self::Backup(_) | Self::Usage(_) => 2,
            Self::Refused(_) => 4,
            Self::Admin(_) => 3,
            Self::NoReply(_) => 6,
            Self::Client(error) => match error {
                ClientError::CredentialRefused
                | ClientError::BearerWanted
                | ClientError::NotPermitted
                | ClientError::NotLoggedIn(_)
                | ClientError::RenewalRefused
                | ClientError::RefusedByAgent
                | ClientError::NotCarried(RouteRefusal::NotPermitted)
                | ClientError::NotKept(OfflineRefusal::NotPermitted) => 4,
                ClientError::NotCarried(RouteRefusal::UnknownAgent | RouteRefusal::Offline)
                | ClientError::NotKept(OfflineRefusal::UnknownAgent | OfflineRefusal::NoPrekey) => {
                    5
                }
                ClientError::Late(_) => 6,
                ClientError::TooLong
                | ClientError::Address(_)
                | ClientError::Ledger(_)
                | ClientError::TooManyOpen
                | ClientError::TrustNotStored
                | ClientError::NotKept(OfflineRefusal::TooLong) => 2,
                _ => 3,
            },
        }
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(json, &failure.to_string(), failure.code());
            ExitCode::from(failure.code())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        home,
        hub,
        ca,
        json,
        command,
    } = arguments;
    if let Some(file) = &ca {
        trust_only(file).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    let profile = Profile::new(&home.unwrap_or_else(default_home)).with_hub(hub);
    match command {
        Command::Keygen => {
            let key = profile.create_key()?;
            let path = profile.key_path();
            output::public_key(json, &encode_key(key.public_key()), &path)
        }
        Command::Pubkey => {
            let key = profile.key()?;
            output::public_key(json, &encode_key(key.public_key()), &profile.key_path())
        }
        Command::Enroll(enroll) => enroll.run(&profile, json),
        Command::Join(join) => join.run(&profile, json),
        Command::Login(login) => login.run(&profile, json),
        Command::LoginKey(key) => key.run(json),
        Command::Revoke(revoke) => revoke.run(json),
        Command::Keys(keys) => keys.run(json),
        Command::Backup(backup) => backup.run(json),
        Command::Restore(restore) => restore.run(json),
        Command::Audit(audit) => audit.run(json),
        Command::Provision(provision) => provision.run(&profile, json),
        Command::Renew(renew) => renew.run(&profile, json),
        Command::Agents => send::agents(&profile, json),
        Command::Send(send) => send.run(&profile, json),
        Command::Watch(watch) => watch.run(&profile, json),
        Command::Logs(logs) => logs.run(&profile, json),
        Command::Replies(replies) => replies.run(&profile, json),
        Command::Users(users) => users.run(json),
        Command::Roles(roles) => roles.run(json),
        Command::Access(access) => access.run(json),
        Command::Sessions(sessions) => sessions.run(json),
        Command::Status(status) => status.run(json),
        Command::Completions(completions) => Ok(completions.run(Arguments::command())?),
        Command::Man(man) => Ok(man.run(Arguments::command())?),
    }
}

/// Where a person's own profile is.
fn default_home() -> PathBuf {
    match std::env::var_os("XDG_CONFIG_HOME") {
        Some(config) => PathBuf::from(config).join("moorline"),
        None => {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".config/moorline")
        }
    }
}
