//! `moorline watch` and `moorline logs`: what an agent says by itself, as it says it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use moorline_core::message::{Command, Reply, Value};
use moorline_core::token::AgentId;

use super::log_lines::LogLines;
use super::send::end_of;
use super::session::{with_client, with_ticket};
use super::{Failure, output};
use crate::client::{Client, Profile, Report};

/// Whose events are printed.
#[derive(Debug, Args)]
pub struct WatchArguments {
    /// The agent: its name, or its id of 32 hexadecimal digits.
    agent: String,
    #[command(flatten)]
    range: Range,
}

/// Whose log is printed.
#[derive(Debug, Args)]
pub struct LogsArguments {
    /// The agent: its name, or its id of 32 hexadecimal digits.
    agent: String,
    /// The program that the agent runs, as it was linked: the texts of the log are in it.
    #[arg(long, value_name = "FILE")]
    elf: PathBuf,
    #[command(flatten)]
    range: Range,
}

/// Where to begin and when to stop: with the oldest that the agent still keeps, and when the line ends.
#[derive(Debug, Args)]
struct Range {
    /// Begins with this number.
    #[arg(long, value_name = "NUMBER", conflicts_with = "new")]
    from: Option<u64>,
    /// Leaves out what was before.
    #[arg(long)]
    new: bool,
    /// Ends after so many are printed.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Ends after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
}

/// How much longer to follow.
struct Left {
    count: Option<u64>,
    end: Option<Instant>,
}

impl WatchArguments {
    /// Prints the agent's events.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let words = &["watch"];
        follow(profile, &self.agent, words, &self.range, &mut |report| {
            let Report::Event(event) = report else {
                return Ok(None);
            };
            output::event(json, event)?;
            Ok(Some(Printed {
                next: event.number + 1,
                count: 1,
            }))
        })
    }
}

impl LogsArguments {
    /// Prints the agent's log.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let mut lines = LogLines::of(&self.elf).map_err(Failure::Usage)?;
        let words = &["log", "follow"];
        follow(profile, &self.agent, words, &self.range, &mut |report| {
            let Report::Log(log) = report else {
                return Ok(None);
            };
            let count = lines.print(json, log)?;
            Ok(Some(Printed {
                next: log.number + count,
                count,
            }))
        })
    }
}

/// Where an agent is asked to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Oldest,
    Number(u64),
    New,
}

impl From {
    fn of(range: &Range) -> Self {
        match (range.from, range.new) {
            (Some(number), _) => Self::Number(number),
            (None, true) => Self::New,
            (None, false) => Self::Oldest,
        }
    }

    fn word(self) -> String {
        match self {
            Self::Oldest => "all".into(),
            Self::Number(number) => number.to_string(),
            Self::New => "new".into(),
        }
    }
}

/// What one report came to.
struct Printed {
    /// The number that follows.
    next: u64,
    /// How many were printed.
    count: u64,
}

/// Asks the agent by the command `words` to say what it has, and hands each report to `print`.
fn follow(
    profile: &Profile,
    agent: &str,
    words: &[&str],
    range: &Range,
    print: &mut dyn FnMut(&Report<'_>) -> Result<Option<Printed>, Failure>,
) -> Result<(), Failure> {
    let mut from = From::of(range);
    let mut left = Left {
        count: range.count,
        end: range
            .seconds
            .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds))),
    };
    with_client(profile, async |client, credential| {
        let agent = credential.agent_id(agent);
        while !left.is_over() {
            // Said again once in a while: a route on which nothing goes is forgotten.
            let subscribed = with_ticket(profile, client, agent, async |client| {
                subscribe(client, agent, words, from).await
            });
            from = subscribed.await??;
            let ask_again = Instant::now() + ASK_AGAIN;
            while !left.is_over() && Instant::now() < ask_again {
                let patience = left.patience(ask_again);
                let taken = client
                    .report(patience, |from, report| {
                        if from == agent {
                            print(report)
                        } else {
                            Ok(None)
                        }
                    })
                    .await?;
                if let Some(Some(printed)) = taken.transpose()? {
                    from = From::Number(printed.next);
                    left.count = left.count.map(|count| count.saturating_sub(printed.count));
                }
            }
        }
        Ok(())
    })
}

/// Asks for what `words` name, and returns where the agent begins.
async fn subscribe(
    client: &mut Client<'_>,
    agent: AgentId,
    words: &[&str],
    from: From,
) -> Result<From, Failure> {
    let from = from.word();
    let (name, arguments) = words.split_first().unwrap_or((&"", &[]));
    let arguments = arguments.iter().copied().chain([from.as_str()]);
    let command = Command {
        name,
        arguments: arguments.collect(),
    };
    let take = |reply: &Reply<'_>| {
        let mut fields = reply.fields.iter();
        let next = fields.find_map(|field| match (field.name, field.value) {
            ("next", Value::Int(next)) => u64::try_from(next).ok(),
            _ => None,
        });
        (reply.status, next)
    };
    let ((status, next), _) = client.send(agent, command, PATIENCE, take).await?;
    end_of(status)?;
    let next = next.ok_or_else(|| Failure::Agent("it does not say where it begins".into()))?;
    Ok(From::Number(next))
}

impl Left {
    fn is_over(&self) -> bool {
        self.count == Some(0) || self.end.is_some_and(|end| Instant::now() >= end)
    }

    fn patience(&self, ask_again: Instant) -> Duration {
        let until = self.end.map_or(ask_again, |end| end.min(ask_again));
        until.saturating_duration_since(Instant::now())
    }
}

/// How long an agent may take to say that it will.
const PATIENCE: Duration = Duration::from_secs(10);
/// The hub forgets a route after ten minutes of silence, and an agent gives its place to another after one.
const ASK_AGAIN: Duration = Duration::from_secs(30);
