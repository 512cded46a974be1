//! The statement of an account: what moved its wallet, and the balance before and after. A movement counts from when it was posted;
//! what is only held moves nothing yet.

use leasehold_domain::{AccountId, Money, Timestamp, ledger::wallet_account};
use sqlx::FromRow;

use crate::{Page, Result, Tx, args};

/// One movement of a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// When it was posted.
    pub at: Timestamp,
    /// What for.
    pub code: String,
    /// By how much the balance rose; negative where it fell.
    pub amount: Money,
    /// The balance after it.
    pub balance: Money,
    /// Why, in an operator's words.
    pub reason: Option<String>,
    /// Unique for ever.
    pub reference: String,
}

/// What moved a wallet within a time, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The balance before the first movement that is listed.
    pub opening: Money,
    /// The movements.
    pub movements: Vec<Movement>,
    /// The balance after the last.
    pub closing: Money,
}

#[derive(FromRow)]
struct Row {
    #[sqlx(try_from = "i64")]
    at: Timestamp,
    code: String,
    amount: i64,
    reason: Option<String>,
    reference: String,
}

/// A movement with its id, which says nothing.
pub type Numbered = (String, Movement);

#[derive(FromRow)]
struct Balanced {
    id: String,
    #[sqlx(flatten)]
    row: Row,
    balance: i64,
}

impl Tx {
    /// The last `limit` movements from `from` on and before `until`.
    pub async fn statement(&mut self, account: &AccountId, from: Timestamp, until: Timestamp, limit: i64) -> Result<Statement> {
        let (own, currency) = (wallet_account(account), self.wallet(account).await?.posted.currency);
        let money = |minor| Money::new(minor, currency);
        let sum = "select coalesce(cast(sum(case when credit = $2 then amount else -amount end) as bigint), 0) from transfers \
                   where wallet = $1 and $2 in (debit, credit) and state = 'posted' and coalesce(resolved_at, created_at) < $3";
        let closing = self.int(sum, args![account, &own, until]).await?;
        let sql = "select coalesce(resolved_at, created_at) as at, code, case when credit = $2 then amount else -amount end as amount, reason, reference \
                   from transfers where wallet = $1 and $2 in (debit, credit) and state = 'posted' and coalesce(resolved_at, created_at) >= $3 and coalesce(resolved_at, created_at) < $4 \
                   order by at desc, id desc limit $5";
        let rows: Vec<Row> = self.all(sql, args![account, &own, from, until, limit]).await?;
        let mut balance = closing;
        let mut movements = Vec::with_capacity(rows.len());
        for r in rows {
            movements.push(Movement { at: r.at, code: r.code, amount: money(r.amount), balance: money(balance), reason: r.reason, reference: r.reference });
            balance -= r.amount;
        }
        movements.reverse();
        Ok(Statement { opening: money(balance), movements, closing: money(closing) })
    }

    /// What moved a wallet, newest first.
    pub async fn movements(&mut self, account: &AccountId, page: Page) -> Result<Vec<Numbered>> {
        let (own, currency) = (wallet_account(account), self.wallet(account).await?.posted.currency);
        let sql = "select * from (select coalesce(resolved_at, created_at) as at, id, code, case when credit = $2 then amount else -amount end as amount, reason, reference, \
                   cast(sum(case when credit = $2 then amount else -amount end) over (order by coalesce(resolved_at, created_at), id) as bigint) as balance \
                   from transfers where wallet = $1 and $2 in (debit, credit) and state = 'posted') m order by at desc, id desc limit $3 offset $4";
        let rows: Vec<Balanced> = self.all(sql, args![account, &own, page.most(), page.skip]).await?;
        let money = |minor| Money::new(minor, currency);
        let movement = |Balanced { id, row: r, balance }| {
            (id, Movement { at: r.at, code: r.code, amount: money(r.amount), balance: money(balance), reason: r.reason, reference: r.reference })
        };
        Ok(rows.into_iter().map(movement).collect())
    }
}
