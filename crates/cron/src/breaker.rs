//! The breakers: what is due is counted before the first of it is done, and above a limit a person is asked.

use leasehold_domain::{
    Timestamp,
    breaker::{Kind, Limits},
};
use leasehold_store::{
    Result, Store, Tx, When,
    breakers::{Breaker, Renewals},
};

/// Opens a breaker when what is due does not fit, and closes it when it does. How many an operator let through of what an open one
/// stops; none while it is closed. The caller holds its lock, and counted under it.
pub(crate) async fn judge(tx: &mut Tx, mut breaker: Breaker, due: i64, fits: bool, why: impl FnOnce() -> String) -> Result<Option<i64>> {
    let subject = format!("breaker:{}", breaker.kind);
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

/// From when on is looked while it is open: whoever opened it may have looked further back.
const EVER: Timestamp = Timestamp::from_millis(i64::MIN);

/// Whether leases may be renewed that became due after `after` and until `until`: not where many more are due than were forecast, for
/// then an import is wrong. An operator lets all of them through or none; a few that fell due since are no reason to wait.
pub(crate) async fn renewals_may_go(store: &Store, after: Timestamp, until: Timestamp) -> Result<bool> {
    let mut tx = store.read().await?;
    let limits = Limits::of(&tx.policies(std::iter::empty()).await?.system(), Kind::Renewal);
    let open = tx.breakers().await?.iter().any(|b| b.kind == Kind::Renewal && b.opened_at.is_some());
    if !open && tx.renewals_due(after, until).await?.unexpected <= limits.count {
        return Ok(true);
    }
    let limit = limits.limit(tx.running_leases().await?);
    drop(tx);
    let mut tx = store.begin().await?;
    // Counted under the lock, so that two schedulers do not judge by what each saw before the other.
    let breaker = tx.lock_breaker(Kind::Renewal).await?;
    let Renewals { due, unexpected } = tx.renewals_due(EVER, until).await?;
    let why = || {
        format!(
            "{due} leases are to be renewed or end, {unexpected} of them above twice the forecast of their day, more than {limit}: none of these accounts is settled. \
             Look at what was imported; if they are right: leasehold breaker confirm {} --count {due}",
            Kind::Renewal
        )
    };
    let passes = match judge(&mut tx, breaker, due, unexpected <= limit, &why).await? {
        None => true,
        Some(confirmed) if confirmed > 0 && due - confirmed <= limit => true,
        Some(_) => {
            tx.attend("breaker_open", &format!("breaker:{}", Kind::Renewal), &why()).await?;
            false
        }
    };
    tx.commit().await?;
    Ok(passes)
}
