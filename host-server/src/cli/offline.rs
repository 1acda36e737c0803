//! `moorline send --offline` and `moorline replies`: commands for agents that are away.

use std::time::Duration;

use clap::Args;
use moorline_core::message::{Command, Reply, Status};
use moorline_core::offline::{RefusalCode, TokenForm};
use moorline_core::time::UnixMillis;
use moorline_core::token::AgentId;
use serde_json::{Value as Json, json};

use super::output::{self, Rendered};
use super::send::end_of;
use super::session::with_client;
use super::{Failure, printable};
use crate::admin::Credential;
use crate::client::{
    Client, ClientError, Ledger, OfflineOrder, OfflineOutcome, OpenCommand, Profile, is_over,
};
use crate::clock;

/// How long a command is good for unless it is said.
const VALID: Duration = Duration::from_secs(3_600);

/// How a command is left for an agent.
#[derive(Debug, Args)]
pub struct OfflineArguments {
    /// Leaves the command for an agent that is away, sealed to it, with the hub.
    #[arg(long)]
    pub(super) offline: bool,
    /// For how long the command is good, such as 90s, 30m or 1h: until the token's end at most. [default: 1h]
    #[arg(long, requires = "offline", value_name = "DURATION", value_parser = parse_duration)]
    valid: Option<Duration>,
    /// Asks for a reply that the agent signs.
    #[arg(long, requires = "offline")]
    signed_reply: bool,
    /// Names the token by its hash: a shorter command, which an agent that does not know the token asks for again.
    #[arg(long, requires = "offline")]
    short: bool,
    /// How many seconds to wait for the reply; without it, `moorline replies` fetches it.
    #[arg(long, requires = "offline", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: Option<u64>,
}

/// Whose replies are fetched.
#[derive(Debug, Args)]
pub struct RepliesArguments {
    /// The agent: its name, or its id of 32 hexadecimal digits; without one, all.
    agent: Option<String>,
}

/// A reply in the form in which it is printed, and how the command ended.
type Printed = (Status, Rendered);

impl OfflineArguments {
    /// Leaves `command` for the agent that is called `called`, and waits for the reply if that is asked for.
    pub(super) fn run(
        &self,
        profile: &Profile,
        json: bool,
        called: &str,
        command: &Command<'_>,
    ) -> Result<(), Failure> {
        let ledger = profile.ledger();
        with_client(profile, async |client, credential| {
            let agent = credential.agent_id(called);
            let not_after = self.not_after(credential)?;
            let order = OfflineOrder {
                called,
                agent,
                command,
                not_after,
                wants_signature: self.signed_reply,
                token_form: if self.short {
                    TokenForm::Hash
                } else {
                    TokenForm::Full
                },
            };
            let counter = client.send_offline(&ledger, &order).await?;
            let Some(seconds) = self.wait else {
                let value = json!({ "kept": true, "number": counter, "not_after_ms": not_after.0 });
                let until = not_after.secs().saturating_sub(clock::now().unix.secs());
                let text = format!(
                    "kept for {} as number {counter}, for {}; `moorline replies` fetches the reply",
                    printable(called),
                    duration_text(Duration::from_secs(until))
                );
                return output::print(json, &value, &text);
            };
            let patience = Duration::from_secs(seconds);
            let outcome = fetch(client, &ledger, agent, counter, patience, json).await?;
            let ended = match &outcome {
                OfflineOutcome::Result((status, rendered)) => {
                    rendered.print_bare()?;
                    end_of(*status)
                }
                OfflineOutcome::Waits => Err(Failure::NoReply(format!(
                    "no reply within {seconds} s; the command is kept until its end; `moorline replies` fetches the reply"
                ))),
                other => Err(Failure::Agent(words(other))),
            };
            if !outcome.is_open() {
                client
                    .close_offline(&ledger, agent, counter, &outcome)
                    .await?;
            }
            ended
        })
    }

    /// Returns the end of the command: at most that of the token, which the agent judges it by.
    fn not_after(&self, credential: &Credential) -> Result<UnixMillis, Failure> {
        let now = clock::now().unix;
        let end = UnixMillis::from_secs(credential.expires_at);
        let wanted = self.valid.unwrap_or(VALID);
        let wanted = now.plus(u64::try_from(wanted.as_millis()).unwrap_or(u64::MAX));
        if self.valid.is_some() && wanted > end {
            let left = Duration::from_secs(end.secs().saturating_sub(now.secs()));
            return Err(Failure::Usage(format!(
                "a command is good until the token's end at most, in {}; enrol again for longer",
                duration_text(left)
            )));
        }
        Ok(wanted.min(end))
    }
}

impl RepliesArguments {
    /// Fetches what there is for the commands that are open, and prints it.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let ledger = profile.ledger();
        with_client(profile, async |client, credential| {
            let agents = match &self.agent {
                Some(agent) => vec![credential.agent_id(agent)],
                None => ledger.agents().map_err(ClientError::from)?,
            };
            let mut found = Vec::new();
            let fetched = fetch_all(client, &ledger, &agents, json, &mut found).await;
            if json {
                let values = found.iter().map(|(_, open, seen)| value(open, seen));
                output::print(true, &Json::Array(values.collect()), "")?;
            } else if found.is_empty() && fetched.is_ok() {
                output::print(false, &Json::Null, "no commands are open")?;
            } else {
                for (_, open, seen) in &found {
                    output::print(false, &Json::Null, &line(open, seen))?;
                }
            }
            // What the hub and the ledger forget has been printed.
            for (agent, open, seen) in found {
                let Seen::Outcome(outcome) = seen else {
                    continue;
                };
                if !outcome.is_open() || is_over(&open, clock::now().unix) {
                    client
                        .close_offline(&ledger, agent, open.counter, &outcome)
                        .await?;
                }
            }
            fetched
        })
    }
}

/// What was learned of an open command.
enum Seen {
    Outcome(OfflineOutcome<Printed>),
    /// What the hub has for a reply is none.
    BadReply(ClientError),
}

/// Fetches what there is for the open commands to `agents`, up to the first failure.
async fn fetch_all(
    client: &mut Client<'_>,
    ledger: &Ledger,
    agents: &[AgentId],
    json: bool,
    found: &mut Vec<(AgentId, OpenCommand, Seen)>,
) -> Result<(), Failure> {
    for agent in agents {
        for open in ledger.read(*agent).map_err(ClientError::from)?.open {
            let fetched = fetch(client, ledger, *agent, open.counter, Duration::ZERO, json).await;
            let seen = match fetched {
                Ok(outcome) => Seen::Outcome(outcome),
                Err(Failure::Client(error @ ClientError::BadReply(_))) => Seen::BadReply(error),
                Err(failure) => return Err(failure),
            };
            found.push((*agent, open, seen));
        }
    }
    Ok(())
}

async fn fetch(
    client: &mut Client<'_>,
    ledger: &Ledger,
    agent: AgentId,
    counter: u64,
    patience: Duration,
    json: bool,
) -> Result<OfflineOutcome<Printed>, Failure> {
    let take = |reply: &Reply<'_>| (reply.status, output::render(json, reply));
    Ok(client
        .fetch_offline(ledger, agent, counter, patience, take)
        .await?)
}

/// Returns in words what is known of a command that has no result.
fn words<R>(outcome: &OfflineOutcome<R>) -> String {
    match outcome {
        OfflineOutcome::Result(_) => "it ran".into(),
        OfflineOutcome::Lost => {
            "the agent took the command and no longer has what it gave: whether it ran to its end is not known. It is \
             not sent again; look at the agent first"
                .into()
        }
        OfflineOutcome::Stale { counter } => format!(
            "the agent has taken number {counter}, which is not below this command's: whether this one ran is not \
             known. It is not sent again; the next command goes on from there"
        ),
        OfflineOutcome::Refused(code) => format!(
            "the agent did not take it: {}. Whether another copy ran is not known; it is not sent again",
            refusal_words(*code)
        ),
        OfflineOutcome::Waits => "it waits for the agent".into(),
        OfflineOutcome::Silence => {
            "the hub has neither the command nor a reply: the agent did not answer it, or it has lost its meaning. \
             Whether it ran is not known; it is not sent again"
                .into()
        }
    }
}

fn refusal_words(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::NoTime => "it does not know the time",
        RefusalCode::NotAfter => "the command had lost its meaning, or would outlive the token",
        RefusalCode::NotPermitted => "this token does not permit that command",
        RefusalCode::Counter => "its number is too far above the last one",
        RefusalCode::NoRoom => "it has no room for one more commander",
        RefusalCode::Storage => "it could not store the command's number",
        RefusalCode::Malformed => "it cannot read the command",
    }
}

fn title(open: &OpenCommand) -> String {
    let mut words = vec![printable(&open.agent), printable(&open.name)];
    words.extend(open.arguments.iter().map(|text| printable(text)));
    format!("{} (number {})", words.join(" "), open.counter)
}

fn line(open: &OpenCommand, seen: &Seen) -> String {
    match seen {
        Seen::Outcome(OfflineOutcome::Result((_, rendered))) => {
            format!("{}:\n{}", title(open), rendered.text())
        }
        Seen::Outcome(other) => format!("{}: {}", title(open), words(other)),
        Seen::BadReply(error) => format!("{}: {error}", title(open)),
    }
}

fn value(open: &OpenCommand, seen: &Seen) -> Json {
    let outcome = match seen {
        Seen::Outcome(outcome) => outcome,
        Seen::BadReply(_) => return described(open, "bad_reply", None),
    };
    match outcome {
        OfflineOutcome::Result((_, rendered)) => {
            described(open, "result", Some(rendered.value().clone()))
        }
        OfflineOutcome::Lost => described(open, "lost", None),
        OfflineOutcome::Stale { .. } => described(open, "stale", None),
        OfflineOutcome::Refused(_) => described(open, "refused", None),
        OfflineOutcome::Waits => described(open, "waits", None),
        OfflineOutcome::Silence => described(open, "silence", None),
    }
}

fn described(open: &OpenCommand, outcome: &str, reply: Option<Json>) -> Json {
    json!({
        "agent": open.agent,
        "command": open.name,
        "arguments": open.arguments,
        "number": open.counter,
        "not_after_ms": open.not_after,
        "outcome": outcome,
        "reply": reply,
    })
}

/// Reads a duration: a whole number and its unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a number and s, m, h or d, such as 30m".to_owned();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len() - 1).unwrap_or_default();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number
        .checked_mul(unit)
        .filter(|seconds| (1..=7 * 86_400).contains(seconds));
    let seconds = seconds.ok_or_else(|| "from 1s to 7d".to_owned())?;
    Ok(Duration::from_secs(seconds))
}

fn duration_text(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    match minutes {
        0 => format!("{} s", duration.as_secs()),
        1..120 => format!("{minutes} min"),
        _ => format!("{} h", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse_duration;

    #[test]
    fn a_duration_has_a_unit_and_a_range() {
        for (text, seconds) in [("1s", 1), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "h",
            "30",
            "0s",
            "8d",
            "-1h",
            "1w",
            "18446744073709551615d",
            "1ü",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
