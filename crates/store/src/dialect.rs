//! The differences between the two databases, as words in braces that are filled in once a statement.

use std::{
    collections::HashMap,
    sync::{LazyLock, RwLock},
};

use crate::Queue;

/// Which database a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Which start of which PostgreSQL server answers, and the database's own clock in epoch milliseconds.
pub(crate) const ANSWERING: &str = "select coalesce(inet_server_port(), 0) || ' since ' || extract(epoch from pg_postmaster_start_time()), (extract(epoch from clock_timestamp()) * 1000)::bigint";

/// What is asked of a server beside its own row. Of the means of its holds, the last by name is the strongest.
const FACTS: &str = "(select max(h.means) from holds h where h.server_id = s.id) as held, \
    (select n.asked from snapshots n where n.server_id = s.id and n.asked is not null order by n.asked_at, n.id limit 1) as snapshot_asked";

/// What becomes of a notice whose cause is gone; whoever has claimed it finds that when it looks.
const SUPERSEDED: &str = "state = 'superseded', last_error = 'its cause was gone before it was sent', \
    next_at = case when claimed_by is null then null else next_at end";

/// What stands behind `{rows}`: its columns, like `id:t n:i`, and how many rows there are at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct List {
    pub(crate) columns: &'static str,
    pub(crate) most: Option<u64>,
}

type Key = (&'static str, Dialect, &'static str, List);
static TEXTS: LazyLock<RwLock<HashMap<Key, &'static str>>> = LazyLock::new(RwLock::default);

impl Dialect {
    /// The statement for this database; `table` fills `{table}`, `list` fills `{rows}`.
    ///
    /// Each text is made once and kept for ever, so that the drivers' statement caches always hit.
    pub(crate) fn text(self, sql: &'static str, table: &'static str, list: List) -> &'static str {
        if !sql.contains('{') {
            return sql;
        }
        let key = (sql, self, table, list);
        if let Some(text) = TEXTS.read().ok().and_then(|texts| texts.get(&key).copied()) {
            return text;
        }
        let (lock, skip) = match self {
            Self::Sqlite => ("", ""),
            Self::Postgres => ("for no key update", "for no key update skip locked"),
        };
        let text = sql
            .replace("{facts}", FACTS)
            .replace("{superseded}", SUPERSEDED)
            .replace("{lock}", lock)
            .replace("{skip}", skip)
            .replace("{goes_on}", Queue::goes_on(table))
            .replace("{table}", table);
        let text = if text.contains("{rows}") { text.replace("{rows}", &row_list(list)) } else { text };
        let text: &'static str = Box::leak(text.into_boxed_str());
        if let Ok(mut texts) = TEXTS.write() {
            texts.insert(key, text);
        }
        text
    }
}

/// `select … from jsonb_each($1)`: many rows in one bind, the same text for both databases. `:t` is text, `:i` a whole number.
///
/// PostgreSQL takes such a list for a hundred rows and reads whole tables for it, unless it is told.
fn row_list(list: List) -> String {
    let cast = |(i, column): (usize, &str)| {
        let kind = if column.ends_with(":t") { "text" } else { "bigint" };
        format!("cast(value->>{i} as {kind})")
    };
    let columns: Vec<String> = list.columns.split(' ').enumerate().map(cast).collect();
    let most = list.most.map_or_else(String::new, |most| format!(" limit {most}"));
    format!("select {} from jsonb_each($1){most}", columns.join(", "))
}
