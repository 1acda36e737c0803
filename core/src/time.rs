//! Points in time, which callers pass in.

/// A point on the caller's monotonic clock, in milliseconds since an origin of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(pub u64);

impl Instant {
    /// Returns this point moved `millis` milliseconds later; it saturates.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns the milliseconds from `earlier` to this point, 0 when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A point in civil time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Returns the point `seconds` after the epoch; it saturates.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns the whole seconds since the epoch.
    #[must_use]
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns this point moved `millis` milliseconds later; it saturates.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// How sure a clock is (PROTOCOL.md §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum TimeQuality {
    /// The time is not known.
    #[default]
    Unknown = 0,
    /// The time is that of a host's own clock.
    HostClock = 1,
    /// The time is that of a clock known to be synchronised.
    Synchronised = 2,
}

impl TimeQuality {
    /// Returns the number that stands for this quality on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::HostClock => 1,
            Self::Synchronised => 2,
        }
    }

    /// Returns the quality that `code` stands for.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Unknown),
            1 => Some(Self::HostClock),
            2 => Some(Self::Synchronised),
            _ => None,
        }
    }
}

/// The time of one event, as the caller's clocks have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Now {
    /// The monotonic clock, which deadlines are counted on.
    pub instant: Instant,
    /// The civil clock.
    pub unix: UnixMillis,
    /// How sure the civil clock is; at [`TimeQuality::Unknown`] its value is not looked at.
    pub quality: TimeQuality,
}

impl Now {
    /// Returns the time of a machine that has no civil clock.
    #[must_use]
    pub const fn without_clock(instant: Instant) -> Self {
        Self {
            instant,
            unix: UnixMillis(0),
            quality: TimeQuality::Unknown,
        }
    }
}
