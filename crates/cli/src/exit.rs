//! How a command ends when it does not do what it was asked: one line, and a code that a script can act on.

use std::process::ExitCode;

use leasehold_commands::CommandError;
use leasehold_store::StoreError;

/// Why a command failed, by exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 1: it failed.
    #[error("{0}")]
    Failed(String),
    /// 2: it was asked wrongly.
    #[error("{0}")]
    Usage(String),
    /// 3: there is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// 4: a rule forbids it.
    #[error("{0}")]
    Refused(String),
    /// 75: it may work later.
    #[error("{0}")]
    TryAgain(String),
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Refused(_) => 4,
            Self::TryAgain(_) => 75,
        })
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let text = error.to_string();
        match error {
            CommandError::Invalid(_) => Self::Usage(text),
            CommandError::NotFound(_) => Self::NotFound(text),
            CommandError::Refused(_)
            | CommandError::Exists(_)
            | CommandError::Funds { .. }
            | CommandError::Forbidden(_)
            | CommandError::Frozen(_)
            | CommandError::TooMany { .. }
            | CommandError::OtherRequest(_) => Self::Refused(text),
            CommandError::TryAgain(_) | CommandError::Underway(_) => Self::TryAgain(text),
            CommandError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::NotFound { .. } => Self::NotFound(text),
            StoreError::SchemaOld(_) => Self::TryAgain(text),
            StoreError::Locked(_) | StoreError::Restored { .. } => Self::Refused(text),
            e if e.is_outage() => Self::TryAgain(text),
            _ => Self::Failed(text),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
