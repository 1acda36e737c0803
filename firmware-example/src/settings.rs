//! What commanders may set, by the command `config`.

use core::fmt::Write;

use heapless::String;

use crate::board::Level;

/// The device's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Milliseconds from one observation of the sensor to the next; 0 for none.
    pub sample_ms: u32,
    /// The least level of a line of the log that is written.
    pub log_level: Level,
}

/// A setting cannot have that value, or there is no such setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit;

/// The value of a setting as text.
pub type Text = String<TEXT_LEN>;

impl Settings {
    /// What a new device begins with.
    pub const DEFAULT: Self = Self {
        sample_ms: 10_000,
        log_level: Level::Info,
    };

    /// The names of the settings.
    pub const NAMES: [&'static str; 2] = [SAMPLE_MS, LOG_LEVEL];

    /// Returns the settings as they are kept.
    pub fn to_bytes(&self) -> [u8; SETTINGS_LEN] {
        let [a, b, c, d] = self.sample_ms.to_be_bytes();
        let level = Level::ALL.iter().position(|level| *level == self.log_level);
        let level = level.and_then(|level| u8::try_from(level).ok());
        [VERSION, a, b, c, d, level.unwrap_or_default()]
    }

    /// Returns what [`Settings::to_bytes`] gave; nothing when they are of another version of this program.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [VERSION, a, b, c, d, level] = *bytes else {
            return None;
        };
        Some(Self {
            sample_ms: u32::from_be_bytes([a, b, c, d]),
            log_level: *Level::ALL.get(usize::from(level))?,
        })
    }

    /// Returns the value of the setting called `name`.
    pub fn get(&self, name: &str) -> Option<Text> {
        let mut text = Text::new();
        let written = match name {
            SAMPLE_MS => write!(text, "{}", self.sample_ms),
            LOG_LEVEL => text
                .push_str(self.log_level.name())
                .map_err(|_| core::fmt::Error),
            _ => return None,
        };
        written.ok().map(|()| text)
    }

    /// Gives the setting called `name` the value `text`.
    ///
    /// # Errors
    ///
    /// [`Unfit`]; nothing is changed.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Unfit> {
        match name {
            SAMPLE_MS => {
                let millis = text.parse().map_err(|_| Unfit)?;
                if millis != 0 && !SAMPLE_RANGE.contains(&millis) {
                    return Err(Unfit);
                }
                self.sample_ms = millis;
            }
            LOG_LEVEL => self.log_level = Level::from_name(text).ok_or(Unfit)?,
            _ => return Err(Unfit),
        }
        Ok(())
    }
}

/// Length of the settings as they are kept, in bytes.
pub const SETTINGS_LEN: usize = 6;

/// The version of what is kept.
const VERSION: u8 = 1;
const SAMPLE_MS: &str = "sample_ms";
const LOG_LEVEL: &str = "log_level";
/// From ten times a second to once a day.
const SAMPLE_RANGE: core::ops::RangeInclusive<u32> = 100..=86_400_000;
/// Length of the longest value in bytes.
const TEXT_LEN: usize = 16;
