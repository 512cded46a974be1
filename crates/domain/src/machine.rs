//! The mark that ties a machine to the server it serves.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ServerId;

/// Written on every machine we make: which server it serves, and which build of it. `server:generation`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mark {
    /// The server.
    pub server: ServerId,
    /// Which build of it, from 1.
    pub generation: i64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.server, self.generation))
    }
}

/// A mark that is not `server:generation`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no mark of ours (server:generation)")]
pub struct BadMark(String);

impl FromStr for Mark {
    type Err = BadMark;
    fn from_str(text: &str) -> Result<Self, BadMark> {
        let (server, generation) = text.rsplit_once(':').ok_or_else(|| BadMark(text.to_owned()))?;
        let generation = generation.parse().map_err(|_| BadMark(text.to_owned()))?;
        Ok(Self { server: server.into(), generation })
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        mark.to_string()
    }
}

impl TryFrom<String> for Mark {
    type Error = BadMark;
    fn try_from(text: String) -> Result<Self, BadMark> {
        text.parse()
    }
}
