//! UART 0, a PL011 with 16 bytes each way, at the pins PA0 and PA1.

use super::gate;
use crate::board::interrupt;
use crate::board::register::Register;
use crate::board::uart::{handle_receive, handle_transmit};

/// Starts it, and lets its interrupts through.
pub(in crate::board) fn start() {
    gate::open(gate::UART0);
    gate::open_port(gate::PORT_A);
    PIN_FUNCTION.write(PINS);
    PIN_DIGITAL.write(PINS);
    CONTROL.write(0);
    DIVISOR.write(WHOLE_DIVISOR);
    DIVISOR_FRACTION.write(DIVISOR_64THS);
    LINE.write(EIGHT_BITS | FIFOS);
    interrupt::serve(INTERRUPT, || {
        INTERRUPT_CLEAR.write(RECEIVING | TRANSMITTING);
        handle_receive();
        handle_transmit();
    });
    listen(true);
    CONTROL.write(ENABLE | TRANSMIT_ON | RECEIVE_ON);
}

/// Lets it interrupt for received bytes, or not.
pub(in crate::board) fn listen(is_listening: bool) {
    INTERRUPT_MASK.write(if is_listening {
        TRANSMITTING | RECEIVING
    } else {
        TRANSMITTING
    });
}

/// Returns the next received byte.
pub(in crate::board) fn receive() -> Option<u8> {
    if FLAGS.read() & RECEIVE_EMPTY != 0 {
        return None;
    }
    let [byte, ..] = DATA.read().to_le_bytes();
    Some(byte)
}

/// Says whether received bytes were lost since the last call.
pub(in crate::board) fn has_lost() -> bool {
    let has_lost = ERRORS.read() & OVERRUN != 0;
    if has_lost {
        // Any value clears them.
        ERRORS.write(0);
    }
    has_lost
}

/// Says whether [`transmit`] may be called.
pub(in crate::board) fn has_room() -> bool {
    FLAGS.read() & TRANSMIT_FULL == 0
}

/// Sends a byte; there must be room for it.
pub(in crate::board) fn transmit(byte: u8) {
    DATA.write(u32::from(byte));
}

/// Says whether every byte has left.
pub(in crate::board) fn is_idle() -> bool {
    FLAGS.read() & BUSY == 0
}

// SAFETY: the registers of UART 0 (LM3S6965 data sheet, chapter 12; Arm DDI 0183).
const DATA: Register = unsafe { Register::at(0x4000_C000) };
// SAFETY: as above.
const ERRORS: Register = unsafe { Register::at(0x4000_C004) };
// SAFETY: as above.
const FLAGS: Register = unsafe { Register::at(0x4000_C018) };
// SAFETY: as above.
const DIVISOR: Register = unsafe { Register::at(0x4000_C024) };
// SAFETY: as above.
const DIVISOR_FRACTION: Register = unsafe { Register::at(0x4000_C028) };
// SAFETY: as above.
const LINE: Register = unsafe { Register::at(0x4000_C02C) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_C030) };
// SAFETY: as above.
const INTERRUPT_MASK: Register = unsafe { Register::at(0x4000_C038) };
// SAFETY: as above.
const INTERRUPT_CLEAR: Register = unsafe { Register::at(0x4000_C044) };
// SAFETY: the registers of GPIO port A (LM3S6965 data sheet, chapter 8).
const PIN_FUNCTION: Register = unsafe { Register::at(0x4000_4420) };
// SAFETY: as above.
const PIN_DIGITAL: Register = unsafe { Register::at(0x4000_451C) };

const INTERRUPT: u16 = 5;
/// PA0 receives and PA1 transmits.
const PINS: u32 = 0b11;
/// 115,200 baud at 12.5 MHz: the divisor of a sixteenth of the rate is 6 and 50/64.
const WHOLE_DIVISOR: u32 = 6;
const DIVISOR_64THS: u32 = 50;
const EIGHT_BITS: u32 = 0b11 << 5;
const FIFOS: u32 = 1 << 4;
const ENABLE: u32 = 1 << 0;
const TRANSMIT_ON: u32 = 1 << 8;
const RECEIVE_ON: u32 = 1 << 9;
const BUSY: u32 = 1 << 3;
const RECEIVE_EMPTY: u32 = 1 << 4;
const TRANSMIT_FULL: u32 = 1 << 5;
const OVERRUN: u32 = 1 << 3;
/// Bytes have arrived, or fewer and no more for a while.
const RECEIVING: u32 = 1 << 4 | 1 << 6;
/// There is room again.
const TRANSMITTING: u32 = 1 << 5;
