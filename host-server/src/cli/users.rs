//! `moorline users`: who commands, and by which roles.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::enroll::data_dir;
use super::output::printable;
use super::{Failure, output};
use crate::accounts::LoginKey;
use crate::admin::{AccessChange, AccountChange, AdminAnswer, AdminRequest, UserReport, ask};
use crate::store::{OutsideSubject, Reach};

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
    /// Lets it log in over HTTP by a key, as `moorline login-key` prints it.
    AddKey {
        /// Its name.
        name: String,
        /// The public key: `p256:` or `ed25519:`, and the key in base64url.
        key: LoginKey,
    },
    /// Has it not log in by that key any more, and ends what it has begun.
    RemoveKey {
        /// Its name.
        name: String,
        /// The public key.
        key: LoginKey,
    },
    /// Lets it log in by tokens that another issuer, of `[[outside]]`, has made for a subject.
    AddOutside {
        /// Its name.
        name: String,
        /// The issuer's name.
        issuer: String,
        /// The name with that issuer.
        subject: String,
    },
    /// Has it not log in by those any more, and ends what it has begun.
    RemoveOutside {
        /// Its name.
        name: String,
        /// The issuer's name.
        issuer: String,
        /// The name with that issuer.
        subject: String,
    },
    /// Makes an API key for a program that acts as it, and prints it once.
    ApiKey {
        /// Its name.
        name: String,
        /// What the key is for.
        #[arg(long, value_name = "TEXT")]
        label: String,
        /// The most that the key permits; may be given 16 times. Without one it is all that the commander may do.
        #[arg(long = "permission", value_name = "NAME")]
        permissions: Vec<String>,
        /// How many days the key is good.
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
    /// Takes an API key away, and ends what it has begun.
    RemoveApiKey {
        /// Its name.
        name: String,
        /// The name of the key, which `users show` has.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Ends all of its logins.
    LogOut {
        /// Its name.
        name: String,
    },
}

impl UsersArguments {
    /// Lists commanders, shows one, or changes its roles.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        match self.command {
            None => list(&folder, json),
            Some(UsersCommand::Show { name }) => show(&folder, name, json),
            Some(UsersCommand::AddKey { name, key }) => {
                account(&folder, name, AccountChange::AddKey(key), json)
            }
            Some(UsersCommand::RemoveKey { name, key }) => {
                account(&folder, name, AccountChange::RemoveKey(key), json)
            }
            Some(UsersCommand::AddOutside {
                name,
                issuer,
                subject,
            }) => {
                let subject = OutsideSubject { issuer, subject };
                account(&folder, name, AccountChange::AddOutside(subject), json)
            }
            Some(UsersCommand::RemoveOutside {
                name,
                issuer,
                subject,
            }) => {
                let subject = OutsideSubject { issuer, subject };
                account(&folder, name, AccountChange::RemoveOutside(subject), json)
            }
            Some(UsersCommand::ApiKey {
                name,
                label,
                permissions,
                days,
            }) => {
                let change = AccountChange::MakeApiKey {
                    label,
                    permissions,
                    seconds: u64::from(days) * 86_400,
                };
                account(&folder, name, change, json)
            }
            Some(UsersCommand::RemoveApiKey { name, id }) => {
                account(&folder, name, AccountChange::RemoveApiKey(id), json)
            }
            Some(UsersCommand::LogOut { name }) => {
                account(&folder, name, AccountChange::LogOut, json)
            }
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

fn account(folder: &Path, name: String, change: AccountChange, json: bool) -> Result<(), Failure> {
    let text = format!("the account of {name} is as you say");
    match ask(folder, &AdminRequest::ChangeAccount { name, change })? {
        AdminAnswer::Changed => output::print(json, &json!({ "changed": true }), &text),
        AdminAnswer::ApiKey(made) => {
            let value = serde_json::to_value(&made).map_err(std::io::Error::from)?;
            output::print(json, &value, &made.key)
        }
        other => Err(Failure::of_answer(other)),
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
    let mut text = format!(
        "{}\nroles:    {}\nmay:      {}\nreaches:  {reach}\nowns:     {}\ngranted:  {}",
        line(&user),
        or_none(&user.roles),
        or_none(&user.permits),
        or_none(&user.owns),
        or_none(&user.granted),
    );
    for key in &user.account.login_keys {
        text.push_str(&format!("\nlogs in:  {key}"));
    }
    for OutsideSubject { issuer, subject } in &user.account.outside {
        text.push_str(&format!("\noutside:  {issuer} {subject}"));
    }
    for key in &user.account.api_keys {
        let (id, label, end) = (&key.id, printable(&key.label), key.expires_at);
        text.push_str(&format!(
            "\nAPI key:  {id}  {label}  until {end} (seconds since 1970)"
        ));
    }
    for login in &user.account.logins {
        let (id, by, used) = (&login.id, &login.by, login.used);
        text.push_str(&format!(
            "\nlogin:    {id}  by {by}  used {used} (seconds since 1970)"
        ));
    }
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
