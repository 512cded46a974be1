//! The statement of an account: what moved its wallet, and the balance before and after. A movement counts from when it was posted;
//! what is only held moves nothing yet.

use std::collections::HashMap;

use leasehold_domain::{AccountId, Money, Timestamp, ledger::wallet_account};
use sqlx::FromRow;

use crate::{Page, Result, Rows, Tx, args};

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
    /// What it paid, if it paid for a server.
    pub paid: Option<Paid>,
}

/// What a movement paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The server's label.
    pub label: String,
    /// The days that it paid for, the second exclusive, in the lease's zone.
    pub days: (String, String),
    /// The number of its invoice; none for what cost nothing.
    pub invoice: Option<String>,
}

impl Movement {
    /// What it was for, in one line: what it paid, else what an operator said.
    pub fn description(&self) -> Option<String> {
        let paid = self.paid.as_ref().map(|p| {
            let invoice = p.invoice.as_ref().map_or_else(String::new, |number| format!(", invoice {number}"));
            format!("{}, {} to {}{invoice}", p.label, p.days.0, p.days.1)
        });
        match (paid, &self.reason) {
            (Some(paid), Some(reason)) => Some(format!("{paid}: {reason}")),
            (paid, reason) => paid.or_else(|| reason.clone()),
        }
    }
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
            movements.push(Movement {
                at: r.at,
                code: r.code,
                amount: money(r.amount),
                balance: money(balance),
                reason: r.reason,
                reference: r.reference,
                paid: None,
            });
            balance -= r.amount;
        }
        movements.reverse();
        self.say_what_was_paid(account, &mut movements.iter_mut().collect::<Vec<_>>()).await?;
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
            (id, Movement { at: r.at, code: r.code, amount: money(r.amount), balance: money(balance), reason: r.reason, reference: r.reference, paid: None })
        };
        let mut movements: Vec<Numbered> = rows.into_iter().map(movement).collect();
        self.say_what_was_paid(account, &mut movements.iter_mut().map(|(_, m)| m).collect::<Vec<_>>()).await?;
        Ok(movements)
    }

    /// Of movements that paid a charge: for which server and days, and on which invoice.
    async fn say_what_was_paid(&mut self, account: &AccountId, movements: &mut [&mut Movement]) -> Result<()> {
        let sql = "with v(v_id) as ({rows}) select c.transfer, c.lease_id, c.no, c.from_at, c.until_at, l.zone, s.label from v cross join charges c \
                   join leases l on l.id = c.lease_id join servers s on s.id = l.server_id where c.transfer = v.v_id and l.account_id = $2";
        let charges: Vec<Charged> = self.all_rows_on("", sql, Rows::ids(movements.iter().map(|m| m.reference.as_str())), args![account]).await?;
        let (Some(first), Some(last)) = (movements.iter().map(|m| m.at).min(), movements.iter().map(|m| m.at).max()) else { return Ok(()) };
        let sql = "select i.series, i.number, n.lease_id, n.charge_no, n.from_at from invoices i join invoice_lines n on n.invoice_id = i.id \
                   where i.account_id = $1 and i.kind = 'invoice' and i.created_at >= $2 and i.created_at <= $3";
        let lines: Vec<(String, i64, String, i64, i64)> = self.all(sql, args![account, first, last]).await?;
        let invoices: HashMap<(&str, i64, i64), String> =
            lines.iter().map(|(series, number, lease, no, from)| ((lease.as_str(), *no, *from), format!("{series}-{number:06}"))).collect();
        let mut by_reference: HashMap<String, &mut Movement> = movements.iter_mut().map(|m| (m.reference.clone(), &mut **m)).collect();
        for c in charges {
            let number = invoices.get(&(c.lease_id.as_str(), c.no, c.from_at.as_millis())).cloned();
            let days = (c.from_at.day_in(&c.zone), c.until_at.day_in(&c.zone));
            if let Some(m) = by_reference.get_mut(&c.transfer) {
                m.paid = Some(Paid { label: c.label, days, invoice: number });
            }
        }
        Ok(())
    }
}

#[derive(FromRow)]
struct Charged {
    transfer: String,
    lease_id: String,
    no: i64,
    #[sqlx(try_from = "i64")]
    from_at: Timestamp,
    #[sqlx(try_from = "i64")]
    until_at: Timestamp,
    zone: String,
    label: String,
}
