//! Addresses: taken with the placement, given back when the machine was seen absent, then quarantined.

use std::{collections::HashMap, net::IpAddr};

use leasehold_domain::{RegionId, ServerId, Timestamp, addon::AddonKind};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::{Result, Rows, Tx, addons::ServerAddon, args, servers::Server};

/// An address that a server has.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: String,
    /// 4 or 6.
    pub family: i64,
    /// Its network, `203.0.113.0/24`.
    pub cidr: String,
    /// The gateway there.
    pub gateway: String,
    /// The add-on that brought it, by its id at the server; none: the server's own.
    pub addon: Option<String>,
    /// What it resolves to.
    pub ptr: Option<String>,
}

#[derive(FromRow)]
struct Owned {
    server_id: String,
    #[sqlx(flatten)]
    address: Address,
}

impl Address {
    /// Whether it is a whole block, which is routed to the server and not an address of its guest.
    pub fn is_block(&self) -> bool {
        self.address.contains('/')
    }
}

impl Tx {
    /// What a pool has to give, taken or not.
    pub async fn pool_addresses(&mut self, pool: &str) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = self.all("select address from addresses where pool_id = $1 and not hidden order by no", args![pool]).await?;
        Ok(rows.into_iter().map(|(address,)| address).collect())
    }

    /// Takes one free address or block for an add-on; `None` when the region has none left.
    pub(crate) async fn take_for_addon(&mut self, s: &Server, a: &ServerAddon) -> Result<Option<String>> {
        let (now, rested) = (self.now, self.believed_now().await?);
        let sql = "update addresses set server_id = $1, taken_at = $2, addon = $3 where server_id is null and address in \
                   (select a.address from addresses a where a.server_id is null and not a.hidden and a.free_at <= $6 and a.pool_id in \
                    (select id from pools where region_id = $4 and family = 4 and not hidden and (blocks is not null) = $5) order by a.free_at, a.no limit 1 {skip}) \
                   returning address";
        let taken: Option<(String,)> = self.optional(sql, args![&s.id, now, &a.id, &s.region_id, a.kind == AddonKind::IpClass, rested]).await?;
        Ok(taken.map(|(address,)| address))
    }

    /// Takes one free address of a family for a server; `None` when the region has no pool of it or no address left.
    pub async fn take_address(&mut self, server: &ServerId, region: &RegionId, family: i64) -> Result<Option<String>> {
        let (now, rested) = (self.now, self.believed_now().await?);
        let sql = "update addresses set server_id = $1, taken_at = $2 where server_id is null and address in \
                   (select a.address from addresses a where a.server_id is null and not a.hidden and a.free_at <= $5 \
                    and a.pool_id in (select id from pools where region_id = $3 and family = $4 and not hidden and blocks is null) order by a.free_at, a.no limit 1 {skip}) \
                   returning address";
        let taken: Option<(String,)> = self.optional(sql, args![server, now, region, family, rested]).await?;
        Ok(taken.map(|(address,)| address))
    }

    /// How many addresses or blocks a region could hand out for add-ons now.
    pub async fn free_for_addons(&mut self, region: &RegionId, kind: AddonKind) -> Result<i64> {
        let now = self.believed_now().await?;
        let sql = "select count(*) from addresses where server_id is null and not hidden and free_at <= $1 \
                   and pool_id in (select id from pools where region_id = $2 and family = 4 and not hidden and (blocks is not null) = $3)";
        self.int(sql, args![now, region, kind == AddonKind::IpClass]).await
    }

    /// How many addresses of a family a region could hand out now; `None` when it has no pool of that family.
    pub async fn free_addresses(&mut self, region: &RegionId, family: i64) -> Result<Option<i64>> {
        let pools =
            self.int("select count(*) from pools where region_id = $1 and family = $2 and not hidden and blocks is null", args![region, family]).await?;
        if pools == 0 {
            return Ok(None);
        }
        let now = self.believed_now().await?;
        let sql = "select count(*) from addresses where server_id is null and not hidden and free_at <= $1 \
                   and pool_id in (select id from pools where region_id = $2 and family = $3 and not hidden and blocks is null)";
        self.int(sql, args![now, region, family]).await.map(Some)
    }

    /// A server's addresses: its own, IPv4 first, then those of add-ons.
    pub async fn addresses(&mut self, server: &ServerId) -> Result<Vec<Address>> {
        let sql = "select a.address, a.family, p.cidr, p.gateway, a.addon, n.name as ptr from addresses a join pools p on p.id = a.pool_id \
             left join names n on n.id = a.address where a.server_id = $1 \
             order by a.addon is not null, a.family, a.no";
        self.all(sql, args![server]).await
    }

    /// The addresses of several servers, each server's as [`Tx::addresses`] has them.
    pub async fn addresses_of(&mut self, servers: impl Iterator<Item = &ServerId>) -> Result<HashMap<ServerId, Vec<Address>>> {
        let rows = Rows::ids(servers.map(ServerId::as_str));
        let sql = "with v(v_id) as ({rows}) select a.server_id, a.address, a.family, p.cidr, p.gateway, a.addon, n.name as ptr from v join addresses a on a.server_id = v.v_id \
                   join pools p on p.id = a.pool_id left join names n on n.id = a.address order by a.addon is not null, a.family, a.no";
        let mut found: HashMap<ServerId, Vec<Address>> = HashMap::new();
        for Owned { server_id, address } in self.all_rows_on("", sql, rows, &[]).await? {
            found.entry(server_id.into()).or_default().push(address);
        }
        Ok(found)
    }

    /// The name servers that a placed server's guest is to ask: those of its own addresses' pools, else its node's, else its region's.
    pub async fn resolvers(&mut self, s: &Server) -> Result<Vec<IpAddr>> {
        let sql = "select p.resolvers from addresses a join pools p on p.id = a.pool_id where a.server_id = $1 and a.addon is null and p.resolvers <> '' order by a.family";
        let mut found: Vec<(String,)> = self.all(sql, args![&s.id]).await?;
        if found.is_empty() {
            let sql = "select case when n.resolvers <> '' then n.resolvers else r.resolvers end from regions r left join nodes n on n.id = $1 where r.id = $2";
            found = self.all(sql, args![s.node_id.as_deref(), &s.region_id]).await?;
        }
        let mut resolvers: Vec<IpAddr> = vec![];
        for address in found.iter().flat_map(|(list,)| list.split(',')).filter_map(|text| text.parse().ok()) {
            if !resolvers.contains(&address) {
                resolvers.push(address);
            }
        }
        Ok(resolvers)
    }

    /// The regions that have addresses to give out and no name servers for them, neither in the region itself nor in one of its pools or nodes.
    pub async fn regions_without_resolvers(&mut self) -> Result<Vec<String>> {
        let sql = "select r.id from regions r where not r.hidden and r.resolvers = '' \
                   and exists (select 1 from nodes n where n.region_id = r.id and not n.hidden and n.resolvers = '') \
                   and exists (select 1 from pools p where p.region_id = r.id and not p.hidden and p.blocks is null) \
                   and not exists (select 1 from pools p where p.region_id = r.id and not p.hidden and p.blocks is null and p.resolvers <> '') order by r.id";
        Ok(self.all::<(String,)>(sql, &[]).await?.into_iter().map(|(id,)| id).collect())
    }

    /// Gives a server's addresses back; nobody gets them before `free_at`.
    pub async fn release_addresses(&mut self, server: &ServerId, free_at: Timestamp) -> Result<u64> {
        self.forget_names(server, None).await?;
        self.exec("update addresses set server_id = null, taken_at = null, addon = null, free_at = $1 where server_id = $2", args![free_at, server]).await
    }
}
