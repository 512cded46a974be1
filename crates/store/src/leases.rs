//! Leases and their prices, read.

use std::collections::{BTreeMap, HashMap};

use leasehold_domain::{
    Currency, LeaseId, Money, Percent, ServerId, Timestamp,
    lease::{Cycle, Lease, LeaseLine, LeaseState},
    price::{Line, LineKind},
};
use sqlx::FromRow;

use crate::{Result, Rows, StoreError, Tx, When, args};

#[derive(FromRow)]
pub(crate) struct LeaseRow {
    pub(crate) id: String,
    account_id: String,
    server_id: String,
    #[sqlx(try_from = "String")]
    state: LeaseState,
    #[sqlx(try_from = "String")]
    cycle: Cycle,
    price: i64,
    currency: String,
    zone: String,
    anchor_at: Option<When>,
    anchor_no: i64,
    period_no: i64,
    paid_until: Option<When>,
    decide_at: Option<When>,
    auto_renew: bool,
    protect_until: Option<When>,
    suspended_at: Option<When>,
    off_at: Option<When>,
    waived_at: Option<When>,
    down_at: Option<When>,
    free_at: Option<When>,
}

impl TryFrom<LeaseRow> for Lease {
    type Error = StoreError;
    fn try_from(r: LeaseRow) -> Result<Self> {
        let at = |when: Option<When>| when.map(|at| at.0);
        Ok(Self {
            id: r.id.into(),
            account: r.account_id.into(),
            server: r.server_id.into(),
            state: r.state,
            cycle: r.cycle,
            price: Money::new(r.price, r.currency.parse()?),
            zone: r.zone,
            anchor_at: at(r.anchor_at),
            anchor_no: r.anchor_no,
            period_no: r.period_no,
            paid_until: at(r.paid_until),
            decide_at: at(r.decide_at),
            auto_renew: r.auto_renew,
            protect_until: at(r.protect_until),
            suspended_at: at(r.suspended_at),
            off_at: at(r.off_at),
            waived_at: at(r.waived_at),
            down_at: at(r.down_at),
            free_at: at(r.free_at),
        })
    }
}

#[derive(FromRow)]
struct LineRow {
    lease_id: String,
    no: i64,
    #[sqlx(try_from = "String")]
    kind: LineKind,
    description: String,
    amount: i64,
    from_period: i64,
    until_period: Option<i64>,
    addon: Option<String>,
}

/// A rate as it is stored.
pub(crate) fn rate(thousandths: i64) -> Result<Percent> {
    Percent::try_from(thousandths).map_err(|e| StoreError::Broken(format!("a rate of tax: {e}")))
}

/// Where the notices of a charge are kept together.
pub(crate) fn charge_key(lease: &LeaseId, no: i64) -> String {
    format!("{lease}:{no}")
}

impl Tx {
    /// The lease behind a server.
    pub async fn lease_of(&mut self, server: &ServerId) -> Result<Option<Lease>> {
        self.optional::<LeaseRow>("select * from leases where server_id = $1", args![server]).await?.map(TryInto::try_into).transpose()
    }

    /// What these leases cost, in the order of their lines.
    pub(crate) async fn lease_lines(&mut self, leases: impl Iterator<Item = &Lease>) -> Result<HashMap<LeaseId, Vec<LeaseLine>>> {
        let currencies: BTreeMap<LeaseId, Currency> = leases.map(|l| (l.id.clone(), l.price.currency)).collect();
        let rows = Rows::ids(currencies.keys().map(LeaseId::as_str));
        let sql = "with v(v_id) as ({rows}) select n.lease_id, n.no, n.kind, n.description, n.amount, n.from_period, n.until_period, n.addon \
                   from v join lease_lines n on n.lease_id = v.v_id";
        let mut rows: Vec<LineRow> = self.all_rows_on("", sql, rows, &[]).await?;
        rows.sort_by_key(|r| r.no);
        let mut lines: HashMap<LeaseId, Vec<LeaseLine>> = HashMap::new();
        for r in rows {
            let lease = LeaseId(r.lease_id);
            let currency = *currencies.get(&lease).ok_or_else(|| StoreError::not_found("lease", &lease))?;
            let line = Line { kind: r.kind, description: r.description, amount: Money::new(r.amount, currency) };
            lines.entry(lease).or_default().push(LeaseLine { line, from_period: r.from_period, until_period: r.until_period, addon: r.addon });
        }
        Ok(lines)
    }

    /// Writes more lines of a lease; the number of the first. Under the account's lock.
    pub(crate) async fn append_lease_lines(&mut self, lease: &LeaseId, lines: &[LeaseLine]) -> Result<i64> {
        let first = self.int("select coalesce(max(no), 0) + 1 from lease_lines where lease_id = $1", args![lease]).await?;
        for (no, l) in (first..).zip(lines) {
            let sql =
                "insert into lease_lines (lease_id, no, kind, description, amount, from_period, until_period, addon) values ($1, $2, $3, $4, $5, $6, $7, $8)";
            let (kind, amount) = (l.line.kind.as_str(), l.line.amount.minor);
            self.exec_one(sql, args![lease, no, kind, &l.line.description, amount, l.from_period, l.until_period, l.addon.clone()]).await?;
        }
        Ok(first)
    }

    /// The span of the period that was charged last.
    pub async fn charged_span(&mut self, lease: &Lease) -> Result<(Timestamp, Timestamp)> {
        let sql = "select from_at, until_at from charges where lease_id = $1 and kind = 'period' and no = $2";
        let (from, until): (i64, i64) = self.one(sql, args![&lease.id, lease.period_no]).await?;
        Ok((Timestamp::from_millis(from), Timestamp::from_millis(until)))
    }

    /// Nothing is taken away before `until`. Under the account's lock.
    pub async fn protect_lease(&mut self, lease: &Lease, until: Option<Timestamp>) -> Result<()> {
        self.exec_one("update leases set protect_until = $1 where id = $2", args![until, &lease.id]).await?;
        let now = self.now;
        self.look_at_lease(lease, now).await
    }

    /// A suspended lease is past due again until then. The time that its server was off moves its open charge on: it is not paid for.
    /// Under the account's lock.
    pub async fn put_off_suspension(&mut self, lease: &Lease, until: Timestamp) -> Result<()> {
        let now = self.now;
        self.tell_suspension_anew(&charge_key(&lease.id, lease.period_no)).await?;
        let off = now.since(lease.suspended_at.unwrap_or(now)).as_millis() as i64;
        let sql = "update charges set from_at = from_at + $1, until_at = until_at + $1 where lease_id = $2 and state = 'open'";
        self.exec_one(sql, args![off, &lease.id]).await?;
        let sql = "update leases set state = 'past_due', suspended_at = null, off_at = null, waived_at = null, protect_until = $1, anchor_no = period_no + 1, \
                   anchor_at = (select c.until_at from charges c where c.lease_id = leases.id and c.state = 'open') where id = $2 and state = 'suspended'";
        self.exec_one(sql, args![until, &lease.id]).await?;
        self.look_at_lease(lease, now).await
    }

    /// Whether the lease goes on after what is paid. Under the account's lock.
    pub async fn set_auto_renew(&mut self, lease: &Lease, auto_renew: bool) -> Result<()> {
        self.exec_one("update leases set auto_renew = $1 where id = $2", args![auto_renew, &lease.id]).await?;
        let now = self.now;
        self.look_at_lease(lease, now).await
    }

    /// An operator answers for notices about a lease that could not be delivered. Under the account's lock.
    pub async fn waive_notices(&mut self, lease: &Lease) -> Result<()> {
        let now = self.now;
        if self.exec("update leases set waived_at = $1 where id = $2 and state = 'suspended'", args![now, &lease.id]).await? == 1 {
            self.look_at_lease(lease, now).await?;
        }
        Ok(())
    }

    /// Sets when a lease is to be looked at, and its account with it. Under the account's lock.
    pub async fn look_at_lease(&mut self, lease: &Lease, at: Timestamp) -> Result<()> {
        self.exec("update leases set decide_at = $1 where id = $2 and state in ('active', 'past_due', 'suspended')", args![at, &lease.id]).await?;
        let sql = "update wallets set settle_at = $1 where account_id = $2 and parked_at is null and (settle_at is null or settle_at > $1)";
        self.exec(sql, args![at, &lease.account]).await?;
        Ok(())
    }
}
