//! Taking a mutex. The one place that decides what a poisoned one means.

use std::sync::{Mutex, MutexGuard};

/// Locks, also where a thread panicked while it held the lock: what is behind it is a queue of whole values.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
