//! The log: every line goes to the host by semihosting, and the newest lines are kept for who reads them over the line.
//!
//! A line has a level, and those below [`Log::level`] go nowhere. Which lines there are at all is chosen when the image
//! is built, by `DEFMT_LOG`.

use core::cell::{Cell, RefCell};
use core::ptr;

use critical_section::{Mutex, RestoreState};
use heapless::Vec;
use moorline_core::feed::Feed;
use semihosting::io::{Stdout, Write, stdout};

use super::exit::{PANICKED, exit};

/// Bytes of log that are kept: about a hundred lines.
pub const LOG_LEN: usize = 2048;

/// The log of the device; there is one.
pub struct Log {
    private: (),
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// What the device does.
    Info,
    /// What should not be, and is coped with.
    Warn,
    /// What is not coped with.
    Error,
}

impl Level {
    /// Every level, from the least to the most important.
    pub const ALL: [Self; 5] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
    ];

    /// Returns what it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Returns the level called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl Log {
    pub(super) const fn new() -> Self {
        Self { private: () }
    }

    /// Keeps the newest lines in `feed`, from now on.
    pub fn keep(&mut self, feed: &'static mut Feed<LOG_LEN>) {
        critical_section::with(|section| STATE.borrow_ref_mut(section).kept = Some(feed));
    }

    /// Returns the least level that is written.
    pub fn level(&self) -> Level {
        critical_section::with(|section| STATE.borrow_ref(section).level)
    }

    /// Writes what has `level` or a higher one, from now on.
    pub fn set_level(&mut self, level: Level) {
        let Self { private: () } = self;
        critical_section::with(|section| STATE.borrow_ref_mut(section).level = level);
    }

    /// Returns what `read` makes of the lines that are kept, if they are. No line is written meanwhile.
    pub fn kept<R>(&self, read: impl FnOnce(&Feed<LOG_LEN>) -> R) -> Option<R> {
        critical_section::with(|section| STATE.borrow_ref(section).kept.as_deref().map(read))
    }
}

/// What `defmt` calls.
#[defmt::global_logger]
struct Logger;

// SAFETY: from `acquire` to `release` interrupts are off, and there is one core: nobody else writes meanwhile.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: `release` releases it.
        let restore = unsafe { critical_section::acquire() };
        critical_section::with(|section| {
            let mut state = STATE.borrow_ref_mut(section);
            if state.is_taken {
                // A line that is written by what is written in a line: there is no way to go on, nor to say so.
                exit(PANICKED);
            }
            RESTORE.borrow(section).set(restore);
            state.begin();
        });
    }

    unsafe fn flush() {}

    unsafe fn release() {
        let restore = critical_section::with(|section| {
            STATE.borrow_ref_mut(section).end();
            RESTORE.borrow(section).get()
        });
        // SAFETY: `acquire` acquired it.
        unsafe { critical_section::release(restore) }
    }

    unsafe fn write(bytes: &[u8]) {
        critical_section::with(|section| STATE.borrow_ref_mut(section).write(bytes));
    }
}

struct State {
    encoder: defmt::Encoder,
    is_taken: bool,
    /// The line, encoded, as far as it has not gone to the host.
    line: Vec<u8, LINE_LEN>,
    /// Whether a part of the line has gone to the host.
    is_long: bool,
    /// Whether the line is one to write, once its level is known.
    is_wanted: Option<bool>,
    level: Level,
    host: Option<Stdout>,
    kept: Option<&'static mut Feed<LOG_LEN>>,
}

impl State {
    fn begin(&mut self) {
        self.is_taken = true;
        self.is_long = false;
        self.is_wanted = None;
        self.line.clear();
        let Self { encoder, line, .. } = self;
        encoder.start_frame(|bytes| {
            let _fits = line.extend_from_slice(bytes);
        });
    }

    fn write(&mut self, bytes: &[u8]) {
        // A line begins with the number of its text; the linker has put these in the order of their levels.
        let is_wanted = *self.is_wanted.get_or_insert_with(|| match bytes {
            [low, high, ..] => {
                level_of(u16::from_le_bytes([*low, *high])).is_none_or(|level| level >= self.level)
            }
            _ => true,
        });
        let Self {
            encoder,
            line,
            is_long,
            host,
            ..
        } = self;
        encoder.write(bytes, |encoded| {
            if is_wanted && line.extend_from_slice(encoded).is_err() {
                *is_long = true;
                to_host(host, line);
                line.clear();
                let _fits = line.extend_from_slice(encoded);
            }
        });
    }

    fn end(&mut self) {
        let Self {
            encoder,
            line,
            host,
            ..
        } = self;
        encoder.end_frame(|bytes| {
            if line.extend_from_slice(bytes).is_err() {
                to_host(host, line);
                line.clear();
                let _fits = line.extend_from_slice(bytes);
            }
        });
        self.is_taken = false;
        if self.is_wanted == Some(false) {
            return;
        }
        to_host(&mut self.host, &self.line);
        // The first line of all begins with a separator.
        let line = self.line.strip_prefix(&[0]).unwrap_or(&self.line);
        if let (false, Some(kept)) = (self.is_long, &mut self.kept) {
            // It is shorter than what keeps it.
            let _kept = kept.push(&[line]);
        }
    }
}

fn to_host(host: &mut Option<Stdout>, bytes: &[u8]) {
    if host.is_none() {
        *host = stdout().ok();
    }
    if let Some(host) = host {
        // There may be no host any more, and the device goes on.
        let _written = host.write_all(bytes);
    }
}

fn level_of(text: u16) -> Option<Level> {
    let text = usize::from(text);
    Level::ALL
        .into_iter()
        .zip(bounds())
        .find(|(_, (start, end))| (*start..*end).contains(&text))
        .map(|(level, _)| level)
}

/// Returns the first number of each level's texts, and the one after its last.
fn bounds() -> [(usize, usize); 5] {
    macro_rules! bounds {
        ($($start:ident $end:ident),*) => {
            [$((ptr::addr_of!($start).addr(), ptr::addr_of!($end).addr())),*]
        };
    }
    bounds!(
        __DEFMT_MARKER_TRACE_START __DEFMT_MARKER_TRACE_END,
        __DEFMT_MARKER_DEBUG_START __DEFMT_MARKER_DEBUG_END,
        __DEFMT_MARKER_INFO_START __DEFMT_MARKER_INFO_END,
        __DEFMT_MARKER_WARN_START __DEFMT_MARKER_WARN_END,
        __DEFMT_MARKER_ERROR_START __DEFMT_MARKER_ERROR_END
    )
}

// Places in defmt's section, which is in no memory: the addresses are the numbers of texts.
unsafe extern "C" {
    static __DEFMT_MARKER_TRACE_START: u8;
    static __DEFMT_MARKER_TRACE_END: u8;
    static __DEFMT_MARKER_DEBUG_START: u8;
    static __DEFMT_MARKER_DEBUG_END: u8;
    static __DEFMT_MARKER_INFO_START: u8;
    static __DEFMT_MARKER_INFO_END: u8;
    static __DEFMT_MARKER_WARN_START: u8;
    static __DEFMT_MARKER_WARN_END: u8;
    static __DEFMT_MARKER_ERROR_START: u8;
    static __DEFMT_MARKER_ERROR_END: u8;
}

static STATE: Mutex<RefCell<State>> = Mutex::new(RefCell::new(State {
    encoder: defmt::Encoder::new(),
    is_taken: false,
    line: Vec::new(),
    is_long: false,
    is_wanted: None,
    level: Level::Info,
    host: None,
    kept: None,
}));
static RESTORE: Mutex<Cell<RestoreState>> = Mutex::new(Cell::new(RestoreState::invalid()));

/// The longest line in bytes that is kept; a longer one goes to the host alone, in pieces. The smaller board keeps none and
/// has little RAM.
const LINE_LEN: usize = if cfg!(feature = "lm3s6965evb") {
    64
} else {
    256
};
