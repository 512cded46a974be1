//! How often a key or an address asked within a minute; where several processes serve, they count in one row.

use crate::{Result, Tx, args};

impl Tx {
    /// Counts one more request of `who` in this minute (of the epoch); how many that makes.
    pub async fn count_call(&mut self, who: &str, minute: i64) -> Result<i64> {
        let sql =
            "insert into api_calls (who, minute, calls) values ($1, $2, 1) on conflict (who, minute) do update set calls = api_calls.calls + 1 returning calls";
        self.int(sql, args![who, minute]).await
    }

    /// Forgets the minutes before this one.
    pub async fn prune_calls(&mut self, minute: i64) -> Result<u64> {
        self.exec("delete from api_calls where minute < $1", args![minute]).await
    }
}
