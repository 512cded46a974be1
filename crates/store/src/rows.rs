//! Values on their way in and out of rows.

use std::{
    fmt::{Display, Write},
    str::FromStr,
};

use leasehold_domain::Timestamp;
use sqlx::{Database, Decode, Type, database::HasStatementCache, error::BoxDynError};

use crate::dialect::List;

/// A member of a closed set of names in a nullable column. An unknown text is a decoding error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T, D: Database> Type<D> for Text<T>
where
    String: Type<D>,
{
    fn type_info() -> D::TypeInfo {
        String::type_info()
    }
    fn compatible(ty: &D::TypeInfo) -> bool {
        String::compatible(ty)
    }
}

impl<'r, T: FromStr<Err: Display>, D: Database + HasStatementCache> Decode<'r, D> for Text<T>
where
    &'r str: Decode<'r, D>,
{
    fn decode(value: D::ValueRef<'r>) -> Result<Self, BoxDynError> {
        <&str as Decode<D>>::decode(value)?.parse().map(Self).map_err(|e: T::Err| e.to_string().into())
    }
}

/// An instant in a nullable column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When(pub Timestamp);

impl<D: Database> Type<D> for When
where
    i64: Type<D>,
{
    fn type_info() -> D::TypeInfo {
        i64::type_info()
    }
    fn compatible(ty: &D::TypeInfo) -> bool {
        i64::compatible(ty)
    }
}

impl<'r, D: Database> Decode<'r, D> for When
where
    i64: Decode<'r, D>,
{
    fn decode(value: D::ValueRef<'r>) -> Result<Self, BoxDynError> {
        i64::decode(value).map(|ms| Self(Timestamp::from_millis(ms)))
    }
}

/// Many rows for one statement, sent as one JSON object.
#[derive(Debug)]
pub struct Rows {
    columns: &'static str,
    json: String,
    /// How many.
    pub count: u64,
}

impl Rows {
    /// Rows of `columns`, written `"id:t epoch:i"`: `t` for text, `i` for whole numbers.
    pub fn new(columns: &'static str) -> Self {
        Self { columns, json: "{".to_owned(), count: 0 }
    }

    /// One id a row, for `with v(v_id) as ({rows})`.
    pub fn ids<T: AsRef<str>>(ids: impl Iterator<Item = T>) -> Self {
        let mut rows = Self::new("v_id:t");
        ids.for_each(|id| rows.push(&[id.as_ref().into()]));
        rows
    }

    /// Adds one row; the values in the order of the columns.
    pub fn push(&mut self, values: &[serde_json::Value]) {
        let separator = if self.count == 0 { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(self.json, "{separator}\"{}\":[", self.count);
        for (nth, value) in values.iter().enumerate() {
            let _ = write!(self.json, "{}{value}", if nth == 0 { "" } else { "," });
        }
        self.json.push(']');
        self.count += 1;
    }

    /// What the planner should know: how many there are, by steps of ten, since each is a statement of its own.
    pub(crate) fn list(&self) -> List {
        let most = [1, 10].into_iter().find(|most| self.count <= *most);
        List { columns: self.columns, most }
    }

    pub(crate) fn into_json(self) -> String {
        self.json + "}"
    }
}
