//! Add-ons as rows: what is offered, which server has which, and the addresses and snapshots that come with them.

use leasehold_domain::{
    Currency, Money, NodeId, Percent, ProductId, ServerId, Timestamp,
    addon::{AddonKind, AddonState},
    lease::Cycle,
    price::{Line, LineKind},
};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Queue, Result, StoreError, Tx, When, args, servers::Server};

/// An add-on as it is offered.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Addon {
    /// A short code made of its key.
    pub id: String,
    /// The catalogue's key.
    pub key: String,
    /// For people.
    pub name: String,
    /// What it is.
    #[sqlx(try_from = "String")]
    pub kind: AddonKind,
    /// How many addresses or blocks it brings.
    pub count: i64,
    /// How long its nightly snapshots are kept.
    pub keep_days: i64,
    /// No longer offered.
    pub hidden: bool,
}

/// A price of an add-on.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct AddonPrice {
    /// Which.
    pub addon_id: String,
    /// ISO 4217.
    pub currency: String,
    /// How much is paid at once.
    #[sqlx(try_from = "String")]
    pub cycle: Cycle,
    /// Minor units.
    pub amount: i64,
}

/// An add-on of a server.
#[derive(Clone, Debug, FromRow)]
pub struct ServerAddon {
    /// Its id at this server.
    pub id: String,
    /// Whose.
    #[sqlx(try_from = "String")]
    pub server_id: ServerId,
    /// Which.
    pub addon_id: String,
    /// What it is.
    #[sqlx(try_from = "String")]
    pub kind: AddonKind,
    /// For people.
    pub name: String,
    /// How many addresses or blocks.
    pub count: i64,
    /// How long its nightly snapshots are kept.
    pub keep_days: i64,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: AddonState,
    /// Its price for a period, minor units.
    pub price: i64,
    /// What a partner gets off that; negative.
    pub margin: i64,
    /// Its price from the request to the end of what was paid then.
    pub held: i64,
    /// What a partner gets off that; negative.
    pub held_margin: i64,
    /// The tax on that.
    pub held_tax: i64,
    /// The rate of that tax, basis points.
    #[sqlx(try_from = "i64")]
    pub held_tax_rate: Percent,
    /// ISO 4217.
    pub currency: String,
    /// When it was asked for; none for part of an order.
    pub from_at: Option<When>,
    /// Until when it is paid at the request; of one that ends, when.
    pub until_at: Option<When>,
    /// The request that its machine must have been asked with.
    pub asked_no: i64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
}

impl ServerAddon {
    /// What was set aside for it when it was added to a server that runs, tax included.
    pub fn price_now(&self) -> Result<Money> {
        self.money(self.held + self.held_margin + self.held_tax)
    }

    /// An amount of it as money.
    pub fn money(&self, minor: i64) -> Result<Money> {
        Ok(Money::new(minor, self.currency.parse()?))
    }

    /// What is billed: itself, and what a partner gets off; for a period, or for what was left of one at the request.
    pub fn lines(&self, whole: bool) -> Result<Vec<Line>> {
        let (price, margin) = if whole { (self.price, self.margin) } else { (self.held, self.held_margin) };
        let mut lines = vec![Line { kind: LineKind::Addon, description: self.name.clone(), amount: self.money(price)? }];
        if self.margin != 0 {
            lines.push(Line { kind: LineKind::Margin, description: format!("Partner discount on {}", self.name), amount: self.money(margin)? });
        }
        Ok(lines)
    }
}

impl Tx {
    /// All add-ons.
    pub async fn addons(&mut self) -> Result<Vec<Addon>> {
        self.all("select * from addons order by key", &[]).await
    }

    /// All prices of add-ons.
    pub async fn addon_prices(&mut self) -> Result<Vec<AddonPrice>> {
        self.all("select * from addon_prices order by addon_id, currency, cycle", &[]).await
    }

    /// The plans that each add-on is offered with: add-on, plan. An add-on that is not in it is offered with all.
    pub async fn addon_products(&mut self) -> Result<Vec<(String, String)>> {
        self.all("select addon_id, product_id from addon_products order by addon_id, product_id", &[]).await
    }

    /// What a plan can be bought with.
    pub async fn offered_addons(&mut self, product: &ProductId) -> Result<Vec<Addon>> {
        let sql = "select a.* from addons a where not a.hidden and (not exists (select 1 from addon_products p where p.addon_id = a.id) \
                   or exists (select 1 from addon_products p where p.addon_id = a.id and p.product_id = $1)) order by a.key";
        self.all(sql, args![product]).await
    }

    /// The price of an add-on, if it has one in that currency for that cycle.
    pub async fn addon_price(&mut self, addon: &str, currency: Currency, cycle: Cycle) -> Result<Option<Money>> {
        let sql = "select amount from addon_prices where addon_id = $1 and currency = $2 and cycle = $3";
        let row: Option<(i64,)> = self.optional(sql, args![addon, currency.code(), cycle.as_str()]).await?;
        Ok(row.map(|(minor,)| Money::new(minor, currency)))
    }

    /// Writes an add-on, and puts these prices and plans in the place of what it had.
    pub async fn put_addon(&mut self, a: &Addon, prices: &[AddonPrice], products: &[ProductId]) -> Result<()> {
        let sql = "insert into addons (id, key, name, kind, count, keep_days, hidden) values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do update set \
                   name = excluded.name, kind = excluded.kind, count = excluded.count, keep_days = excluded.keep_days, hidden = excluded.hidden";
        self.exec_one(sql, args![&a.id, &a.key, &a.name, a.kind.as_str(), a.count, a.keep_days, a.hidden]).await?;
        self.exec("delete from addon_prices where addon_id = $1", args![&a.id]).await?;
        for p in prices {
            let sql = "insert into addon_prices (addon_id, currency, cycle, amount) values ($1, $2, $3, $4)";
            self.exec_one(sql, args![&a.id, &p.currency, p.cycle.as_str(), p.amount]).await?;
        }
        self.exec("delete from addon_products where addon_id = $1", args![&a.id]).await?;
        for product in products {
            self.exec_one("insert into addon_products (addon_id, product_id) values ($1, $2)", args![&a.id, product]).await?;
        }
        Ok(())
    }

    /// The add-ons of a server, all that it ever had, the oldest first.
    pub async fn server_addons(&mut self, server: &ServerId) -> Result<Vec<ServerAddon>> {
        self.all("select * from server_addons where server_id = $1 order by id", args![server]).await
    }

    /// The add-ons of a server that stand in the way of another of their kind.
    pub async fn live_addons(&mut self, server: &ServerId) -> Result<Vec<ServerAddon>> {
        Ok(self.server_addons(server).await?.into_iter().filter(|a| a.state.is_live()).collect())
    }

    /// Writes an add-on of a server. Under the account's lock.
    pub async fn insert_addon(&mut self, a: &ServerAddon) -> Result<()> {
        let sql = "insert into server_addons (id, server_id, addon_id, kind, name, count, keep_days, state, price, margin, held, held_margin, held_tax, held_tax_rate, currency, \
                   from_at, until_at, asked_no, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
        let at = |when: Option<When>| when.map(|at| at.0);
        let args = args![
            &a.id,
            &a.server_id,
            &a.addon_id,
            a.kind.as_str(),
            &a.name,
            a.count,
            a.keep_days,
            a.state.as_str(),
            a.price,
            a.margin,
            a.held,
            a.held_margin,
            a.held_tax,
            a.held_tax_rate.thousandths(),
            &a.currency,
            at(a.from_at),
            at(a.until_at),
            a.asked_no,
            a.created_at,
        ];
        self.exec_one(sql, args).await
    }

    /// Takes what an add-on lacks of its addresses; false where the region has no more, and nothing is taken.
    pub async fn take_addon_addresses(&mut self, s: &Server, a: &ServerAddon) -> Result<bool> {
        if !a.kind.has_addresses() {
            return Ok(true);
        }
        let there = self.int("select count(*) from addresses where server_id = $1 and addon = $2", args![&s.id, &a.id]).await?;
        for _ in there..a.count {
            if self.take_for_addon(s, a).await?.is_none() {
                let now = self.now;
                self.release_addon_addresses(a, now).await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives an add-on's addresses back; nobody gets them before `free_at`.
    pub async fn release_addon_addresses(&mut self, a: &ServerAddon, free_at: Timestamp) -> Result<u64> {
        self.forget_names(&a.server_id, Some(&a.id)).await?;
        let sql = "update addresses set server_id = null, taken_at = null, addon = null, free_at = $1 where server_id = $2 and addon = $3";
        self.exec(sql, args![free_at, &a.server_id, &a.id]).await
    }

    /// Asks for the guest to be given the addresses that the records have; the request's number.
    pub async fn ask_addresses(&mut self, server: &ServerId) -> Result<i64> {
        let asked = self.int("update servers set addresses_asked = addresses_asked + 1 where id = $1 returning addresses_asked", args![server]).await?;
        self.want(Queue::Servers, server.as_str()).await?;
        Ok(asked)
    }

    /// Add-ons that end by now, with the accounts that have them.
    pub async fn ending_addons(&mut self, limit: i64) -> Result<Vec<(String, String)>> {
        let now = self.now;
        let sql = "select a.id, s.account_id from server_addons a join servers s on s.id = a.server_id where a.state = 'ending' and a.until_at <= $1 \
                   order by a.until_at limit $2";
        self.all(sql, args![now, limit]).await
    }

    /// One add-on of a server by its id there.
    pub async fn server_addon(&mut self, id: &str) -> Result<ServerAddon> {
        self.optional("select * from server_addons where id = $1", args![id]).await?.ok_or_else(|| StoreError::not_found("add-on", id))
    }

    /// An add-on moves on from one state to another, once. Under the account's lock.
    pub async fn move_addon(&mut self, id: &str, from: AddonState, to: AddonState, error: Option<&str>) -> Result<()> {
        let ended = (!to.is_live()).then_some(self.now);
        let sql = "update server_addons set state = $1, error = $2, ended_at = $3 where id = $4 and state = $5";
        self.exec_one(sql, args![to.as_str(), error, ended, id, from.as_str()]).await
    }

    /// Asks for tonight's snapshots of servers on a node that have a backup, and for the end of those that were kept long enough.
    pub async fn ask_backups(&mut self, node: &NodeId) -> Result<()> {
        let (now, name) = (self.now, format!("nightly-{}", self.now.day()));
        let sql = "select s.id, a.keep_days from server_addons a join servers s on s.id = a.server_id where s.node_id = $1 and a.kind = 'backup' \
                   and a.state in ('active', 'ending') and s.goal <> 'terminated' and s.status in ('running', 'stopped') \
                   and not exists (select 1 from snapshots n where n.server_id = s.id and n.name = $2) order by s.id limit 1000";
        for (server, keep_days) in self.all::<(String, i64)>(sql, args![node, &name]).await? {
            let id = self.ask_snapshot(&server.as_str().into(), &name, None).await?;
            let until = now + std::time::Duration::from_hours(24 * keep_days.cast_unsigned());
            self.exec_one("update snapshots set keep_until = $1 where id = $2", args![until, id]).await?;
        }
        let kept = self.believed_now().await?;
        let sql = "select n.server_id, n.id from snapshots n join servers s on s.id = n.server_id where s.node_id = $1 and n.keep_until <= $2 and n.asked is null \
                   and s.status in ('running', 'stopped') order by n.id limit 1000";
        for (server, id) in self.all::<(String, String)>(sql, args![node, kept]).await? {
            // Unless its owner asked for something in this moment.
            if self.exec("update snapshots set asked = 'drop', asked_at = $1, error = null where id = $2 and asked is null", args![now, id]).await? == 1 {
                self.want(Queue::Servers, &server).await?;
            }
        }
        Ok(())
    }
}
