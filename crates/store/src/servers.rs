//! Servers as rows. Commands write what is asked, the claim holder writes what is found; `status` is written by both,
//! always from a named status.

use leasehold_domain::{
    AccountId, NodeId, ProductId, RegionId, ServerId, TemplateId, Timestamp,
    server::{Agent, BuildKind, Event, Facts, Goal, HoldKind, Link, Means, Power, SnapshotWork, Status, Step, transition},
};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Page, Queue, Result, StoreError, Text, Tx, When, args};

/// A server.
#[derive(Clone, Debug, FromRow)]
pub struct Server {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: ServerId,
    /// Who pays.
    #[sqlx(try_from = "String")]
    pub account_id: AccountId,
    /// The plan.
    #[sqlx(try_from = "String")]
    pub product_id: ProductId,
    /// Where.
    #[sqlx(try_from = "String")]
    pub region_id: RegionId,
    /// The installed system.
    #[sqlx(try_from = "String")]
    pub template_id: TemplateId,
    /// The system that the current build installs.
    #[sqlx(try_from = "String")]
    pub build_template_id: TemplateId,
    /// The customer's name for it.
    pub label: String,
    /// Its own name.
    pub hostname: String,
    /// Virtual processors.
    pub vcpu: i64,
    /// Memory, MiB.
    pub ram_mb: i64,
    /// Disk, GB.
    pub disk_gb: i64,
    /// What was found last.
    #[sqlx(try_from = "String")]
    pub status: Status,
    /// Why it is so, for people.
    pub status_reason: Option<String>,
    /// What should be.
    #[sqlx(try_from = "String")]
    pub goal: Goal,
    /// Counts builds, from 1.
    pub generation: i64,
    /// How the current build came to be.
    #[sqlx(try_from = "String")]
    pub build: BuildKind,
    /// The build's next step.
    pub cursor: Option<Text<Step>>,
    /// Restarts asked for.
    pub reboot_asked: i64,
    /// Restarts done.
    pub reboot_done: i64,
    /// Password resets asked for.
    pub password_asked: i64,
    /// Password resets answered.
    pub password_done: i64,
    /// Why the last reset failed.
    pub password_error: Option<String>,
    /// How often the guest was to be given its add-ons' addresses.
    pub addresses_asked: i64,
    /// Up to which of these requests it has them; 0 after every start.
    pub addresses_done: i64,
    /// The node.
    pub node_id: Option<String>,
    /// The machine's number there.
    pub vmid: Option<i64>,
    /// The machine's network card.
    pub mac: Option<String>,
    /// The generation that the machine carries in its mark; none before it is defined.
    pub installed: Option<i64>,
    /// Where its SSH can be reached, when that is not port 22 of its first address.
    pub endpoint: Option<String>,
    /// Whether the machine was ever switched on.
    pub booted: bool,
    /// Power as found.
    pub power: Option<Text<Power>>,
    /// Its network as found.
    pub link: Option<Text<Link>>,
    /// The guest agent as found.
    pub agent: Option<Text<Agent>>,
    /// When the machine was first seen absent after its end.
    pub absent_at: Option<When>,
    /// Nodes that refused this build, JSON list.
    pub excluded: String,
    /// The backend's name for work under way.
    pub handle: Option<String>,
    /// Since when the current step waits.
    pub step_since: Option<When>,
    /// When this generation was asked for.
    #[sqlx(try_from = "i64")]
    pub ordered_at: Timestamp,
    /// When a failing build is given up.
    pub deadline_at: Option<When>,
    /// Since when a hold stops the build.
    pub held_at: Option<When>,
    /// When it was ordered first.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// When it ran first.
    pub running_at: Option<When>,
    /// When it was terminated.
    pub ended_at: Option<When>,
    /// When it is due.
    pub next_at: Option<When>,
    /// Who holds it.
    pub claimed_by: Option<String>,
    /// Until when.
    pub claimed_until: Option<When>,
    /// The fence.
    pub epoch: i64,
    /// Requests so far.
    pub wants: i64,
    /// Failed attempts of the current step.
    pub attempt: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Put aside until a person looks.
    pub parked_at: Option<When>,
    /// What the holds that stand do to the machine, the strongest of them; none while no hold stands.
    pub held: Option<Text<Means>>,
    /// What is asked of a snapshot.
    pub snapshot_asked: Option<Text<SnapshotWork>>,
}

impl Server {
    /// The facts that decide what to do next.
    pub fn facts(&self) -> Facts {
        Facts {
            status: self.status,
            goal: self.goal,
            held: self.held.map(|h| h.0),
            build: self.build,
            cursor: self.cursor.map(|c| c.0),
            placed: self.node_id.is_some(),
            absent: self.absent_at.is_some(),
            power: self.power.map(|p| p.0),
            link: self.link.map(|l| l.0),
            reboot_due: self.reboot_asked > self.reboot_done,
            password_due: self.password_asked > self.password_done,
            addresses_due: self.addresses_asked > self.addresses_done,
            snapshot_due: self.snapshot_asked.map(|a| a.0),
        }
    }

    /// The node and the machine's number there, once placed.
    pub fn place(&self) -> Option<(NodeId, i64)> {
        Some((self.node_id.clone()?.into(), self.vmid?))
    }
}

/// A hold.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct Hold {
    /// Which.
    #[sqlx(try_from = "String")]
    pub kind: HoldKind,
    /// Why.
    pub reason: String,
    /// What it does to the machine.
    #[sqlx(try_from = "String")]
    pub means: Means,
    /// Whether nothing is charged while it stands.
    pub free: bool,
    /// Since when.
    #[sqlx(try_from = "i64")]
    pub placed_at: Timestamp,
}

/// What a hold is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldTerms {
    /// To the machine.
    pub means: Means,
    /// Whether nothing is charged while it stands.
    pub free: bool,
}

impl From<Means> for HoldTerms {
    fn from(means: Means) -> Self {
        Self { means, free: false }
    }
}

/// What is needed for a new server.
#[derive(Clone, Debug)]
pub struct NewServer<'a> {
    /// Its id.
    pub id: &'a ServerId,
    /// Who pays.
    pub account: &'a AccountId,
    /// The plan.
    pub product: &'a crate::catalog::Product,
    /// Where.
    pub region: &'a RegionId,
    /// The system.
    pub template: &'a TemplateId,
    /// The customer's name for it.
    pub label: &'a str,
    /// Its own name.
    pub hostname: &'a str,
}

/// So many characters of an id stand for it.
const ID_START: usize = 6;

impl Tx {
    /// Writes a new server; it is due now.
    pub async fn insert_server(&mut self, new: NewServer<'_>) -> Result<()> {
        let now = self.now;
        let sql = "insert into servers (id, account_id, product_id, region_id, template_id, build_template_id, label, hostname, vcpu, ram_mb, disk_gb, \
                   status, goal, generation, build, ordered_at, created_at, next_at) \
                   values ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10, 'pending', 'running', 1, 'first', $11, $11, $11)";
        let p = new.product;
        self.exec_one(sql, args![new.id, new.account, &p.id, new.region, new.template, new.label, new.hostname, p.vcpu, p.ram_mb, p.disk_gb, now]).await?;
        self.wake(Queue::Servers);
        Ok(())
    }

    /// One server.
    pub async fn server(&mut self, id: &ServerId) -> Result<Server> {
        let sql = "select s.*, {facts} from servers s where s.id = $1";
        self.optional(sql, args![id]).await?.ok_or_else(|| StoreError::not_found("server", id))
    }

    /// One server, locked until the transaction ends.
    pub async fn lock_server(&mut self, id: &ServerId) -> Result<Server> {
        self.all::<(String,)>("select id from servers where id = $1 {lock}", args![id]).await?;
        self.server(id).await
    }

    /// A server that this worker holds, locked until the transaction ends; in books that may be older than the claim, nobody holds one.
    pub async fn claimed_server(&mut self, id: &ServerId, epoch: i64) -> Result<Server> {
        if self.is_in_doubt().await? {
            return Err(StoreError::NobodyLooked);
        }
        let server = self.lock_server(id).await?;
        if server.epoch == epoch { Ok(server) } else { Err(StoreError::Lost { id: id.to_string(), epoch }) }
    }

    /// One server by its id, or by whatever else it is called by, where only one is: its label or hostname (while it is not terminated), an address of
    /// its, how its id begins. What one customer calls theirs never hides another's: then all of them are named.
    pub async fn find_server(&mut self, text: &str) -> Result<Server> {
        // An id is nobody else's, whatever others call their servers.
        match self.server(&text.into()).await {
            Err(StoreError::NotFound { .. }) => {}
            found => return found,
        }
        let called = "select s.id, s.label, a.number, s.status from servers s join accounts a on a.id = s.account_id \
                     where (s.label = $1 or s.hostname = $1 or s.hostname = $2) and s.status <> 'terminated' order by s.id limit 20";
        let addresses = "select s.id, s.label, a.number, s.status from addresses x join servers s on s.id = x.server_id join accounts a on a.id = s.account_id where x.address = $1";
        // An address is nobody's name: whoever calls a server by one would be taken for whoever has it.
        let address = text.parse::<std::net::IpAddr>().ok().map(|ip| ip.to_canonical().to_string());
        let mut found: Vec<(String, String, i64, String)> = match &address {
            Some(address) => self.all(addresses, args![address]).await?,
            None => self.all(called, args![text, text.to_ascii_lowercase()]).await?,
        };
        if text.len() >= ID_START && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            let begins = "select s.id, s.label, a.number, s.status from servers s join accounts a on a.id = s.account_id where s.id >= $1 and s.id < $2 order by s.id limit 20";
            found.extend(self.all(begins, args![text.to_lowercase(), format!("{}g", text.to_lowercase())]).await?);
        }
        found.sort();
        found.dedup();
        match found.as_slice() {
            [(id, ..)] => self.server(&id.as_str().into()).await,
            [] => Err(StoreError::not_found("server", text)),
            several => {
                let these = several.iter().map(|(id, label, account, status)| format!("{id} ({label}, {status}, account {account})")).collect::<Vec<_>>();
                Err(StoreError::Ambiguous { what: "servers", called: text.to_owned(), these: these.join("; ") })
            }
        }
    }

    /// Servers, newest first; of one status, one account, or all.
    pub async fn servers(&mut self, status: Option<Status>, account: Option<&AccountId>, page: impl Into<Page>) -> Result<Vec<Server>> {
        let page = page.into();
        let sql = "select s.*, {facts} from servers s \
                   where ($1 is null or s.status = $1) and ($2 is null or s.account_id = $2) order by s.id desc limit $3 offset $4";
        self.all(sql, args![status.map(Status::as_str), account.map(AccountId::as_str), page.most(), page.skip]).await
    }

    /// How many servers an account has ordered since then, but for those that could not be built, and when the first of them.
    pub async fn orders_since(&mut self, account: &AccountId, since: Timestamp) -> Result<(i64, Option<Timestamp>)> {
        let sql = "select count(*), min(created_at) from servers where account_id = $1 and created_at > $2 and status <> 'failed'";
        let (count, first): (i64, Option<i64>) = self.one(sql, args![account, since]).await?;
        Ok((count, first.map(Timestamp::from_millis)))
    }

    /// Orders of an account since then that were ended before they ran.
    pub async fn unfinished_since(&mut self, account: &AccountId, since: Timestamp) -> Result<i64> {
        let sql = "select count(*) from servers where account_id = $1 and created_at > $2 and running_at is null and goal = 'terminated'";
        self.int(sql, args![account, since]).await
    }

    /// Whether a server of an account has ever run.
    pub async fn has_delivered(&mut self, account: &AccountId) -> Result<bool> {
        Ok(self.int("select count(*) from (select 1 from servers where account_id = $1 and running_at is not null limit 1) s", args![account]).await? > 0)
    }

    /// One server of an account, unless it has ended.
    pub async fn server_of(&mut self, account: &AccountId, id: &str) -> Result<Server> {
        let sql = "select s.*, {facts} from servers s where s.id = $1 and s.account_id = $2 and s.status <> 'terminated'";
        self.optional(sql, args![id, account]).await?.ok_or_else(|| StoreError::not_found("server", id))
    }

    /// The servers of an account that have not ended, newest first.
    pub async fn servers_of(&mut self, account: &AccountId, status: Option<Status>, page: Page) -> Result<Vec<Server>> {
        let sql = "select s.*, {facts} from servers s where s.account_id = $1 and s.status <> 'terminated' and ($2 is null or s.status = $2) \
                   order by s.id desc limit $3 offset $4";
        self.all(sql, args![account, status.map(Status::as_str), page.limit.unwrap_or(i64::MAX), page.skip]).await
    }

    /// How many servers there are of each status.
    pub async fn servers_by_status(&mut self) -> Result<Vec<(String, i64)>> {
        self.all("select status, count(*) from servers group by status order by status", &[]).await
    }

    /// The holds on a server.
    pub async fn holds(&mut self, server: &ServerId) -> Result<Vec<Hold>> {
        self.all("select kind, reason, means, free, placed_at from holds where server_id = $1 order by kind", args![server]).await
    }

    /// Places a hold; a second one of the same kind changes what the first was to do.
    pub async fn place_hold(&mut self, server: &ServerId, kind: HoldKind, terms: impl Into<HoldTerms>, reason: &str) -> Result<()> {
        let (now, HoldTerms { means, free }) = (self.now, terms.into());
        let sql = "insert into holds (server_id, kind, reason, means, free, placed_at) values ($1, $2, $3, $4, $5, $6) on conflict (server_id, kind) \
                   do update set reason = excluded.reason, means = excluded.means, free = excluded.free";
        self.exec_one(sql, args![server, kind.as_str(), reason, means.as_str(), free, now]).await?;
        self.want(Queue::Servers, server.as_str()).await
    }

    /// Lifts a hold; false when there was none of that kind.
    pub async fn lift_hold(&mut self, server: &ServerId, kind: HoldKind) -> Result<bool> {
        let lifted = self.exec("delete from holds where server_id = $1 and kind = $2", args![server, kind.as_str()]).await? == 1;
        self.want(Queue::Servers, server.as_str()).await?;
        Ok(lifted)
    }

    /// Changes what should be.
    pub async fn set_goal(&mut self, server: &ServerId, goal: Goal) -> Result<()> {
        self.exec_one("update servers set goal = $1 where id = $2 and goal <> 'terminated'", args![goal.as_str(), server]).await?;
        self.want(Queue::Servers, server.as_str()).await
    }

    /// A running server whose machine a look found off. After a restart of its host it is switched on again; without one, somebody
    /// inside switched it off, and that is what is wanted now. False when anything was asked or done since before the look.
    pub async fn found_off(&mut self, p: &crate::nodes::Placed, host_restarted: bool) -> Result<bool> {
        let goal = if host_restarted { Goal::Running } else { Goal::Stopped };
        let sql = "update servers set power = 'off', goal = $1 where id = $2 and epoch = $3 and wants = $4 and status = 'running' and goal = 'running' \
                   and power = 'on' and claimed_by is null and ($5 or next_at is null)";
        let found = self.exec(sql, args![goal.as_str(), &p.id, p.epoch, p.wants, host_restarted]).await? == 1;
        if found {
            self.want(Queue::Servers, p.id.as_str()).await?;
        }
        Ok(found)
    }

    /// Asks for a restart.
    pub async fn ask_reboot(&mut self, server: &ServerId) -> Result<()> {
        self.exec_one("update servers set reboot_asked = reboot_asked + 1 where id = $1", args![server]).await?;
        self.want(Queue::Servers, server.as_str()).await
    }

    /// Asks for a new password; answers the request's number.
    pub async fn ask_password(&mut self, server: &ServerId) -> Result<i64> {
        let asked = self.int("update servers set password_asked = password_asked + 1 where id = $1 returning password_asked", args![server]).await?;
        self.want(Queue::Servers, server.as_str()).await?;
        Ok(asked)
    }

    /// Another build of a failed server.
    pub async fn ask_retry(&mut self, s: &Server) -> Result<()> {
        let to = transition(s.status, Event::Retried)?;
        let cursor = (s.build == BuildKind::Reinstall).then_some(Step::CreateDisk.as_str());
        self.next_build(s, to, s.build, cursor, &s.build_template_id).await
    }

    /// A new system on a delivered server.
    pub async fn ask_reinstall(&mut self, s: &Server, template: &TemplateId) -> Result<()> {
        let to = transition(s.status, Event::ReinstallAsked)?;
        self.next_build(s, to, BuildKind::Reinstall, Some(Step::CreateDisk.as_str()), template).await
    }

    async fn next_build(&mut self, s: &Server, to: Status, build: BuildKind, cursor: Option<&str>, template: &TemplateId) -> Result<()> {
        let now = self.now;
        let sql = "update servers set status = $1, status_reason = null, build = $2, cursor = $3, build_template_id = $4, generation = generation + 1, \
                   ordered_at = $5, deadline_at = null, held_at = null, step_since = null, handle = null, excluded = '[]', attempt = 0, last_error = null, \
                   password_error = case when password_asked > password_done then 'the system was replaced' else password_error end, password_done = password_asked \
                   where id = $6 and status = $7";
        self.exec_one(sql, args![to.as_str(), build.as_str(), cursor, template, now, &s.id, s.status.as_str()]).await?;
        self.want(Queue::Servers, s.id.as_str()).await
    }

    /// An operator's word that the machine of a server that is over is gone for good, though its node cannot say so:
    /// the worker's claim is fenced off, room is given back at once, the addresses rest until `addresses_free_at`.
    pub async fn resolve_as_gone(&mut self, s: &Server, addresses_free_at: Timestamp) -> Result<()> {
        let sql = "update servers set epoch = epoch + 1, claimed_by = null, claimed_until = null, node_id = null, vmid = null, mac = null, installed = null, \
                   power = null, link = 'up', absent_at = null, endpoint = null where id = $1 and (status = 'terminated' or (status = 'failed' and build = 'first')) and epoch = $2";
        self.fenced(sql, args![&s.id, s.epoch], s.id.as_str(), s.epoch).await?;
        self.release_addresses(&s.id, addresses_free_at).await?;
        self.unreserve(s).await?;
        self.want(Queue::Servers, s.id.as_str()).await
    }

    /// Changes the customer's name for a server.
    pub async fn set_label(&mut self, server: &ServerId, label: &str) -> Result<()> {
        self.exec_one("update servers set label = $1 where id = $2", args![label, server]).await
    }

    /// Writes everything that was found, from the status that it was found in.
    pub async fn save_found(&mut self, s: &Server, from: Status) -> Result<()> {
        let sql = "update servers set status = $1, status_reason = $2, template_id = $3, cursor = $4, reboot_done = $5, password_done = $6, password_error = $7, \
                   node_id = $8, vmid = $9, mac = $10, booted = $11, power = $12, agent = $13, absent_at = $14, excluded = $15, handle = $16, step_since = $17, \
                   deadline_at = $18, held_at = $19, running_at = $20, ended_at = $21, attempt = $22, last_error = $23, installed = $24, endpoint = $25, \
                   addresses_done = $26, link = $27 where id = $28 and epoch = $29 and status = $30";
        let at = |when: Option<When>| when.map(|w| w.0);
        let args = args![
            s.status.as_str(),
            s.status_reason.clone(),
            &s.template_id,
            s.cursor.map(|c| c.0.as_str()),
            s.reboot_done,
            s.password_done,
            s.password_error.clone(),
            s.node_id.clone(),
            s.vmid,
            s.mac.clone(),
            s.booted,
            s.power.map(|p| p.0.as_str()),
            s.agent.map(|a| a.0.as_str()),
            at(s.absent_at),
            &s.excluded,
            s.handle.clone(),
            at(s.step_since),
            at(s.deadline_at),
            at(s.held_at),
            at(s.running_at),
            at(s.ended_at),
            s.attempt,
            s.last_error.clone(),
            s.installed,
            s.endpoint.clone(),
            s.addresses_done,
            s.link.map(|l| l.0.as_str()),
            &s.id,
            s.epoch,
            from.as_str(),
        ];
        self.fenced(sql, args, s.id.as_str(), s.epoch).await
    }

    /// Runs an update that names an epoch: no row changed means that the claim is lost.
    pub(crate) async fn fenced(&mut self, sql: &'static str, args: &[crate::Arg], id: &str, epoch: i64) -> Result<()> {
        match self.exec(sql, args).await? {
            1 => Ok(()),
            _ => Err(StoreError::Lost { id: id.into(), epoch }),
        }
    }
}
