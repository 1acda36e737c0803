//! The one that writes: a thread, to which records are handed over a bounded channel.
//!
//! It takes all that waits, writes it in one go, and waits for the disk once if anybody waits for it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_channel::{Receiver, Sender, TrySendError};
use futures_lite::future;
use moorline_core::time::Instant;

use super::bounds::Bounds;
use super::kind::Kind;
use super::log::{Entry, Log};
use super::record::Event;
use super::settings::AuditConfig;
use crate::clock;
use crate::store::{StoreError, Vault};

/// Records that are written in one go.
const MAX_BATCH: usize = 256;

/// The record could not be written.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the audit log cannot be written")]
pub(crate) struct NotRecorded;

/// What the thread is told.
#[derive(Debug)]
pub(super) struct Message {
    entry: Entry,
    /// Who waits until it is on the disk.
    waiting: Option<Sender<Result<(), NotRecorded>>>,
    /// Whether it is the last.
    is_last: bool,
}

/// The way to the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    messages: Sender<Message>,
    bounds: Arc<Mutex<Bounds>>,
    /// Records that were lost and not told yet.
    lost: Arc<AtomicU64>,
    /// How often the disk was waited for.
    syncs: Arc<AtomicU64>,
}

impl Audit {
    /// Opens the log in `data_dir` and starts its thread. Returns how the log before ended, by name.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) fn open(
        data_dir: &Path,
        vault: &Vault,
        settings: &AuditConfig,
    ) -> Result<(Self, &'static str), StoreError> {
        let (audit, messages) = Self::stalled(settings);
        let ended = audit.begin(data_dir, vault, settings, messages)?;
        Ok((audit, ended))
    }

    /// Returns the way to a log, and the end at which nobody takes anything yet.
    pub(super) fn stalled(settings: &AuditConfig) -> (Self, Receiver<Message>) {
        let (sender, messages) = async_channel::bounded(settings.queue);
        let audit = Self {
            messages: sender,
            bounds: Arc::new(Mutex::new(Bounds::new(settings))),
            lost: Arc::default(),
            syncs: Arc::default(),
        };
        (audit, messages)
    }

    /// Opens the log in `data_dir`, and has a thread take what comes.
    pub(super) fn begin(
        &self,
        data_dir: &Path,
        vault: &Vault,
        settings: &AuditConfig,
        messages: Receiver<Message>,
    ) -> Result<&'static str, StoreError> {
        let (mut log, ended) = Log::open(data_dir, vault, settings, clock::now().unix)?;
        log.syncs = Arc::clone(&self.syncs);
        let writer = Writer {
            log,
            messages,
            lost: Arc::clone(&self.lost),
            head_due: None,
            is_failing: false,
        };
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || future::block_on(writer.run()))
            .map_err(|error| StoreError::Io {
                path: data_dir.into(),
                error,
            })?;
        Ok(ended.name())
    }

    /// Returns how often the disk was waited for.
    #[cfg(test)]
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Acquire)
    }

    /// Returns a way to nowhere.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self::stalled(&AuditConfig::default()).0
    }

    /// Hands a record in, and does not wait. One for which there is no room is counted, and that is a record.
    pub(crate) fn note(&self, event: Event) {
        debug_assert!(!event.kind.is_durable(), "{} is never lost", event.kind);
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = bounds.admit(event, clock::instant());
        drop(bounds);
        let Some(event) = admitted else {
            return;
        };
        let message = Message {
            entry: entry(event),
            waiting: None,
            is_last: false,
        };
        if let Err(TrySendError::Full(_)) = self.messages.try_send(message) {
            self.lost.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Hands a record in, and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`NotRecorded`]; the log says so.
    pub(crate) async fn record_durably(&self, event: Event) -> Result<(), NotRecorded> {
        self.hand_in(event, false).await
    }

    /// Hands the last record in, and returns when it is on the disk under a signed head.
    pub(crate) async fn stop(&self, event: Event) {
        let _ = self.hand_in(event, true).await;
    }

    async fn hand_in(&self, event: Event, is_last: bool) -> Result<(), NotRecorded> {
        let (sender, written) = async_channel::bounded(1);
        let message = Message {
            entry: entry(event),
            waiting: Some(sender),
            is_last,
        };
        self.messages.send(message).await.map_err(|_| NotRecorded)?;
        written.recv().await.map_err(|_| NotRecorded)?
    }
}

fn entry(event: Event) -> Entry {
    let time = clock::now().unix;
    Entry { event, time }
}

/// The thread's part.
#[derive(Debug)]
struct Writer {
    log: Log,
    messages: Receiver<Message>,
    lost: Arc<AtomicU64>,
    /// When a head is to be signed at the latest.
    head_due: Option<Instant>,
    /// Whether the last batch could not be written.
    is_failing: bool,
}

impl Writer {
    /// Works until it has the last record, or nobody can hand in one any more.
    async fn run(mut self) {
        // What was found when the log was opened.
        self.say(Vec::new());
        loop {
            let first = match self.head_due {
                None => self.messages.recv().await.ok().map(Some),
                Some(due) => {
                    let late = async {
                        clock::sleep_until(due).await;
                        Some(None)
                    };
                    future::or(async { self.messages.recv().await.ok().map(Some) }, late).await
                }
            };
            let Some(first) = first else {
                self.sign();
                return;
            };
            let mut batch: Vec<Message> = first.into_iter().collect();
            while batch.len() < MAX_BATCH
                && let Ok(message) = self.messages.try_recv()
            {
                batch.push(message);
            }
            if self.take(batch) {
                return;
            }
        }
    }

    /// Writes a batch; returns whether it was the last.
    fn take(&mut self, batch: Vec<Message>) -> bool {
        let is_last = batch.iter().any(|message| message.is_last);
        let (entries, waiting): (Vec<Entry>, Vec<_>) = batch
            .into_iter()
            .map(|message| (message.entry, message.waiting))
            .unzip();
        let unwaited = waiting.iter().filter(|waiting| waiting.is_none()).count();
        let waiting: Vec<_> = waiting.into_iter().flatten().collect();
        let is_written = self.say(entries) && (waiting.is_empty() || self.sync());
        if !is_written {
            self.lost.fetch_add(
                u64::try_from(unwaited).unwrap_or(u64::MAX),
                Ordering::AcqRel,
            );
        }
        let settings = &self.log.settings;
        let pause = settings.head_seconds.saturating_mul(1_000);
        let now = clock::instant();
        let is_due = self.head_due.is_some_and(|due| due <= now);
        if is_last || is_due || self.log.unsigned() >= settings.head_records {
            self.sign();
            self.head_due = None;
        }
        if self.head_due.is_none() && self.log.unsigned() > 0 {
            self.head_due = Some(now.plus(pause));
        }
        let answer = if is_written { Ok(()) } else { Err(NotRecorded) };
        for waiting in waiting {
            // Who does not wait any more needs no answer.
            let _ = waiting.try_send(answer);
        }
        is_last
    }

    /// Writes records, and behind them what the log itself has to say; returns whether all of it is written.
    fn say(&mut self, entries: Vec<Entry>) -> bool {
        let now = clock::now().unix;
        let lost = self.lost.swap(0, Ordering::AcqRel);
        let mut said = Vec::new();
        if lost > 0 {
            said.push(entry(Event::new(Kind::Lost).number("records", lost)));
        }
        said.extend(entries);
        let mut written = self.log.append(&said, now);
        let notices = std::mem::take(&mut self.log.notices);
        if written.is_ok() && !notices.is_empty() {
            let notices: Vec<Entry> = notices.into_iter().map(entry).collect();
            written = self.log.append(&notices, now);
        }
        if written.is_err() {
            self.lost.fetch_add(lost, Ordering::AcqRel);
        }
        self.is_well(written)
    }

    fn sync(&mut self) -> bool {
        let synced = self.log.sync();
        self.is_well(synced)
    }

    fn sign(&mut self) {
        let now = clock::now().unix;
        let retired = self.log.retire(now);
        if self.is_well(retired) && !self.log.notices.is_empty() {
            self.say(Vec::new());
        }
        let signed = self.log.sign_head(now);
        self.is_well(signed);
    }

    fn is_well(&mut self, result: Result<(), StoreError>) -> bool {
        match result {
            Ok(()) => {
                self.is_failing = false;
                true
            }
            Err(error) => {
                // Once, and not with every record.
                if !self.is_failing {
                    tracing::error!(%error, "the audit log cannot be written");
                }
                self.is_failing = true;
                false
            }
        }
    }
}
