//! `moorline users`: who commands, and by which roles.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::enroll::data_dir;
use super::{Failure, output};
use crate::admin::{AccessChange, AdminAnswer, AdminRequest, UserReport, ask};
use crate::store::Reach;

/// Which commanders, and what becomes of them.
#[derive(Debug, Args)]
pub struct UsersArguments {
    #[command(subcommand)]
    command: Option<UsersCommand>,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER", global = true)]
    data_dir: Option<PathBuf>,
}

/// What is done with a commander.
#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Says what is written of one.
    Show {
        /// Its name.
        name: String,
    },
    /// Gives it these roles and no others.
    Roles {
        /// Its name.
        name: String,
        /// The roles; none takes all away.
        roles: Vec<String>,
    },
}

impl UsersArguments {
    /// Lists commanders, shows one, or changes its roles.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        match self.command {
            None => list(&folder, json),
            Some(UsersCommand::Show { name }) => show(&folder, name, json),
            Some(UsersCommand::Roles { name, roles }) => {
                let text = format!("{name} has the roles: {}", or_none(&roles));
                let change = AccessChange::SetRoles { name, roles };
                match ask(&folder, &AdminRequest::ChangeAccess(change))? {
                    AdminAnswer::Changed => output::print(json, &json!({ "changed": true }), &text),
                    other => Err(Failure::of_answer(other)),
                }
            }
        }
    }
}

fn list(folder: &Path, json: bool) -> Result<(), Failure> {
    let mut all: Vec<UserReport> = Vec::new();
    loop {
        let after = all.last().map(|user| user.name.clone());
        match ask(folder, &AdminRequest::Users { after, name: None })? {
            AdminAnswer::Users { users, more } => {
                let is_last = !more || users.is_empty();
                all.extend(users);
                if is_last {
                    break;
                }
            }
            other => return Err(Failure::of_answer(other)),
        }
    }
    let lines: Vec<String> = all.iter().map(line).collect();
    let text = if lines.is_empty() {
        "no commanders".into()
    } else {
        lines.join("\n")
    };
    let value = serde_json::to_value(&all).map_err(std::io::Error::from)?;
    output::print(json, &value, &text)
}

fn line(user: &UserReport) -> String {
    let mark = if user.revoked { "  revoked" } else { "" };
    format!("{:<32}  {}{mark}", user.name, or_none(&user.roles))
}

fn show(folder: &Path, name: String, json: bool) -> Result<(), Failure> {
    let request = AdminRequest::Users {
        after: None,
        name: Some(name),
    };
    let user = match ask(folder, &request)? {
        AdminAnswer::Users { mut users, .. } if !users.is_empty() => users.remove(0),
        other => return Err(Failure::of_answer(other)),
    };
    let reach = match &user.reach {
        Reach::Nobody => "nobody".into(),
        Reach::Agents(names) => names.join(", "),
        Reach::Group(group) => format!("the group {group}"),
    };
    let text = format!(
        "{}\nroles:    {}\nmay:      {}\nreaches:  {reach}\nowns:     {}\ngranted:  {}",
        line(&user),
        or_none(&user.roles),
        or_none(&user.permits),
        or_none(&user.owns),
        or_none(&user.granted),
    );
    let value = serde_json::to_value(&user).map_err(std::io::Error::from)?;
    output::print(json, &value, &text)
}

pub(super) fn or_none(names: &[String]) -> String {
    if names.is_empty() {
        "-".into()
    } else {
        names.join(", ")
    }
}
