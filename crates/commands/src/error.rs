//! Why a request was not carried out, by what the one who asked can do about it. Nothing was changed.

use std::time::Duration;

use leasehold_domain::{Money, ledger::Refused, names::BadName};
use leasehold_store::StoreError;

/// The result of a request.
pub type Result<T> = std::result::Result<T, CommandError>;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// A rule forbids it: state, protection, room.
    #[error("{0}")]
    Refused(String),
    /// There is one already, and there may be no second.
    #[error("{0}")]
    Exists(String),
    /// The wallet does not hold enough.
    #[error("the wallet holds {available} to spend, {wanted} is needed; top it up with: leasehold account credit")]
    Funds {
        /// What could be spent.
        available: Money,
        /// What was asked.
        wanted: Money,
    },
    /// Whoever asks may not.
    #[error("{0}")]
    Forbidden(String),
    /// Nothing is sold to this account.
    #[error("{0}")]
    Frozen(String),
    /// Too many within a time.
    #[error("{text}; try again in {} min", wait.as_secs().div_ceil(60))]
    TooMany {
        /// What.
        text: String,
        /// How long to wait.
        wait: Duration,
    },
    /// The key of a request stands for another one.
    #[error("{0}")]
    OtherRequest(String),
    /// Another request is in the way; it will be over soon.
    #[error("{0}")]
    Underway(String),
    /// It may work later.
    #[error("{0}")]
    TryAgain(String),
    /// Something below broke.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound(error.to_string()),
            StoreError::Refused(Refused::Funds { available, wanted }) => Self::Funds { available, wanted },
            StoreError::Illegal(_) | StoreError::ReferenceUsed { .. } | StoreError::Restored { .. } => Self::Refused(error.to_string()),
            StoreError::Refused(_) | StoreError::Money(_) | StoreError::Ambiguous { .. } => Self::Invalid(error.to_string()),
            other if other.is_outage() => Self::TryAgain(other.to_string()),
            other => Self::Store(other),
        }
    }
}

impl From<BadName> for CommandError {
    fn from(error: BadName) -> Self {
        Self::Invalid(error.to_string())
    }
}
