//! Periods, derived once more from where a lease counts them: its anchor, its cycle and its zone.

use std::time::Duration;

use leasehold_domain::{
    Timestamp,
    lease::{Cycle, LeaseState},
    period::Anchor,
};
use sqlx::FromRow;

use super::Finding;
use crate::{Result, Tx, When, args};

/// By how much clocks are set forward for the summer.
const SUMMER_TIME: Duration = Duration::from_hours(1);
/// Leases that are looked at together.
const LEASES: i64 = 5_000;

#[derive(FromRow)]
struct LeaseRow {
    id: String,
    #[sqlx(try_from = "String")]
    state: LeaseState,
    #[sqlx(try_from = "i64")]
    anchor_at: Timestamp,
    anchor_no: i64,
    #[sqlx(try_from = "String")]
    cycle: Cycle,
    zone: String,
    period_no: i64,
    paid_until: Option<When>,
}

#[derive(FromRow)]
struct Period {
    lease_id: String,
    no: i64,
    #[sqlx(try_from = "i64")]
    from_at: Timestamp,
    #[sqlx(try_from = "i64")]
    until_at: Timestamp,
    full_until: Option<When>,
    state: String,
}

impl LeaseRow {
    fn anchor(&self) -> Anchor {
        Anchor { at: self.anchor_at, no: self.anchor_no, cycle: self.cycle, zone: self.zone.clone() }
    }

    /// Countries change their summer time: what was charged before keeps the hour that it had.
    fn slack(&self) -> Duration {
        if self.zone == "UTC" { Duration::ZERO } else { SUMMER_TIME }
    }

    /// What does not follow from the anchor, in words.
    fn wrong(&self, periods: &[Period]) -> Vec<String> {
        let anchor = self.anchor();
        let is = |at: Timestamp, no: i64| anchor.end_of(no).is_ok_and(|end| end.since(at).max(at.since(end)) <= self.slack());
        let mut wrong = Vec::new();
        for p in periods.iter().filter(|p| p.no >= self.anchor_no) {
            let whole = p.full_until.map_or(p.until_at, |at| at.0);
            if !is(p.from_at, p.no - 1) || !is(whole, p.no) {
                wrong.push(format!("period {} is {} to {}", p.no, p.from_at, whole));
            }
        }
        let open = periods.iter().find(|p| p.state == "open");
        let paid = self.paid_until.map(|at| at.0);
        let fits = match self.state {
            LeaseState::Active => paid.is_some_and(|at| is(at, self.period_no)),
            LeaseState::PastDue | LeaseState::Suspended => open.is_none_or(|p| paid.is_some_and(|at| at <= p.from_at)),
            LeaseState::Pending | LeaseState::Ended => true,
        };
        if !fits {
            wrong.push(format!("{}, paid until {}, period {}", self.state, paid.map_or_else(|| "never".into(), |at| at.to_string()), self.period_no));
        }
        wrong
    }
}

/// Charges and ends of what is paid that do not follow from the lease's anchor. Periods before the anchor moved are held together by the rule that
/// charges follow each other.
pub(super) async fn wrong(tx: &mut Tx) -> Result<Vec<Finding>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let sql = "select id, state, anchor_at, anchor_no, cycle, zone, period_no, paid_until from leases where id > $1 and anchor_at is not null order by id limit $2";
        let leases: Vec<LeaseRow> = tx.all(sql, args![&after, LEASES]).await?;
        let (Some(first), Some(last)) = (leases.first(), leases.last()) else { return Ok(found) };
        let sql = "select c.lease_id, c.no, c.from_at, c.until_at, c.full_until, c.state from charges c join leases l on l.id = c.lease_id \
                   where c.kind = 'period' and c.lease_id >= $1 and c.lease_id <= $2 and (c.no >= l.anchor_no or c.state = 'open') order by c.lease_id, c.no";
        let periods: Vec<Period> = tx.all(sql, args![&first.id, &last.id]).await?;
        let mut rest = periods.as_slice();
        for lease in &leases {
            let of_it = rest.iter().take_while(|p| p.lease_id == lease.id).count();
            let (its, others) = rest.split_at(of_it);
            rest = others;
            let finding = |detail| Finding { rule: "periods follow from the anchor, the cycle and the zone of their lease", subject: lease.id.clone(), detail };
            found.extend(lease.wrong(its).into_iter().map(finding));
        }
        after.clone_from(&last.id);
    }
}
