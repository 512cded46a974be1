//! What needs a person: one list, each matter open once.

use leasehold_domain::Timestamp;
use sqlx::FromRow;

use crate::{Page, Result, StoreError, Tx, When, args};

/// A matter.
#[derive(Clone, Debug, FromRow)]
pub struct Attention {
    /// Its id.
    pub id: String,
    /// `build_failed`, `mail_dead`, `node_unreachable`, `drift`, `parked`, `agent_missing`, `audit`…
    pub kind: String,
    /// What it is about: `server:<id>`, `mail:<id>`, `node:<id>`.
    pub subject: String,
    /// For people: what, why, and what to do.
    pub detail: String,
    /// When it came up.
    #[sqlx(try_from = "i64")]
    pub opened_at: Timestamp,
    /// When it was done with.
    pub closed_at: Option<When>,
    /// By whom.
    pub closed_by: Option<String>,
}

/// How many matters of a kind are open.
#[derive(Clone, Debug, FromRow)]
pub struct AttentionCount {
    /// The kind.
    pub kind: String,
    /// How many.
    pub open: i64,
    /// When the oldest of them came up.
    pub oldest_at: Option<When>,
}

impl Tx {
    /// Opens a matter; while one of that kind and subject is open, only its text is brought up to date.
    pub async fn attend(&mut self, kind: &str, subject: &str, detail: &str) -> Result<()> {
        let (id, now) = (self.new_id(), self.now);
        let sql = "insert into attention (id, kind, subject, detail, dedup_key, opened_at) values ($1, $2, $3, $4, $5, $6) \
                   on conflict (dedup_key) where closed_at is null do update set detail = excluded.detail";
        self.exec(sql, args![id, kind, subject, detail, format!("{kind}:{subject}"), now]).await?;
        Ok(())
    }

    /// Closes the matter of that kind and subject, if one is open.
    pub async fn attended(&mut self, kind: &str, subject: &str, by: &str) -> Result<()> {
        let now = self.now;
        let sql = "update attention set closed_at = $1, closed_by = $2 where dedup_key = $3 and closed_at is null";
        self.exec(sql, args![now, by, format!("{kind}:{subject}")]).await?;
        Ok(())
    }

    /// Closes one matter by its id.
    pub async fn close_attention(&mut self, id: &str, by: &str) -> Result<()> {
        let now = self.now;
        let sql = "update attention set closed_at = $1, closed_by = $2 where id = $3 and closed_at is null";
        match self.exec(sql, args![now, by, id]).await? {
            0 => Err(StoreError::not_found("open attention", id)),
            _ => Ok(()),
        }
    }

    /// Matters, newest first; the closed ones only when asked for.
    pub async fn attention(&mut self, closed_too: bool, page: impl Into<Page>) -> Result<Vec<Attention>> {
        let page = page.into();
        let sql = "select * from attention where $1 or closed_at is null order by id desc limit $2 offset $3";
        self.all(sql, args![closed_too, page.most(), page.skip]).await
    }

    /// The open matters of one subject, the oldest first.
    pub async fn attention_of(&mut self, subject: &str) -> Result<Vec<Attention>> {
        self.all("select * from attention where subject = $1 and closed_at is null order by id", args![subject]).await
    }

    /// One matter.
    pub async fn attention_by_id(&mut self, id: &str) -> Result<Attention> {
        self.optional("select * from attention where id = $1", args![id]).await?.ok_or_else(|| StoreError::not_found("attention", id))
    }

    /// Open matters that no digest has told of.
    pub async fn untold_attention(&mut self, limit: i64) -> Result<Vec<Attention>> {
        self.all("select * from attention where closed_at is null and mailed_at is null order by id limit $1", args![limit]).await
    }

    /// Remembers that a digest tells of everything open up to `last`.
    pub async fn attention_told(&mut self, last: &str) -> Result<()> {
        let now = self.now;
        self.exec("update attention set mailed_at = $1 where mailed_at is null and closed_at is null and id <= $2", args![now, last]).await?;
        Ok(())
    }

    /// How many matters are open, by kind.
    pub async fn attention_counts(&mut self) -> Result<Vec<AttentionCount>> {
        self.all("select kind, count(*) as open, min(opened_at) as oldest_at from attention where closed_at is null group by kind order by kind", &[]).await
    }
}
