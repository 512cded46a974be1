//! A part of a long list.

/// A part of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// So many at most; none: all.
    pub limit: Option<i64>,
    /// So many are left out before it.
    pub skip: i64,
}
