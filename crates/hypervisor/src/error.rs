//! What can go wrong at a node, by what must be done about it.

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing happened; ask again later.
    #[error("{0}")]
    Transient(String),
    /// Asked, and no answer came: it may have happened. Look before asking again.
    #[error("no answer: {0}")]
    Unknown(String),
    /// Will not work however often it is asked.
    #[error("{0}")]
    Permanent(String),
    /// Something that is not ours is in the way.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The node has no room for it; another may.
    #[error("no room: {0}")]
    Capacity(String),
    /// The node does not let us in.
    #[error("not allowed: {0}")]
    Unauthorized(String),
    /// This backend cannot do it.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The machine under this number was destroyed; the number is not used again.
    #[error("gone: {0}")]
    Destroyed(String),
    /// A newer claim has spoken to this machine: this call comes too late.
    #[error("too late: {0}")]
    Stale(String),
}
