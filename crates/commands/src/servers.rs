//! What a customer or an operator asks of a server. Each writes what should be; a worker makes it so.

use std::time::Duration;

use leasehold_domain::{
    Timestamp,
    lease::{Lease, LeaseState},
    names,
    server::{Agent, BuildKind, Goal, HoldKind, Status},
};
use leasehold_store::{
    Queue, Store, Tx,
    activity::Actor,
    notices::SignIn,
    sealed::Place,
    servers::{HoldTerms, Server},
};
use secrecy::SecretString;

use crate::{CommandError, Result, commit, order::offered_template};

/// Loads a server under its account's lock and its own.
pub(crate) async fn locked(tx: &mut Tx, id: &str) -> Result<Server> {
    let found = tx.find_server(id).await?;
    tx.books(&found.account_id).await?;
    Ok(tx.lock_server(&found.id).await?)
}

pub(crate) async fn done(mut tx: Tx, actor: &Actor, s: &Server, action: &str, detail: &str) -> Result<Server> {
    let server = logged(&mut tx, actor, s, action, detail).await?;
    commit(tx).await?;
    Ok(server)
}

async fn logged(tx: &mut Tx, actor: &Actor, s: &Server, action: &str, detail: &str) -> Result<Server> {
    tx.log(actor, action, Some(&s.account_id), Some(&s.id), detail).await?;
    Ok(tx.server(&s.id).await?)
}

fn refuse(s: &Server, verb: &str, why: &str) -> CommandError {
    CommandError::Refused(format!("server {} cannot be {verb}: it {why}", s.label))
}

/// Refused while held, building, failed or ending.
pub(crate) fn must_be_delivered(s: &Server, verb: &str) -> Result<()> {
    if s.goal == Goal::Terminated {
        return Err(refuse(s, verb, "is being terminated"));
    }
    if s.held.is_some() || s.status == Status::Suspended {
        return Err(refuse(s, verb, "is suspended"));
    }
    match s.status {
        Status::Running | Status::Stopped => Ok(()),
        other => Err(refuse(s, verb, &format!("is {other}"))),
    }
}

/// On.
pub async fn start(store: &Store, actor: &Actor, id: &str) -> Result<Server> {
    power(store, actor, id, Goal::Running, "started").await
}

/// Off.
pub async fn stop(store: &Store, actor: &Actor, id: &str) -> Result<Server> {
    power(store, actor, id, Goal::Stopped, "stopped").await
}

async fn power(store: &Store, actor: &Actor, id: &str, goal: Goal, verb: &str) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    must_be_delivered(&s, verb)?;
    if s.goal == goal {
        return Err(refuse(&s, verb, &format!("is {verb} already, or about to be")));
    }
    tx.set_goal(&s.id, goal).await?;
    done(tx, actor, &s, &format!("server.{verb}"), "").await
}

/// Off and on again.
pub async fn reboot(store: &Store, actor: &Actor, id: &str) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    must_be_delivered(&s, "rebooted")?;
    if s.status != Status::Running || s.goal != Goal::Running {
        return Err(refuse(&s, "rebooted", "is not running"));
    }
    tx.ask_reboot(&s.id).await?;
    done(tx, actor, &s, "server.reboot", "").await
}

/// A new system on the same server; everything on its disk is lost. Its snapshots would be, too: they must be dropped by name.
pub async fn reinstall(store: &Store, actor: &Actor, id: &str, template: Option<&str>, drop_snapshots: bool) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    let s = wipe(&mut tx, actor, s, template, drop_snapshots).await?;
    commit(tx).await?;
    Ok(s)
}

/// As [`reinstall`], of a server that is locked.
pub async fn wipe(tx: &mut Tx, actor: &Actor, s: Server, template: Option<&str>, drop_snapshots: bool) -> Result<Server> {
    must_be_delivered(&s, "reinstalled")?;
    let template = offered_template(tx, template.unwrap_or(s.template_id.as_str()), "the server", s.disk_gb).await?;
    let snapshots = tx.snapshots(&s.id).await?.len();
    if snapshots > 0 && !drop_snapshots {
        return Err(refuse(&s, "reinstalled", &format!("has {snapshots} snapshots that would be lost; delete them, or drop them with it")));
    }
    tx.ask_reinstall(&s, &template.id).await?;
    logged(tx, actor, &s, "server.reinstall", template.id.as_str()).await
}

/// Another build of a failed server; the price is held anew.
pub async fn retry(store: &Store, actor: &Actor, id: &str) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    if s.status != Status::Failed || s.goal == Goal::Terminated {
        return Err(refuse(&s, "retried", &format!("is {}", if s.goal == Goal::Terminated { "being terminated" } else { s.status.as_str() })));
    }
    if s.build == BuildKind::First {
        tx.books(&s.account_id).await?.reopen_lease(&s.id, s.generation + 1).await?;
    }
    tx.ask_retry(&s).await?;
    tx.attended("build_failed", &format!("server:{}", s.id), &actor.name).await?;
    done(tx, actor, &s, "server.retry", &format!("generation {}", s.generation + 1)).await
}

/// The end. The lease ends now; an order that never ran gets its money back now. Asking twice is asking once.
pub async fn terminate(store: &Store, actor: &Actor, id: &str, unfinished: Unfinished) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    if s.goal == Goal::Terminated {
        return Ok(s);
    }
    let booted = match unfinished {
        Unfinished::Paid => booted(&mut tx, &s).await?,
        Unfinished::Free => None,
    };
    match booted {
        Some((at, least)) => tx.books(&s.account_id).await?.end_ordered(&s.id, s.generation, at, least).await?,
        None => tx.books(&s.account_id).await?.end_lease(&s.id, s.generation).await?,
    }
    tx.set_goal(&s.id, Goal::Terminated).await?;
    if s.running_at.is_none() {
        look_at_unfinished(&mut tx, &s).await?;
    }
    done(tx, actor, &s, "server.terminate", "").await
}

/// What is paid for an order that is ended after its machine was booted and before it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// What was used, by the policy `min_charge`: else machines and addresses could be had for nothing, again and again.
    Paid,
    /// Nothing: the operator's word.
    Free,
}

/// Since when the machine of an order that waits for its delivery may be on the net, and the least span that is paid for.
async fn booted(tx: &mut Tx, s: &Server) -> Result<Option<(Timestamp, Duration)>> {
    let waits = s.build == BuildKind::First && s.status != Status::Failed;
    if !waits || tx.lease_of(&s.id).await?.is_none_or(|l| l.state != LeaseState::Pending) {
        return Ok(None);
    }
    let policy = tx.policy_of(s).await?;
    Ok(tx.booted_at(&s.id, s.generation).await?.map(|at| (at, policy.min_charge)))
}

/// So many orders of a day that nobody waited for are looked at.
const UNFINISHED: i64 = 5;

async fn look_at_unfinished(tx: &mut Tx, s: &Server) -> Result<()> {
    let since = tx.now - Duration::from_hours(24);
    let unfinished = tx.unfinished_since(&s.account_id, since).await?;
    if unfinished >= UNFINISHED {
        let number = tx.account(&s.account_id).await?.number;
        let detail = format!(
            "account {number} ended {unfinished} orders of the last 24 hours before they ran; look at what it does, or: leasehold account freeze {number}"
        );
        tx.attend("unfinished_orders", &format!("account:{}", s.account_id), &detail).await?;
    }
    Ok(())
}

/// Takes a server off power, or only off the net, until the hold is lifted.
pub async fn suspend(store: &Store, actor: &Actor, id: &str, kind: HoldKind, terms: impl Into<HoldTerms>, reason: &str) -> Result<Server> {
    if kind == HoldKind::Billing {
        return Err(CommandError::Refused("a billing hold is placed by an unpaid charge only; use --kind abuse or admin".into()));
    }
    if reason.trim().is_empty() {
        return Err(CommandError::Invalid("a reason is needed".into()));
    }
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    if s.goal == Goal::Terminated {
        return Err(refuse(&s, "suspended", "is being terminated"));
    }
    let terms = terms.into();
    tx.place_hold(&s.id, kind, terms, reason).await?;
    tx.books(&s.account_id).await?.holds_changed(&s.id).await?;
    let free = if terms.free { ", free of charge" } else { "" };
    done(tx, actor, &s, "server.suspend", &format!("{kind} by {}{free}: {reason}", terms.means)).await
}

/// Lifts a hold. One for an unpaid bill is lifted until a date: unless it is paid by then, the server is suspended again.
pub async fn unsuspend(store: &Store, actor: &Actor, id: &str, kind: HoldKind, until: Option<Timestamp>) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    if kind == HoldKind::Billing {
        let now = tx.now;
        let until = until.filter(|at| *at > now).ok_or_else(|| {
            CommandError::Invalid(
                "a hold for an unpaid bill is lifted until a date in the future: say --until, or pay the bill with: leasehold account credit".into(),
            )
        })?;
        let lease = tx.lease_of(&s.id).await?.filter(|l| l.state == LeaseState::Suspended).ok_or_else(|| refuse(&s, "unsuspended", "has no billing hold"))?;
        tx.put_off_suspension(&lease, until).await?;
        tx.lift_hold(&s.id, kind).await?;
        return done(tx, actor, &s, "server.unsuspend", &format!("{kind} until {}", until.human())).await;
    }
    if until.is_some() {
        return Err(CommandError::Invalid(format!("a hold for {kind} is lifted for good; --until is for billing")));
    }
    if !tx.lift_hold(&s.id, kind).await? {
        return Err(refuse(&s, "unsuspended", &format!("has no {kind} hold")));
    }
    if kind == HoldKind::Review {
        tx.attended("review", &format!("server:{}", s.id), &actor.name).await?;
    }
    tx.books(&s.account_id).await?.holds_changed(&s.id).await?;
    done(tx, actor, &s, "server.unsuspend", kind.as_str()).await
}

/// Nothing is taken away for an unpaid charge before `until`; none lifts the protection.
pub async fn protect(store: &Store, actor: &Actor, id: &str, until: Option<Timestamp>) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    if let Some(until) = until.filter(|at| *at <= tx.now) {
        return Err(CommandError::Invalid(format!("{} is in the past; protection ends in the future", until.human())));
    }
    let lease = running_lease(&mut tx, &s, "protected").await?;
    tx.protect_lease(&lease, until).await?;
    let detail = until.map_or_else(|| "no more".to_owned(), |at| format!("until {}", at.human()));
    done(tx, actor, &s, "server.protect", &detail).await
}

/// Whether the lease goes on after what is paid. Off: the server is ended then, and nothing more is charged.
pub async fn set_auto_renew(store: &Store, actor: &Actor, id: &str, auto_renew: bool) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    renew(&mut tx, actor, &s, auto_renew).await?;
    commit(tx).await?;
    Ok(s)
}

/// As [`set_auto_renew`], of a server that is locked.
pub async fn renew(tx: &mut Tx, actor: &Actor, s: &Server, auto_renew: bool) -> Result<()> {
    let lease = running_lease(tx, s, if auto_renew { "renewed" } else { "cancelled" }).await?;
    if !auto_renew && lease.state != LeaseState::Active {
        return Err(refuse(s, "cancelled", "is not paid, so there is nothing that it could end with; end it now instead"));
    }
    tx.set_auto_renew(&lease, auto_renew).await?;
    let until = lease.paid_until.map_or_else(String::new, Timestamp::human);
    logged(tx, actor, s, if auto_renew { "server.renew" } else { "server.cancel" }, &format!("paid until {until}")).await.map(drop)
}

async fn running_lease(tx: &mut Tx, s: &Server, verb: &str) -> Result<Lease> {
    let lease = tx.lease_of(&s.id).await?.filter(|l| matches!(l.state, LeaseState::Active | LeaseState::PastDue | LeaseState::Suspended));
    lease.ok_or_else(|| refuse(s, verb, "has no lease that runs"))
}

/// Changes the customer's name for a server.
pub async fn label(store: &Store, actor: &Actor, id: &str, label: &str) -> Result<Server> {
    names::label(label)?;
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    tx.set_label(&s.id, label).await?;
    done(tx, actor, &s, "server.label", label).await
}

/// An operator's word that the matter is settled: open attention is closed, the owner counts as told, and a machine that its node cannot be asked about counts as gone.
pub async fn resolve(store: &Store, actor: &Actor, id: &str, reason: &str, quarantine: Duration) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    let delivered = s.build == BuildKind::Reinstall && s.status != Status::Terminated;
    let over = matches!(s.status, Status::Failed | Status::Terminated) && !delivered && s.node_id.is_some();
    if over {
        let free_at = tx.now + quarantine;
        tx.resolve_as_gone(&s, free_at).await?;
    }
    if s.parked_at.is_some() {
        tx.want(Queue::Servers, s.id.as_str()).await?;
    }
    if let Some(lease) = tx.lease_of(&s.id).await? {
        tx.waive_notices(&lease).await?;
    }
    for kind in ["build_failed", "step_stuck", "agent_missing", "guest_troubled", "later_system", "machine_gone", "reinstall_failed", "parked", "undelivered"] {
        tx.attended(kind, &format!("server:{}", s.id), &actor.name).await?;
    }
    done(tx, actor, &s, "server.resolve", &format!("{reason}{}", if over { "; its machine counts as gone" } else { "" })).await
}

fn has_no_agent(s: &Server) -> bool {
    s.agent.map(|a| a.0) == Some(Agent::Without)
}

/// Where and how to sign in. Each reading is logged.
pub async fn credentials(store: &Store, actor: &Actor, id: &str) -> Result<(SignIn, Option<SecretString>)> {
    let mut tx = store.begin().await?;
    let s = tx.find_server(id).await?;
    if s.running_at.is_none() || s.status == Status::Terminated {
        return Err(CommandError::Refused(format!("server {} has no credentials: it is {}", s.label, s.status)));
    }
    if has_no_agent(&s) {
        return Err(CommandError::Refused(format!("server {} has no credentials: its system comes from a CD, and whoever sets it up gives it some", s.label)));
    }
    let sign_in = tx.sign_in(&s).await?;
    let password = tx.secret(Place { table: "servers", column: "password", id: s.id.as_str() }).await?;
    tx.log(actor, "server.credentials", Some(&s.account_id), Some(&s.id), "read").await?;
    commit(tx).await?;
    Ok((sign_in, password))
}

/// Asks for a new root password; answers the number of the request, see [`password_reset_outcome`].
pub async fn password_reset(store: &Store, actor: &Actor, id: &str) -> Result<(Server, i64)> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, id).await?;
    let number = ask_password(&mut tx, actor, &s).await?;
    commit(tx).await?;
    Ok((s, number))
}

/// As [`password_reset`], of a server that is locked.
pub async fn ask_password(tx: &mut Tx, actor: &Actor, s: &Server) -> Result<i64> {
    must_be_delivered(s, "given a new password")?;
    if s.status != Status::Running {
        return Err(refuse(s, "given a new password", "is not running"));
    }
    if has_no_agent(s) {
        return Err(refuse(s, "given a new password", "has no guest agent: its system comes from a CD"));
    }
    let number = tx.ask_password(&s.id).await?;
    tx.log(actor, "server.password_reset", Some(&s.account_id), Some(&s.id), "").await?;
    Ok(number)
}

/// How long an answer of the guest is waited for.
const ANSWER: Duration = Duration::from_secs(10);

/// Waits until a password reset was answered; without an answer in time it may still happen.
pub async fn password_reset_outcome(store: &Store, s: &Server, number: i64) -> Result<()> {
    let answered = async {
        while !password_reset_answer(store, s, number).await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    };
    let late = |_| CommandError::TryAgain(format!("{} has not answered in {} s; it may still happen, look at its credentials", s.label, ANSWER.as_secs()));
    tokio::time::timeout(ANSWER, Box::pin(answered)).await.map_err(late)?
}

/// Whether a password reset was answered; an error when it failed.
pub async fn password_reset_answer(store: &Store, s: &Server, number: i64) -> Result<bool> {
    let s = store.read().await?.server(&s.id).await?;
    match s.password_error {
        Some(why) if s.password_done >= number => Err(CommandError::TryAgain(format!("the password of {} was not changed: {why}", s.label))),
        _ => Ok(s.password_done >= number),
    }
}
