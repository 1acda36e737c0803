//! An image that runs, and what became of it.

use std::io::Read;
use std::process::{Child, ChildStderr, ChildStdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io, thread};

use tempfile::NamedTempFile;

use crate::error::Error;
use crate::log::{Decoder, LogLine};

/// An image that runs. Dropping it ends the run.
///
/// ```text
/// QEMU stdout -> log thread -> on_line, then a channel -> next_line -> lines kept for the outcome
/// QEMU stderr -> complaint thread
/// deadline    -> watch thread -> kill
/// ```
pub struct Running {
    child: Arc<Mutex<Child>>,
    incoming: mpsc::Receiver<LogLine>,
    lines: Vec<LogLine>,
    timed_out: Arc<AtomicBool>,
    /// Dropped to call the watch off.
    watch_off: Option<mpsc::Sender<()>>,
    log: Option<JoinHandle<io::Result<usize>>>,
    complaint: Option<JoinHandle<String>>,
    watch: Option<JoinHandle<()>>,
    /// Read by QEMU when it starts, at a moment that it does not tell.
    _provision: Option<NamedTempFile>,
}

impl Running {
    pub(crate) fn watch(
        mut child: Child,
        decoder: Decoder,
        on_line: Box<dyn FnMut(&LogLine) + Send>,
        deadline: Option<Duration>,
        provision: Option<NamedTempFile>,
    ) -> Result<Self, Error> {
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::Log {
                source: io::ErrorKind::BrokenPipe.into(),
            });
        };
        let (sender, incoming) = mpsc::channel();
        let (watch_off, called_off) = mpsc::channel();
        let child = Arc::new(Mutex::new(child));
        let timed_out = Arc::new(AtomicBool::new(false));
        Ok(Self {
            incoming,
            lines: Vec::new(),
            log: Some(thread::spawn(move || {
                read_log(stdout, &decoder, on_line, &sender)
            })),
            complaint: Some(thread::spawn(move || read_complaint(stderr))),
            watch: deadline.map(|deadline| {
                let child = Arc::clone(&child);
                let timed_out = Arc::clone(&timed_out);
                thread::spawn(move || {
                    if called_off.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
                        timed_out.store(true, Ordering::Relaxed);
                        kill(&child);
                    }
                })
            }),
            child,
            timed_out,
            watch_off: Some(watch_off),
            _provision: provision,
        })
    }

    /// Waits for the next line; `None` when the run has ended, at the deadline at the latest.
    pub fn next_line(&mut self) -> Option<&LogLine> {
        let line = self.incoming.recv().ok()?;
        self.lines.push(line);
        self.lines.last()
    }

    /// Returns whether a line has come whose message contains `wanted`.
    #[must_use]
    pub fn has_said(&self, wanted: &str) -> bool {
        self.lines.iter().any(|line| line.message.contains(wanted))
    }

    /// Waits for a line whose message contains `wanted`, skipping others.
    ///
    /// # Errors
    ///
    /// The run ended first; its last lines are in the error.
    pub fn wait_for(&mut self, wanted: &str) -> Result<LogLine, Error> {
        while let Some(line) = self.next_line() {
            if line.message.contains(wanted) {
                return Ok(line.clone());
            }
        }
        let end = self.finish()?.to_string();
        Err(Error::NeverSaid {
            wanted: wanted.into(),
            end,
        })
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    ///
    /// The log could not be read.
    pub fn wait(mut self) -> Result<Outcome, Error> {
        self.finish()
    }

    /// Ends the run where it stands and returns what it did up to here.
    ///
    /// # Errors
    ///
    /// The log could not be read.
    pub fn stop(mut self) -> Result<Outcome, Error> {
        kill(&self.child);
        self.finish()
    }

    fn finish(&mut self) -> Result<Outcome, Error> {
        while self.next_line().is_some() {}
        let malformed_count = match self.log.take().map(JoinHandle::join) {
            Some(Ok(read)) => read.map_err(|source| Error::Log { source })?,
            _ => 0,
        };
        let complaint = self
            .complaint
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        // Its standard output has ended, so QEMU has too, or is about to: the lock is not held for long.
        let status = lock(&self.child)
            .wait()
            .map_err(|source| Error::Log { source })?;
        self.call_watch_off();
        Ok(Outcome {
            status: status.code(),
            // A run that ended by itself just before the watch struck has not timed out.
            timed_out: status.code().is_none() && self.timed_out.load(Ordering::Relaxed),
            malformed_count,
            lines: self.lines.clone(),
            complaint,
        })
    }

    fn call_watch_off(&mut self) {
        drop(self.watch_off.take());
        if let Some(watch) = self.watch.take() {
            let _ended = watch.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        kill(&self.child);
        let _status = lock(&self.child).wait();
        self.call_watch_off();
    }
}

/// What became of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The status that the device ended with; `None` when it was killed.
    pub status: Option<i32>,
    /// Whether the deadline passed.
    pub timed_out: bool,
    /// Every line that the device said, in order.
    pub lines: Vec<LogLine>,
    /// How many frames of the log made no sense.
    pub malformed_count: usize,
    /// What QEMU itself had to say.
    pub complaint: String,
}

impl Outcome {
    /// Says whether the device ended by itself, with status 0, and was understood.
    pub fn is_success(&self) -> bool {
        self.status == Some(0) && !self.timed_out && self.malformed_count == 0
    }

    /// Returns the outcome of a success.
    ///
    /// # Errors
    ///
    /// The run failed; the error shows how and its last lines.
    pub fn check(self) -> Result<Self, Error> {
        if self.is_success() {
            Ok(self)
        } else {
            Err(Error::Failed {
                end: self.to_string(),
            })
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.timed_out, self.status) {
            (true, _) => formatter.write_str("its deadline passed and it was killed")?,
            (false, None) => formatter.write_str("it was killed")?,
            (false, Some(0)) => formatter.write_str("it ended with success")?,
            (false, Some(PANICKED)) => write!(formatter, "it panicked (status {PANICKED})")?,
            (false, Some(HARD_FAULT)) => write!(formatter, "hardware fault (status {HARD_FAULT})")?,
            (false, Some(POWER_CUT)) => {
                write!(formatter, "its power was cut (status {POWER_CUT})")?;
            }
            (false, Some(status)) => write!(formatter, "it ended with status {status}")?,
        }
        if self.malformed_count > 0 {
            let count = self.malformed_count;
            write!(
                formatter,
                "; {count} frames of its log are damaged, something else writes to stdout"
            )?;
        }
        if !self.complaint.is_empty() {
            write!(formatter, "\nQEMU says: {}", self.complaint.trim_end())?;
        }
        for line in self
            .lines
            .iter()
            .skip(self.lines.len().saturating_sub(SHOWN_LINE_COUNT))
        {
            write!(formatter, "\n  {line}")?;
        }
        Ok(())
    }
}

fn read_log(
    mut stdout: ChildStdout,
    decoder: &Decoder,
    mut on_line: Box<dyn FnMut(&LogLine) + Send>,
    sender: &mpsc::Sender<LogLine>,
) -> io::Result<usize> {
    let mut stream = decoder.stream();
    let mut bytes = [0; 4096];
    loop {
        let arrived = match stdout.read(&mut bytes) {
            Ok(0) => return Ok(stream.malformed_count()),
            Ok(count) => bytes.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        stream.receive(arrived, |line| {
            on_line(&line);
            // Nobody listens when the run is being dropped; the log is still read to its end.
            let _unheard = sender.send(line);
        });
    }
}

fn read_complaint(stderr: ChildStderr) -> String {
    let mut bytes = Vec::new();
    // A complaint that cannot be read to the end is shown as far as it came.
    let _partial = stderr.take(COMPLAINT_LIMIT).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Ends the process; one that has ended already is left alone.
fn kill(child: &Mutex<Child>) {
    let _ended_already = lock(child).kill();
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As `firmware-example/src/board/exit.rs` has it.
const PANICKED: i32 = 101;
/// As `firmware-example/src/board/exit.rs` has it.
const HARD_FAULT: i32 = 102;
/// The status of a run that ended with the power cut, as asked for by [`crate::Qemu::power_cut_after`]; as
/// `firmware-example/src/board/exit.rs` has it.
pub const POWER_CUT: i32 = 103;
/// Enough to see what led to the end.
const SHOWN_LINE_COUNT: usize = 20;
/// QEMU complains in a line or two; a guest could make it complain for ever.
const COMPLAINT_LIMIT: u64 = 64 * 1024;
