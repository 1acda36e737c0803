//! Random schedules over a hostile carrier.

use crate::Case;

pub(crate) static CASES: &[Case] = &[];
