//! Taking servers away: nothing is, before all that is due has been counted, and not more than the breaker lets through.

use std::{collections::BTreeSet, time::Duration};

use leasehold_domain::{
    AccountId, LeaseId, Timestamp,
    breaker::Limits,
    decision::Permits,
    dunning::Enforcement::{self, Suspension, Termination},
};
use leasehold_store::{Result, Store, Tx, settle::Settled};

use crate::{breaker::judge, settle};

/// What is taken away, in the order in which it is looked at.
pub(crate) const STEPS: &[Enforcement] = &[Termination, Suspension];
/// Leases in one transaction.
const BATCH: i64 = 200;
/// What was done for so long counts.
const DAY: Duration = Duration::from_hours(24);

/// Carries out what is due of one kind, once nobody is still at work on an account that was due when the tick began.
pub(crate) async fn run(store: &Store, step: Enforcement, after: Timestamp, began: Timestamp) -> Result<Settled> {
    let mut settled = Settled::default();
    loop {
        let mut tx = store.read().await?;
        if !tx.any_enforcement(step).await? {
            let open = tx.breakers().await?.iter().any(|b| b.kind == step.into() && b.opened_at.is_some());
            drop(tx);
            if open {
                let mut tx = store.begin().await?;
                allowance(&mut tx, step).await?;
                tx.commit().await?;
            }
            return Ok(settled);
        }
        if tx.any_account_due(after, began).await? {
            return Ok(settled);
        }
        drop(tx);
        let done = some(store, step).await?;
        if done.enforced.is_empty() {
            return Ok(settled);
        }
        settled = settled.and(done);
    }
}

/// One batch under the breaker's lock.
async fn some(store: &Store, step: Enforcement) -> Result<Settled> {
    let mut tx = store.begin().await?;
    tx.trusted().await?;
    let allowed = allowance(&mut tx, step).await?;
    if allowed == 0 {
        tx.commit().await?;
        return Ok(Settled::default());
    }
    let due = tx.due_enforcements(step, allowed.min(BATCH)).await?;
    let (leases, accounts): (Vec<LeaseId>, Vec<AccountId>) = due.into_iter().unzip();
    let accounts: Vec<AccountId> = accounts.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let claimed = tx.claim_accounts(&accounts).await?;
    let all_claimed = claimed.accounts().len() == accounts.len();
    let permits = Permits::Only(step, leases.iter().cloned().collect());
    let tried = leases.len() as i64;
    let settled = match tx.settle(claimed, &permits).await {
        Ok(settled) => settled,
        Err(error) if error.is_outage() && !error.is_cut_short() => return Err(error),
        Err(_) => {
            drop(tx.rollback().await);
            return one_by_one(store, step, &accounts, &permits, tried).await;
        }
    };
    // What was allowed and not done was not due any more; it is proposed again when it is.
    if all_claimed {
        let stale: Vec<LeaseId> = leases.into_iter().filter(|l| !settled.enforced.contains(l)).collect();
        tx.forget_enforcements(step, &stale).await?;
    }
    used_up(&mut tx, step, tried).await?;
    leasehold_store::crash::point("enforce.before_commit").await;
    tx.commit().await?;
    Ok(settled)
}

/// Of what an operator let through, so much was tried: nobody else goes through in its place.
async fn used_up(tx: &mut Tx, step: Enforcement, tried: i64) -> Result<()> {
    let mut breaker = tx.lock_breaker(step.into()).await?;
    if breaker.opened_at.is_some() {
        breaker.confirmed = (breaker.confirmed - tried).max(0);
        tx.save_breaker(&breaker).await?;
    }
    Ok(())
}

/// A batch in which one account fails: each alone, the one that fails is put aside.
async fn one_by_one(store: &Store, step: Enforcement, accounts: &[AccountId], permits: &Permits, tried: i64) -> Result<Settled> {
    let mut tx = store.begin().await?;
    tx.trusted().await?;
    used_up(&mut tx, step, tried).await?;
    tx.commit().await?;
    let mut settled = Settled::default();
    for account in accounts {
        let mut tx = store.begin().await?;
        tx.trusted().await?;
        let claimed = tx.claim_accounts(std::slice::from_ref(account)).await?;
        settled = settled.and(match settle::write(tx, claimed, permits).await {
            Err(error) if !error.is_outage() || error.is_cut_short() => settle::settle_halves(store, std::slice::from_ref(account), error).await?,
            done => done?,
        });
    }
    Ok(settled)
}

/// How many may be taken away now.
async fn allowance(tx: &mut Tx, step: Enforcement) -> Result<i64> {
    // The lock comes first: others count what they did under it.
    let breaker = tx.lock_breaker(step.into()).await?;
    let load = tx.enforcement_load(step, tx.now - DAY).await?;
    let limit = Limits::of(&tx.policies(std::iter::empty()).await?.system(), step.into()).limit(load.running);
    let (due, done) = (load.due, load.done);
    let why = || {
        format!(
            "{due} {step}s are due at once and {done} were done within a day, more than {limit}: none is done. See who: leasehold breaker show; \
             if they are right: leasehold breaker confirm {step} --count {due}"
        )
    };
    let let_through = judge(tx, breaker, due, due == 0 || due + done <= limit, why).await?;
    Ok(let_through.unwrap_or(due))
}
