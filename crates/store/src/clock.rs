//! The one clock: the database's time, so that hosts with skewed clocks cannot steal each other's claims.
//!
//! On PostgreSQL every process keeps its distance to the server's clock, on SQLite the host's clock is the database's.
//! Simulated time is real time plus an offset that only grows; tests freeze the clock and move it by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use leasehold_domain::{Timestamp, clock::Reading};

/// Taken off a time that is not believed, so that it never counts as the right one.
const NOTHING_ENDS: Duration = Duration::from_millis(1);

/// The store's clock. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    frozen: bool,
    /// Frozen: the instant itself. Else: database minus host.
    ms: AtomicI64,
    /// How far simulated time runs ahead.
    ahead: AtomicI64,
}

impl Clock {
    /// Follows the host's clock.
    pub fn system() -> Self {
        Self(Arc::new(Inner { frozen: false, ms: AtomicI64::new(0), ahead: AtomicI64::new(0) }))
    }

    /// Stands still at `at` until it is moved.
    pub fn frozen(at: Timestamp) -> Self {
        Self(Arc::new(Inner { frozen: true, ms: AtomicI64::new(at.as_millis()), ahead: AtomicI64::new(0) }))
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        let ms = self.0.ms.load(SeqCst) + self.0.ahead.load(SeqCst);
        Timestamp::from_millis(if self.0.frozen { ms } else { host_now() + ms })
    }

    /// Moves the clock forward (tests and simulation).
    pub fn advance(&self, by: Duration) {
        self.0.ms.fetch_add(by.as_millis() as i64, SeqCst);
    }

    /// Takes the database's clock as the truth.
    pub(crate) fn follow(&self, database_now: i64, simulated_ahead: i64) {
        if !self.0.frozen {
            self.0.ms.store(database_now - host_now(), SeqCst);
            self.0.ahead.store(simulated_ahead, SeqCst);
        }
    }

    /// How far the host's clock is behind the database's, ms; nothing where it is frozen.
    fn skew(&self) -> i64 {
        if self.0.frozen { 0 } else { self.0.ms.load(SeqCst) }
    }

    /// The host's own clock, for the store's measuring only.
    pub(crate) fn host() -> i64 {
        host_now()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
fn host_now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// What the books know of time.
#[derive(Clone, Copy, Debug)]
pub struct ClockRow {
    /// Whether it is moved by hand.
    pub simulated: bool,
    /// The latest instant that was ever seen.
    pub highest: Timestamp,
}

impl crate::Tx {
    /// What the books know of time; none before the first daemon.
    pub async fn clock_row(&mut self) -> crate::Result<Option<ClockRow>> {
        let row: Option<(String, i64)> = self.optional("select mode, highest from clock where id = 1", &[]).await?;
        Ok(row.map(|(mode, highest)| ClockRow { simulated: mode == "simulated", highest: Timestamp::from_millis(highest) }))
    }

    /// What is known of the clock, which a simulated one, that is moved by hand, needs no check of; none before the first daemon.
    pub async fn clock_reading(&mut self) -> crate::Result<Option<Reading>> {
        let clock = self.clock_row().await?.filter(|clock| !clock.simulated);
        Ok(clock.map(|clock| Reading { now: self.now, highest: clock.highest, apart: self.store.clocks_apart() }))
    }

    /// Whether the clock did not jump: after a jump only the scheduler settles, which finds out whether to believe it.
    pub async fn clock_is_plain(&mut self) -> crate::Result<bool> {
        Ok(self.believed_now().await? == self.now)
    }

    /// The time by which something ends, is given away or is given up: of a clock that jumped, no more than was seen before.
    pub async fn believed_now(&mut self) -> crate::Result<Timestamp> {
        // One that went back: nothing ends by it before it is right again.
        let bad = self.clock_reading().await?.filter(|reading| reading.check(|| false).is_err());
        Ok(bad.map_or(self.now, |reading| reading.highest.min(self.now) - NOTHING_ENDS))
    }

    /// Time moved on.
    pub async fn raise_highest(&mut self, to: Timestamp) -> crate::Result<()> {
        self.exec("update clock set highest = $1 where id = 1 and highest < $1", crate::args![to]).await?;
        Ok(())
    }

    /// Has every account looked at that waits for a time, which a wrong clock may have set; whoever has nothing due waits again.
    pub async fn settle_all_again(&mut self) -> crate::Result<()> {
        let now = self.now;
        self.exec("update wallets set settle_at = $1 where settle_at > $1 and parked_at is null", crate::args![now]).await.map(drop)
    }

    /// An operator says what time it is, whatever was seen before.
    pub async fn set_highest(&mut self, to: Timestamp) -> crate::Result<()> {
        self.exec("update clock set highest = $1 where id = 1", crate::args![to]).await?;
        Ok(())
    }
}

impl crate::Store {
    /// How far simulated time runs ahead of real time, ms; 0 without simulation.
    pub(crate) async fn simulated_ahead(&self) -> crate::Result<i64> {
        let row: Option<(i64,)> = self.read().await?.optional("select offset_ms from clock where id = 1", &[]).await?;
        Ok(row.map_or(0, |(ms,)| ms))
    }

    /// The clock mode that the database was made for; none when it is new.
    pub async fn clock_mode(&self) -> crate::Result<Option<String>> {
        let row: Option<(String,)> = self.read().await?.optional("select mode from clock where id = 1", &[]).await?;
        Ok(row.map(|(mode,)| mode))
    }

    /// How far the host's clock is behind the database's, ms.
    pub fn clock_skew_ms(&self) -> i64 {
        self.clock().skew()
    }

    /// Binds a new database to a clock mode, and refuses one that belongs to the other.
    pub async fn bind_clock(&self, mode: &str) -> crate::Result<()> {
        let mut tx = self.begin().await?;
        let now = tx.now;
        tx.exec("insert into clock (id, mode, offset_ms, highest) values (1, $1, 0, $2) on conflict do nothing", crate::args![mode, now]).await?;
        let (made_for,): (String,) = tx.one("select mode from clock where id = 1", &[]).await?;
        if made_for != mode {
            return Err(crate::StoreError::ClockMode { made_for, asked: mode.to_owned() });
        }
        tx.commit().await
    }

    /// How far the host's clock and the database's are apart.
    pub fn clocks_apart(&self) -> Duration {
        Duration::from_millis(self.clock_skew_ms().unsigned_abs())
    }

    /// Moves simulated time forward by `by`.
    pub async fn advance_clock(&self, by: Duration) -> crate::Result<Timestamp> {
        let mut tx = self.begin().await?;
        tx.exec_one("update clock set offset_ms = offset_ms + $1 where id = 1 and mode = 'simulated'", crate::args![by.as_millis() as i64]).await?;
        tx.commit().await?;
        self.sync_clock().await?;
        Ok(self.clock().now())
    }
}
