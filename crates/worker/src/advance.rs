//! What an outcome means for the rows: found facts, books, mails, attention, in the transaction that records it.

use std::time::Duration;

use leasehold_domain::{
    NodeId, ServerId, Timestamp,
    addon::AddonState,
    event::EventKind,
    notice::NoticeKind,
    placement::{Size, choose},
    server::{Agent, BuildKind, Event, Goal, Link, Outcome, Power, SnapshotWork, Status, Step, event_of, transition},
};
use leasehold_store::{Result, StoreError, Text, Tx, When, activity::Actor, addons::ServerAddon, sealed::Place, servers::Server};
use secrecy::SecretString;

use crate::{Worker, act::Acted, provision::Task};

/// How often an order that waits for its turn looks by itself; a build that ends calls the next one.
const TURN: Duration = Duration::from_secs(30);
/// When a node that had no room for an order is asked once more, while another one is away.
const AGAIN: Duration = Duration::from_mins(30);
/// No order is given up before this.
const SOON: Duration = Duration::from_mins(1);
/// Nodes that may refuse one build before it is given up.
const NODES_TRIED: usize = 3;
/// No look-alikes (0 O, 1 l I), so that a password can be read out.
const PASSWORD_ALPHABET: &str = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const PASSWORD_LEN: usize = 24;

/// Why an order is given up that could not begin in the time of its policy.
pub(crate) async fn never_begun(tx: &mut Tx, s: &Server) -> Result<Option<String>> {
    let waits = s.status == Status::Pending && s.goal != Goal::Terminated && s.deadline_at.is_none();
    let waited = waited(tx, s).await?;
    if !waits || waited < SOON {
        return Ok(None);
    }
    let within = tx.policy_of(s).await?.start_within;
    let why = s.last_error.as_deref().unwrap_or("its turn did not come, or no worker could begin it");
    Ok((waited >= within).then(|| format!("not begun within {}: {why}", leasehold_domain::time::show_duration(within))))
}

/// How long an order waits, by a clock that is believed; while restored books stood still, none did.
async fn waited(tx: &mut Tx, s: &Server) -> Result<Duration> {
    let released = tx.restoration().await?.and_then(|r| r.released_at).map_or(s.ordered_at, |at| at.0);
    Ok(tx.believed_now().await?.since(s.ordered_at.max(released)))
}

fn password<'a>(server: &'a ServerId, column: &'a str) -> Place<'a> {
    Place { table: "servers", column, id: server.as_str() }
}

/// The password that a step will set: written with its intent, so that every try sets the same one.
pub(crate) async fn proposed_password(tx: &mut Tx, server: &ServerId) -> Result<SecretString> {
    if let Some(proposed) = tx.secret(password(server, "password_next")).await? {
        return Ok(proposed);
    }
    let new: SecretString = tx.dice().text(PASSWORD_ALPHABET, PASSWORD_LEN).into();
    tx.put_secret(password(server, "password_next"), &new).await?;
    Ok(new)
}

/// Steps that live in the records only are done here; others pass through. A node without room sends the build elsewhere.
pub(crate) async fn in_records(w: &Worker, tx: &mut Tx, s: &mut Server, task: &Task, acted: &Acted) -> Result<Outcome> {
    if acted.no_room {
        return no_room(tx, s, acted.outcome.clone(), acted.proof.as_deref()).await;
    }
    match (task.step, &acted.outcome) {
        (Step::Place, Outcome::Done) if s.goal != Goal::Terminated => place(w, tx, s).await,
        (Step::Release, Outcome::Failed(_)) => {
            s.absent_at = None;
            Ok(Outcome::Done)
        }
        (_, outcome) => Ok(outcome.clone()),
    }
}

async fn no_room(tx: &mut Tx, s: &mut Server, why: Outcome, proof: Option<&str>) -> Result<Outcome> {
    let mut excluded: Vec<NodeId> = serde_json::from_str(&s.excluded).unwrap_or_default();
    if let Some(node) = s.node_id.clone().map(NodeId) {
        tx.want_look(&node).await?;
        // With another number it may be the right one still.
        if proof.is_none() {
            excluded.push(node);
        }
    }
    if s.build == BuildKind::Reinstall || excluded.len() >= NODES_TRIED {
        return Ok(why);
    }
    s.excluded = serde_json::to_string(&excluded).map_err(|e| StoreError::Broken(e.to_string()))?;
    forget_place(tx, s, tx.now).await?;
    s.cursor = Some(Text(Step::Place));
    Ok(Outcome::Done)
}

/// Room, identity and addresses, in one transaction.
async fn place(w: &Worker, tx: &mut Tx, s: &mut Server) -> Result<Outcome> {
    if tx.builds_of(s.account_id.as_str()).await? >= w.limits.builds_per_account {
        return wait(w, tx, s).await;
    }
    let excluded: Vec<NodeId> = serde_json::from_str(&s.excluded).unwrap_or_default();
    let candidates = tx.candidates(&s.region_id, s.account_id.as_str(), &excluded).await?;
    let size = Size { vcpu: s.vcpu, ram_mb: s.ram_mb, disk_gb: s.disk_gb };
    let node = match choose(&candidates, size) {
        Ok(node) => node,
        Err(leasehold_domain::placement::NoRoom::Busy) => return wait(w, tx, s).await,
        Err(none) => {
            let silent = tx.silent_nodes(&s.region_id, size, &excluded).await?;
            if !silent.is_empty() {
                // Nobody's order fails because a node is away: it may have room. Those that have sent it on may have room by then, too.
                let is_time = s.step_since.is_some_and(|since| tx.now.since(since.0) >= AGAIN);
                if is_time && waited(tx, s).await? < tx.policy_of(s).await?.start_within {
                    s.excluded = "[]".into();
                }
                s.last_error = Some(format!("no node that answers has room, and {}", silent.join(", ")));
                return wait(w, tx, s).await;
            }
            let mut why = vec![none.to_string()];
            why.extend(tx.closed_nodes(&s.region_id).await?);
            why.extend(excluded.iter().map(|node| format!("{node} had no room for this build")));
            return Ok(Outcome::Retry(why.join("; ")));
        }
    };
    for family in [4, 6] {
        let free = tx.free_addresses(&s.region_id, family).await?;
        if free.is_some() && tx.take_address(&s.id, &s.region_id, family).await?.is_none() {
            tx.release_addresses(&s.id, tx.now).await?;
            return Ok(Outcome::Retry(format!("no IPv{family} address is free in region {}", s.region_id)));
        }
    }
    for addon in tx.live_addons(&s.id).await? {
        if !tx.take_addon_addresses(s, &addon).await? {
            tx.release_addresses(&s.id, tx.now).await?;
            return Ok(Outcome::Retry(format!("no address for the add-on '{}' is free in region {}", addon.name, s.region_id)));
        }
    }
    let vmid = tx.reserve(s, node).await?;
    s.last_error = None;
    let [a, b, c] = tx.dice().bytes();
    (s.node_id, s.vmid, s.mac) = (Some(node.0.clone()), Some(vmid), Some(format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")));
    s.deadline_at = Some(When(tx.now + w.limits.deadline));
    (s.booted, s.absent_at, s.installed, s.power, s.link, s.agent, s.endpoint) = (false, None, None, None, Some(Text(Link::Up)), None, None);
    // Two builds that end at once call the same order; it passes the word on.
    tx.make_way(s).await?;
    Ok(Outcome::Done)
}

/// Waiting is not building: also one that a node has sent on may wait as long as its policy says.
async fn wait(w: &Worker, tx: &mut Tx, s: &mut Server) -> Result<Outcome> {
    if s.deadline_at.is_some() && waited(tx, s).await? < tx.policy_of(s).await?.start_within {
        s.deadline_at = Some(When(tx.now + w.limits.deadline));
    }
    Ok(Outcome::Wait(tx.now + TURN))
}

async fn forget_place(tx: &mut Tx, s: &mut Server, addresses_free_at: Timestamp) -> Result<()> {
    tx.release_addresses(&s.id, addresses_free_at).await?;
    tx.unreserve(s).await?;
    (s.node_id, s.vmid, s.mac, s.installed, s.power, s.absent_at, s.endpoint) = (None, None, None, None, None, None, None);
    Ok(())
}

/// A step is done: facts, the event that it means, and what follows from that event.
pub(crate) async fn advance(w: &Worker, tx: &mut Tx, s: &mut Server, task: &Task, acted: Acted) -> Result<()> {
    let step = task.step;
    let excused = acted.no_room || (step == Step::Release && s.absent_at.is_none());
    found(w, tx, s, task, &acted).await?;
    (s.attempt, s.last_error, s.step_since, s.handle) = (0, None, None, None);
    tx.attended("step_stuck", &format!("server:{}", s.id), "worker").await?;
    // What was asked for meanwhile wins: nothing is delivered to a server that shall end.
    let overtaken = s.goal == Goal::Terminated && !matches!(step, Step::Destroy | Step::Release);
    if excused || overtaken {
        return Ok(());
    }
    if step.in_build(s.build) && s.facts().cursor.or(Some(Step::Place)) == Some(step) {
        s.cursor = s.build.after(step).map(Text);
    } else if step == Step::PowerOff && s.status == Status::Building {
        // Held after its first boot: once the hold is lifted it boots again.
        s.cursor = Some(Text(Step::Boot));
    }
    if step == Step::PowerOff && s.held.is_some() && matches!(s.status, Status::Building | Status::Failed) {
        // No event tells of it: the status is that of the build.
        tx.suspended_for_billing(&s.id).await?;
    }
    match event_of(step, &s.facts()) {
        Some(event) => happened(w, tx, s, event).await,
        None => Ok(()),
    }
}

/// What a finished step tells of the machine.
pub(crate) async fn found(w: &Worker, tx: &mut Tx, s: &mut Server, task: &Task, acted: &Acted) -> Result<()> {
    match task.step {
        Step::Define | Step::SwapDisk => {
            (s.installed, s.template_id) = (Some(s.generation), s.build_template_id.clone());
            tx.forget_snapshots(&s.id).await?;
            // The password of the system before opens this one as little, and what it complained of went with it.
            for password in ["password", "password_next"] {
                tx.drop_secrets("servers", s.id.as_str(), Some(password)).await?;
            }
            for matter in ["agent_missing", "guest_troubled", "later_system"] {
                tx.attended(matter, &format!("server:{}", s.id), "worker").await?;
            }
        }
        Step::Configure => tx.built_with(&s.id, &acted.ssh_keys).await?,
        Step::Boot | Step::PowerOn => (s.power, s.booted, s.addresses_done) = (Some(Text(Power::On)), true, 0),
        Step::PowerOff => s.power = Some(Text(Power::Off)),
        Step::CutNetwork => s.link = Some(Text(Link::Down)),
        Step::RestoreNetwork => s.link = Some(Text(Link::Up)),
        Step::Reboot => (s.reboot_done, s.addresses_done) = (task.server.reboot_asked, 0),
        Step::SetAddresses => {
            s.addresses_done = task.server.addresses_asked;
            tx.attended("addresses_failed", &format!("server:{}", s.id), "worker").await?;
            let free_at = tx.now + w.limits.ip_quarantine;
            for addon in held_addons(tx, s, s.addresses_done).await? {
                tx.books(&s.account_id).await?.attach_addon(&addon, free_at).await?;
            }
        }
        Step::AwaitAgent => {
            s.agent = acted.agent.map(Text);
            if let Some(trouble) = &acted.trouble {
                let (label, id) = (&s.label, &s.id);
                let detail = format!(
                    "{label} is delivered, but its first boot went wrong; look into it, then: leasehold server resolve {id} --reason …; it says: '{trouble}'"
                );
                tx.attend("guest_troubled", &format!("server:{}", s.id), &detail).await?;
            }
        }
        Step::SetCredentials if acted.agent.is_some() => {
            s.agent = acted.agent.map(Text);
            tx.drop_secrets("servers", s.id.as_str(), Some("password_next")).await?;
        }
        Step::SetCredentials if s.agent.map(|a| a.0) == Some(Agent::Ok) => {
            tx.move_secret(password(&s.id, "password_next"), "password").await?;
        }
        Step::ResetPassword => {
            tx.move_secret(password(&s.id, "password_next"), "password").await?;
            (s.password_done, s.password_error, s.agent) = (task.server.password_asked, None, Some(Text(Agent::Ok)));
            tx.attended("agent_missing", &format!("server:{}", s.id), "worker").await?;
            tx.tell(s, NoticeKind::PasswordChanged, &format!("{}:{}", s.id, s.password_done), None).await?;
        }
        Step::TakeSnapshot | Step::RevertSnapshot | Step::DropSnapshot => {
            if let (Some(n), Some(did)) = (&task.snapshot, task.server.snapshot_asked) {
                tx.snapshot_done(n, did.0, task.server.power.map(|p| p.0) == Some(Power::On)).await?;
                if n.keep_until.is_some() && did.0 == SnapshotWork::Take {
                    tx.attended("backup_failed", &format!("server:{}", s.id), "worker").await?;
                }
                if did.0 == SnapshotWork::Revert {
                    s.addresses_done = 0;
                }
                // Further requests stand in their rows.
                s.snapshot_asked = tx.snapshot_due(&s.id).await?.and_then(|next| next.asked);
            }
        }
        Step::Verify => s.endpoint.clone_from(&acted.endpoint),
        Step::Destroy => s.absent_at = Some(When(tx.now)),
        Step::Release if s.absent_at.is_some() => {
            let rest = if s.booted { w.limits.ip_quarantine } else { Duration::ZERO };
            forget_place(tx, s, tx.now + rest).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Add-ons that wait to be attached, of those that a machine was asked with.
async fn held_addons(tx: &mut Tx, s: &Server, asked: i64) -> Result<Vec<ServerAddon>> {
    Ok(tx.live_addons(&s.id).await?.into_iter().filter(|a| a.state == AddonState::Held && a.asked_no <= asked).collect())
}

/// An event: the status changes, and with it books, mails and the log.
async fn happened(w: &Worker, tx: &mut Tx, s: &mut Server, event: Event) -> Result<()> {
    let (now, from) = (tx.now, s.status);
    s.status = transition(from, event)?;
    match event {
        Event::BuildFinished => {
            s.deadline_at = None;
            if s.running_at.is_none() {
                tx.books(&s.account_id).await?.deliver(&s.id, s.generation).await?;
                s.running_at = Some(When(now));
            } else {
                tx.books(&s.account_id).await?.found_up(&s.id).await?;
            }
            if s.agent.map(|a| a.0) == Some(Agent::Missing) {
                let detail = format!("{} was delivered without a password: its guest agent did not answer or refused; look into the guest", s.label);
                tx.attend("agent_missing", &format!("server:{}", s.id), &detail).await?;
            }
            tx.attended("build_failed", &format!("server:{}", s.id), "worker").await?;
            tx.tell(s, NoticeKind::ServerReady, &format!("{}:{}", s.id, s.generation), None).await?;
        }
        Event::Held => tx.suspended_for_billing(&s.id).await?,
        Event::PoweredOn | Event::PoweredOff if from == Status::Suspended => tx.back_after_billing(s).await?,
        Event::Destroyed => {
            (s.ended_at, s.cursor, s.power) = (Some(When(now)), None, None);
            tx.drop_secrets("servers", s.id.as_str(), None).await?;
            tx.forget_snapshots(&s.id).await?;
            tx.forget_sample(&s.id).await?;
            for matter in
                ["addresses_failed", "agent_missing", "backup_failed", "build_failed", "guest_troubled", "later_system", "machine_gone", "reinstall_failed"]
            {
                tx.attended(matter, &format!("server:{}", s.id), "worker").await?;
            }
            tx.tell(s, NoticeKind::ServerTerminated, s.id.as_str(), None).await?;
        }
        _ => {}
    }
    if let Some(news) = EventKind::of_server(from, event) {
        tx.publish_server(s, news).await?;
    }
    if matches!(event, Event::BuildFinished | Event::BuildFailed) {
        tx.make_way(s).await?;
    }
    let actor = Actor { name: "worker".into(), origin: w.name.to_string() };
    tx.log(&actor, &format!("server.{event}"), Some(&s.account_id), Some(&s.id), s.status.as_str()).await
}

/// A step will not work. True: it is tried on, slowly, until somebody mends it; false: the build was given up.
pub(crate) async fn give_up(w: &Worker, tx: &mut Tx, s: &mut Server, task: &Task, unsure: bool, why: &str) -> Result<bool> {
    let step = task.step;
    let build = s.facts().builds(step);
    // Whether the old system is still there must be known before the customer is told that it is.
    let must_know = unsure && step == Step::SwapDisk;
    if build && !must_know && s.goal != Goal::Terminated {
        if s.build.keeps_machine_at(step) {
            keep_machine(w, tx, s, why).await?;
        } else {
            give_up_build(w, tx, s, &format!("{step}: {why}")).await?;
        }
        return Ok(false);
    }
    if step == Step::ResetPassword {
        (s.password_done, s.password_error) = (s.password_asked, Some(why.to_owned()));
        s.attempt = 0;
        tx.drop_secrets("servers", s.id.as_str(), Some("password_next")).await?;
        return Ok(false);
    }
    if step == Step::SetAddresses {
        let held = held_addons(tx, s, task.server.addresses_asked).await?;
        let free_at = tx.now + w.limits.ip_quarantine;
        for addon in &held {
            tx.books(&s.account_id).await?.give_addon_back(addon, why, free_at).await?;
            let detail = format!("{}: the add-on '{}' could not be attached, its price is back in the wallet: {why}", s.label, addon.name);
            tx.attend("addon_failed", &format!("server:{}:{}", s.id, addon.id), &detail).await?;
        }
        s.attempt = 0;
        // First once more without them: whatever the guest has of them is to be taken away.
        if held.is_empty() {
            s.addresses_done = task.server.addresses_asked;
            let detail = format!("{}: its guest could not be given the addresses of its add-ons, its next start tries again: {why}", s.label);
            tx.attend("addresses_failed", &format!("server:{}", s.id), &detail).await?;
        }
        return Ok(false);
    }
    if let (Some(n), Some(did)) = (&task.snapshot, task.server.snapshot_asked) {
        tx.snapshot_failed(&n.id, did.0, why).await?;
        if n.keep_until.is_some() && did.0 == SnapshotWork::Take {
            let detail = format!("{}: the backup {} could not be taken: {why}; the next one is taken tomorrow", s.label, n.name);
            tx.attend("backup_failed", &format!("server:{}", s.id), &detail).await?;
        }
        s.snapshot_asked = tx.snapshot_due(&s.id).await?.and_then(|next| next.asked);
        s.attempt = 0;
        return Ok(false);
    }
    s.attempt += 1;
    s.last_error = Some(why.to_owned());
    let detail = format!("{}: {step} does not work: {why}; it is tried on, mend the node {}", s.label, s.node_id.as_deref().unwrap_or("-"));
    tx.attend("step_stuck", &format!("server:{}", s.id), &detail).await?;
    Ok(true)
}

/// A reinstall failed before the old disk was touched: the server is what it was.
async fn keep_machine(w: &Worker, tx: &mut Tx, s: &mut Server, why: &str) -> Result<()> {
    if s.status == Status::Pending {
        // The retry of a reinstall that had failed later: there is nothing to go back to.
        return give_up_build(w, tx, s, why).await;
    }
    let event = if s.goal == Goal::Stopped { Event::KeptStopped } else { Event::KeptRunning };
    (s.cursor, s.deadline_at, s.attempt, s.handle) = (None, None, 0, None);
    s.last_error = Some(why.to_owned());
    let detail = format!("{}: the reinstall was given up, the old system is untouched: {why}", s.label);
    tx.attend("reinstall_failed", &format!("server:{}", s.id), &detail).await?;
    happened(w, tx, s, event).await
}

/// A build is given up: the money comes back, the operator knows, the customer is told. What is half built is removed next.
pub(crate) async fn give_up_build(w: &Worker, tx: &mut Tx, s: &mut Server, why: &str) -> Result<()> {
    if s.build == BuildKind::First {
        tx.books(&s.account_id).await?.end_lease(&s.id, s.generation).await?;
    } else {
        tx.books(&s.account_id).await?.found_down(&s.id).await?;
    }
    s.status_reason = Some(why.to_owned());
    s.last_error = Some(why.to_owned());
    (s.cursor, s.deadline_at, s.held_at, s.attempt, s.handle, s.step_since) = (None, None, None, 0, None, None);
    tx.drop_secrets("servers", s.id.as_str(), Some("password_next")).await?;
    let detail = format!("{} could not be built: {why}; after mending the cause: leasehold server retry {}", s.label, s.id);
    tx.attend("build_failed", &format!("server:{}", s.id), &detail).await?;
    tx.tell(s, NoticeKind::ProvisioningFailed, &format!("{}:{}", s.id, s.generation), None).await?;
    happened(w, tx, s, Event::BuildFailed).await
}
