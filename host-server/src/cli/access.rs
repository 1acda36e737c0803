//! `moorline access`: to whom an agent belongs, and to whom it is granted.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::enroll::data_dir;
use super::users::or_none;
use super::{Failure, output};
use crate::admin::{AccessChange, AdminAnswer, AdminRequest, ask};

/// Which agent, and what becomes of it.
#[derive(Debug, Args)]
pub struct AccessArguments {
    #[command(subcommand)]
    command: AccessCommand,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER", global = true)]
    data_dir: Option<PathBuf>,
}

/// What is done.
#[derive(Debug, Subcommand)]
enum AccessCommand {
    /// Says to whom an agent belongs, and to whom it is granted.
    Show {
        /// The agent.
        agent: String,
    },
    /// Gives an agent to a commander, which reaches it from its next token on.
    Own {
        /// The agent.
        agent: String,
        /// The commander; without one it belongs to nobody.
        owner: Option<String>,
    },
    /// Lets a commander reach an agent that is not its own, from its next token on.
    Grant {
        /// The agent.
        agent: String,
        /// The commander.
        commander: String,
    },
    /// Takes that back, at once.
    Withdraw {
        /// The agent.
        agent: String,
        /// The commander.
        commander: String,
    },
}

impl AccessArguments {
    /// Says or changes who reaches an agent.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        let (change, text) = match self.command {
            AccessCommand::Show { agent } => {
                return match ask(&folder, &AdminRequest::Access { agent })? {
                    AdminAnswer::Access(access) => {
                        let text = format!(
                            "{}\ngroup:    {}\nowner:    {}\ngranted:  {}",
                            access.agent,
                            access.group.as_deref().unwrap_or("-"),
                            access.owner.as_deref().unwrap_or("-"),
                            or_none(&access.granted),
                        );
                        let value = serde_json::to_value(&access).map_err(std::io::Error::from)?;
                        output::print(json, &value, &text)
                    }
                    other => Err(Failure::of_answer(other)),
                };
            }
            AccessCommand::Own { agent, owner } => {
                let whose = owner.as_deref().unwrap_or("nobody").to_owned();
                let text = format!("{agent} belongs to {whose}");
                (AccessChange::Own { agent, owner }, text)
            }
            AccessCommand::Grant { agent, commander } => {
                let text = format!("{commander} reaches {agent}, from its next token on");
                (grant(agent, commander, true), text)
            }
            AccessCommand::Withdraw { agent, commander } => {
                let text = format!("{agent} is not granted to {commander}");
                (grant(agent, commander, false), text)
            }
        };
        match ask(&folder, &AdminRequest::ChangeAccess(change))? {
            AdminAnswer::Changed => output::print(json, &json!({ "changed": true }), &text),
            other => Err(Failure::of_answer(other)),
        }
    }
}

fn grant(agent: String, commander: String, is_granted: bool) -> AccessChange {
    AccessChange::Grant {
        agent,
        commander,
        is_granted,
    }
}
