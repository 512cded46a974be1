//! The breakers: what is due is counted before the first of it is done, and above a limit a person is asked.

use leasehold_domain::{
    Timestamp,
    breaker::{Kind, Limits},
};
use leasehold_store::{Result, Store, Tx, When};

/// Opens a breaker when what is due does not fit, and closes it when it does. How many an operator let through of what an open one
/// stops; none while it is closed.
pub(crate) async fn judge(tx: &mut Tx, kind: Kind, due: i64, fits: bool, why: impl FnOnce() -> String) -> Result<Option<i64>> {
    let mut breaker = tx.lock_breaker(kind).await?;
    let subject = format!("breaker:{kind}");
    if fits {
        if breaker.opened_at.take().is_some() {
            breaker.confirmed = 0;
            tx.save_breaker(&breaker).await?;
            tx.attended("breaker_open", &subject, "scheduler").await?;
        }
        return Ok(None);
    }
    if breaker.opened_at.is_none() {
        (breaker.opened_at, breaker.confirmed) = (Some(When(tx.now)), 0);
    }
    (breaker.due, breaker.confirmed) = (due, breaker.confirmed.min(due));
    tx.save_breaker(&breaker).await?;
    if breaker.confirmed == 0 {
        tx.attend("breaker_open", &subject, &why()).await?;
    }
    Ok(Some(breaker.confirmed))
}

/// Whether leases may be renewed that became due after `after` and until `until`: not where many more are due than were forecast, for
/// then a clock or an import is wrong. An operator lets all of them through or none.
pub(crate) async fn renewals_may_go(store: &Store, after: Timestamp, until: Timestamp) -> Result<bool> {
    let mut tx = store.read().await?;
    let renewals = tx.renewals_due(after, until).await?;
    let limits = Limits::of(&tx.policies(std::iter::empty()).await?.system(), Kind::Renewal);
    let open = tx.breakers().await?.iter().any(|b| b.kind == Kind::Renewal && b.opened_at.is_some());
    if renewals.unexpected <= limits.count && !open {
        return Ok(true);
    }
    let limit = limits.limit(tx.running_leases().await?);
    drop(tx);
    let mut tx = store.begin().await?;
    let (due, unexpected) = (renewals.due, renewals.unexpected);
    let why = || {
        format!(
            "{due} renewals are due, {unexpected} of them above twice the forecast of their day, more than {limit}: none of these accounts is charged. \
             Look at the clock and at what was imported; if they are right: leasehold breaker confirm {} --count {due}",
            Kind::Renewal
        )
    };
    let let_through = judge(&mut tx, Kind::Renewal, due, unexpected <= limit, why).await?;
    tx.commit().await?;
    Ok(let_through.is_none_or(|confirmed| confirmed >= due))
}
