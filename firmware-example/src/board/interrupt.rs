//! Which interrupts the board takes, and who handles each.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;

use super::{clock, exit, uart};

/// Lets the interrupts of the board through.
pub(super) fn unmask() {
    for interrupt in [Interrupt::UartReceive, Interrupt::UartTransmit] {
        // SAFETY: no critical section is built on masking these interrupts one by one.
        unsafe { NVIC::unmask(interrupt) };
    }
}

/// The interrupts in use, by their numbers on this board.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    UartReceive,
    UartTransmit,
}

impl Interrupt {
    const ALL: [Self; 2] = [Self::UartReceive, Self::UartTransmit];
}

// SAFETY: each value has a number of its own, always the same, as the board wires it.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        match self {
            Self::UartReceive => 0,
            Self::UartTransmit => 1,
        }
    }
}

// Another board has neither this clock nor this line.
#[cfg(not(feature = "lm3s6965evb"))]
#[exception]
fn SysTick() {
    clock::handle_tick();
}

/// Receives every interrupt of a peripheral, since the vector table names none of them apart.
///
/// # Safety
///
/// Called by the hardware alone.
#[cfg(not(feature = "lm3s6965evb"))]
#[exception]
unsafe fn DefaultHandler(number: i16) {
    let interrupt = Interrupt::ALL
        .into_iter()
        .find(|interrupt| i16::try_from(interrupt.number()) == Ok(number));
    match interrupt {
        Some(Interrupt::UartReceive) => uart::handle_receive(),
        Some(Interrupt::UartTransmit) => uart::handle_transmit(),
        None => {
            defmt::error!("interrupt {=i16} has no handler", number);
            exit::exit(exit::HARD_FAULT)
        }
    }
}
