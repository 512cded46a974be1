//! Addresses: taken with the placement, given back when the machine was seen absent, then quarantined.

use leasehold_domain::{RegionId, ServerId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::{Result, Tx, args};

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
}

impl Tx {
    /// Takes one free address of a family for a server; `None` when the region has no pool of it or no address left.
    pub async fn take_address(&mut self, server: &ServerId, region: &RegionId, family: i64) -> Result<Option<String>> {
        let now = self.now;
        let sql = "update addresses set server_id = $1, taken_at = $2 where server_id is null and address in \
                   (select a.address from addresses a where a.server_id is null and not a.hidden and a.free_at <= $2 \
                    and a.pool_id in (select id from pools where region_id = $3 and family = $4 and not hidden) order by a.free_at, a.no limit 1 {skip}) \
                   returning address";
        let taken: Option<(String,)> = self.optional(sql, args![server, now, region, family]).await?;
        Ok(taken.map(|(address,)| address))
    }

    /// How many addresses of a family a region could hand out now; `None` when it has no pool of that family.
    pub async fn free_addresses(&mut self, region: &RegionId, family: i64) -> Result<Option<i64>> {
        let pools = self.int("select count(*) from pools where region_id = $1 and family = $2 and not hidden", args![region, family]).await?;
        if pools == 0 {
            return Ok(None);
        }
        let now = self.now;
        let sql = "select count(*) from addresses where server_id is null and not hidden and free_at <= $1 \
                   and pool_id in (select id from pools where region_id = $2 and family = $3 and not hidden)";
        self.int(sql, args![now, region, family]).await.map(Some)
    }

    /// A server's addresses, IPv4 first.
    pub async fn addresses(&mut self, server: &ServerId) -> Result<Vec<Address>> {
        let sql =
            "select a.address, a.family, p.cidr, p.gateway from addresses a join pools p on p.id = a.pool_id where a.server_id = $1 order by a.family, a.no";
        self.all(sql, args![server]).await
    }

    /// Gives a server's addresses back; nobody gets them before `free_at`.
    pub async fn release_addresses(&mut self, server: &ServerId, free_at: Timestamp) -> Result<u64> {
        self.exec("update addresses set server_id = null, taken_at = null, free_at = $1 where server_id = $2", args![free_at, server]).await
    }
}
