//! The settle tick: what is to be renewed is counted, and every account that is due is settled, in batches; then what is due to be
//! taken away is counted. Breakers stop what is too much.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use leasehold_domain::{AccountId, Timestamp, decision::Permits};
use leasehold_store::{Result, Store, StoreError, Tx, crash, settle::Settled};

use crate::{breaker, enforce, sanity};

/// Accounts in the first batch; while batches are quick, each takes twice as many as the one before.
const FIRST: i64 = 200;
const MOST: i64 = 2_000;
/// A batch that took less than this may grow, one that took more than twice as much shrinks: other writers wait behind it.
const QUICK: Duration = Duration::from_millis(250);

/// Nobody makes an account due further back than this: requests write their own time, and a statement ends within a minute.
const LATE: Duration = Duration::from_mins(3);
/// A day, as days are numbered.
const DAY_MS: i64 = 86_400_000;
/// How often everything is looked through all the same.
const FULL: Duration = Duration::from_mins(10);

/// What settles; one a scheduler. Cloning shares it.
///
/// It remembers up to when nothing was due any more, so that a tick does not walk over what ticks before it took off the index and
/// the database has not cleared away yet.
#[derive(Clone, Debug)]
pub struct Settler {
    store: Store,
    /// Asked after a jump only.
    synchronised: fn() -> bool,
    drained: Arc<Mutex<Drained>>,
}

#[derive(Clone, Debug, Default)]
struct Drained {
    until: Timestamp,
    looked_through_at: Timestamp,
    /// The day of the last forecast that this process knows of.
    forecast_on: Option<i64>,
}

/// Settles all that is due, once.
pub async fn run(store: &Store) -> Result<Settled> {
    Settler::new(store.clone()).run().await
}

impl Settler {
    /// One that has seen nothing yet.
    pub fn new(store: Store) -> Self {
        Self { store, synchronised: sanity::synchronised, drained: Arc::default() }
    }

    /// One that asks this whether the host's clock is kept right.
    #[must_use]
    pub fn trusting(self, synchronised: fn() -> bool) -> Self {
        Self { synchronised, ..self }
    }

    /// Whether the clock can be believed; one that cannot is on the attention list.
    pub(crate) async fn believes_the_clock(&self) -> Result<bool> {
        Ok(sanity::check(&self.store, self.synchronised).await?.is_none())
    }

    /// From when on to look, at such a time.
    fn after(&self, now: Timestamp) -> Timestamp {
        let mut drained = self.drained.lock().unwrap_or_else(PoisonError::into_inner);
        if now < drained.until || now.since(drained.looked_through_at) > FULL {
            (drained.until, drained.looked_through_at) = (Timestamp::from_millis(i64::MIN), now);
        }
        drained.until
    }

    /// Nothing is due any more that became due until then.
    fn drained_until(&self, began: Timestamp) {
        self.drained.lock().unwrap_or_else(PoisonError::into_inner).until = began - LATE;
    }

    /// Settles all that is due, then takes away what may be.
    pub async fn run(&self) -> Result<Settled> {
        let store = &self.store;
        if store.read().await?.is_restored().await? {
            tracing::warn!("nothing is settled: the books were restored and not released");
            return Ok(Settled::default());
        }
        if let Some(bad) = sanity::check(store, self.synchronised).await? {
            tracing::error!(%bad, "nothing is settled");
            store.pulse().hindered("clock", Some(&bad));
            return Ok(Settled::default());
        }
        let began = store.clock().now();
        let after = self.after(began);
        let mut settled = Settled::default();
        if store.read().await?.books_at_rest(after, began).await? {
            self.drained_until(began);
        } else {
            settled = self.settle(after, began).await?;
            for step in enforce::STEPS {
                settled = settled.and(enforce::run(store, *step, after, began).await?);
            }
        }
        if settled.accounts > 0 {
            let mut tx = store.begin().await?;
            if tx.slow_accounts_settled().await? > 0 {
                tx.commit().await?;
            }
        }
        self.forecast(after, began, settled.accounts as i64 >= FIRST).await?;
        Ok(settled)
    }

    async fn settle(&self, after: Timestamp, began: Timestamp) -> Result<Settled> {
        let (store, mut settled, mut batch) = (&self.store, Settled::default(), FIRST);
        let renewals = breaker::renewals_may_go(store, after, began).await?;
        while store.read().await?.any_account_due(after, began).await? {
            // A rule of the house that cannot be read is nobody's account's fault.
            store.read().await?.policies(std::iter::empty()).await?;
            let started = Instant::now();
            let done = settle_batch(store, after, batch, renewals).await?;
            if done.accounts == 0 {
                // Others are at work on what is left, or it waits for an operator.
                return Ok(settled);
            }
            settled = settled.and(done);
            batch = match started.elapsed() {
                quick if quick < QUICK => (batch * 2).min(MOST),
                slow if slow > QUICK * 2 => (batch / 2).max(FIRST),
                _ => batch,
            };
        }
        self.drained_until(began);
        if settled.accounts as i64 > MOST {
            store.give_memory_back().await?;
        }
        Ok(settled)
    }

    /// Once a day, and after much was settled, when nothing is due: how much will fall due when.
    async fn forecast(&self, after: Timestamp, began: Timestamp, much: bool) -> Result<()> {
        let today = began.as_millis().div_euclid(DAY_MS);
        let known = || self.drained.lock().unwrap_or_else(PoisonError::into_inner);
        if known().forecast_on == Some(today) && !much {
            return Ok(());
        }
        let mut tx = self.store.read().await?;
        let made = !much && !tx.no_forecast_on(today).await?;
        if !made {
            if tx.any_account_due(after, began).await? {
                return Ok(());
            }
            let ahead = tx.renewals_ahead().await?;
            drop(tx);
            let mut tx = self.store.begin().await?;
            tx.forecast_renewals(today, &ahead).await?;
            tx.commit().await?;
        }
        known().forecast_on = Some(today);
        Ok(())
    }
}

async fn settle_batch(store: &Store, after: Timestamp, limit: i64, renewals: bool) -> Result<Settled> {
    let mut tx = store.begin().await?;
    tx.trusted().await?;
    let claimed = tx.claim_due(after, limit, renewals).await?;
    if claimed.is_empty() {
        return Ok(Settled::default());
    }
    let accounts = claimed.accounts();
    match write(tx, claimed, &Permits::None).await {
        Err(error) if !error.is_outage() || error.is_cut_short() => settle_halves(store, &accounts, error).await,
        done => done,
    }
}

/// Commits a settlement, with the crash points around it.
pub(crate) async fn write(mut tx: Tx, claimed: leasehold_store::settle::Claimed, permits: &Permits) -> Result<Settled> {
    crash::point("settle.before_write").await;
    let settled = match tx.settle(claimed, permits).await {
        Ok(settled) => settled,
        Err(error) => {
            // Whoever asks for these accounts next finds them free.
            drop(tx.rollback().await);
            return Err(error);
        }
    };
    crash::point("settle.before_commit").await;
    tx.commit().await?;
    crash::point("settle.committed").await;
    for (verb, n) in &settled.verbs {
        metrics::counter!("leasehold_decisions_total", "what" => verb.as_str()).increment(*n as u64);
    }
    Ok(settled)
}

/// How long an account waits whose settlement takes longer than a statement may: everybody else's goes on.
const PUT_OFF: Duration = Duration::from_hours(1);

/// A batch that failed is halved until the account that fails stands alone; that one is put aside, the others go on.
pub(crate) async fn settle_halves(store: &Store, accounts: &[AccountId], error: StoreError) -> Result<Settled> {
    // Not for a schema that this program does not know: somebody upgraded the database under it.
    store.check_schema().await?;
    if let [account] = accounts {
        if error.is_cut_short() {
            tracing::error!(%account, %error, "the account takes too long and is put off");
            let mut tx = store.begin().await?;
            tx.trusted().await?;
            tx.put_off_account(account, PUT_OFF, &error.to_string()).await?;
            tx.commit().await?;
            return Ok(Settled { accounts: 1, ..Settled::default() });
        }
        if error.is_outage() {
            return Err(error);
        }
        tracing::error!(%account, %error, "the account is put aside");
        let mut tx = store.begin().await?;
        tx.trusted().await?;
        tx.park_account(account, &error.to_string()).await?;
        tx.commit().await?;
        return Ok(Settled { accounts: 1, ..Settled::default() });
    }
    let mut settled = Settled::default();
    let (left, right) = accounts.split_at(accounts.len() / 2);
    for half in [left, right] {
        let mut tx = store.begin().await?;
        tx.trusted().await?;
        let claimed = tx.claim_accounts(half).await?;
        let claimed_accounts = claimed.accounts();
        settled = settled.and(match write(tx, claimed, &Permits::None).await {
            Err(error) if !error.is_outage() || error.is_cut_short() => Box::pin(settle_halves(store, &claimed_accounts, error)).await?,
            done => done?,
        });
    }
    Ok(settled)
}
