//! A value that is replaced while others read it.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that is replaced whole. Who has read it keeps what it read.
#[derive(Debug)]
pub(crate) struct Live<T>(RwLock<Arc<T>>);

impl<T> Live<T> {
    /// Returns a value that can be replaced.
    pub(crate) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// Returns the value as it is now.
    pub(crate) fn now(&self) -> Arc<T> {
        let value = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&value)
    }

    /// Replaces the value for all who read it from now on.
    pub(crate) fn replace(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

#[cfg(test)]
mod tests {
    use super::Live;

    #[test]
    fn who_has_read_a_value_keeps_it() {
        let value = Live::new(1);
        let before = value.now();
        value.replace(2);
        assert_eq!((*before, *value.now()), (1, 2));
    }
}
