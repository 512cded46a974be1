//! Why a request was not carried out, by what the one who asked can do about it. Nothing was changed.

use leasehold_domain::{ledger::Refused, names::BadName};
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
    /// A rule forbids it: funds, state, protection.
    #[error("{0}")]
    Refused(String),
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
            StoreError::Refused(Refused::Funds { .. }) | StoreError::Illegal(_) => Self::Refused(error.to_string()),
            StoreError::Refused(_) | StoreError::Money(_) | StoreError::Broken(_) => Self::Invalid(error.to_string()),
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
