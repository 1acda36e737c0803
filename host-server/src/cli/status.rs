//! `moorline status`: how the hub on this machine does.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::enroll::data_dir;
use super::output::print;
use crate::admin::{AdminAnswer, AdminRequest, StatusReport, ask};

/// Which hub.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl StatusArguments {
    /// Prints how the hub does.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        match ask(&data_dir(self.data_dir), &AdminRequest::Status)? {
            AdminAnswer::Status(status) => {
                let value = serde_json::to_value(&status).map_err(std::io::Error::from)?;
                print(json, &value, &written(&status))
            }
            other => Err(Failure::of_answer(other)),
        }
    }
}

fn written(status: &StatusReport) -> String {
    let mut lines = vec![
        format!("hub {}, version {}", status.hub, status.version),
        format!("up for {} s", status.uptime_seconds),
    ];
    let listeners = status.listeners.iter();
    lines.extend(listeners.map(|(name, address)| format!("listens     {name}  {address}")));
    let states = status.states.iter();
    lines.extend(states.map(|(state, count)| format!("connections {state}  {count}")));
    let roles = status.roles.iter();
    lines.extend(roles.map(|(role, count)| format!("peers       {role}  {count}")));
    lines.push(format!("closed      {}", status.closed));
    lines.push(format!(
        "blocked     {} addresses",
        status.blocked_addresses
    ));
    let keys = status.keys.iter();
    lines.extend(keys.map(|key| format!("key         {}  {} s old", key.key, key.age_seconds)));
    for store in &status.stores {
        let most = store
            .most
            .map_or(String::new(), |most| format!(" of {most}"));
        lines.push(format!(
            "stored      {}  {}{most}",
            store.store, store.entries
        ));
    }
    for component in &status.components {
        let works = if component.works {
            "works"
        } else {
            &component.reason
        };
        lines.push(format!("component   {}  {works}", component.name));
    }
    lines.join("\n")
}
