//! `moorline send` and `moorline agents`: over the line, as the commander of the profile.

use std::time::Duration;

use clap::Args;
use moorline_core::message::{Command, MAX_ARGUMENTS, Status};

use super::offline::OfflineArguments;
use super::session::{with_client, with_ticket};
use super::{Failure, output};
use crate::client::Profile;

/// What is sent to whom.
#[derive(Debug, Args)]
pub struct SendArguments {
    /// The agent: its name, or its id of 32 hexadecimal digits.
    agent: String,
    /// The command, such as `ping`.
    command: String,
    /// Its arguments; at most 8.
    arguments: Vec<String>,
    /// How many seconds the reply may take.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    #[command(flatten)]
    offline: OfflineArguments,
}

impl SendArguments {
    /// Sends the command and prints the reply.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let arguments = self.arguments.iter().map(String::as_str);
        if arguments.len() > MAX_ARGUMENTS {
            return Err(Failure::Usage(format!(
                "a command has at most {MAX_ARGUMENTS} arguments"
            )));
        }
        let command = Command {
            name: &self.command,
            arguments: arguments.collect(),
        };
        if self.offline.offline {
            return self.offline.run(profile, json, &self.agent, &command);
        }
        let patience = Duration::from_secs(self.timeout);
        with_client(profile, async |client, credential| {
            let agent = credential.agent_id(&self.agent);
            let take = |reply: &moorline_core::message::Reply<'_>| {
                (reply.status, output::render(json, reply))
            };
            let answered = with_ticket(profile, client, agent, async |client| {
                client.send(agent, command.clone(), patience, take).await
            });
            let ((status, rendered), sent) = answered.await??;
            rendered.print(sent)?;
            end_of(status)
        })
    }
}

/// Returns how a command line ends whose command ended with `status`.
pub(super) fn end_of(status: Status) -> Result<(), Failure> {
    match status {
        Status::Done => Ok(()),
        Status::UnknownCommand => Err(Failure::Agent("it has no such command".into())),
        Status::BadArgument => Err(Failure::Agent("the arguments do not fit".into())),
        Status::NotPermitted => Err(Failure::Refused(
            "this token does not permit that command".into(),
        )),
        Status::Failed => Err(Failure::Agent("it tried and could not".into())),
    }
}

/// Lists the agents.
pub(super) fn agents(profile: &Profile, json: bool) -> Result<(), Failure> {
    with_client(profile, async |client, _| {
        output::agents(json, &client.agents().await?)
    })
}
