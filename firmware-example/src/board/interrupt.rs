//! Which interrupts are taken, and who handles each.
//!
//! Handlers are entered when a part starts, so an image has nothing of a part that it does not start.

use core::cell::Cell;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;
use critical_section::Mutex;

use super::exit;

/// Lets interrupt `number` through to `handler`, from now on. Interrupts beyond [`HANDLER_COUNT`] stay masked.
pub(super) fn serve(number: u16, handler: fn()) {
    critical_section::with(|section| {
        let cell = HANDLERS.borrow(section);
        let mut handlers = cell.get();
        if let Some(place) = handlers.iter_mut().find(|place| place.is_none()) {
            *place = Some(Served { number, handler });
            cell.set(handlers);
            // SAFETY: no critical section is built on masking interrupts one by one.
            unsafe { NVIC::unmask(Number(number)) };
        }
    });
}

/// Lets interrupt `number`, which is let through already, go to `handler` from now on.
#[cfg(feature = "mps2-an386")]
pub(super) fn serve_instead(number: u16, handler: fn()) {
    critical_section::with(|section| {
        let cell = HANDLERS.borrow(section);
        let mut handlers = cell.get();
        for served in handlers.iter_mut().flatten() {
            if served.number == number {
                served.handler = handler;
            }
        }
        cell.set(handlers);
    });
}

#[derive(Clone, Copy)]
struct Served {
    number: u16,
    handler: fn(),
}

#[derive(Clone, Copy)]
struct Number(u16);

// SAFETY: the number is always the same.
unsafe impl InterruptNumber for Number {
    fn number(self) -> u16 {
        self.0
    }
}

/// Receives every interrupt of a peripheral, since the vector table names none of them apart.
///
/// # Safety
///
/// Called by the hardware alone.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    let handlers = critical_section::with(|section| HANDLERS.borrow(section).get());
    let served = handlers
        .iter()
        .flatten()
        .find(|served| i16::try_from(served.number) == Ok(number));
    match served {
        Some(served) => (served.handler)(),
        None => {
            defmt::error!("interrupt {=i16} has no handler", number);
            exit::exit(exit::HARD_FAULT)
        }
    }
}

static HANDLERS: Mutex<Cell<[Option<Served>; HANDLER_COUNT]>> =
    Mutex::new(Cell::new([None; HANDLER_COUNT]));

/// The most that an image has: the serial line both ways, and Ethernet or the alarm of an executor.
const HANDLER_COUNT: usize = 3;
