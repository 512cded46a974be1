//! What is sold: regions, templates, products and their prices, address pools. Import writes, orders read.

use leasehold_domain::{Currency, Money, ProductId, RegionId, TemplateId, lease::Cycle, server::Medium};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Result, StoreError, Tx, args};

/// A place where servers are built.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct Region {
    /// Its slug.
    #[sqlx(try_from = "String")]
    pub id: RegionId,
    /// Its name.
    pub name: String,
    /// No longer offered.
    pub hidden: bool,
    /// The name servers of its guests, where neither pool nor node has some; with commas between.
    pub resolvers: String,
}

/// An operating system that can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct Template {
    /// Its slug, `debian-12`.
    #[sqlx(try_from = "String")]
    pub id: TemplateId,
    /// `debian`, `ubuntu`, …
    pub family: String,
    /// For people.
    pub label: String,
    /// For panels.
    pub icon: Option<String>,
    /// For panels.
    pub color: Option<String>,
    /// The image's name at the nodes.
    pub image: String,
    /// The smallest disk it fits on, GB.
    pub min_disk_gb: i64,
    /// Who signs in.
    pub username: String,
    /// No longer offered.
    pub hidden: bool,
    /// What it comes from.
    #[sqlx(try_from = "String")]
    pub medium: Medium,
    /// Of a CD: what is on it, for people.
    pub description: Option<String>,
    /// Of a CD: what kind of thing that is, as the host names it.
    pub kind: Option<String>,
    /// Of a CD: bytes.
    pub size: Option<i64>,
    /// Whether all nodes have it.
    pub ready: bool,
}

impl Template {
    /// The family of all CDs.
    pub const CUSTOM: &str = "custom-iso";
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct Product {
    /// Its id: a UUIDv5 of the key, so that an import is stable.
    #[sqlx(try_from = "String")]
    pub id: ProductId,
    /// The catalogue's key, `small`.
    pub key: String,
    /// For people.
    pub name: String,
    /// Virtual processors.
    pub vcpu: i64,
    /// Memory, MiB.
    pub ram_mb: i64,
    /// Disk, GB.
    pub disk_gb: i64,
    /// Traffic a month, GB.
    pub bandwidth_gb: i64,
    /// No longer offered.
    pub hidden: bool,
}

/// A price of a plan.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct Price {
    /// The plan.
    pub product_id: String,
    /// ISO 4217.
    pub currency: String,
    /// How much is paid at once.
    #[sqlx(try_from = "String")]
    pub cycle: Cycle,
    /// Minor units.
    pub amount: i64,
}

/// A pool of addresses.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct AddressPool {
    /// Its slug.
    pub id: String,
    /// Where.
    pub region_id: String,
    /// 4 or 6.
    pub family: i64,
    /// The network.
    pub cidr: String,
    /// Its gateway.
    pub gateway: String,
    /// Handed out in blocks with a prefix of this length; none: address by address.
    pub blocks: Option<i64>,
    /// No longer used for new servers.
    pub hidden: bool,
    /// The name servers of guests with its addresses; with commas between.
    pub resolvers: String,
}

impl Tx {
    /// All regions.
    pub async fn regions(&mut self) -> Result<Vec<Region>> {
        self.all("select * from regions order by id", &[]).await
    }

    /// All templates.
    pub async fn templates(&mut self) -> Result<Vec<Template>> {
        self.all("select * from templates order by id", &[]).await
    }

    /// All plans.
    pub async fn products(&mut self) -> Result<Vec<Product>> {
        self.all("select * from products order by key", &[]).await
    }

    /// All prices.
    pub async fn prices(&mut self) -> Result<Vec<Price>> {
        self.all("select * from prices order by product_id, currency, cycle", &[]).await
    }

    /// Which plan is offered where.
    pub async fn product_regions(&mut self) -> Result<Vec<(String, String)>> {
        self.all("select product_id, region_id from product_regions order by product_id, region_id", &[]).await
    }

    /// All address pools.
    pub async fn pools(&mut self) -> Result<Vec<AddressPool>> {
        self.all("select * from pools order by id", &[]).await
    }

    /// A template that is offered; the old form without a point (`ubuntu-2404`) finds it too.
    pub async fn offered_template(&mut self, id: &str) -> Result<Template> {
        let sql = "select * from templates where (id = $1 or replace(id, '.', '') = $1) and not hidden";
        self.optional(sql, args![id]).await?.ok_or_else(|| StoreError::not_found("template", id))
    }

    /// One template, offered or not.
    pub async fn template(&mut self, id: &TemplateId) -> Result<Template> {
        self.optional("select * from templates where id = $1", args![id]).await?.ok_or_else(|| StoreError::not_found("template", id))
    }

    /// A plan that is offered, by its id or key.
    pub async fn offered_product(&mut self, id_or_key: &str) -> Result<Product> {
        let sql = "select * from products where (id = $1 or key = $1) and not hidden";
        self.optional(sql, args![id_or_key]).await?.ok_or_else(|| StoreError::not_found("product", id_or_key))
    }

    /// One plan, offered or not.
    pub async fn product(&mut self, id: &ProductId) -> Result<Product> {
        self.optional("select * from products where id = $1", args![id]).await?.ok_or_else(|| StoreError::not_found("product", id))
    }

    /// The regions where a plan is offered.
    pub async fn regions_of(&mut self, product: &ProductId) -> Result<Vec<Region>> {
        let sql = "select r.* from regions r join product_regions p on p.region_id = r.id where p.product_id = $1 and not r.hidden order by r.id";
        self.all(sql, args![product]).await
    }

    /// The price of a plan, if it has one in that currency for that cycle.
    pub async fn price_of(&mut self, product: &ProductId, currency: Currency, cycle: Cycle) -> Result<Option<Money>> {
        let sql = "select amount from prices where product_id = $1 and currency = $2 and cycle = $3";
        let row: Option<(i64,)> = self.optional(sql, args![product, currency.code(), cycle.as_str()]).await?;
        Ok(row.map(|(minor,)| Money::new(minor, currency)))
    }

    /// Writes a region.
    pub async fn put_region(&mut self, r: &Region) -> Result<()> {
        let sql = "insert into regions (id, name, hidden, resolvers) values ($1, $2, $3, $4) \
                   on conflict (id) do update set name = excluded.name, hidden = excluded.hidden, resolvers = excluded.resolvers";
        self.exec_one(sql, args![&r.id, &r.name, r.hidden, &r.resolvers]).await
    }

    /// Writes a template.
    pub async fn put_template(&mut self, t: &Template) -> Result<()> {
        let sql = "insert into templates (id, family, label, icon, color, image, min_disk_gb, username, hidden, medium, description, kind, size, ready) \
                   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
                   on conflict (id) do update set family = excluded.family, label = excluded.label, icon = excluded.icon, color = excluded.color, \
                   image = excluded.image, min_disk_gb = excluded.min_disk_gb, username = excluded.username, hidden = excluded.hidden, \
                   medium = excluded.medium, description = excluded.description, kind = excluded.kind, size = excluded.size, ready = excluded.ready";
        let (icon, color, kind, said) = (t.icon.as_deref(), t.color.as_deref(), t.kind.as_deref(), t.description.as_deref());
        let (medium, username) = (t.medium.as_str(), &t.username);
        self.exec_one(sql, args![&t.id, &t.family, &t.label, icon, color, &t.image, t.min_disk_gb, username, t.hidden, medium, said, kind, t.size, t.ready])
            .await
    }

    /// Writes a plan.
    pub async fn put_product(&mut self, p: &Product) -> Result<()> {
        let sql = "insert into products (id, key, name, vcpu, ram_mb, disk_gb, bandwidth_gb, hidden) values ($1, $2, $3, $4, $5, $6, $7, $8) \
                   on conflict (id) do update set name = excluded.name, vcpu = excluded.vcpu, ram_mb = excluded.ram_mb, disk_gb = excluded.disk_gb, \
                   bandwidth_gb = excluded.bandwidth_gb, hidden = excluded.hidden";
        self.exec_one(sql, args![&p.id, &p.key, &p.name, p.vcpu, p.ram_mb, p.disk_gb, p.bandwidth_gb, p.hidden]).await
    }

    /// Puts these prices and regions in the place of what a plan had.
    pub async fn put_offer(&mut self, product: &ProductId, prices: &[Price], regions: &[RegionId]) -> Result<()> {
        self.exec("delete from prices where product_id = $1", args![product]).await?;
        for p in prices {
            let sql = "insert into prices (product_id, currency, cycle, amount) values ($1, $2, $3, $4)";
            self.exec_one(sql, args![product, &p.currency, p.cycle.as_str(), p.amount]).await?;
        }
        self.exec("delete from product_regions where product_id = $1", args![product]).await?;
        for region in regions {
            self.exec_one("insert into product_regions (product_id, region_id) values ($1, $2)", args![product, region]).await?;
        }
        Ok(())
    }

    /// Writes an address pool and the addresses that it has now; taken ones that it lost stay taken and are hidden.
    pub async fn put_pool(&mut self, pool: &AddressPool, addresses: &[String]) -> Result<()> {
        let sql = "insert into pools (id, region_id, family, cidr, gateway, hidden, blocks, resolvers) values ($1, $2, $3, $4, $5, $6, $7, $8) \
                   on conflict (id) do update set region_id = excluded.region_id, family = excluded.family, cidr = excluded.cidr, gateway = excluded.gateway, hidden = excluded.hidden, blocks = excluded.blocks, \
                   resolvers = excluded.resolvers";
        self.exec_one(sql, args![&pool.id, &pool.region_id, pool.family, &pool.cidr, &pool.gateway, pool.hidden, pool.blocks, &pool.resolvers]).await?;
        self.exec("update addresses set hidden = true where pool_id = $1", args![&pool.id]).await?;
        let mut rows = crate::Rows::new("v_address:t v_no:i");
        addresses.iter().enumerate().for_each(|(no, address)| rows.push(&[address.as_str().into(), (no as i64).into()]));
        let sql = "with v(v_address, v_no) as ({rows}) insert into addresses (address, pool_id, family, no, free_at, hidden) \
                   select v_address, $2, $3, v_no, $4, false from v where true on conflict (address) do update set hidden = false, no = excluded.no, \
                   pool_id = excluded.pool_id, family = excluded.family where addresses.server_id is null or addresses.pool_id = excluded.pool_id";
        // Nobody had a new one: it needs no rest.
        let now = 0_i64;
        self.exec_rows(sql, rows, args![&pool.id, pool.family, now]).await?;
        Ok(())
    }
}
