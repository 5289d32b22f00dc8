//! Taking a mutex. The one place that decides what a poisoned one means.

use std::sync::{Mutex, MutexGuard};

/// Locks, also where a thread panicked while it held the lock: the data behind it is counters and maps that are
/// changed in steps which cannot panic half-way, and a mail server that stops is worse than one that goes on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
