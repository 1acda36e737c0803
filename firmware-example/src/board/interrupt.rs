//! Which interrupts the board takes, and who handles each.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;

use super::{clock, ethernet, exit, uart};

/// Lets the interrupts of the board through.
pub(super) fn unmask() {
    for interrupt in [Interrupt::UartReceive, Interrupt::UartTransmit] {
        // SAFETY: no critical section is built on masking these interrupts one by one.
        unsafe { NVIC::unmask(interrupt) };
    }
}

/// Lets the interrupt of the Ethernet controller through. It is not to be called before the controller was told when to
/// interrupt: at its start its line is up.
pub(super) fn unmask_ethernet() {
    // SAFETY: as above.
    unsafe { NVIC::unmask(Interrupt::Ethernet) };
}

/// The interrupts in use, by their numbers on this board.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    UartReceive,
    UartTransmit,
    Ethernet,
}

impl Interrupt {
    const ALL: [Self; 3] = [Self::UartReceive, Self::UartTransmit, Self::Ethernet];
}

// SAFETY: each value has a number of its own, always the same, as the board wires it.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        match self {
            Self::UartReceive => 0,
            Self::UartTransmit => 1,
            Self::Ethernet => 13,
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
        Some(Interrupt::Ethernet) => ethernet::handle(),
        None => {
            defmt::error!("interrupt {=i16} has no handler", number);
            exit::exit(exit::HARD_FAULT)
        }
    }
}
