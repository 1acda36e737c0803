//! The registers of the LAN9118, and the MAC and the PHY behind them. Every wait ends.

use super::words::{hardware_address, is_full_duplex, low_bits};
use crate::board::clock::Clock;
use crate::board::register::Register;

/// The controller.
#[derive(Clone, Copy)]
pub(super) struct Chip {
    clock: Clock,
}

/// The controller did not get done in time.
pub(super) struct Busy;

impl Chip {
    /// Looks for the controller.
    pub(super) fn find(clock: Clock) -> Option<Self> {
        let is_there = BYTE_TEST.read() == BYTE_ORDER && ID_REVISION.read() >> 16 == LAN9118;
        is_there.then_some(Self { clock })
    }

    /// Puts the controller back to how it starts, without frames and with all interrupts off. It keeps its address.
    pub(super) fn reset(self) -> Result<(), Busy> {
        INTERRUPT_ENABLE.write(0);
        self.wait(|| POWER.read() & READY != 0)?;
        HARDWARE.write(SOFT_RESET);
        self.wait(|| HARDWARE.read() & SOFT_RESET == 0)?;
        self.wait(|| EEPROM.read() & EEPROM_BUSY == 0)?;
        HARDWARE.write(TRANSMIT_FIFO_5_KIB | MUST_BE_ONE);
        FIFO_LEVELS.write(AT_THE_FIRST_FRAME);
        INTERRUPT.write(INTERRUPT_ON | ACTIVE_HIGH | PUSH_PULL);
        INTERRUPT_STATUS.write(u32::MAX);
        Ok(())
    }

    /// Starts the PHY's negotiation, and lets frames through both ways.
    pub(super) fn go(self) -> Result<(), Busy> {
        self.write_phy(PHY_CONTROL, NEGOTIATE)?;
        self.write_phy(PHY_INTERRUPT_MASK, PHY_DOWN | PHY_NEGOTIATED)?;
        self.read_phy(PHY_INTERRUPT_SOURCE)?;
        RECEIVE.write(0);
        TRANSMIT.write(TRANSMIT_ON);
        self.write_mac(MAC_CONTROL, MAC_ON)
    }

    /// Returns the address that the controller was given.
    pub(super) fn address(self) -> Result<[u8; 6], Busy> {
        let (low, high) = (self.read_mac(ADDRESS_LOW)?, self.read_mac(ADDRESS_HIGH)?);
        Ok(hardware_address(low, high))
    }

    /// Takes back what the PHY has interrupted for; says whether there is somebody at the other end of the wire, and
    /// sets the MAC to what was negotiated.
    pub(super) fn look_at_wire(self) -> Result<bool, Busy> {
        self.read_phy(PHY_INTERRUPT_SOURCE)?;
        // A link that was lost meanwhile stands in the first reading alone (IEEE 802.3 §22.2.4.2).
        self.read_phy(PHY_STATUS)?;
        let is_linked = self.read_phy(PHY_STATUS)? & PHY_LINKED != 0;
        if is_linked {
            let (own, partner) = (self.read_phy(PHY_OWN)?, self.read_phy(PHY_PARTNER)?);
            let duplex = if is_full_duplex(own, partner) {
                FULL_DUPLEX
            } else {
                0
            };
            self.write_mac(MAC_CONTROL, MAC_ON | duplex)?;
        }
        Ok(is_linked)
    }

    /// Returns the status of the oldest received frame, if there is one. Its words come next.
    pub(super) fn take_received(self) -> Option<u32> {
        let waiting = low_bits(RECEIVE_FIFO.read() >> 16, 8);
        (waiting > 0).then(|| RECEIVE_STATUS.read())
    }

    /// Returns the next word of the frame whose status was taken.
    pub(super) fn take_word(self) -> u32 {
        RECEIVE_DATA.read()
    }

    /// Returns the frames that the controller had no room for since the last time.
    pub(super) fn take_dropped(self) -> u32 {
        RECEIVE_DROPPED.read()
    }

    /// Returns the bytes that the transmit FIFO takes.
    pub(super) fn transmit_room(self) -> usize {
        low_bits(TRANSMIT_FIFO.read(), 16)
    }

    /// Returns what became of the oldest frame that was sent and not asked for yet.
    pub(super) fn take_sent(self) -> Option<u32> {
        let waiting = low_bits(TRANSMIT_FIFO.read() >> 16, 8);
        (waiting > 0).then(|| TRANSMIT_STATUS.read())
    }

    /// Hands a word to the transmit FIFO.
    pub(super) fn give_word(self, word: u32) {
        TRANSMIT_DATA.write(word);
    }

    /// Lets all that the driver handles interrupt.
    pub(super) fn listen(self) {
        INTERRUPT_ENABLE.write(HANDLED);
    }

    /// Forgets `events`.
    pub(super) fn acknowledge(self, events: u32) {
        INTERRUPT_STATUS.write(events);
    }

    fn read_phy(self, index: u32) -> Result<u32, Busy> {
        self.wait_for_phy()?;
        self.write_mac(PHY_ACCESS, PHY_ADDRESS | (index << 6) | PHY_BUSY)?;
        self.wait_for_phy()?;
        self.read_mac(PHY_DATA)
    }

    fn write_phy(self, index: u32, value: u32) -> Result<(), Busy> {
        self.wait_for_phy()?;
        self.write_mac(PHY_DATA, value)?;
        self.write_mac(
            PHY_ACCESS,
            PHY_ADDRESS | (index << 6) | PHY_WRITE | PHY_BUSY,
        )?;
        self.wait_for_phy()
    }

    fn wait_for_phy(self) -> Result<(), Busy> {
        self.wait(|| matches!(self.read_mac(PHY_ACCESS), Ok(state) if state & PHY_BUSY == 0))
    }

    fn read_mac(self, index: u32) -> Result<u32, Busy> {
        MAC_COMMAND.write(MAC_BUSY | MAC_READ | index);
        self.wait(|| MAC_COMMAND.read() & MAC_BUSY == 0)?;
        Ok(MAC_DATA.read())
    }

    fn write_mac(self, index: u32, value: u32) -> Result<(), Busy> {
        MAC_DATA.write(value);
        MAC_COMMAND.write(MAC_BUSY | index);
        self.wait(|| MAC_COMMAND.read() & MAC_BUSY == 0)
    }

    /// Waits until `is_done`, for [`PATIENCE_US`] at most.
    fn wait(self, is_done: impl Fn() -> bool) -> Result<(), Busy> {
        let give_up = self.clock.microseconds() + PATIENCE_US;
        while !is_done() {
            if self.clock.microseconds() >= give_up {
                return Err(Busy);
            }
        }
        Ok(())
    }
}

/// Turns all interrupts of the controller off and returns the events that it interrupted for.
pub(super) fn silence() -> u32 {
    let events = INTERRUPT_STATUS.read() & INTERRUPT_ENABLE.read();
    INTERRUPT_ENABLE.write(0);
    events
}

/// The PHY has something to say about the wire.
pub(super) const WIRE: u32 = 1 << 18;
/// The receiver, the transmitter or a FIFO has lost its way, from which the controller comes back by a reset: receive
/// watchdog, receiver error, transmitter error, overrun of the transmit FIFO. FIFOs that are full are none: they are
/// emptied.
pub(super) const FAULTS: u32 = (1 << 15) | (1 << 14) | (1 << 13) | (1 << 10);
/// A frame was received.
pub(super) const FRAME: u32 = 1 << 3;
/// A frame was dropped for want of room.
const DROPPED: u32 = 1 << 6;
const HANDLED: u32 = WIRE | FAULTS | FRAME | DROPPED;

/// A reset takes the PHY 2 ms at most, everything else less.
const PATIENCE_US: u64 = 5_000;

// SAFETY: the registers of the LAN9118 (data sheet §5.3), which this board has at 0x4020_0000 (Arm DUI 0475, table 3-1).
const RECEIVE_DATA: Register = unsafe { Register::at(0x4020_0000) };
// SAFETY: as above.
const TRANSMIT_DATA: Register = unsafe { Register::at(0x4020_0020) };
// SAFETY: as above.
const RECEIVE_STATUS: Register = unsafe { Register::at(0x4020_0040) };
// SAFETY: as above.
const TRANSMIT_STATUS: Register = unsafe { Register::at(0x4020_0048) };
// SAFETY: as above.
const ID_REVISION: Register = unsafe { Register::at(0x4020_0050) };
// SAFETY: as above.
const INTERRUPT: Register = unsafe { Register::at(0x4020_0054) };
// SAFETY: as above.
const INTERRUPT_STATUS: Register = unsafe { Register::at(0x4020_0058) };
// SAFETY: as above.
const INTERRUPT_ENABLE: Register = unsafe { Register::at(0x4020_005C) };
// SAFETY: as above.
const BYTE_TEST: Register = unsafe { Register::at(0x4020_0064) };
// SAFETY: as above.
const FIFO_LEVELS: Register = unsafe { Register::at(0x4020_0068) };
// SAFETY: as above.
const RECEIVE: Register = unsafe { Register::at(0x4020_006C) };
// SAFETY: as above.
const TRANSMIT: Register = unsafe { Register::at(0x4020_0070) };
// SAFETY: as above.
const HARDWARE: Register = unsafe { Register::at(0x4020_0074) };
// SAFETY: as above.
const RECEIVE_FIFO: Register = unsafe { Register::at(0x4020_007C) };
// SAFETY: as above.
const TRANSMIT_FIFO: Register = unsafe { Register::at(0x4020_0080) };
// SAFETY: as above.
const POWER: Register = unsafe { Register::at(0x4020_0084) };
// SAFETY: as above.
const RECEIVE_DROPPED: Register = unsafe { Register::at(0x4020_00A0) };
// SAFETY: as above.
const MAC_COMMAND: Register = unsafe { Register::at(0x4020_00A4) };
// SAFETY: as above.
const MAC_DATA: Register = unsafe { Register::at(0x4020_00A8) };
// SAFETY: as above.
const EEPROM: Register = unsafe { Register::at(0x4020_00B0) };

const BYTE_ORDER: u32 = 0x8765_4321;
const LAN9118: u32 = 0x0118;
const READY: u32 = 1 << 0;
const SOFT_RESET: u32 = 1 << 0;
const EEPROM_BUSY: u32 = 1 << 31;
const TRANSMIT_FIFO_5_KIB: u32 = 5 << 16;
const MUST_BE_ONE: u32 = 1 << 20;
/// The levels that the controller starts with, and an interrupt as soon as one frame is there.
const AT_THE_FIRST_FRAME: u32 = 0x4800_0000;
const INTERRUPT_ON: u32 = 1 << 8;
const ACTIVE_HIGH: u32 = 1 << 4;
const PUSH_PULL: u32 = 1 << 0;
const TRANSMIT_ON: u32 = 1 << 1;
const MAC_BUSY: u32 = 1 << 31;
const MAC_READ: u32 = 1 << 30;

const MAC_CONTROL: u32 = 1;
const ADDRESS_HIGH: u32 = 2;
const ADDRESS_LOW: u32 = 3;
const PHY_ACCESS: u32 = 6;
const PHY_DATA: u32 = 7;
/// Receive and transmit: what is for this station or for all.
const MAC_ON: u32 = (1 << 3) | (1 << 2);
const FULL_DUPLEX: u32 = 1 << 20;

/// The PHY inside the controller has number 1.
const PHY_ADDRESS: u32 = 1 << 11;
const PHY_BUSY: u32 = 1 << 0;
const PHY_WRITE: u32 = 1 << 1;
const PHY_CONTROL: u32 = 0;
const PHY_STATUS: u32 = 1;
const PHY_OWN: u32 = 4;
const PHY_PARTNER: u32 = 5;
const PHY_INTERRUPT_SOURCE: u32 = 29;
const PHY_INTERRUPT_MASK: u32 = 30;
const NEGOTIATE: u32 = (1 << 12) | (1 << 9);
const PHY_LINKED: u32 = 1 << 2;
const PHY_DOWN: u32 = 1 << 4;
const PHY_NEGOTIATED: u32 = 1 << 6;
