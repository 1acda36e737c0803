//! What memcheck is told about memory. Outside valgrind, and without the feature, nothing happens.

/// Returns `value` with every bit of it secret.
pub fn hidden<T>(mut value: T) -> T {
    mark(&mut value, false);
    value
}

/// Returns `value`, which a peer or a caller is told, as no secret.
pub fn told<T>(mut value: T) -> T {
    mark(&mut value, true);
    value
}

/// Returns how often memcheck has reported something.
#[must_use]
pub fn report_count() -> usize {
    #[cfg(feature = "valgrind")]
    {
        crabgrind::count_errors()
    }
    #[cfg(not(feature = "valgrind"))]
    {
        0
    }
}

/// Returns whether this program runs under valgrind.
#[must_use]
pub fn is_watched() -> bool {
    #[cfg(feature = "valgrind")]
    {
        crabgrind::run_mode() != crabgrind::RunMode::Native
    }
    #[cfg(not(feature = "valgrind"))]
    {
        false
    }
}

fn mark<T>(value: &mut T, is_known: bool) {
    #[cfg(feature = "valgrind")]
    {
        use crabgrind::memcheck::{MemState, mark_mem};

        let state = if is_known {
            MemState::Defined
        } else {
            MemState::Undefined
        };
        let _not_watched = mark_mem(std::ptr::from_mut(value).cast(), size_of::<T>(), state);
    }
    #[cfg(not(feature = "valgrind"))]
    let _ = (value, is_known);
}
