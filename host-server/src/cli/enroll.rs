//! `moorline enroll`: on the hub's machine, through the operator's socket.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::invitation_link::InvitationLink;
use super::{Failure, output};
use crate::admin::{AdminAnswer, AdminRequest, ask};
use crate::client::Profile;
use crate::config::Config;
use crate::store::{Particulars, Reach, encode_key};

/// What a commander may do unless it is said otherwise.
const DEFAULT_PERMISSIONS: [&str; 3] = ["agent.command.*", "agent.list", "agent.watch"];

/// What a peer is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// It runs commands.
    Agent,
    /// It gives them.
    Commander,
}

/// Who is enrolled.
#[derive(Debug, Args)]
pub struct EnrollArguments {
    /// What the peer is.
    role: Role,
    /// Its name: 1 to 32 letters, digits, `-`, `.` or `_`.
    name: String,
    /// Its public key, as `moorline keygen` prints it; without one, that of the key in the home folder.
    #[arg(long, conflicts_with = "code")]
    key: Option<String>,
    /// Gives out a code instead, with which the peer enrols itself over the line: `moorline join`.
    #[arg(long)]
    code: bool,
    /// Gives out an external key in place of a code, for a program that provisions machines.
    #[arg(long, requires = "code")]
    external_key: bool,
    /// Prints the invitation as a QR code too, and in one line that `moorline join` takes.
    #[arg(long, requires = "code")]
    qr: bool,
    /// How many seconds the code is good.
    #[arg(long, default_value_t = 900, requires = "code", value_name = "SECONDS")]
    valid: u64,
    /// For a commander, an agent that it reaches; may be given 8 times.
    #[arg(long = "agent", value_name = "NAME", conflicts_with = "group")]
    agents: Vec<String>,
    /// For an agent, its group; for a commander, the group whose agents it reaches.
    #[arg(long)]
    group: Option<String>,
    /// For an agent, the commander that it belongs to, which reaches it.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// For a commander, a role, such as `user`; may be given 8 times. `moorline roles` says which there are.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// For a commander, what it may do, such as `agent.command.led` or `agent.*`; may be given often.
    #[arg(long = "permission", value_name = "NAME")]
    permissions: Vec<String>,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl EnrollArguments {
    /// Asks the daemon, and stores the credential in `profile` when the key is the profile's own.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let particulars = match self.role {
            Role::Agent => {
                let is_commanders = !self.agents.is_empty()
                    || !self.permissions.is_empty()
                    || !self.roles.is_empty();
                if is_commanders {
                    let why = "--agent, --permission and --role are for commanders";
                    return Err(Failure::Usage(why.into()));
                }
                Particulars {
                    owner: self.owner,
                    ..Particulars::agent(self.group.as_deref())
                }
            }
            Role::Commander => {
                if self.owner.is_some() {
                    return Err(Failure::Usage("--owner is for agents".into()));
                }
                let reach = match (self.group, self.agents.is_empty()) {
                    (Some(group), _) => Reach::Group(group),
                    (None, false) => Reach::Agents(self.agents),
                    // It may own agents, and be granted others.
                    (None, true) if !self.roles.is_empty() => Reach::Nobody,
                    (None, true) => {
                        let why = "say whom the commander reaches: --agent NAME, or --group NAME; with --role it reaches \
                                   those that it owns and is granted";
                        return Err(Failure::Usage(why.into()));
                    }
                };
                let permissions = if self.permissions.is_empty() && self.roles.is_empty() {
                    DEFAULT_PERMISSIONS.map(String::from).into()
                } else {
                    self.permissions
                };
                Particulars {
                    permissions,
                    roles: self.roles,
                    ..Particulars::commander(reach, &[])
                }
            }
        };
        let (name, data_dir) = (self.name, data_dir(self.data_dir));
        if self.code {
            let request = AdminRequest::Invite {
                name,
                particulars,
                seconds: self.valid,
                with_key: self.external_key,
            };
            return match ask(&data_dir, &request)? {
                AdminAnswer::Invited(invitation) => {
                    output::invited(json, &invitation)?;
                    if self.qr && !json {
                        let link = InvitationLink::of(&invitation);
                        let text = format!("\n{}\n\n{link}", link.to_qr()?);
                        output::print(false, &serde_json::Value::Null, &text)?;
                    }
                    Ok(())
                }
                other => Err(Failure::of_answer(other)),
            };
        }
        let is_own_key = self.key.is_none();
        let key = match self.key {
            Some(key) => key,
            None => encode_key(profile.key()?.public_key()),
        };
        let request = AdminRequest::Enrol {
            name,
            key,
            particulars,
        };
        match ask(&data_dir, &request)? {
            AdminAnswer::Enrolled(credential) => {
                if is_own_key {
                    profile.newcomers_trust_file().forget()?;
                    profile.enrol(&credential)?;
                }
                // Whose key is elsewhere must carry the credential there: it is printed.
                output::enrolled(json || !is_own_key, &credential)
            }
            other => Err(Failure::of_answer(other)),
        }
    }
}

pub(super) fn data_dir(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| Config::default().data_dir)
}
