//! `leasehold server show` and `watch`: why a server is as it is, in one look.

use std::time::Duration;

use leasehold_domain::{
    ServerId, Timestamp,
    dunning::{Outlook, Why},
    server::{Means, Status},
};
use leasehold_store::{Queue, Store, Tx, servers::Server, steps::StepRow};
use serde_json::{Value, json};

use super::{Context, server::value};
use crate::{
    exit::Failure,
    output::{progress, show, table},
};

fn step_value(s: &StepRow) -> Value {
    json!({ "no": s.no, "generation": s.generation, "step": s.step, "attempt": s.attempt, "worker": s.worker, "startedAt": s.started_at, "endedAt": s.ended_at.map(|w| w.0), "outcome": s.outcome, "detail": s.detail })
}

fn step_row(s: &StepRow) -> Vec<String> {
    let took = s.ended_at.map_or_else(String::new, |end| format!("{} ms", end.0.since(s.started_at).as_millis()));
    let outcome = s.outcome.clone().unwrap_or_else(|| "running".into());
    vec![s.generation.to_string(), s.step.to_string(), s.attempt.to_string(), s.started_at.human(), took, outcome, s.detail.clone().unwrap_or_default()]
}

/// Two signs of life of a process that are missing.
const QUIET: Duration = Duration::from_secs(25);

/// What stands around a server that waits.
struct Surroundings {
    /// Whether any process that is alive serves the queue of servers.
    served: bool,
    /// Since when whoever holds it gives no sign of life, if so.
    silent: Option<Timestamp>,
    /// Why its node cannot be reached, if it cannot.
    unreachable: Option<String>,
}

impl Surroundings {
    async fn of(tx: &mut Tx, s: &Server) -> Result<Self, Failure> {
        let (processes, now) = (tx.processes().await?, tx.now);
        let served = processes.iter().any(|p| p.is_alive(now) && p.serves(Queue::Servers));
        let holder = processes.iter().find(|p| s.claimed_by.as_ref() == Some(&p.name));
        let silent = holder.filter(|p| now.since(p.seen_at) > QUIET).map(|p| p.seen_at);
        let node = match &s.node_id {
            Some(id) => Some(tx.node(&id.as_str().into()).await?),
            None => None,
        };
        let unreachable = node.and_then(|n| n.failing_since.map(|at| format!("node {} does not answer since {}", n.id, at.0.human())));
        Ok(Self { served, silent, unreachable })
    }
}

/// One sentence on what happens next, and what to do where nothing does.
fn outlook(s: &Server, around: &Surroundings) -> String {
    let error = s.last_error.as_deref().unwrap_or("none");
    match (s.status, &s.claimed_by, s.next_at) {
        _ if s.parked_at.is_some() => format!("put aside until a person looks, last error: {error}; then: leasehold server resolve {} --reason …", s.id),
        (Status::Failed, _, None) => format!("nothing happens by itself; after mending the cause: leasehold server retry {}", s.id),
        (_, _, Some(_)) if !around.served => "nobody works on servers; start a daemon with: leasehold serve (or leasehold worker)".into(),
        (_, Some(worker), Some(at)) if let Some(since) = around.silent => {
            format!("{worker} had taken it and gives no sign of life since {}; another one takes over at {}", since.human(), at.0.human())
        }
        (_, Some(worker), _) => format!("{worker} is working on it"),
        (_, None, Some(at)) if let Some(why) = &around.unreachable => format!("{why}; it is tried on, next at {}; mend the node", at.0.human()),
        (_, None, Some(at)) if s.attempt > 0 => format!("attempt {} comes at {}, last error: {error}", s.attempt + 1, at.0.human()),
        (Status::Pending, None, Some(at)) if s.last_error.is_some() => format!("it waits: {error}; looked at again at {}", at.0.human()),
        (_, None, Some(at)) => format!("a worker looks at it at {}", at.0.human()),
        (_, None, None) if s.held.is_some() => "at rest: held".into(),
        (_, None, None) => "at rest: it is what it should be".into(),
    }
}

/// When and why what comes next comes, where something is owed.
fn what_comes(next: &Outlook) -> Option<String> {
    let why = match next.why {
        Why::Paid | Why::Rests => return None,
        Why::Grace => "the time that the policy gives",
        Why::Notice => "the time after a notice",
        Why::Unsent => "it waits for a notice to be sent; see: leasehold mail list --state queued",
        Why::Undelivered => "it waits for an operator: a notice could not be delivered; see: leasehold attention list",
        Why::Protected => "an operator protects it",
        Why::Window => "the window of the policy",
        Why::NotOff => "it waits for the machine to be found off",
        Why::Never => "the policy forbids it",
    };
    let what = |at: Option<Timestamp>, verb: &str| at.map(|at| format!("{verb} on {} at the earliest ({why})", at.human()));
    Some(what(next.suspends_at, "suspended").or_else(|| what(next.terminates_at, "ended")).unwrap_or_else(|| format!("not paid; {why}")))
}

pub(super) async fn show_one(c: &Context, server: &str) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let s = tx.find_server(server).await?;
    let (steps, holds, addresses) = (tx.steps(&s.id).await?, tx.holds(&s.id).await?, tx.addresses(&s.id).await?);
    let outlook = outlook(&s, &Surroundings::of(&mut tx, &s).await?);
    let (lease, mails) = (tx.lease_of(&s.id).await?, tx.mails(None, Some(&s.id), 100).await?);
    let open = tx.attention_of(&format!("server:{}", s.id)).await?;
    let mut whole = value(&s);
    whole["attention"] = open.iter().map(|a| json!({ "kind": a.kind, "detail": a.detail, "openedAt": a.opened_at })).collect();
    whole["outlook"] = outlook.as_str().into();
    whole["steps"] = steps.iter().map(step_value).collect();
    whole["holds"] = json!(holds);
    whole["addresses"] = json!(addresses);
    whole["lease"] = lease.as_ref().map_or(
        Value::Null,
        |l| json!({ "id": l.id, "state": l.state, "cycle": l.cycle, "price": l.price.decimal(), "currency": l.price.currency, "paidUntil": l.paid_until }),
    );
    let next = match &lease {
        Some(l) => tx.outlook(&l.account, &l.id).await?,
        None => None,
    };
    if let Some(next) = &next {
        whole["lease"]["suspendsAt"] = json!(next.suspends_at);
        whole["lease"]["terminatesAt"] = json!(next.terminates_at);
        whole["lease"]["waitsFor"] = json!(next.why);
    }
    let (account, product) = (tx.account(&s.account_id).await?, tx.product(&s.product_id).await?);
    let invoices = match &lease {
        Some(l) => tx.invoices_of_lease(&s.account_id, &l.id).await?,
        None => Vec::new(),
    };
    whole["account"] = json!({ "number": account.number, "name": account.called() });
    whole["product"] = product.key.as_str().into();
    whole["invoices"] = json!(invoices);
    whole["mails"] = mails.iter().map(|m| json!({ "id": m.id, "kind": m.kind, "state": m.state })).collect();
    show(c.json(), &whole, || {
        say!("{} ({})\nstatus    {} (goal: {})", s.label, s.id, s.status, s.goal);
        say!("account   {}, {}", account.number, account.called());
        if let Some(reason) = &s.status_reason {
            say!("reason    {reason}");
        }
        say!("outlook   {outlook}");
        for a in &open {
            say!("attention {}: {}", a.kind, a.detail);
        }
        say!("hostname  {}\nsystem    {}\nnode      {}", s.hostname, s.template_id, s.node_id.as_deref().unwrap_or("-"));
        say!("addresses {}", addresses.iter().map(|a| a.address.as_str()).collect::<Vec<_>>().join(", "));
        for h in &holds {
            let (means, free) = (if h.means == Means::PowerOff { "off" } else { "network cut" }, if h.free { ", not charged" } else { "" });
            say!("held      {} since {} ({means}{free}): {}", h.kind, h.placed_at.human(), h.reason);
        }
        if let Some(l) = &lease {
            say!(
                "plan      {} ({})\nlease     {}, {} for {}, paid until {} ({})\ninvoices  {}",
                product.name,
                product.key,
                l.state,
                l.price,
                l.cycle,
                l.paid_until.map_or_else(|| "-".into(), |at| at.day_in(&l.zone)),
                l.id,
                invoices.join(", ")
            );
        }
        if let Some(line) = next.as_ref().and_then(what_comes) {
            say!("billing   {line}");
        }
        say!("mails     {}", mails.iter().map(|m| format!("{} ({})", m.kind, m.state)).collect::<Vec<_>>().join(", "));
        table(&["BUILD", "STEP", "TRY", "STARTED", "TOOK", "OUTCOME", "DETAIL"], steps.iter().map(step_row));
    });
    Ok(())
}

/// How often a server is looked at while it is followed.
const LOOK: Duration = Duration::from_millis(200);

/// Shows steps as they end until the server rests; answers it as it then is.
pub(crate) async fn follow(store: &Store, id: &ServerId, show_step: fn(&str)) -> Result<Server, Failure> {
    let mut shown = 0;
    loop {
        let mut tx = store.read().await?;
        let s = tx.server(id).await?;
        let ended = tx.steps(id).await?.into_iter().filter(|s| s.ended_at.is_some());
        for step in ended.filter(|s| s.no > shown).collect::<Vec<_>>() {
            show_step(&format!("  {:<16} {:<12} {}", step.step, step.outcome.as_deref().unwrap_or_default(), step.detail.as_deref().unwrap_or_default()));
            shown = step.no;
        }
        if (s.next_at.is_none() && s.claimed_by.is_none()) || matches!(s.status, Status::Failed | Status::Terminated) {
            return Ok(s);
        }
        drop(tx);
        tokio::time::sleep(LOOK).await;
    }
}

/// How long a daemon may take to show up.
const DAEMON: Duration = Duration::from_secs(5);

/// As [`follow`], where a daemon must do the work: without one, following would never end.
pub(super) async fn follow_daemon(store: &Store, id: &ServerId) -> Result<Server, Failure> {
    let alive = async {
        while store.read().await?.processes_alive().await?.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<(), Failure>(())
    };
    match tokio::time::timeout(DAEMON, alive).await {
        Ok(found) => found?,
        Err(_) => return Err(Failure::TryAgain(format!("no daemon is running, so nothing happens to {id} yet; start one with: leasehold serve"))),
    }
    follow(store, id, progress).await
}

pub(super) async fn watch(c: &Context, server: &str) -> Result<(), Failure> {
    let app = c.app().await?;
    let s = app.store.read().await?.find_server(server).await?;
    let rested = follow_daemon(&app.store, &s.id).await?;
    show(c.json(), &value(&rested), || say!("{} is {}", rested.label, rested.status));
    Ok(())
}
