//! Who did what, on what, from where. Written with the change; the seal tick chains committed lines by hash.

use leasehold_domain::{AccountId, ServerId, Timestamp};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Page, Result, Rows, Tx, args};

/// Whoever asks for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `operator:root`, `account:1004`, `worker`, `scheduler`.
    pub name: String,
    /// Where from: `cli`, `worker`, an address.
    pub origin: String,
}

impl Actor {
    /// A person at the command line.
    pub fn operator(name: &str) -> Self {
        Self { name: format!("operator:{name}"), origin: "cli".into() }
    }

    /// The daemon itself.
    pub fn daemon(role: &str) -> Self {
        Self { name: role.into(), origin: role.into() }
    }
}

/// A line of the log.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct Activity {
    /// Its id; sorts by time.
    pub id: String,
    /// Who.
    pub actor: String,
    /// What, in one word or two: `server.order`.
    pub action: String,
    /// Whose.
    pub account_id: Option<String>,
    /// Which server.
    pub server_id: Option<String>,
    /// The rest, for people.
    pub detail: String,
    /// Where from.
    pub origin: String,
    /// When.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// Its place in the chain, once sealed.
    pub seq: Option<i64>,
    /// SHA-256 over the line before and this one, hex.
    pub hash: Option<String>,
}

impl Tx {
    /// Writes a line with the change that it speaks of.
    pub async fn log(&mut self, actor: &Actor, action: &str, account: Option<&AccountId>, server: Option<&ServerId>, detail: &str) -> Result<()> {
        let (id, now) = (self.new_id(), self.now);
        let sql = "insert into activity (id, actor, action, account_id, server_id, detail, origin, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)";
        let (account, server) = (account.map(AccountId::as_str), server.map(ServerId::as_str));
        self.exec_one(sql, args![id, &actor.name, action, account, server, detail, &actor.origin, now]).await
    }

    /// The newest lines, of an account, a server, or all.
    pub async fn activity(&mut self, account: Option<&str>, server: Option<&str>, limit: i64) -> Result<Vec<Activity>> {
        let sql = "select * from activity where ($1 is null or account_id = $1) and ($2 is null or server_id = $2) order by id desc limit $3";
        self.all(sql, args![account, server, limit]).await
    }

    /// What happened to a server, newest first.
    pub async fn activity_of(&mut self, server: &ServerId, page: Page) -> Result<Vec<Activity>> {
        let sql = "select * from activity where server_id = $1 order by id desc limit $2 offset $3";
        self.all(sql, args![server, page.most(), page.skip]).await
    }

    /// Lines that are not yet in the chain, oldest first.
    pub async fn unsealed(&mut self, limit: i64) -> Result<Vec<Activity>> {
        self.all("select * from activity where seq is null order by id limit $1", args![limit]).await
    }

    /// Sealed lines from `from` on, in the order of the chain.
    pub async fn sealed_from(&mut self, from: i64, limit: i64) -> Result<Vec<Activity>> {
        self.all("select * from activity where seq >= $1 order by seq limit $2", args![from, limit]).await
    }

    /// The end of the chain. Takes the chain's lock: one sealer at a time.
    pub async fn chain_end(&mut self) -> Result<(i64, String)> {
        self.exec("insert into counters (name, value) values ('activity', 0) on conflict do nothing", &[]).await?;
        let seq = self.int("select value from counters where name = 'activity' {lock}", &[]).await?;
        let hash: Option<(Option<String>,)> = self.optional("select hash from activity where seq = $1", args![seq]).await?;
        Ok((seq, hash.and_then(|(h,)| h).unwrap_or_default()))
    }

    /// Gives lines their places: id, seq, hash.
    pub async fn seal(&mut self, lines: &[(String, i64, String)]) -> Result<()> {
        let mut rows = Rows::new("v_id:t v_seq:i v_hash:t");
        lines.iter().for_each(|(id, seq, hash)| rows.push(&[id.as_str().into(), (*seq).into(), hash.as_str().into()]));
        let end = lines.last().map(|(_, seq, _)| *seq);
        self.exec_rows(
            "with v(v_id, v_seq, v_hash) as ({rows}) update activity as a set seq = v.v_seq, hash = v.v_hash from v where a.id = v.v_id and a.seq is null",
            rows,
            &[],
        )
        .await?;
        self.exec_one("update counters set value = $1 where name = 'activity'", args![end]).await
    }
}
