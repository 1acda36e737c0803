//! The meter that an operation runs under.

use moorline_firmware::board::{Clock, Stack};

/// Sums the instructions and finds the deepest stack of the parts of one operation.
///
/// Between the parts the operation may prepare what it needs, or play the other end, at no charge.
pub(crate) struct Meter<'a> {
    clock: Clock,
    stack: &'a mut Stack,
    overhead_ticks: u32,
    ticks: u64,
    peak_stack_len: usize,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(clock: Clock, stack: &'a mut Stack) -> Self {
        let mut meter = Self {
            clock,
            stack,
            overhead_ticks: 0,
            ticks: 0,
            peak_stack_len: 0,
        };
        meter.measure(|| ());
        meter.overhead_ticks = u32::try_from(meter.ticks).unwrap_or(u32::MAX);
        meter.ticks = 0;
        meter.peak_stack_len = 0;
        meter
    }

    /// Runs a part of the operation, measured.
    pub(crate) fn measure<R>(&mut self, part: impl FnOnce() -> R) -> R {
        let mut part = Some(part);
        let mut result = None;
        self.measure_once(&mut || result = part.take().map(|part| part()));
        match result {
            Some(result) => result,
            None => unreachable!("a measured part runs once"),
        }
    }

    /// Returns the instructions of all parts.
    pub(crate) fn instruction_count(&self) -> u64 {
        // 32 ns an instruction under `-icount shift=5`, 40 ns a tick.
        self.ticks * 5 / 4
    }

    /// Returns the bytes of stack that the deepest part used below its caller.
    pub(crate) fn peak_stack_len(&self) -> usize {
        self.peak_stack_len
    }

    /// Takes a trait object so that no part is merged with the measurement around it.
    #[inline(never)]
    fn measure_once(&mut self, part: &mut dyn FnMut()) {
        let clock = self.clock;
        let mut ticks = 0;
        let stack_len = self.stack.peak_of(&mut || {
            let start = clock.ticks();
            part();
            ticks = clock.ticks().since(start);
        });
        self.ticks += u64::from(ticks.saturating_sub(self.overhead_ticks));
        self.peak_stack_len = self.peak_stack_len.max(stack_len);
    }
}
