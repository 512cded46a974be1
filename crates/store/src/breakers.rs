//! What stops a mass suspension, and a mass charge: everything that is due is counted before the first of it is done.
//!
//! A breaker's row is the lock of all schedulers over its kind; it is taken before any wallet.

use leasehold_domain::{
    AccountId, LeaseId, Timestamp,
    breaker::{Kind, unexpected},
    dunning::Enforcement,
};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Result, Rows, Tx, When, args};

/// Which leases `l` came to the end of what is paid at such a time: they are renewed, or ended where they are cancelled.
macro_rules! fell_due {
    ($now:literal) => {
        concat!(
            "l.state = 'active' and l.paid_until <= ",
            $now,
            " and case when l.auto_renew then l.down_at is null and l.free_at is null else coalesce(l.protect_until, 0) <= ",
            $now,
            " end"
        )
    };
}
pub(crate) use fell_due;

/// A breaker.
#[derive(Clone, Debug, FromRow)]
pub struct Breaker {
    /// What it stops.
    #[sqlx(try_from = "String")]
    pub kind: Kind,
    /// Since when it does; none while it lets everything through.
    pub opened_at: Option<When>,
    /// How many were due when it was looked at last.
    pub due: i64,
    /// How many an operator let through that were not done yet.
    pub confirmed: i64,
}

/// How much is due of a kind, and how much was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Due now.
    pub due: i64,
    /// Done within the last 24 hours.
    pub done: i64,
    /// Leases that run, in all.
    pub running: i64,
}

/// Leases that came to the end of what is paid, and are to be renewed or ended now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renewals {
    /// All of them.
    pub due: i64,
    /// Those above twice the forecast of the day on which they fell due.
    pub unexpected: i64,
}

impl Tx {
    /// Whether anything of a kind is due to be taken away.
    pub async fn any_enforcement(&mut self, kind: Enforcement) -> Result<bool> {
        let sql = "select cast(count(*) as bigint) from (select 1 from enforcements where step = $1 and done_at is null limit 1) one";
        Ok(self.int(sql, args![kind.as_str()]).await? > 0)
    }

    /// Takes a breaker's lock.
    pub async fn lock_breaker(&mut self, kind: Kind) -> Result<Breaker> {
        self.exec("insert into breakers (kind, due, confirmed) values ($1, 0, 0) on conflict do nothing", args![kind.as_str()]).await?;
        self.one("select * from breakers where kind = $1 {lock}", args![kind.as_str()]).await
    }

    /// All breakers that were ever needed.
    pub async fn breakers(&mut self) -> Result<Vec<Breaker>> {
        self.all("select * from breakers order by kind", &[]).await
    }

    /// What is due of a kind, and what was done since `since`.
    pub async fn enforcement_load(&mut self, kind: Enforcement, since: Timestamp) -> Result<Load> {
        let due = self.int("select count(*) from enforcements where step = $1 and done_at is null", args![kind.as_str()]).await?;
        let done = self.int("select count(*) from enforcements where step = $1 and done_at > $2", args![kind.as_str(), since]).await?;
        Ok(Load { due, done, running: self.running_leases().await? })
    }

    /// Leases that run.
    pub async fn running_leases(&mut self) -> Result<i64> {
        self.int("select count(*) from leases where state in ('active', 'past_due', 'suspended')", &[]).await
    }

    /// The leases that fell due, of accounts that became due after `after` and until `until`. One that begins anew is never unexpected.
    pub async fn renewals_due(&mut self, after: Timestamp, until: Timestamp) -> Result<Renewals> {
        let sql = concat!(
            "with d(day, due, anew) as (select l.paid_until / 86400000, count(*), count(case when l.anchor_at = l.paid_until then 1 end) from wallets w join leases l on l.account_id = w.account_id \
             where w.settle_at > $1 and w.settle_at <= $2 and ",
            fell_due!("$2"),
            " group by 1) select d.due, d.anew, coalesce(f.renewals, 0) from d left join forecasts f on f.day = d.day"
        );
        let days: Vec<(i64, i64, i64)> = self.all(sql, args![after, until]).await?;
        let due = days.iter().map(|(due, ..)| due).sum();
        Ok(Renewals { due, unexpected: days.iter().map(|(due, anew, forecast)| unexpected(due - anew, *forecast)).sum() })
    }

    /// Whether an account has to wait: it has leases that fell due, and the breaker stops renewals.
    pub(crate) async fn renewals_wait(&mut self, account: &AccountId) -> Result<bool> {
        let sql = concat!(
            "select count(*) from breakers where kind = 'renewal' and opened_at is not null \
             and exists (select 1 from leases l where l.account_id = $1 and ",
            fell_due!("$2"),
            ")"
        );
        let now = self.now;
        Ok(self.int(sql, args![account, now]).await? > 0)
    }

    /// How many leases will fall due on which day.
    pub async fn renewals_ahead(&mut self) -> Result<Vec<(i64, i64)>> {
        self.all("select paid_until / 86400000, count(*) from leases where state = 'active' and paid_until is not null group by 1", &[]).await
    }

    /// Whether nothing was forecast yet on this day or a later one.
    pub async fn no_forecast_on(&mut self, day: i64) -> Result<bool> {
        Ok(self.int("select count(*) from counters where name = 'forecast_on' and value >= $1", args![day]).await? == 0)
    }

    /// Keeps a forecast, made on this day, in the place of the one before.
    pub async fn forecast_renewals(&mut self, on: i64, ahead: &[(i64, i64)]) -> Result<()> {
        self.lock_breaker(Kind::Renewal).await?;
        self.exec("delete from forecasts", &[]).await?;
        let mut rows = Rows::new("v_day:i v_renewals:i");
        ahead.iter().for_each(|(day, renewals)| rows.push(&[(*day).into(), (*renewals).into()]));
        let sql = "with v(v_day, v_renewals) as ({rows}) insert into forecasts (day, renewals) select v_day, v_renewals from v";
        self.exec_rows(sql, rows, &[]).await?;
        let sql = "insert into counters (name, value) values ('forecast_on', $1) on conflict (name) do update set value = $1";
        self.exec_one(sql, args![on]).await
    }

    /// Writes how a breaker stands.
    pub async fn save_breaker(&mut self, b: &Breaker) -> Result<()> {
        let sql = "update breakers set opened_at = $1, due = $2, confirmed = $3 where kind = $4";
        self.exec_one(sql, args![b.opened_at.map(|at| at.0), b.due, b.confirmed, b.kind.as_str()]).await
    }

    /// Whom a breaker is about, the oldest first: server, account number, since when.
    pub async fn concerned(&mut self, kind: Kind, limit: i64) -> Result<Vec<(String, i64, i64)>> {
        let renewals = concat!(
            "select s.label, a.number, l.paid_until from leases l join servers s on s.id = l.server_id join accounts a on a.id = l.account_id where ",
            fell_due!("$1"),
            " order by l.paid_until limit $2"
        );
        let others = "select s.label, a.number, e.proposed_at from enforcements e join leases l on l.id = e.lease_id join servers s on s.id = l.server_id \
                      join accounts a on a.id = l.account_id where e.step = $1 and e.done_at is null order by e.proposed_at, s.label limit $2";
        let now = self.now;
        match kind {
            Kind::Renewal => self.all(renewals, args![now, limit]).await,
            _ => self.all(others, args![kind.as_str(), limit]).await,
        }
    }

    /// The leases that have waited longest to be taken away, and whose they are.
    pub async fn due_enforcements(&mut self, kind: Enforcement, limit: i64) -> Result<Vec<(LeaseId, AccountId)>> {
        let sql = "select e.lease_id, l.account_id from enforcements e join leases l on l.id = e.lease_id \
                   join wallets w on w.account_id = l.account_id and w.parked_at is null where e.step = $1 and e.done_at is null order by e.proposed_at, e.lease_id limit $2";
        let rows: Vec<(String, String)> = self.all(sql, args![kind.as_str(), limit]).await?;
        Ok(rows.into_iter().map(|(lease, account)| (lease.into(), account.into())).collect())
    }

    /// Forgets what turned out not to be due any more.
    pub async fn forget_enforcements(&mut self, kind: Enforcement, leases: &[LeaseId]) -> Result<()> {
        let rows = Rows::ids(leases.iter().map(LeaseId::as_str));
        let sql = "with v(v_id) as ({rows}) delete from enforcements where step = $2 and done_at is null and lease_id in (select v_id from v)";
        self.exec_rows(sql, rows, args![kind.as_str()]).await?;
        Ok(())
    }

    /// Whether no account became due after `after` and until `until`, nothing is to be taken away, and no breaker is open.
    pub async fn books_at_rest(&mut self, after: Timestamp, until: Timestamp) -> Result<bool> {
        let sql = "select count(*) from (select 1 as one where exists (select 1 from wallets where settle_at > $1 and settle_at <= $2) \
                   or exists (select 1 from enforcements where done_at is null) or exists (select 1 from breakers where opened_at is not null)) due";
        Ok(self.int(sql, args![after, until]).await? == 0)
    }

    /// Whether an account became due after `after` and until `until`; also one that somebody is working on.
    pub async fn any_account_due(&mut self, after: Timestamp, until: Timestamp) -> Result<bool> {
        let sql = "select cast(count(*) as bigint) from (select 1 from wallets where settle_at > $1 and settle_at <= $2 limit 1) one";
        Ok(self.int(sql, args![after, until]).await? > 0)
    }
}
