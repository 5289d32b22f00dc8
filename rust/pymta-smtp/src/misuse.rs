//! The caller's own error: a method of a session was called at a moment that does not allow it. Never the peer's.

/// A bug of ours: the method does not answer what the session asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{called} was called while the session waits for {waits_for}")]
pub struct Misuse {
    /// The method.
    pub called: &'static str,
    /// What would have been right, in words.
    pub waits_for: &'static str,
}
