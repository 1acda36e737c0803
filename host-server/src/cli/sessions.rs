//! `moorline sessions`: the connections of the hub on this machine.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::Failure;
use super::enroll::data_dir;
use super::output::{print, printable};
use crate::admin::{AdminAnswer, AdminRequest, ask};
use crate::connections::{ConnectionReport, Health};

/// Which connections, and what becomes of them.
#[derive(Debug, Args)]
pub struct SessionsArguments {
    #[command(subcommand)]
    command: Option<SessionsCommand>,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER", global = true)]
    data_dir: Option<PathBuf>,
}

/// What is done with connections.
#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// Ends connections with a sealed goodbye. Their peers may come back; `moorline revoke` shuts one out.
    Close {
        /// The number of a connection, or the name of the peer whose connections are meant.
        #[arg(value_name = "ID|NAME")]
        whom: String,
    },
}

impl SessionsArguments {
    /// Lists connections, or closes some.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        match self.command {
            None => list(&folder, json),
            Some(SessionsCommand::Close { whom }) => close(&folder, whom, json),
        }
    }
}

fn list(folder: &Path, json: bool) -> Result<(), Failure> {
    let mut all: Vec<ConnectionReport> = Vec::new();
    loop {
        let after = all.last().map(|session| session.id);
        match ask(folder, &AdminRequest::Sessions { after })? {
            AdminAnswer::Sessions { sessions, more } => {
                let is_last = !more || sessions.is_empty();
                all.extend(sessions);
                if is_last {
                    break;
                }
            }
            other => return Err(Failure::of_answer(other)),
        }
    }
    let text = if all.is_empty() {
        "no connections".into()
    } else {
        table(&all)
    };
    let value = serde_json::to_value(&all).map_err(std::io::Error::from)?;
    print(json, &value, &text)
}

fn close(folder: &Path, whom: String, json: bool) -> Result<(), Failure> {
    match ask(folder, &AdminRequest::CloseSessions { whom })? {
        AdminAnswer::Closed(count) => {
            let text = format!("told to end: {count}");
            print(json, &json!({ "closed": count }), &text)
        }
        other => Err(Failure::of_answer(other)),
    }
}

fn table(sessions: &[ConnectionReport]) -> String {
    let head = [
        "ID", "NAME", "ROLE", "STATE", "BY", "ADDRESS", "AGE", "IN", "OUT", "RTT", "HEARD",
        "HEALTH",
    ];
    let mut rows = vec![head.map(String::from)];
    rows.extend(sessions.iter().map(row));
    let widths = head.map(|title| {
        let place = head.iter().position(|other| *other == title).unwrap_or(0);
        let lens = rows.iter().filter_map(|row| row.get(place));
        lens.map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(session: &ConnectionReport) -> [String; 12] {
    let or_none = |text: &Option<String>| text.as_deref().map_or("-".into(), printable);
    let health = match session.health {
        Health::Good => "good".into(),
        _ => session.reason.clone(),
    };
    let trip = session.round_trip_millis;
    [
        session.id.to_string(),
        or_none(&session.name),
        or_none(&session.role),
        session.state.label().into(),
        session.transport.clone(),
        session.address.clone(),
        format!("{}s", session.age_millis / 1_000),
        session.messages_in.to_string(),
        session.messages_out.to_string(),
        trip.map_or("-".into(), |millis| format!("{millis}ms")),
        format!("{}s ago", session.heard_millis / 1_000),
        health,
    ]
}
