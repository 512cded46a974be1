//! Hypervisor nodes: what they are, what they hold, what was seen there that should not be.

use leasehold_domain::{Mark, NodeId, RegionId, ServerId, Timestamp, names};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Queue, Result, StoreError, Tx, When, args, restoration::EPOCHS};

names! {
    /// Whether a node takes new servers.
    NodeState {
        /// It does.
        Active = "active",
        /// It keeps what it has and takes nothing new.
        Drain = "drain",
        /// It is not asked for anything.
        Offline = "offline",
    }
}

/// A node.
#[derive(Clone, Debug, FromRow)]
pub struct Node {
    /// Its slug.
    #[sqlx(try_from = "String")]
    pub id: NodeId,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub region_id: RegionId,
    /// `simulated`, `qemu`.
    pub backend: String,
    /// What the backend needs to know, JSON.
    pub settings: String,
    /// Virtual processors to sell, overcommit counted in.
    pub vcpu: i64,
    /// Memory to sell, MiB.
    pub ram_mb: i64,
    /// Disk to sell, GB.
    pub disk_gb: i64,
    /// Builds at once.
    pub builds: i64,
    /// Whether it takes new servers.
    #[sqlx(try_from = "String")]
    pub state: NodeState,
    /// Gone from the catalogue.
    pub hidden: bool,
    /// The name servers of its guests, where their pools have none; with commas between.
    pub resolvers: String,
    /// The host's boot id, as last seen.
    pub boot_id: Option<String>,
    /// When it last answered.
    pub seen_at: Option<When>,
    /// Since when it does not answer.
    pub failing_since: Option<When>,
    /// When it is to be looked at next; none: now.
    pub look_at: Option<When>,
    /// Failed looks in a row.
    pub attempt: i64,
    /// What came of the last one.
    pub last_error: Option<String>,
    /// The fence.
    pub epoch: i64,
    /// Requests so far.
    pub wants: i64,
}

/// What a node has given away.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct NodeUse {
    /// The node.
    pub node_id: String,
    /// Servers there.
    pub servers: i64,
    /// Virtual processors.
    pub vcpu: i64,
    /// Memory, MiB.
    pub ram_mb: i64,
    /// Disk, GB.
    pub disk_gb: i64,
}

/// Something at a node that does not fit the records.
#[derive(Clone, Debug, FromRow)]
pub struct Drift {
    /// The node.
    pub node_id: String,
    /// The machine (its vmid) or the server.
    pub subject: String,
    /// `orphan` (a machine of no server), `gone` (a server without its machine).
    pub kind: String,
    /// The machine's mark.
    pub mark: Option<String>,
    /// First seen.
    #[sqlx(try_from = "i64")]
    pub first_seen_at: Timestamp,
    /// Last seen.
    #[sqlx(try_from = "i64")]
    pub seen_at: Timestamp,
}

/// A server's place, for comparing with what the node says.
#[derive(Clone, Debug, FromRow)]
pub struct Placed {
    /// The server.
    #[sqlx(try_from = "String")]
    pub id: ServerId,
    /// Its status.
    #[sqlx(try_from = "String")]
    pub status: leasehold_domain::server::Status,
    /// Its generation.
    pub generation: i64,
    /// Its machine.
    pub vmid: i64,
    /// Whether that machine was ever switched on.
    pub booted: bool,
    /// How it was when this was read: whoever writes what a look found names both.
    pub epoch: i64,
    /// Requests so far.
    pub wants: i64,
}

impl Tx {
    /// One node.
    pub async fn node(&mut self, id: &NodeId) -> Result<Node> {
        self.optional("select * from nodes where id = $1", args![id]).await?.ok_or_else(|| StoreError::not_found("node", id))
    }

    /// All nodes.
    pub async fn nodes(&mut self) -> Result<Vec<Node>> {
        self.all("select * from nodes order by id", &[]).await
    }

    /// Writes a node of the catalogue and has it looked at.
    pub async fn put_node(&mut self, n: &Node) -> Result<()> {
        let now = self.now;
        let sql = "insert into nodes (id, region_id, backend, settings, vcpu, ram_mb, disk_gb, builds, state, hidden, next_vmid, next_at, resolvers) \
                   values ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, 100, $10, $11) \
                   on conflict (id) do update set region_id = excluded.region_id, backend = excluded.backend, settings = excluded.settings, \
                   vcpu = excluded.vcpu, ram_mb = excluded.ram_mb, disk_gb = excluded.disk_gb, builds = excluded.builds, hidden = excluded.hidden, \
                   resolvers = excluded.resolvers";
        self.exec_one(sql, args![&n.id, &n.region_id, &n.backend, &n.settings, n.vcpu, n.ram_mb, n.disk_gb, n.builds, n.hidden, now, &n.resolvers]).await?;
        self.want_look(&n.id).await
    }

    /// Has a node looked at now.
    pub async fn want_look(&mut self, id: &NodeId) -> Result<()> {
        self.exec("update nodes set look_at = null where id = $1", args![id]).await?;
        self.want(Queue::Nodes, id.as_str()).await
    }

    /// Opens a node for new servers or closes it.
    pub async fn set_node_state(&mut self, id: &NodeId, state: NodeState) -> Result<()> {
        match self.exec("update nodes set state = $1 where id = $2", args![state.as_str(), id]).await? {
            0 => Err(StoreError::not_found("node", id)),
            _ => Ok(()),
        }
    }

    /// What every node has given away.
    pub async fn node_use(&mut self) -> Result<Vec<NodeUse>> {
        let sql = "select node_id, count(*) as servers, cast(sum(vcpu) as bigint) as vcpu, cast(sum(ram_mb) as bigint) as ram_mb, cast(sum(disk_gb) as bigint) as disk_gb \
                   from reservations group by node_id order by node_id";
        self.all(sql, &[]).await
    }

    /// The worker's word on a node that answered.
    pub async fn node_seen(&mut self, node: &Node, boot_id: &str, look_at: Timestamp) -> Result<()> {
        let now = self.now;
        let sql = "update nodes set seen_at = $1, boot_id = $2, failing_since = null, attempt = 0, last_error = null, \
                   look_at = case when wants = $3 then $4 end where id = $5 and epoch = $6";
        self.fenced(sql, args![now, boot_id, node.wants, look_at, &node.id, node.epoch], node.id.as_str(), node.epoch).await
    }

    /// The worker's word on a node that did not answer.
    pub async fn node_failing(&mut self, node: &Node, error: &str, look_at: Timestamp) -> Result<()> {
        let now = self.now;
        let sql = "update nodes set failing_since = coalesce(failing_since, $1), attempt = attempt + 1, last_error = $2, \
                   look_at = case when wants = $3 then $4 end where id = $5 and epoch = $6";
        self.fenced(sql, args![now, error, node.wants, look_at, &node.id, node.epoch], node.id.as_str(), node.epoch).await
    }

    /// The servers that have a place on a node.
    pub async fn placed_on(&mut self, node: &NodeId) -> Result<Vec<Placed>> {
        self.all("select id, status, generation, vmid, booted, epoch, wants from servers where node_id = $1 and vmid is not null order by id", args![node])
            .await
    }

    /// Whether the records know a machine as over by its mark: its server terminated, failed, at a later generation, or elsewhere. One that waits for a
    /// place is not over: in restored books it may be the very machine that it was given since. Nor is one that these books did not speak to since they
    /// were restored, whose epoch is from before: what it was is for a person to judge.
    pub async fn is_over(&mut self, node: &NodeId, number: i64, mark: &Mark, epoch: i64) -> Result<bool> {
        // Under the very number that it has at another node: two names of one host, perhaps.
        let sql = "select count(*) from servers where id = $1 and generation >= $2 and epoch / $6 <= $5 / $6 and ((node_id is null and status in ('failed', 'terminated')) \
                   or (node_id <> $3 and vmid <> $4) or (node_id = $3 and coalesce(installed, generation) > $2))";
        Ok(self.int(sql, args![&mark.server, mark.generation, node, number, epoch, EPOCHS]).await? == 1)
    }

    /// Notes something that does not fit; answers since when it is seen.
    pub async fn drift_seen(&mut self, node: &NodeId, subject: &str, kind: &str, mark: Option<&str>) -> Result<Timestamp> {
        let now = self.now;
        let sql = "insert into drift (node_id, subject, kind, mark, first_seen_at, seen_at) values ($1, $2, $3, $4, $5, $5) \
                   on conflict (node_id, subject, kind) do update set seen_at = excluded.seen_at, mark = excluded.mark returning first_seen_at";
        self.int(sql, args![node, subject, kind, mark, now]).await.map(Timestamp::from_millis)
    }

    /// Forgets what was not seen at this look. That a system is a later one is seen once, since the records learn of it.
    pub async fn drift_settled(&mut self, node: &NodeId) -> Result<()> {
        let now = self.now;
        let sql = "delete from drift where node_id = $1 and seen_at < $2 \
                   and (kind <> 'later system' or not exists (select 1 from restoration where released_at is null))";
        self.exec(sql, args![node, now]).await?;
        Ok(())
    }

    /// Everything that does not fit.
    pub async fn drift(&mut self) -> Result<Vec<Drift>> {
        self.all("select * from drift order by node_id, subject, kind", &[]).await
    }
}
