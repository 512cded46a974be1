//! A part of a long list.

/// A part of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// So many at most; none: all.
    pub limit: Option<i64>,
    /// So many are left out before it.
    pub skip: i64,
}

impl Page {
    /// For `limit`: a number that is above every list.
    pub(crate) fn most(self) -> i64 {
        self.limit.unwrap_or(i64::MAX)
    }
}

impl From<i64> for Page {
    fn from(limit: i64) -> Self {
        Self { limit: Some(limit), skip: 0 }
    }
}
