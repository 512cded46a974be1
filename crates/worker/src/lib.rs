//! The job-queue worker: claims due rows, steps servers through their lives, looks at nodes, hands mails over.
//!
//! `provision.rs` is the heart: load, decide, write the intent, ask, write the outcome. `run_one` is the whole worker for one
//! row; `queue.rs` gives the same to apalis, which adds concurrency, panic catching and a graceful stop.

mod act;
mod advance;
mod deliver;
mod fleet;
mod look;
mod mailer;
mod monitor;
mod provision;
mod publish;
mod queue;
mod run;
mod sample;

pub use fleet::Fleet;
pub use monitor::{Handler, Roles, run_queues, run_queues_with};
pub use run::{Ran, Stop};

use std::{sync::Arc, time::Duration};

use leasehold_domain::retry::Backoff;
use leasehold_notifier::{Hooks, Names, Outbox, Renderer};
use leasehold_store::Store;

/// The limits that a worker works within.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a claim lasts without a sign of life.
    pub claim: Duration,
    /// Attempts and waits of a step, and of a mail.
    pub backoff: Backoff,
    /// How long a build may take from its first claim before a failing step ends it.
    pub deadline: Duration,
    /// How long a guest agent may take to answer before the server is delivered without it.
    pub agent_wait: Duration,
    /// How long an address rests after a machine used it.
    pub ip_quarantine: Duration,
    /// Builds at once for one account.
    pub builds_per_account: i64,
    /// How often a node is looked at.
    pub look_every: Duration,
    /// How long a mail is tried.
    pub mail_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            claim: Duration::from_secs(30),
            backoff: Backoff { attempts: 8, min: Duration::from_secs(5), max: Duration::from_mins(15) },
            deadline: Duration::from_mins(30),
            agent_wait: Duration::from_mins(5),
            ip_quarantine: Duration::from_hours(24),
            builds_per_account: 5,
            look_every: Duration::from_mins(10),
            mail_for: Duration::from_hours(72),
        }
    }
}

/// Two sightings of an absent machine lie at least this far apart before its addresses are given to others.
pub(crate) const ABSENT_TWICE: Duration = Duration::from_mins(1);
/// The longest time for one call to a hypervisor.
pub(crate) const CALL: Duration = Duration::from_secs(10);
/// A task that worked this long gives its row back and goes on later.
pub(crate) const TASK: Duration = Duration::from_secs(20);

/// The way out for notices.
pub struct Post {
    /// Templates.
    pub renderer: Renderer,
    /// Transport.
    pub outbox: Outbox,
    /// The host's name, for the head of every mail.
    pub host: String,
    /// What the daemon is called from outside, without a `/` at the end.
    pub public_url: String,
    /// Whether receipts carry their invoice.
    pub attach_documents: bool,
}

/// A worker: everything that a run needs. Cloning shares it.
#[derive(Clone)]
pub struct Worker {
    /// The database.
    pub store: Store,
    /// Its name: fresh at every start of a process.
    pub name: Arc<str>,
    /// The nodes.
    pub fleet: Arc<Fleet>,
    /// The way out for notices.
    pub post: Arc<Post>,
    /// The way out for webhooks.
    pub hooks: Hooks,
    /// The way out for what addresses resolve to; none: it is kept and told, not published.
    pub names: Option<Names>,
    /// Its limits.
    pub limits: Limits,
}
