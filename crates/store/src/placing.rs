//! Placement as rows: candidates, the reservation of room, and its end.

use leasehold_domain::{
    NodeId, RegionId,
    placement::{Candidate, Size},
};
use sqlx::FromRow;

use crate::{
    Queue, Result, Tx, args,
    nodes::{Node, NodeState},
    servers::Server,
};

#[derive(FromRow)]
struct CandidateRow {
    id: String,
    vcpu: i64,
    ram_mb: i64,
    disk_gb: i64,
    builds_limit: i64,
    builds: i64,
    neighbours: i64,
}

/// Since when an open node does not answer.
fn silence(n: &Node) -> Option<String> {
    match (n.state, n.failing_since, n.seen_at) {
        (NodeState::Active, Some(since), _) => Some(format!("{} does not answer since {}", n.id, since.0.human())),
        (NodeState::Active, None, None) => Some(format!("{} was not looked at yet", n.id)),
        _ => None,
    }
}

impl Tx {
    /// Open nodes of a region that answered, with what is left of them. Locks the region's nodes, so that two placements cannot take the same room.
    pub async fn candidates(&mut self, region: &RegionId, account: &str, excluded: &[NodeId]) -> Result<Vec<Candidate>> {
        self.all::<(String,)>("select id from nodes where region_id = $1 order by id {lock}", args![region]).await?;
        let sql = "select n.id, n.builds as builds_limit, \
            n.vcpu - coalesce((select cast(sum(r.vcpu) as bigint) from reservations r where r.node_id = n.id), 0) as vcpu, \
            n.ram_mb - coalesce((select cast(sum(r.ram_mb) as bigint) from reservations r where r.node_id = n.id), 0) as ram_mb, \
            n.disk_gb - coalesce((select cast(sum(r.disk_gb) as bigint) from reservations r where r.node_id = n.id), 0) as disk_gb, \
            (select count(*) from servers s where s.node_id = n.id and s.status = 'building' and not exists (select 1 from holds h where h.server_id = s.id)) as builds, \
            (select count(*) from servers s where s.node_id = n.id and s.account_id = $2) as neighbours \
            from nodes n where n.region_id = $1 and n.state = 'active' and not n.hidden and n.failing_since is null and n.seen_at is not null order by n.id";
        let rows: Vec<CandidateRow> = self.all(sql, args![region, account]).await?;
        let candidate = |r: CandidateRow| Candidate {
            node: NodeId(r.id),
            free: Size { vcpu: r.vcpu, ram_mb: r.ram_mb, disk_gb: r.disk_gb },
            builds: r.builds,
            builds_limit: r.builds_limit,
            neighbours: r.neighbours,
        };
        Ok(rows.into_iter().map(candidate).filter(|c| !excluded.contains(&c.node)).collect())
    }

    /// Why the nodes of a region that take nothing new do not, one sentence each.
    pub async fn closed_nodes(&mut self, region: &RegionId) -> Result<Vec<String>> {
        let sql = "select * from nodes where region_id = $1 and not hidden and (state <> 'active' or failing_since is not null or seen_at is null) order by id";
        let why = |n: Node| silence(&n).unwrap_or_else(|| format!("{} takes nothing new ({})", n.id, n.state));
        Ok(self.all::<Node>(sql, args![region]).await?.into_iter().map(why).collect())
    }

    /// Which open nodes of a region that are large enough do not answer, one sentence each.
    pub async fn silent_nodes(&mut self, region: &RegionId, want: Size, excluded: &[NodeId]) -> Result<Vec<String>> {
        let sql = "select * from nodes where region_id = $1 and not hidden and state = 'active' and (failing_since is not null or seen_at is null) \
                   and vcpu >= $2 and ram_mb >= $3 and disk_gb >= $4 order by id";
        let nodes = self.all::<Node>(sql, args![region, want.vcpu, want.ram_mb, want.disk_gb]).await?;
        Ok(nodes.into_iter().filter(|n| !excluded.contains(&n.id)).filter_map(|n| silence(&n)).collect())
    }

    /// A node answers that did not, or never was asked: the orders of its region that wait are looked at now.
    pub async fn node_is_back(&mut self, region: &RegionId) -> Result<()> {
        let now = self.now;
        let sql = "update servers set next_at = $1 where region_id = $2 and (status = 'pending' or (status = 'building' and node_id is null)) \
                   and claimed_by is null and next_at > $1";
        self.exec(sql, args![now, region]).await?;
        self.wake(Queue::Servers);
        Ok(())
    }

    /// Whether any open node of a region could take a server of this size now, as far as one can tell without locks.
    pub async fn has_room(&mut self, region: &RegionId, want: Size) -> Result<bool> {
        let sql = "select count(*) from nodes n left join (select node_id, cast(sum(vcpu) as bigint) as vcpu, cast(sum(ram_mb) as bigint) as ram_mb, \
                   cast(sum(disk_gb) as bigint) as disk_gb from reservations group by node_id) r on r.node_id = n.id \
                   where n.region_id = $1 and n.state = 'active' and not n.hidden and n.vcpu - coalesce(r.vcpu, 0) >= $2 \
                   and n.ram_mb - coalesce(r.ram_mb, 0) >= $3 and n.disk_gb - coalesce(r.disk_gb, 0) >= $4";
        Ok(self.int(sql, args![region, want.vcpu, want.ram_mb, want.disk_gb]).await? > 0)
    }

    /// Reserves room on a node and answers the number of the new machine there.
    pub async fn reserve(&mut self, server: &Server, node: &NodeId) -> Result<i64> {
        let vmid = self.int("update nodes set next_vmid = next_vmid + 1 where id = $1 returning next_vmid - 1", args![node]).await?;
        let sql = "insert into reservations (server_id, node_id, vmid, vcpu, ram_mb, disk_gb) values ($1, $2, $3, $4, $5, $6)";
        self.exec_one(sql, args![&server.id, node, vmid, server.vcpu, server.ram_mb, server.disk_gb]).await?;
        Ok(vmid)
    }

    /// Gives a server's room back.
    pub async fn unreserve(&mut self, server: &Server) -> Result<()> {
        self.exec("delete from reservations where server_id = $1", args![&server.id]).await?;
        Ok(())
    }

    /// A build made way: the first order that waits in its account, and the first in its region, are looked at now. One that another
    /// transaction holds is passed over; it looks again by itself.
    pub async fn make_way(&mut self, server: &Server) -> Result<()> {
        let account = "select id from servers where next_at is not null and status = 'pending' and attempt = 0 and id <> $1 and account_id = $2 order by id limit 1 {skip}";
        let region = "select id from servers where next_at is not null and status = 'pending' and attempt = 0 and id <> $1 and region_id = $2 order by id limit 1 {skip}";
        for (sql, of) in [(account, &server.account_id.0), (region, &server.region_id.0)] {
            let first: Option<(String,)> = self.optional(sql, args![&server.id, of]).await?;
            if let Some((id,)) = first {
                self.want(Queue::Servers, &id).await?;
            }
        }
        Ok(())
    }

    /// How many servers of an account are being built; what is held waits for a person, and what a node sent on for another one.
    pub async fn builds_of(&mut self, account: &str) -> Result<i64> {
        let sql = "select count(*) from servers s where s.account_id = $1 and s.status = 'building' and s.node_id is not null and not exists (select 1 from holds h where h.server_id = s.id)";
        self.int(sql, args![account]).await
    }
}
