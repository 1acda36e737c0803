//! How deep the stack went.
//!
//! ```text
//! _stack_start  +----------------+  high address
//!               | frames in use  |
//!               +- stack pointer +
//!               | painted        |  the lowest word that lost its paint is the high-water mark
//! floor         +----------------+
//! ```

use core::ptr;

/// At most this many bytes below the top of the stack are painted and searched.
///
/// The operations measured need a few KiB; painting all 4 MiB of RAM would cost more than they do.
pub const MEASURED_STACK_LEN: usize = 128 * 1024;

/// The measure of the stack. There is one stack, so there is one of these.
pub struct Stack {
    /// How deep it went before it was wiped.
    wiped_len: usize,
}

impl Stack {
    /// Paints the free stack.
    pub(super) fn start() -> Self {
        let mut stack = Self { wiped_len: 0 };
        stack.repaint();
        stack
    }

    /// Paints what is free again, so that [`Stack::high_water_len`] starts anew.
    pub fn repaint(&mut self) {
        self.wiped_len = 0;
        paint();
    }

    /// Overwrites what is free: to move a value is to copy it, and the places that secrets have left are not wiped
    /// otherwise. The high-water mark stays.
    pub fn wipe(&mut self) {
        self.wiped_len = self.high_water_len();
        paint();
    }

    /// Returns the bytes from the top of the stack to the deepest word used since the last painting.
    ///
    /// [`MEASURED_STACK_LEN`] means that much or more.
    pub fn high_water_len(&self) -> usize {
        top().saturating_sub(deepest_used()).max(self.wiped_len)
    }

    /// Returns the bytes of stack that `run` used below the frame of this function.
    ///
    /// Interrupts are masked meanwhile: their frames are not the operation's.
    #[inline(never)]
    pub fn peak_of(&mut self, run: &mut dyn FnMut()) -> usize {
        critical_section::with(|_| {
            self.repaint();
            let before = stack_pointer();
            run();
            before.saturating_sub(deepest_used())
        })
    }
}

#[inline(never)]
fn paint() {
    let mut address = floor();
    let end = stack_pointer().saturating_sub(MARGIN_LEN);
    while address < end {
        let word = ptr::with_exposed_provenance_mut::<u32>(address);
        // SAFETY: the word lies between the end of the statics and the stack pointer, with a margin for this
        // function's own frame: nobody owns it. An interrupt that comes meanwhile has left by the next word.
        unsafe { word.write_volatile(PAINT) };
        address += WORD_LEN;
    }
}

fn deepest_used() -> usize {
    let mut address = floor();
    while address < top() {
        let word = ptr::with_exposed_provenance::<u32>(address);
        // SAFETY: the word lies in the stack's memory, which is always mapped; it is only compared.
        if unsafe { word.read_volatile() } != PAINT {
            break;
        }
        address += WORD_LEN;
    }
    address
}

fn stack_pointer() -> usize {
    usize::try_from(cortex_m::register::msp::read()).unwrap_or(0)
}

fn top() -> usize {
    (&raw const _stack_start).addr()
}

fn floor() -> usize {
    let end_of_statics = (&raw const _stack_end).addr();
    end_of_statics.max(top() - MEASURED_STACK_LEN)
}

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

const PAINT: u32 = 0x5AC4_A11D;
const WORD_LEN: usize = 4;
/// Room for what the painting function itself has below the stack pointer that it read.
const MARGIN_LEN: usize = 64;
