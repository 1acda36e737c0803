//! Futures that leave nothing behind.

use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll};

use zeroize::Zeroize;

/// A future whose place is overwritten when it is dropped, which is as soon as who awaits it has what it came to.
///
/// What a task works in is not on the stack but in its future. To move a value out of that is to copy it, and neither is the
/// place that it left wiped, nor does [`super::Stack::wipe`] reach it. Each step runs in a frame of its own, which is free
/// again while the future waits.
pub struct Wiped<F> {
    future: MaybeUninit<F>,
}

impl<F> Wiped<F> {
    /// Returns `future` so.
    pub fn new(future: F) -> Self {
        Self {
            future: MaybeUninit::new(future),
        }
    }
}

impl<F: Future> Future for Wiped<F> {
    type Output = F::Output;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is there from `new` until `drop`, and nothing moves it out of this, which is pinned.
        let future = unsafe { self.map_unchecked_mut(|wiped| wiped.future.assume_init_mut()) };
        future.poll(context)
    }
}

impl<F> Drop for Wiped<F> {
    fn drop(&mut self) {
        // SAFETY: the future is there, and nobody reaches it after this.
        unsafe { self.future.assume_init_drop() };
        self.future.zeroize();
    }
}
