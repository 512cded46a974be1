//! Asking a hypervisor for one step. No database write happens here, and nothing here is remembered but in the answer.

use std::time::Duration;

use leasehold_domain::{
    Mark, TemplateId,
    server::{Agent, BuildKind, Medium, Outcome, Power, Step},
};
use leasehold_hypervisor::{Call, Error, GuestAddress, GuestConfig, Hypervisor, Machine, MachineSpec, Observed, Progress, Readiness, Source};
use leasehold_store::{Result, StoreError, addresses::Address, catalog::Template, nodes::NodeState, sealed::Place, servers::Server};
use tokio::time::timeout;

use crate::{CALL, Worker, provision::Task};

/// What came of asking.
#[derive(Debug)]
pub(crate) struct Acted {
    pub(crate) outcome: Outcome,
    /// For the step log.
    pub(crate) note: Option<String>,
    /// Work under way at the node.
    pub(crate) handle: Option<String>,
    /// The node had no room; what was begun there is gone.
    pub(crate) no_room: bool,
    /// What shows that the records are from before.
    pub(crate) proof: Option<String>,
    /// A look showed that an earlier try had done it.
    pub(crate) found_done: bool,
    /// It may have happened all the same: neither an answer nor a look could tell.
    pub(crate) unsure: bool,
    /// What is known of the agent now.
    pub(crate) agent: Option<Agent>,
    /// What the guest says went wrong with its first boot.
    pub(crate) trouble: Option<String>,
    /// Where SSH is forwarded.
    pub(crate) endpoint: Option<String>,
    /// The SSH keys that the guest was given, by id.
    pub(crate) ssh_keys: Vec<String>,
}

impl Acted {
    pub(crate) fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            note: None,
            handle: None,
            no_room: false,
            proof: None,
            found_done: false,
            unsure: false,
            agent: None,
            trouble: None,
            endpoint: None,
            ssh_keys: vec![],
        }
    }

    fn done() -> Self {
        Self::new(Outcome::Done)
    }
}

/// Work under way and a booting guest are looked at again after a tenth of the time that they took so far, within these bounds:
/// nobody waits a tenth longer than he must, and a slow one costs few looks.
const LOOK_SOONEST: Duration = Duration::from_millis(250);
const LOOK_LATEST: Duration = Duration::from_secs(10);

type Asked = std::result::Result<Acted, Error>;

pub(crate) async fn act(w: &Worker, task: &Task) -> Result<Acted> {
    let s = &task.server;
    let Some((node_id, vmid)) = s.place() else {
        let needs_none = matches!(task.step, Step::Place | Step::Destroy | Step::Release);
        return Ok(if needs_none { Acted::done() } else { Acted::new(Outcome::Failed("it has no place on any node".into())) });
    };
    let node = w.store.read().await?.node(&node_id).await?;
    if node.state == NodeState::Offline {
        return Ok(Acted { unsure: task.opened.unsure, ..Acted::new(Outcome::Retry(format!("node {node_id} is offline"))) });
    }
    let context = Context { w, task, vmid, call: Call { mark: mark_of(task), epoch: s.epoch, now: w.store.clock().now() } };
    let asked = match w.fleet.node(&node) {
        Ok(hypervisor) => match timeout(CALL, context.ask(hypervisor.as_ref())).await {
            Ok(asked) => asked?,
            Err(_) => Err(Error::Unknown(format!("node {node_id} did not answer within {} s", CALL.as_secs()))),
        },
        Err(error) => Err(error),
    };
    match asked {
        Ok(acted) => Ok(acted),
        Err(Error::Stale(_)) if w.store.read().await?.server(&s.id).await?.epoch != s.epoch => Err(StoreError::Lost { id: s.id.to_string(), epoch: s.epoch }),
        // The records are from before, and so may be what they want done.
        Err(Error::Stale(why)) => {
            let mut tx = w.store.begin().await?;
            tx.books_are_old(&format!("node {node_id} knows more of server {} ({why})", s.id)).await?;
            tx.commit().await?;
            Err(StoreError::Lost { id: s.id.to_string(), epoch: s.epoch })
        }
        Err(Error::Transient(why)) => Ok(Acted { unsure: task.opened.unsure, ..Acted::new(Outcome::Retry(why)) }),
        Err(error @ Error::Unknown(_)) => Ok(Acted { unsure: true, ..Acted::new(Outcome::Unknown(error.to_string())) }),
        Err(error) => Ok(Acted { unsure: task.opened.unsure, ..Acted::new(Outcome::Failed(error.to_string())) }),
    }
}

/// Steps of a build speak for the build's generation; others for the machine that stands.
fn mark_of(task: &Task) -> Mark {
    let s = &task.server;
    let generation = if task.step.in_build(s.build) && s.facts().cursor.is_some() { s.generation } else { s.installed.unwrap_or(s.generation) };
    Mark { server: s.id.clone(), generation }
}

fn source(t: Template) -> Source {
    match t.medium {
        Medium::Image => Source::Image(t.image),
        Medium::Iso => Source::Cd { iso: t.image },
    }
}

fn of_guest(a: Address) -> GuestAddress {
    GuestAddress { prefix: a.cidr.rsplit_once('/').and_then(|(_, p)| p.parse().ok()).unwrap_or(32), address: a.address, gateway: a.gateway }
}

struct Context<'a> {
    w: &'a Worker,
    task: &'a Task,
    vmid: i64,
    call: Call,
}

impl Context<'_> {
    fn server(&self) -> &Server {
        &self.task.server
    }

    async fn ask(&self, hv: &dyn Hypervisor) -> Result<Asked> {
        if self.task.opened.unsure {
            match self.already(hv).await {
                Ok(true) => return Ok(Ok(Acted { found_done: true, note: Some("an earlier try had done it".into()), ..Acted::done() })),
                // What is about to be given up is not asked for again: the look is the last word. A build is not given up for its guest's silence.
                Ok(false) if self.is_last_try() && self.task.step != Step::SetCredentials => {
                    return Ok(Ok(Acted::new(Outcome::Retry("no answer came, and a look shows that it did not happen".into()))));
                }
                Ok(false) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(match self.task.step {
            Step::SetAddresses => self.set_addresses(hv).await?,
            // Seen at the first look, since there is no second.
            Step::AwaitAgent if self.server().step_since.is_none() && self.template().await?.medium == Medium::Iso => {
                Ok(Acted { agent: Some(Agent::Without), note: Some("a CD brings none that is known".into()), ..Acted::done() })
            }
            Step::Configure => {
                let (guest, ssh_keys) = self.guest().await?;
                self.progress(hv.ensure_config(&self.call, self.vmid, &guest).await).map(|acted| Acted { ssh_keys, ..acted })
            }
            step => self.ask_node(hv, step).await,
        })
    }

    fn is_last_try(&self) -> bool {
        let s = self.server();
        self.task.step.in_build(s.build) && s.facts().cursor.is_some() && (self.task.late || s.attempt + 1 >= self.w.limits.backoff.attempts)
    }

    async fn ask_node(&self, hv: &dyn Hypervisor, step: Step) -> Asked {
        let (call, vmid, s) = (&self.call, self.vmid, self.server());
        match step {
            Step::Place | Step::Configure | Step::SetAddresses => Ok(Acted::done()),
            Step::CreateDisk => self.create_disk(hv).await,
            Step::Define | Step::SwapDisk => self.progress(hv.ensure_vm(call, &self.spec()).await),
            Step::ResizeDisk => self.progress(hv.ensure_disk_size(call, vmid, s.disk_gb).await),
            Step::Boot | Step::PowerOn => self.progress(hv.ensure_power(call, vmid, Power::On).await),
            Step::PowerOff => self.progress(hv.ensure_power(call, vmid, Power::Off).await),
            Step::CutNetwork => self.progress(hv.ensure_link(call, vmid, false).await),
            Step::RestoreNetwork => self.progress(hv.ensure_link(call, vmid, true).await),
            Step::Reboot => self.progress(hv.reboot(call, vmid, s.reboot_asked).await),
            Step::AwaitAgent => self.await_agent(hv).await,
            Step::SetCredentials if s.agent.map(|a| a.0) != Some(Agent::Ok) => Ok(Acted { note: Some("skipped: there is no agent".into()), ..Acted::done() }),
            Step::SetCredentials | Step::ResetPassword => self.set_password(hv).await,
            Step::Verify => self.verify(hv).await,
            Step::TakeSnapshot | Step::RevertSnapshot | Step::DropSnapshot => self.snapshot(hv).await,
            Step::Destroy => match hv.ensure_absent(call, vmid).await {
                // Whose number it is now, that machine stays; ours is not there.
                Err(Error::Conflict(why)) => Ok(Acted { note: Some(why), ..Acted::done() }),
                asked => self.progress(asked),
            },
            Step::Release => self.release(hv).await,
        }
    }

    fn progress(&self, asked: std::result::Result<Progress, Error>) -> Asked {
        Ok(match asked? {
            Progress::Done => Acted::done(),
            Progress::Started(handle) => Acted { handle: Some(handle), ..self.look_again() },
        })
    }

    /// How long the step has been under way.
    fn waited(&self) -> Duration {
        self.server().step_since.map_or(Duration::ZERO, |since| self.call.now.since(since.0))
    }

    fn look_again(&self) -> Acted {
        Acted::new(Outcome::Wait(self.call.now + (self.waited() / 10).clamp(LOOK_SOONEST, LOOK_LATEST)))
    }

    /// Whether a try whose answer is not known did what it should. What an older claim's frozen worker still asks for is shut out first:
    /// it could undo what is seen here.
    async fn already(&self, hv: &dyn Hypervisor) -> std::result::Result<bool, Error> {
        match hv.fence(&self.call, self.vmid).await {
            Err(Error::Conflict(_)) if self.task.step == Step::Destroy => return Ok(true),
            fenced => fenced?,
        }
        let observed = hv.observe(self.vmid).await?;
        let present = |check: &dyn Fn(&Machine) -> bool| matches!(&observed, Observed::Present(m) if check(m));
        let ours = |m: &Machine| m.mark.as_ref() == Some(&self.call.mark);
        Ok(match self.task.step {
            Step::Define | Step::SwapDisk => present(&ours),
            Step::ResizeDisk => present(&|m| ours(m) && m.disk_gb >= self.server().disk_gb),
            Step::Boot | Step::PowerOn => present(&|m| ours(m) && m.power == Power::On),
            Step::PowerOff => present(&|m| m.power == Power::Off && m.mark.is_some()),
            Step::Destroy => !self.is_there(&observed),
            _ => false,
        })
    }

    async fn create_disk(&self, hv: &dyn Hypervisor) -> Asked {
        let s = self.server();
        let asked = match &s.handle {
            Some(handle) => hv.poll(&self.call, self.vmid, handle).await,
            None => match self.template().await {
                Ok(template) => hv.ensure_disk(&self.call, self.vmid, &source(template)).await,
                Err(error) => return Ok(Acted::new(Outcome::Retry(error.to_string()))),
            },
        };
        match asked {
            // Only a first build leaves its node: a reinstall's machine stands there and is left alone.
            Err(Error::Capacity(why)) if s.build == BuildKind::First => {
                hv.ensure_absent(&self.call, self.vmid).await?;
                Ok(Acted { no_room: true, ..Acted::new(Outcome::Failed(why)) })
            }
            // It was cleared before, and the answer was lost.
            Err(Error::Destroyed(why)) if s.build == BuildKind::First => Ok(Acted { no_room: true, ..Acted::new(Outcome::Failed(why)) }),
            // The records gave out a number that the node knows.
            Err(Error::Conflict(why)) if s.build == BuildKind::First => Ok(Acted {
                no_room: true,
                proof: Some(format!("a node knows the number {} as another's ({why})", self.vmid)),
                ..Acted::new(Outcome::Failed(why))
            }),
            other => self.progress(other),
        }
    }

    async fn username_of(&self, template: &TemplateId) -> Result<String> {
        Ok(self.w.store.read().await?.template(template).await?.username)
    }

    async fn template(&self) -> Result<Template> {
        self.w.store.read().await?.template(&self.server().build_template_id).await
    }

    fn spec(&self) -> MachineSpec {
        let s = self.server();
        MachineSpec { vmid: self.vmid, server: s.id.clone(), vcpu: s.vcpu, ram_mb: s.ram_mb, mac: s.mac.clone().unwrap_or_default() }
    }

    /// What the guest is told, and which of its account's SSH keys are in that.
    async fn guest(&self) -> Result<(GuestConfig, Vec<String>)> {
        let s = self.server();
        let mut tx = self.w.store.read().await?;
        let username = tx.template(&s.build_template_id).await?.username;
        let (resolvers, user_data) = (tx.resolvers(s).await?, tx.secret(self.user_data()).await?);
        let (ids, ssh_keys) = tx.ssh_keys_for(&s.id).await?.into_iter().map(|k| (k.id, k.public_key)).unzip();
        let addresses = tx.addresses(&s.id).await?.into_iter().filter(|a| a.addon.is_none()).map(of_guest).collect();
        Ok((GuestConfig { hostname: s.hostname.clone(), username, ssh_keys, addresses, resolvers, user_data }, ids))
    }

    /// All but the first, which every guest has from its first boot. One that is off is given them when it starts.
    async fn set_addresses(&self, hv: &dyn Hypervisor) -> Result<Asked> {
        let s = self.server();
        if s.power.map(|p| p.0) != Some(Power::On) {
            return Ok(Ok(Acted { note: Some("the machine is off".into()), ..Acted::done() }));
        }
        if s.agent.map(|a| a.0) == Some(Agent::Without) {
            return Ok(Ok(Acted { note: Some("left to its owner: there is no agent".into()), ..Acted::done() }));
        }
        let addresses = self.w.store.read().await?.addresses(&s.id).await?;
        let more: Vec<GuestAddress> = addresses.into_iter().skip(1).filter(|a| !a.is_block()).map(of_guest).collect();
        Ok(self.progress(hv.ensure_addresses(&self.call, self.vmid, &more).await))
    }

    /// A slow agent is not a missing agent; past its time the server is delivered without it.
    async fn await_agent(&self, hv: &dyn Hypervisor) -> Asked {
        let answers = match hv.readiness(self.vmid, &self.call.mark, self.call.now).await? {
            Readiness::NotYet { answers } => answers,
            Readiness::Ready => return Ok(Acted { agent: Some(Agent::Ok), ..Acted::done() }),
            Readiness::Troubled(trouble) => return self.troubled(trouble).await,
        };
        // Past the build's deadline it is delivered, too: that it never answers is no reason to give the price back.
        if self.waited() < self.w.limits.agent_wait && !self.task.late {
            return Ok(Acted { note: Some("the guest is starting".into()), ..self.look_again() });
        }
        // No password either way: a first boot that goes on later may lock it again.
        let note = if answers { "its first boot is not over; going on without a password" } else { "the agent never answered; going on without it" };
        Ok(Acted { agent: Some(Agent::Missing), note: Some(note.into()), ..Acted::done() })
    }

    /// Ready, and something went wrong. What cloud-init complains of may quote what the owner wanted done, which is nobody's to read.
    async fn troubled(&self, trouble: String) -> Asked {
        let quotes = async { self.w.store.read().await?.secret(self.user_data()).await.map(|theirs| theirs.is_some()) };
        let trouble = match quotes.await {
            Ok(false) => trouble,
            Ok(true) => "something of it failed; what, stands in the guest: /run/cloud-init/result.json".into(),
            Err(error) => return Ok(Acted::new(Outcome::Retry(error.to_string()))),
        };
        Ok(Acted { agent: Some(Agent::Ok), note: Some(format!("ready, but its first boot reports: {trouble}")), trouble: Some(trouble), ..Acted::done() })
    }

    fn user_data(&self) -> Place<'_> {
        Place { table: "servers", column: "user_data", id: self.server().id.as_str() }
    }

    async fn set_password(&self, hv: &dyn Hypervisor) -> Asked {
        let Some(password) = &self.task.password else { return Ok(Acted::new(Outcome::Failed("no password was proposed".into()))) };
        // Of the system that stands, which may not be the one that a given-up reinstall was to bring.
        let username = match self.username_of(&self.server().template_id).await {
            Ok(username) => username,
            Err(error) => return Ok(Acted::new(Outcome::Retry(error.to_string()))),
        };
        match hv.set_password(&self.call, self.vmid, &username, password).await {
            // Whatever a guest refuses, its owner has it: there is no password, and the operator knows.
            Err(Error::Permanent(why)) if self.task.step == Step::SetCredentials => {
                Ok(Acted { agent: Some(Agent::Missing), note: Some(format!("no password: {why}")), ..Acted::done() })
            }
            // Nor does it get its build back by not answering.
            Err(error)
                if self.task.step == Step::SetCredentials
                    && self.is_last_try()
                    && !matches!(error, Error::Stale(_) | Error::Conflict(_) | Error::Destroyed(_)) =>
            {
                Ok(Acted { agent: Some(Agent::Missing), note: Some(format!("going on without a password: {error}")), ..Acted::done() })
            }
            set => set.map(|()| Acted::done()),
        }
    }

    async fn snapshot(&self, hv: &dyn Hypervisor) -> Asked {
        let Some(n) = &self.task.snapshot else { return Ok(Acted::done()) };
        self.progress(match self.task.step {
            Step::TakeSnapshot => hv.ensure_snapshot(&self.call, self.vmid, &n.id).await,
            Step::RevertSnapshot => hv.revert(&self.call, self.vmid, &n.id, n.reverts).await,
            _ => hv.ensure_no_snapshot(&self.call, self.vmid, &n.id).await,
        })
    }

    async fn verify(&self, hv: &dyn Hypervisor) -> Asked {
        let Observed::Present(m) = hv.observe(self.vmid).await? else { return Ok(Acted::new(Outcome::Failed("the machine is gone".into()))) };
        let s = self.server();
        let wrong = if m.mark.as_ref() != Some(&self.call.mark) {
            Some("it carries another mark")
        } else if m.disk_gb < s.disk_gb {
            Some("its disk is too small")
        } else if m.mac != s.mac {
            Some("its network card is another")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return Ok(Acted::new(Outcome::Retry(format!("the machine is not as it should be: {wrong}"))));
        }
        let note = if m.power == Power::Off { Some(self.switched_off(hv).await?) } else { None };
        Ok(match note {
            Some(why) if !self.is_last_try() => Acted::new(Outcome::Retry(why)),
            note => Acted { note, endpoint: m.ssh.map(|at| at.to_string()), ..Acted::done() },
        })
    }

    /// A guest that switches itself off is switched on again as long as there are tries, and then delivered as it is: what its owner has it
    /// do is no reason to give the price back. A node that cannot start it is one.
    async fn switched_off(&self, hv: &dyn Hypervisor) -> std::result::Result<String, Error> {
        hv.ensure_power(&self.call, self.vmid, Power::On).await?;
        Ok("its guest switched itself off; it was switched on again".into())
    }

    /// The second sighting: absent still, and long enough after the first.
    async fn release(&self, hv: &dyn Hypervisor) -> Asked {
        let s = self.server();
        let due = s.absent_at.map_or(self.call.now, |at| at.0 + crate::ABSENT_TWICE);
        if s.booted && self.call.now < due {
            return Ok(Acted { note: Some("looking once more before the addresses are given back".into()), ..Acted::new(Outcome::Wait(due)) });
        }
        let observed = hv.observe(self.vmid).await?;
        Ok(if self.is_there(&observed) { Acted::new(Outcome::Failed("the machine came back".into())) } else { Acted::done() })
    }

    /// Whether anything of this server's may stand under its number. What carries another's mark is another's.
    fn is_there(&self, observed: &Observed) -> bool {
        match observed {
            Observed::Absent => false,
            Observed::Present(machine) => machine.mark.as_ref().is_none_or(|mark| mark.server == self.call.mark.server),
        }
    }
}
