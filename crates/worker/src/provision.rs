//! The life of a server, carried out: load, decide, write the intent, ask the hypervisor, write the outcome, and again.
//!
//! The outcome of a step and the intent of the next are one commit. Between two commits nothing but one call to a hypervisor
//! happens, so whatever dies, the next worker finds either an outcome or an open intent, and knows where to look.

use std::time::Instant;

use leasehold_domain::{
    ServerId, Timestamp,
    server::{Agent, BuildKind, Outcome, Status, Step, Verdict, judge, next_step},
};
use leasehold_store::{Result, Tx, When, crash, servers::Server, snapshots::Snapshot, steps::Opened, work::Claim};
use metrics::{counter, histogram};
use secrecy::SecretString;

use crate::{
    TASK, Worker,
    act::{Acted, act},
    advance,
    run::{Rest, Stop},
};

/// A step whose intent is committed.
pub(crate) struct Task {
    pub(crate) server: Server,
    pub(crate) step: Step,
    pub(crate) opened: Opened,
    /// The password to set, for the steps that set one.
    pub(crate) password: Option<SecretString>,
    /// Whether it began past its build's deadline, by a clock that is believed.
    pub(crate) late: bool,
    /// The snapshot, for the steps that are about one.
    pub(crate) snapshot: Option<Snapshot>,
}

enum Next {
    Do(Box<Task>),
    Rest(Rest),
}

pub(crate) async fn run(w: &Worker, claim: &Claim, stop: &Stop) -> Result<Rest> {
    let began = Instant::now();
    let mut next = begin(w, &claim.id.as_str().into(), claim.epoch).await?;
    loop {
        let task = match next {
            Next::Rest(rest) => return Ok(rest),
            Next::Do(task) => task,
        };
        crash::point("step.before_ask").await;
        let asked = Instant::now();
        let acted = act(w, &task).await?;
        histogram!("leasehold_step_duration_seconds", "step" => task.step.as_str()).record(asked.elapsed().as_secs_f64());
        crash::point("step.asked").await;
        let go_on = !stop.is_cancelled() && began.elapsed() < TASK;
        next = record(w, *task, acted, go_on).await?;
        crash::point("step.outcome_committed").await;
    }
}

/// The first look of a run: decide, and commit the first intent.
async fn begin(w: &Worker, id: &ServerId, epoch: i64) -> Result<Next> {
    crash::point("step.before_intent").await;
    let mut tx = w.store.begin().await?;
    let account = tx.server(id).await?.account_id;
    tx.books(&account).await?;
    let mut s = tx.claimed_server(id, epoch).await?;
    let from = s.status;
    if let Some(why) = advance::never_begun(&mut tx, &s).await? {
        advance::give_up_build(w, &mut tx, &mut s, &why).await?;
    }
    let next = decide(w, &mut tx, &mut s, true).await?;
    tx.save_found(&s, from).await?;
    tx.commit().await?;
    crash::point("step.intent_committed").await;
    Ok(next)
}

/// What is to be done now; writes the intent when it is a step.
async fn decide(w: &Worker, tx: &mut Tx, s: &mut Server, go_on: bool) -> Result<Next> {
    hold_the_deadline(w, s, tx.now);
    let Some(step) = next_step(&s.facts()) else { return Ok(Next::Rest(Rest::until(None, s.wants))) };
    if !go_on {
        return Ok(Next::Rest(Rest::until(Some(tx.now), s.wants)));
    }
    let opened = tx.open_step(s, step, &w.name).await?;
    if opened.fresh {
        (s.attempt, s.step_since, s.handle) = (0, None, None);
    }
    // From the intent on it may be on the net, whatever becomes of the answer, and nobody knows whether it is on until there is one:
    // also when something else is asked for meanwhile.
    s.booted |= matches!(step, Step::Boot | Step::PowerOn);
    if matches!(step, Step::Boot | Step::PowerOn | Step::PowerOff | Step::RevertSnapshot) {
        s.power = None;
    }
    if matches!(step, Step::CutNetwork | Step::RestoreNetwork) {
        s.link = None;
    }
    let password = match step {
        Step::SetCredentials if s.agent.map(|a| a.0) != Some(Agent::Ok) => None,
        Step::SetCredentials | Step::ResetPassword => Some(advance::proposed_password(tx, &s.id).await?),
        _ => None,
    };
    let snapshot = match step {
        Step::TakeSnapshot | Step::RevertSnapshot | Step::DropSnapshot => tx.snapshot_due(&s.id).await?,
        _ => None,
    };
    let late = s.facts().builds(step) && s.deadline_at.is_some_and(|at| tx.now >= at.0) && tx.clock_is_plain().await?;
    Ok(Next::Do(Box::new(Task { server: s.clone(), step, opened, password, late, snapshot })))
}

/// The deadline runs from the placement of a build (waiting for a turn is not building) and stands still while a hold stops it.
fn hold_the_deadline(w: &Worker, s: &mut Server, now: Timestamp) {
    let building = matches!(s.status, Status::Pending | Status::Building);
    let placed = s.status == Status::Building || s.build == BuildKind::Reinstall;
    if building && placed && s.deadline_at.is_none() {
        s.deadline_at = Some(When(now + w.limits.deadline));
    }
    match (s.held.is_some() && building, s.held_at) {
        (true, None) => s.held_at = Some(When(now)),
        (false, Some(since)) => {
            s.deadline_at = s.deadline_at.map(|at| When(at.0 + now.since(since.0)));
            s.held_at = None;
        }
        _ => {}
    }
}

/// Writes what came of a step, and the intent of the next.
async fn record(w: &Worker, task: Task, acted: Acted, go_on: bool) -> Result<Next> {
    crash::point("step.before_outcome").await;
    let mut tx = w.store.begin().await?;
    tx.books(&task.server.account_id).await?;
    let mut s = tx.claimed_server(&task.server.id, task.server.epoch).await?;
    let (from, now) = (s.status, tx.now);
    let (unsure, proof) = (acted.unsure, acted.proof.clone());
    let outcome = advance::in_records(w, &mut tx, &mut s, &task, &acted).await?;
    let word = word_of(&outcome, &acted);
    counter!("leasehold_steps_total", "step" => task.step.as_str(), "outcome" => word).increment(1);
    let limits = leasehold_domain::server::Limits {
        attempt: s.attempt + 1,
        attempts: w.limits.backoff.attempts,
        // By the same word as the try itself: the last one was asked as such.
        deadline: s.deadline_at.map(|at| at.0).filter(|_| task.late),
    };
    let later = |tx: &Tx| Some(now + w.limits.backoff.wait(limits.attempt, tx.dice()));
    let overtaken = s.generation != task.server.generation;
    let verdict = if overtaken { Verdict::Advance } else { judge(outcome.clone(), limits, now) };
    let rest = match verdict {
        Verdict::Advance if overtaken => {
            // Another build was asked for meanwhile: what was found is kept, what it would have meant is not.
            tx.close_step(&s.id, task.opened.no, word, acted.note.as_deref()).await?;
            if outcome == Outcome::Done {
                advance::found(w, &mut tx, &mut s, &task, &acted).await?;
            }
            None
        }
        Verdict::Advance => {
            tx.close_step(&s.id, task.opened.no, word, acted.note.as_deref()).await?;
            advance::advance(w, &mut tx, &mut s, &task, acted).await?;
            None
        }
        Verdict::Snooze(until) => {
            tx.close_step(&s.id, task.opened.no, "waiting", acted.note.as_deref()).await?;
            (s.step_since, s.handle) = (s.step_since.or(Some(When(now))), acted.handle);
            Some(Rest::until(Some(until), s.wants))
        }
        Verdict::Again(why) => {
            tx.close_step(&s.id, task.opened.no, word, Some(&why)).await?;
            (s.attempt, s.last_error, s.handle) = (limits.attempt, Some(why.clone()), None);
            Some(Rest { next_at: later(&tx), seen: s.wants, error: Some(why) })
        }
        Verdict::GiveUp(why) => {
            // What it waited for, if it did.
            let waited = s.last_error.take().filter(|_| task.step == Step::Place && matches!(outcome, Outcome::Wait(_)));
            let why = waited.map_or(why.clone(), |waited| format!("{why}: {waited}"));
            tx.close_step(&s.id, task.opened.no, "failed", Some(&why)).await?;
            advance::give_up(w, &mut tx, &mut s, &task, unsure, &why).await?.then(|| Rest { next_at: later(&tx), seen: s.wants, error: Some(why) })
        }
    };
    let next = match rest {
        Some(rest) => Next::Rest(rest),
        None => decide(w, &mut tx, &mut s, go_on).await?,
    };
    tx.save_found(&s, from).await?;
    if let (Some(proof), Some(node), Some(number)) = (proof, &task.server.node_id, task.server.vmid)
        && !tx.is_given_out(&node.as_str().into(), number, &s.id).await?
    {
        tx.books_are_old(&proof).await?;
    }
    crash::point("step.before_commit").await;
    tx.commit().await?;
    Ok(next)
}

fn word_of(outcome: &Outcome, acted: &Acted) -> &'static str {
    match outcome {
        Outcome::Done if acted.found_done => "found done",
        Outcome::Done => "done",
        Outcome::Wait(_) => "waiting",
        // Still not known: whoever comes next must look, too.
        Outcome::Retry(_) if acted.unsure => "unknown",
        Outcome::Retry(_) => "retry",
        Outcome::Unknown(_) => "unknown",
        Outcome::Failed(_) => "failed",
    }
}
