//! `moorline roles`: names for what commanders may do.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::enroll::data_dir;
use super::{Failure, output};
use crate::access::RoleDefinition;
use crate::admin::{AccessChange, AdminAnswer, AdminRequest, RoleReport, ask};

/// Which roles, and what becomes of them.
#[derive(Debug, Args)]
pub struct RolesArguments {
    #[command(subcommand)]
    command: Option<RolesCommand>,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER", global = true)]
    data_dir: Option<PathBuf>,
}

/// What is done with a role.
#[derive(Debug, Subcommand)]
enum RolesCommand {
    /// Makes a role, or changes it for all who have it.
    Set {
        /// Its name: 1 to 32 of a-z, 0-9, `-` and `_`.
        name: String,
        /// A role that it builds on; may be given 8 times.
        #[arg(long = "inherit", value_name = "ROLE")]
        inherits: Vec<String>,
        /// What it adds, such as `agent.command.led` or `chat.*`; may be given 16 times.
        #[arg(long = "permission", value_name = "NAME")]
        permissions: Vec<String>,
    },
    /// Takes away a role that nobody has.
    Remove {
        /// Its name.
        name: String,
    },
}

impl RolesArguments {
    /// Lists roles, or changes one.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        let (change, text) = match self.command {
            None => {
                return match ask(&folder, &AdminRequest::Roles)? {
                    AdminAnswer::Roles(roles) => {
                        let lines: Vec<String> =
                            roles.iter().map(|(name, role)| line(name, role)).collect();
                        let value = serde_json::to_value(&roles).map_err(std::io::Error::from)?;
                        output::print(json, &value, &lines.join("\n"))
                    }
                    other => Err(Failure::of_answer(other)),
                };
            }
            Some(RolesCommand::Set {
                name,
                inherits,
                permissions,
            }) => {
                let text = format!("the role {name} is as you say");
                let role = RoleDefinition {
                    inherits,
                    permissions,
                };
                (AccessChange::PutRole { name, role }, text)
            }
            Some(RolesCommand::Remove { name }) => {
                let text = format!("there is no role {name} any more");
                (AccessChange::RemoveRole { name }, text)
            }
        };
        match ask(&folder, &AdminRequest::ChangeAccess(change))? {
            AdminAnswer::Changed => output::print(json, &json!({ "changed": true }), &text),
            other => Err(Failure::of_answer(other)),
        }
    }
}

fn line(name: &str, role: &RoleReport) -> String {
    let inherits = match role.definition.inherits.as_slice() {
        [] => String::new(),
        inherits => format!(" (on {})", inherits.join(", ")),
    };
    format!(
        "{name}{inherits}: {}",
        role.definition.permissions.join(", ")
    )
}
