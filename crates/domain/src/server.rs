//! The life of a server: one table of statuses and events, and one function that says what to do next.
//!
//! `goal` and the holds say what should be, `status` and the other facts say what was found.
//! Wherever they differ there is work: [`next_step`] names it, a worker carries it out, and its outcome becomes an [`Event`].

use crate::{Timestamp, names};

names! {
    /// What a customer sees.
    Status {
        /// Ordered, waiting for a worker.
        Pending = "pending",
        /// A worker is building (or reinstalling) it.
        Building = "building",
        /// The machine is on.
        Running = "running",
        /// The machine is off because its owner wants it off.
        Stopped = "stopped",
        /// Off, or without a network, because of a hold: an unpaid bill, abuse, or an operator's order.
        Suspended = "suspended",
        /// The build was given up; the money is back and an operator can retry.
        Failed = "failed",
        /// Gone for good.
        Terminated = "terminated",
    }
}

names! {
    /// What should be. Written by commands and the scheduler only.
    Goal {
        /// On.
        Running = "running",
        /// Off.
        Stopped = "stopped",
        /// Destroyed, addresses given back. There is no way back from this goal.
        Terminated = "terminated",
    }
}

names! {
    /// Something that happened to a server.
    Event {
        /// A worker placed the server on a node.
        BuildStarted = "build_started",
        /// The machine was verified.
        BuildFinished = "build_finished",
        /// The build was given up.
        BuildFailed = "build_failed",
        /// A reinstall was given up before the old disk was touched; the machine was on.
        KeptRunning = "kept_running",
        /// A reinstall was given up before the old disk was touched; the machine was off.
        KeptStopped = "kept_stopped",
        /// An operator asked for another build.
        Retried = "retried",
        /// The owner asked for a new system on the same server.
        ReinstallAsked = "reinstall_asked",
        /// The machine was switched on.
        PoweredOn = "powered_on",
        /// The machine was switched off as its owner wanted.
        PoweredOff = "powered_off",
        /// The machine was switched off, or its network cut, because of a hold.
        Held = "held",
        /// The machine was found absent after its end was asked for.
        Destroyed = "destroyed",
    }
}

/// An event that a status does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server that is {from} cannot take the event {event}")]
pub struct IllegalTransition {
    /// The status it was in.
    pub from: Status,
    /// What came.
    pub event: Event,
}

/// The whole table of a server's life.
pub const fn transition(from: Status, event: Event) -> Result<Status, IllegalTransition> {
    use Event as E;
    use Status as S;
    Ok(match (from, event) {
        (S::Pending, E::BuildStarted) | (S::Running | S::Stopped, E::ReinstallAsked) => S::Building,
        (S::Building, E::BuildFinished | E::KeptRunning) | (S::Stopped | S::Suspended, E::PoweredOn) => S::Running,
        (S::Building, E::KeptStopped) | (S::Running | S::Suspended, E::PoweredOff) => S::Stopped,
        (S::Running | S::Stopped, E::Held) => S::Suspended,
        (S::Pending | S::Building, E::BuildFailed) => S::Failed,
        (S::Failed, E::Retried) => S::Pending,
        (S::Pending | S::Building | S::Running | S::Stopped | S::Suspended | S::Failed, E::Destroyed) => S::Terminated,
        _ => return Err(IllegalTransition { from, event }),
    })
}

names! {
    /// One action on a machine, resumable and repeatable.
    Step {
        /// Choose a node and reserve room, addresses and identity there.
        Place = "place",
        /// Make the disk from the template.
        CreateDisk = "create_disk",
        /// Register the machine with its disk, mark and network card.
        Define = "define",
        /// Put a new disk in the place of the old one (reinstall).
        SwapDisk = "swap_disk",
        /// Hand hostname, network and keys to the machine.
        Configure = "configure",
        /// Grow the disk to the plan's size.
        ResizeDisk = "resize_disk",
        /// Switch on for the first time.
        Boot = "boot",
        /// Wait until the guest agent answers and the guest has set itself up.
        AwaitAgent = "await_agent",
        /// Set the root password through the agent.
        SetCredentials = "set_credentials",
        /// Look once more at the whole machine.
        Verify = "verify",
        /// Switch on.
        PowerOn = "power_on",
        /// Switch off.
        PowerOff = "power_off",
        /// Unplug the machine's network, which stays as it is through restarts.
        CutNetwork = "cut_network",
        /// Plug it in again.
        RestoreNetwork = "restore_network",
        /// Restart.
        Reboot = "reboot",
        /// Set a new root password on a running server.
        ResetPassword = "reset_password",
        /// Give the guest the addresses of its add-ons.
        SetAddresses = "set_addresses",
        /// Take a snapshot of the disk.
        TakeSnapshot = "take_snapshot",
        /// Put the disk back to a snapshot.
        RevertSnapshot = "revert_snapshot",
        /// Remove a snapshot.
        DropSnapshot = "drop_snapshot",
        /// Remove the machine and its disks.
        Destroy = "destroy",
        /// See the machine absent once more and give addresses and room back.
        Release = "release",
    }
}

impl Step {
    /// Whether it belongs to such a build.
    pub fn in_build(self, build: BuildKind) -> bool {
        build.steps().contains(&self)
    }
}

names! {
    /// How a build came to be.
    BuildKind {
        /// An order, or the retry of one: a failure gives the money back and removes the machine.
        First = "first",
        /// A new system on a server that was delivered: a failure destroys nothing.
        Reinstall = "reinstall",
    }
}

impl BuildKind {
    /// The steps of such a build, in order.
    pub const fn steps(self) -> &'static [Step] {
        use Step::{AwaitAgent, Boot, Configure, CreateDisk, Define, Place, PowerOff, ResizeDisk, SetCredentials, SwapDisk, Verify};
        match self {
            Self::First => &[Place, CreateDisk, Define, Configure, ResizeDisk, Boot, AwaitAgent, SetCredentials, Verify],
            Self::Reinstall => &[CreateDisk, PowerOff, SwapDisk, Configure, ResizeDisk, Boot, AwaitAgent, SetCredentials, Verify],
        }
    }

    /// The step after `step`; `None` when the build is complete.
    pub fn after(self, step: Step) -> Option<Step> {
        let steps = self.steps();
        let at = steps.iter().position(|s| *s == step)?;
        steps.get(at + 1).copied()
    }

    /// Whether the new system has not been switched on yet when `step` is due.
    pub fn is_before_boot(self, step: Step) -> bool {
        self.steps().iter().take_while(|s| **s != Step::Boot).any(|s| *s == step)
    }

    /// Whether giving up at `step` leaves the old machine as it was.
    pub const fn keeps_machine_at(self, step: Step) -> bool {
        matches!((self, step), (Self::Reinstall, Step::CreateDisk | Step::PowerOff | Step::SwapDisk))
    }
}

names! {
    /// Whether a machine is on.
    Power {
        /// On.
        On = "on",
        /// Off.
        Off = "off",
    }
}

names! {
    /// What is known of the guest agent.
    Agent {
        /// It answers.
        Ok = "ok",
        /// It had not answered when the time for it was over.
        Missing = "missing",
        /// The system has none that we know of: it comes from a CD.
        Without = "none",
    }
}

names! {
    /// What a system comes from.
    Medium {
        /// An image of a disk, with a guest agent in it.
        Image = "image",
        /// An image of a CD that the machine starts from, beside a blank disk; who signs in there, and how, is its owner's affair.
        Iso = "iso",
    }
}

names! {
    /// What is asked of a snapshot.
    SnapshotWork {
        /// Take it.
        Take = "take",
        /// Put the disk back to it.
        Revert = "revert",
        /// Remove it.
        Drop = "drop",
    }
}

impl SnapshotWork {
    /// The step that does it.
    pub const fn step(self) -> Step {
        match self {
            Self::Take => Step::TakeSnapshot,
            Self::Revert => Step::RevertSnapshot,
            Self::Drop => Step::DropSnapshot,
        }
    }
}

names! {
    /// Why a server is held. Power and reinstall are refused while any hold stands.
    HoldKind {
        /// An unpaid bill; lifted by payment.
        Billing = "billing",
        /// Abuse; lifted by an operator.
        Abuse = "abuse",
        /// An operator's order.
        Admin = "admin",
        /// An order that is looked at before it is delivered; lifted by an operator.
        Review = "review",
    }
}

names! {
    /// What a hold does to the machine.
    Means {
        /// It is switched off.
        PowerOff = "power_off",
        /// It runs on, without a network. One that is being built is switched off all the same.
        CutNetwork = "cut_network",
    }
}

names! {
    /// Whether a machine's network is plugged in.
    Link {
        /// It is.
        Up = "up",
        /// It was cut.
        Down = "down",
    }
}

/// The facts that decide what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What was found last.
    pub status: Status,
    /// What should be.
    pub goal: Goal,
    /// What the holds that stand do to the machine, the strongest of them; none while no hold stands.
    pub held: Option<Means>,
    /// How the current build came to be.
    pub build: BuildKind,
    /// The next step of the build, while there is one.
    pub cursor: Option<Step>,
    /// Whether a machine, a reservation or addresses may still exist for this server.
    pub placed: bool,
    /// Whether the machine was seen absent after its end was asked for.
    pub absent: bool,
    /// Power as found; `None` before the first boot, and from the moment that it is to be switched until that is known to be done.
    pub power: Option<Power>,
    /// Its network as found; `None` from the moment that it is to be switched until that is known to be done.
    pub link: Option<Link>,
    /// A restart was asked for and not yet done.
    pub reboot_due: bool,
    /// A new password was asked for and not yet set.
    pub password_due: bool,
    /// Whether the guest is to be given the addresses of its add-ons.
    pub addresses_due: bool,
    /// What is asked of a snapshot and not yet done.
    pub snapshot_due: Option<SnapshotWork>,
}

impl Facts {
    /// Whether the return to a snapshot was begun and is not known to be done.
    fn reverting(&self) -> bool {
        self.power.is_none() && self.snapshot_due == Some(SnapshotWork::Revert)
    }

    /// Whether this step carries the build on: its cursor, or the boot that a lifted hold makes necessary.
    pub fn builds(&self, step: Step) -> bool {
        let building = matches!(self.status, Status::Pending | Status::Building);
        building && step.in_build(self.build) && (step == Step::Boot || self.cursor.unwrap_or(Step::Place) == step)
    }
}

/// What a worker must do now; `None` when what is equals what should be.
pub fn next_step(s: &Facts) -> Option<Step> {
    let clean_up = || s.placed.then_some(if s.absent { Step::Release } else { Step::Destroy });
    match s.status {
        Status::Terminated => clean_up(),
        _ if s.goal == Goal::Terminated => Some(Step::Destroy),
        Status::Failed => {
            if s.build == BuildKind::First {
                clean_up()
            } else {
                // A reinstall that failed keeps its machine, which a hold switches off like any other.
                (s.held.is_some() && s.power != Some(Power::Off)).then_some(Step::PowerOff)
            }
        }
        Status::Pending if s.build == BuildKind::First => clean_up().or(Some(Step::Place)),
        Status::Pending | Status::Building => s.cursor.and_then(|step| {
            match (s.build.is_before_boot(step), s.held.is_some()) {
                (true, _) => Some(step),
                (false, true) => (s.power != Some(Power::Off)).then_some(Step::PowerOff),
                // A hold came and went: whatever it switched off is switched on before the build goes on.
                (false, false) => Some(if s.power == Some(Power::On) { step } else { Step::Boot }),
            }
        }),
        Status::Running if s.held == Some(Means::PowerOff) || s.goal == Goal::Stopped => Some(Step::PowerOff),
        Status::Running | Status::Stopped if s.held == Some(Means::CutNetwork) => Some(Step::CutNetwork),
        Status::Stopped if s.held.is_some() => Some(Step::PowerOff),
        Status::Running | Status::Stopped if s.link != Some(Link::Up) => Some(Step::RestoreNetwork),
        // A return that was begun is ended first: the machine is off on the way, and nobody is to boot half a disk.
        Status::Running if s.reverting() => Some(Step::RevertSnapshot),
        Status::Running if s.power != Some(Power::On) => Some(Step::PowerOn),
        Status::Running if s.reboot_due => Some(Step::Reboot),
        Status::Running if s.password_due => Some(Step::ResetPassword),
        Status::Stopped if s.goal == Goal::Running => Some(Step::PowerOn),
        Status::Stopped if s.reverting() => Some(Step::RevertSnapshot),
        Status::Stopped if s.power != Some(Power::Off) => Some(Step::PowerOff),
        Status::Running | Status::Stopped if s.addresses_due => Some(Step::SetAddresses),
        Status::Running | Status::Stopped => s.snapshot_due.map(SnapshotWork::step),
        Status::Suspended if s.held == Some(Means::PowerOff) => (s.power != Some(Power::Off)).then_some(Step::PowerOff),
        Status::Suspended if s.held.is_some() => (s.link != Some(Link::Down)).then_some(Step::CutNetwork),
        Status::Suspended if s.link != Some(Link::Up) => Some(Step::RestoreNetwork),
        Status::Suspended => Some(if s.goal == Goal::Stopped { Step::PowerOff } else { Step::PowerOn }),
    }
}

/// The event that a finished step means for the status; `None` when it changes nothing a customer sees.
pub fn event_of(step: Step, s: &Facts) -> Option<Event> {
    match step {
        Step::Place | Step::CreateDisk if s.status == Status::Pending => Some(Event::BuildStarted),
        Step::Verify => Some(Event::BuildFinished),
        Step::PowerOn if matches!(s.status, Status::Stopped | Status::Suspended) => Some(Event::PoweredOn),
        Step::PowerOff | Step::CutNetwork if s.held.is_some() && matches!(s.status, Status::Running | Status::Stopped) => Some(Event::Held),
        Step::PowerOff if s.held.is_none() && matches!(s.status, Status::Running | Status::Suspended) => Some(Event::PoweredOff),
        Step::Destroy if s.goal == Goal::Terminated && s.status != Status::Terminated => Some(Event::Destroyed),
        _ => None,
    }
}

/// What came of asking a hypervisor for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is so.
    Done,
    /// Under way; look again then. Not an attempt.
    Wait(Timestamp),
    /// Failed for now; ask again later.
    Retry(String),
    /// Asked, no answer: look by mark before asking again.
    Unknown(String),
    /// Will not work however often it is asked.
    Failed(String),
}

/// What follows from an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on with the next step.
    Advance,
    /// Come back then; `attempt` stays.
    Snooze(Timestamp),
    /// Come back after a back-off; `attempt` grows.
    Again(String),
    /// Give the work up.
    GiveUp(String),
}

/// The limits within which a step is tried.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The attempt that was just made, from 1.
    pub attempt: i64,
    /// Attempts allowed for a step.
    pub attempts: i64,
    /// When a failing build is given up; `None` outside builds.
    pub deadline: Option<Timestamp>,
}

/// Whether to go on, wait, try again or give up.
pub fn judge(outcome: Outcome, limits: Limits, now: Timestamp) -> Verdict {
    let late = limits.deadline.is_some_and(|at| now >= at);
    match outcome {
        Outcome::Done => Verdict::Advance,
        Outcome::Wait(_) if late => Verdict::GiveUp("the build took longer than its deadline".to_owned()),
        Outcome::Wait(until) => Verdict::Snooze(until),
        Outcome::Failed(why) => Verdict::GiveUp(why),
        Outcome::Retry(why) | Outcome::Unknown(why) if late => Verdict::GiveUp(format!("past the build's deadline: {why}")),
        Outcome::Retry(why) | Outcome::Unknown(why) if limits.attempt >= limits.attempts => Verdict::GiveUp(format!("{} attempts: {why}", limits.attempt)),
        Outcome::Retry(why) | Outcome::Unknown(why) => Verdict::Again(why),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
