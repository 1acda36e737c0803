//! What is printed: text for people, one line of JSON for programs.

use std::io::{self, Write};
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::message::{Event, Field, Reply, Status, Value};
use serde_json::{Map, Value as Json, json};

use super::Failure;
use crate::admin::{Credential, Invitation};
use crate::client::{Agent, Sent};

/// Prints one line of JSON, or `text`.
pub(super) fn print(json: bool, value: &Json, text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{value}")?
    } else {
        writeln!(out, "{text}")?
    }
    Ok(())
}

/// Prints why a command failed, to standard error.
pub(super) fn failure(json: bool, reason: &str, code: u8) {
    if json {
        eprintln!("{}", json!({ "error": reason, "exit_code": code }));
    } else {
        eprintln!("moorline: {reason}");
    }
}

pub(super) fn public_key(json: bool, key: &str, path: &Path) -> Result<(), Failure> {
    let path = path.display().to_string();
    print(
        json,
        &json!({ "public_key": key, "private_key_file": path }),
        key,
    )
}

pub(super) fn enrolled(json: bool, credential: &Credential) -> Result<(), Failure> {
    let value = serde_json::to_value(credential).map_err(io::Error::from)?;
    let text = format!(
        "{} is enrolled at {}; its token is good until {} (seconds since 1970)",
        credential.name, credential.url, credential.expires_at
    );
    print(json, &value, &text)
}

/// Prints a code as people read it to each other, in groups of four.
pub(super) fn invited(json: bool, invitation: &Invitation) -> Result<(), Failure> {
    let value = serde_json::to_value(invitation).map_err(io::Error::from)?;
    let code = if invitation.code.contains(':') {
        invitation.code.clone()
    } else {
        let letters: Vec<char> = invitation.code.chars().collect();
        let groups = letters.chunks(4).map(|group| group.iter().collect());
        groups.collect::<Vec<String>>().join("-")
    };
    let counter = match invitation.root_counter {
        0 => String::new(),
        counter => format!(" --root-counter {counter}"),
    };
    let text = format!(
        "code  {}   for {}, good once until {} (seconds since 1970)\n\n\
         where {} is, type:\n  moorline join {} --hub-key {} --root-key {}{counter}",
        code,
        invitation.name,
        invitation.expires_at,
        invitation.name,
        invitation.url,
        invitation.hub_key,
        invitation.root_key
    );
    print(json, &value, &text)
}

pub(super) fn agents(json: bool, agents: &[Agent]) -> Result<(), Failure> {
    let values: Vec<Json> = agents
        .iter()
        .map(|agent| {
            json!({ "id": agent.id.to_string(), "name": agent.name, "online": agent.online })
        })
        .collect();
    let width = agents
        .iter()
        .map(|agent| agent.name.len())
        .max()
        .unwrap_or(0);
    let lines: Vec<String> = agents
        .iter()
        .map(|agent| {
            let state = if agent.online { "online" } else { "offline" };
            format!("{:width$}  {state:7}  {}", printable(&agent.name), agent.id)
        })
        .collect();
    let text = if lines.is_empty() {
        "no agents".into()
    } else {
        lines.join("\n")
    };
    print(json, &Json::Array(values), &text)
}

/// A reply in the form in which it is printed, without the borrow of what it came in.
#[derive(Debug)]
pub(super) struct Rendered {
    json: bool,
    value: Json,
    text: String,
}

/// Returns `reply` in the form in which it is printed.
pub(super) fn render(json: bool, reply: &Reply<'_>) -> Rendered {
    let value = json!({ "status": status(reply.status), "fields": fields_of(&reply.fields) });
    let width = reply
        .fields
        .iter()
        .map(|field| field.name.len())
        .max()
        .unwrap_or(0);
    let lines: Vec<String> = reply
        .fields
        .iter()
        .map(|field| {
            format!(
                "{:width$}  {}",
                printable(field.name),
                to_text(&field.value)
            )
        })
        .collect();
    let text = if lines.is_empty() {
        status(reply.status).into()
    } else {
        lines.join("\n")
    };
    Rendered { json, value, text }
}

impl Rendered {
    /// Returns the text for people.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the value for programs.
    pub(super) fn value(&self) -> &Json {
        &self.value
    }

    /// Prints the reply alone.
    pub(super) fn print_bare(&self) -> Result<(), Failure> {
        print(self.json, &self.value, &self.text)
    }

    /// Prints the reply; JSON says the lengths on the wire too.
    pub(super) fn print(mut self, sent: Sent) -> Result<(), Failure> {
        if let Some(object) = self.value.as_object_mut() {
            object.insert("request_bytes".into(), json!(sent.request_len));
            object.insert("reply_bytes".into(), json!(sent.reply_len));
        }
        print(self.json, &self.value, &self.text)
    }
}

/// Prints what an agent noticed.
pub(super) fn event(json: bool, event: &Event<'_>) -> Result<(), Failure> {
    let observation = &event.observation;
    let value = json!({
        "number": event.number,
        "lost": event.lost,
        "age_ms": event.age_ms,
        "name": observation.name,
        "fields": fields_of(&observation.fields),
    });
    let mut text = format!("{:>6}  {}", event.number, printable(observation.name));
    for field in &observation.fields {
        text.push_str(&format!(
            "  {} {}",
            printable(field.name),
            to_text(&field.value)
        ));
    }
    text.push_str(&format!("  ({} ms ago", event.age_ms));
    if event.lost > 0 {
        text.push_str(&format!(", {} before it are lost", event.lost));
    }
    text.push(')');
    print(json, &value, &text)
}

fn fields_of(fields: &[Field<'_>]) -> Map<String, Json> {
    let fields = fields.iter();
    fields
        .map(|field| (field.name.to_owned(), to_json(&field.value)))
        .collect()
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::UnknownCommand => "unknown_command",
        Status::BadArgument => "bad_argument",
        Status::NotPermitted => "not_permitted",
        Status::Failed => "failed",
    }
}

fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Text(value) => json!(value),
        Value::Bytes(value) => json!(Base64UrlUnpadded::encode_string(value)),
    }
}

fn to_text(value: &Value<'_>) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Text(value) => printable(value),
        Value::Bytes(value) => Base64UrlUnpadded::encode_string(value),
    }
}

/// Returns `text` with control characters escaped: what an agent says must not command a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = (!character.is_control()).then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nü"), "a\\u{1b}[31mb\\nü");
    }
}
