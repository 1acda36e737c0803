//! CMSDK APB UART 0.

use crate::board::register::Register;
use crate::board::uart::{handle_receive, handle_transmit};
use crate::board::{async_uart, interrupt};

/// Starts it, and lets its interrupts through.
pub(in crate::board) fn start() {
    BAUD_DIVISOR.write(DIVISOR);
    listen(true);
    interrupt::serve(RECEIVE_INTERRUPT, || {
        INTERRUPT_CLEAR.write(RECEIVE_PENDING);
        handle_receive();
    });
    interrupt::serve(TRANSMIT_INTERRUPT, || {
        INTERRUPT_CLEAR.write(TRANSMIT_PENDING);
        handle_transmit();
    });
}

/// Lets its interrupts wake tasks as well.
pub(in crate::board) fn start_waking() {
    interrupt::serve_instead(RECEIVE_INTERRUPT, || {
        INTERRUPT_CLEAR.write(RECEIVE_PENDING);
        async_uart::handle_receive();
    });
    interrupt::serve_instead(TRANSMIT_INTERRUPT, || {
        INTERRUPT_CLEAR.write(TRANSMIT_PENDING);
        async_uart::handle_transmit();
    });
}

/// Lets it interrupt for received bytes, or not.
pub(in crate::board) fn listen(is_listening: bool) {
    let on = TRANSMIT_ON | RECEIVE_ON | TRANSMIT_INTERRUPTS;
    CONTROL.write(if is_listening {
        on | RECEIVE_INTERRUPTS
    } else {
        on
    });
}

/// Returns the next received byte.
pub(in crate::board) fn receive() -> Option<u8> {
    if STATE.read() & RECEIVE_FULL == 0 {
        return None;
    }
    let [byte, ..] = DATA.read().to_le_bytes();
    Some(byte)
}

/// Says whether received bytes were lost since the last call.
pub(in crate::board) fn has_lost() -> bool {
    let has_lost = STATE.read() & RECEIVE_OVERRUN != 0;
    if has_lost {
        STATE.write(RECEIVE_OVERRUN);
    }
    has_lost
}

/// Says whether [`transmit`] may be called.
pub(in crate::board) fn has_room() -> bool {
    STATE.read() & TRANSMIT_FULL == 0
}

/// Sends a byte; there must be room for it.
pub(in crate::board) fn transmit(byte: u8) {
    DATA.write(u32::from(byte));
}

/// Says whether every byte has left.
pub(in crate::board) fn is_idle() -> bool {
    has_room()
}

// SAFETY: the registers of CMSDK APB UART 0 (Arm DUI 0479, table 4-6).
const DATA: Register = unsafe { Register::at(0x4000_4000) };
// SAFETY: as above.
const STATE: Register = unsafe { Register::at(0x4000_4004) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_4008) };
// SAFETY: as above.
const INTERRUPT_CLEAR: Register = unsafe { Register::at(0x4000_400C) };
// SAFETY: as above.
const BAUD_DIVISOR: Register = unsafe { Register::at(0x4000_4010) };

const RECEIVE_INTERRUPT: u16 = 0;
const TRANSMIT_INTERRUPT: u16 = 1;
/// 115,200 baud at 25 MHz. The emulator takes any rate; it refuses a divisor under 16.
const DIVISOR: u32 = 217;
const TRANSMIT_FULL: u32 = 1 << 0;
const RECEIVE_FULL: u32 = 1 << 1;
const RECEIVE_OVERRUN: u32 = 1 << 3;
const TRANSMIT_ON: u32 = 1 << 0;
const RECEIVE_ON: u32 = 1 << 1;
const TRANSMIT_INTERRUPTS: u32 = 1 << 2;
const RECEIVE_INTERRUPTS: u32 = 1 << 3;
const TRANSMIT_PENDING: u32 = 1 << 0;
const RECEIVE_PENDING: u32 = 1 << 1;
