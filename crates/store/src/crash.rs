//! Crash points: named places before and after every write and outside call, where a test can end the world.
//!
//! Without the feature `crash-points` every point is an empty future. With it, a simulation stops the current future at
//! the n-th hit of a point (`Plan`) and drops it there (a crash) or goes on with it much later (a stall), and the real
//! program aborts there when `LEASEHOLD_CRASH_AT=name:n` says so, or stands still as a whole when `LEASEHOLD_FREEZE_AT=name:n` does.

/// Every crash point, sorted. A simulation asserts that it visits each.
pub const POINTS: &[&str] = &[
    "addon.before_end",
    "command.before_commit",
    "command.committed",
    "enforce.before_commit",
    "mail.answered",
    "mail.before_intent",
    "mail.intent_committed",
    "mail.outcome_committed",
    "node.looked",
    "node.outcome_committed",
    "settle.account_committed",
    "settle.before_commit",
    "settle.before_write",
    "settle.committed",
    "step.asked",
    "step.before_ask",
    "step.before_commit",
    "step.before_intent",
    "step.before_outcome",
    "step.intent_committed",
    "step.outcome_committed",
    "webhook.answered",
    "webhook.before_call",
    "work.before_settle",
    "work.claimed",
    "work.settled",
];

#[cfg(feature = "crash-points")]
mod armed {
    use std::{
        cell::RefCell,
        collections::BTreeMap,
        pin::Pin,
        rc::Rc,
        sync::atomic::{AtomicU64, Ordering::SeqCst},
        task::Poll,
    };

    /// Where a future is to be stopped, and what was visited on the way.
    #[derive(Clone, Default)]
    pub struct Plan(Rc<RefCell<State>>);

    #[derive(Default)]
    struct State {
        at: Option<(&'static str, u64)>,
        hits: BTreeMap<&'static str, u64>,
        stopped: bool,
    }

    /// A future that was stopped at a point: dropped, it crashed there; resumed, it only stalled.
    pub type Stalled<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

    tokio::task_local! { static PLAN: Plan; }

    impl Plan {
        /// Stop at the `hit`-th visit (from 1) of `point` from now on.
        pub fn arm(&self, point: &'static str, hit: u64) {
            let mut state = self.0.borrow_mut();
            let seen = state.hits.get(point).copied().unwrap_or(0);
            state.at = Some((point, seen + hit));
        }

        /// Stop nowhere.
        pub fn disarm(&self) {
            self.0.borrow_mut().at = None;
        }

        /// How often each point was visited.
        pub fn hits(&self) -> BTreeMap<&'static str, u64> {
            self.0.borrow().hits.clone()
        }

        /// Runs `future` to its end, or to the point where it is to be stopped: then the rest of it is the error.
        pub async fn run<'a, T: 'a>(&self, future: impl Future<Output = T> + 'a) -> Result<T, Stalled<'a, T>> {
            let mut future: Stalled<'a, T> = Box::pin(PLAN.scope(self.clone(), future));
            let ended = std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending if std::mem::take(&mut self.0.borrow_mut().stopped) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            ended.await.ok_or(future)
        }

        fn hit(&self, point: &'static str) -> bool {
            let mut state = self.0.borrow_mut();
            let hits = state.hits.entry(point).or_default();
            *hits += 1;
            let now = (point, *hits);
            let stop = state.at == Some(now);
            if stop {
                (state.at, state.stopped) = (None, true);
            }
            stop
        }
    }

    static SEEN: AtomicU64 = AtomicU64::new(0);

    fn told(variable: &str, point: &str) -> bool {
        let Ok(told) = std::env::var(variable) else { return false };
        let (name, hit) = told.split_once(':').unwrap_or((&told, "1"));
        name == point && SEEN.fetch_add(1, SeqCst) + 1 == hit.parse().unwrap_or(1)
    }

    /// Of the real program: abort (`LEASEHOLD_CRASH_AT=step.asked:3`), or a stop until somebody continues it (`LEASEHOLD_FREEZE_AT`).
    fn end_if_told(point: &str) {
        if told("LEASEHOLD_CRASH_AT", point) {
            std::process::abort();
        }
        if told("LEASEHOLD_FREEZE_AT", point) {
            let stopped = std::process::Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status();
            assert!(stopped.is_ok_and(|status| status.success()), "kill -STOP");
        }
    }

    /// One named point.
    pub async fn point(name: &'static str) {
        debug_assert!(super::POINTS.contains(&name), "crash point {name} is not listed");
        end_if_told(name);
        if PLAN.try_with(|plan| plan.hit(name)).unwrap_or(false) {
            // Pending once: a crash drops the future here, a stall polls it again later.
            let mut stopped = false;
            std::future::poll_fn(|_| if std::mem::replace(&mut stopped, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        }
    }
}

#[cfg(feature = "crash-points")]
pub use armed::{Plan, Stalled, point};

/// One named point; empty in a program built without the feature.
#[cfg(not(feature = "crash-points"))]
#[expect(clippy::unused_async, reason = "the same signature as with the feature")]
pub async fn point(_name: &'static str) {}
