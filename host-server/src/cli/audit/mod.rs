//! `moorline audit`: the audit log of the hub on this machine, on its files, while the daemon runs or not.

mod csv;
mod moment;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use moment::{Moment, written};
use moorline_core::crypto::PublicKey;
use serde_json::json;

use super::enroll::data_dir;
use super::{Failure, output, printable};
use crate::audit::{
    AUDIT_PUBLIC_NAME, Damage, Kind, Outcome, Query, Record, Records, Severity, Whole, verify,
};
use crate::clock;
use crate::store::{KeyFileError, StoreError, decode_key, encode_key};

/// What is done with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Checks the chain of records and the signed heads; ends with 1 if anything is wrong, and says what first.
    Verify(VerifyArguments),
    /// Prints the records that are asked for.
    Search(SearchArguments),
    /// Counts records by kind, subject and outcome.
    Report(ReportArguments),
}

/// What is checked.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The public half of `audit.key`, for who has not the key itself.
    #[arg(long, value_name = "PUBLIC_KEY")]
    key: Option<String>,
    /// Heads that were kept elsewhere, a line each: the log has to go on from them.
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// Which time is meant.
#[derive(Debug, Args)]
struct Period {
    /// From then on: a time such as `2026-11-22T03:00:00Z`, or how long ago, such as `2h`.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// Before then, likewise.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    until: Option<Moment>,
}

/// Which records are wanted.
#[derive(Debug, Args)]
pub struct SearchArguments {
    /// What they are about, such as `enrolled`; may be given often.
    #[arg(long = "kind", value_name = "KIND", value_parser = parse_kind)]
    kinds: Vec<Kind>,
    /// Whom they are about.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Where the peer comes from, with or without the port.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// How much they matter at least: `info`, `warning`, `critical` or `emergency`.
    #[arg(long, value_name = "SEVERITY", value_parser = parse_severity)]
    severity: Option<Severity>,
    #[command(flatten)]
    period: Period,
    /// No more than the last so many.
    #[arg(long, default_value_t = 1_000, value_name = "NUMBER")]
    limit: usize,
    /// Prints CSV.
    #[arg(long)]
    csv: bool,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// What is counted.
#[derive(Debug, Args)]
pub struct ReportArguments {
    #[command(flatten)]
    period: Period,
    /// Prints CSV.
    #[arg(long)]
    csv: bool,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

fn parse_kind(name: &str) -> Result<Kind, String> {
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    Kind::from_name(name).ok_or_else(|| format!("one of {}", names.join(", ")))
}

fn parse_severity(name: &str) -> Result<Severity, String> {
    Severity::from_name(name).ok_or_else(|| "info, warning, critical or emergency".into())
}

impl AuditCommand {
    /// Does it and says what was found.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Verify(verify) => verify.run(json),
            Self::Search(search) => search.run(json),
            Self::Report(report) => report.run(json),
        }
    }
}

/// Reads the public half of the key that heads are signed with.
fn public_key(folder: &Path) -> Result<PublicKey, Failure> {
    let path = folder.join(AUDIT_PUBLIC_NAME);
    let text = std::fs::read_to_string(&path).map_err(|error| StoreError::Io {
        path: path.clone(),
        error,
    })?;
    let key = decode_key(text.trim_end());
    Ok(key.ok_or_else(|| StoreError::from(KeyFileError::NotPublic { path }))?)
}

impl VerifyArguments {
    fn run(self, json: bool) -> Result<(), Failure> {
        let folder = data_dir(self.data_dir);
        let key = match self.key {
            Some(text) => {
                let key = decode_key(&text);
                key.ok_or_else(|| Failure::Usage("--key: not a point on P-256".into()))?
            }
            None => public_key(&folder)?,
        };
        let heads = match self.heads {
            Some(path) => std::fs::read_to_string(&path).map_err(|error| {
                let error = KeyFileError::Unreadable { path, error };
                StoreError::from(error)
            })?,
            None => String::new(),
        };
        let whole = verify(&folder, &key, &heads).map_err(failure)?;
        let unsigned = whole.unsigned();
        let value = json!({
            "whole": true,
            "first": whole.first,
            "last": whole.last,
            "files": whole.files,
            "signed": whole.signed,
            "signed_at": whole.signed_at,
            "unsigned": unsigned,
            "torn_bytes": whole.torn,
            "head": whole.head,
            "key": encode_key(&key),
        });
        output::print(json, &value, &in_words(&whole))
    }
}

fn failure(damage: Damage) -> Failure {
    match damage {
        Damage::Unreadable { path, error } => StoreError::Io { path, error }.into(),
        damage => Failure::Damaged(damage),
    }
}

fn in_words(whole: &Whole) -> String {
    let Whole {
        first,
        last,
        files,
        signed,
        signed_at,
        torn,
        ..
    } = whole;
    let mut text = format!(
        "whole: records {first} to {last} in {files} files\n\
         signed up to record {signed}, at {}",
        written(*signed_at)
    );
    if whole.unsigned() > 0 {
        text.push_str(&format!(
            "\nthe last {} are not signed yet",
            whole.unsigned()
        ));
    }
    if *torn > 0 {
        text.push_str(&format!(
            "\nthe last line has no end ({torn} bytes): it is being written, or the daemon was killed"
        ));
    }
    text
}

fn open(folder: &Path) -> Result<Records, Failure> {
    let records = Records::open(folder).map_err(|error| StoreError::Io {
        path: folder.join("audit"),
        error,
    });
    Ok(records?)
}

/// Says on standard error that there are lines that nobody can read.
fn warn(records: &Records) {
    let count = records.unreadable();
    if count > 0 {
        eprintln!("moorline: {count} lines are no records; `moorline audit verify` says which");
    }
}

impl SearchArguments {
    fn run(self, json: bool) -> Result<(), Failure> {
        let now = clock::now().unix;
        let query = Query {
            kinds: self.kinds,
            subject: self.subject,
            address: self.address,
            severity: self.severity,
            since: self.period.since.map(|since| since.before(now)),
            until: self.period.until.map(|until| until.before(now)),
        };
        let mut records = open(&data_dir(self.data_dir))?;
        let mut found = std::collections::VecDeque::new();
        for record in records.by_ref() {
            let record = record?;
            if query.wants(&record) {
                if found.len() == self.limit {
                    found.pop_front();
                }
                found.push_back(record);
            }
        }
        found.truncate(self.limit);
        warn(&records);
        let mut out = io::stdout().lock();
        if self.csv {
            csv::line(&mut out, &COLUMNS)?;
        }
        for record in &found {
            if self.csv {
                csv::line(&mut out, &fields(record))?;
            } else if json {
                let mut value = serde_json::to_value(record).map_err(io::Error::from)?;
                value["hash"] = json!(record.hash);
                writeln!(out, "{value}")?;
            } else {
                writeln!(out, "{}", row(record))?;
            }
        }
        Ok(())
    }
}

/// The columns of a search in CSV.
const COLUMNS: [&str; 10] = [
    "number",
    "time",
    "severity",
    "kind",
    "outcome",
    "subject",
    "address",
    "session",
    "details",
    "held_back",
];

fn fields(record: &Record) -> [String; 10] {
    let plain = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        record.number.to_string(),
        written(record.time),
        record.severity.to_string(),
        record.kind.to_string(),
        record.outcome.to_string(),
        plain(&record.subject),
        plain(&record.address),
        plain(&record.session),
        details(record),
        record.held_back.to_string(),
    ]
}

fn details(record: &Record) -> String {
    let details = record.details.iter();
    let details = details.map(|(name, detail)| format!("{name}={detail}"));
    details.collect::<Vec<_>>().join("; ")
}

/// Returns `record` as a line for people.
fn row(record: &Record) -> String {
    let mut text = format!(
        "{:>6}  {}  {:9} {:17} {:8}",
        record.number,
        written(record.time),
        record.severity,
        record.kind,
        record.outcome
    );
    let parts = [&record.subject, &record.address].into_iter().flatten();
    for part in parts {
        text.push_str("  ");
        text.push_str(&printable(part));
    }
    let details = details(record);
    if !details.is_empty() {
        text.push_str(&format!("  ({})", printable(&details)));
    }
    if record.held_back > 0 {
        text.push_str(&format!("  and {} before it", record.held_back));
    }
    text
}

/// What is counted apart.
type Counted = (Kind, Option<String>, Outcome);

impl ReportArguments {
    fn run(self, json: bool) -> Result<(), Failure> {
        let now = clock::now().unix;
        let query = Query {
            since: self.period.since.map(|since| since.before(now)),
            until: self.period.until.map(|until| until.before(now)),
            ..Query::default()
        };
        let mut records = open(&data_dir(self.data_dir))?;
        let mut counts = BTreeMap::<Counted, (u64, u64)>::new();
        for record in records.by_ref() {
            let record = record?;
            if query.wants(&record) {
                let key = (record.kind, record.subject, record.outcome);
                let (written, held_back) = counts.entry(key).or_default();
                *written += 1;
                *held_back += record.held_back;
            }
        }
        warn(&records);
        let mut out = io::stdout().lock();
        if self.csv {
            csv::line(
                &mut out,
                &["kind", "subject", "outcome", "records", "held_back"],
            )?;
        } else if json {
            let rows = counts.iter().map(|((kind, subject, outcome), count)| {
                let (written, held_back) = count;
                json!({ "kind": kind, "subject": subject, "outcome": outcome, "records": written, "held_back": held_back })
            });
            let rows: Vec<_> = rows.collect();
            let value = json!({ "since": query.since, "until": query.until, "counts": rows });
            writeln!(out, "{value}")?;
            return Ok(());
        }
        for ((kind, subject, outcome), (count, held_back)) in &counts {
            let subject = subject.clone().unwrap_or_default();
            if self.csv {
                let row = [
                    kind.to_string(),
                    subject,
                    outcome.to_string(),
                    count.to_string(),
                    held_back.to_string(),
                ];
                csv::line(&mut out, &row)?;
            } else {
                let subject = printable(&subject);
                write!(out, "{count:>8}  {kind:17} {outcome:8}  {subject}")?;
                if *held_back > 0 {
                    write!(out, "  and {held_back} that were held back")?;
                }
                writeln!(out)?;
            }
        }
        Ok(())
    }
}
