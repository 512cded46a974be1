//! What addresses resolve to. A row says what should be; a worker publishes it, again and again until a DNS server has taken it.

use leasehold_domain::{AccountId, ServerId, Timestamp, event::EventKind};
use serde_json::json;
use sqlx::FromRow;

use crate::{Queue, Result, StoreError, Tx, When, args, webhooks::News};

/// What an address resolves to.
#[derive(Clone, Debug, FromRow)]
pub struct ReverseName {
    /// The address.
    pub id: String,
    /// What it resolves to; none: nothing.
    pub name: Option<String>,
    /// When a DNS server took it; none: not yet.
    pub published_at: Option<When>,
    /// Tries since it was changed.
    pub attempt: i64,
    /// Changes so far.
    pub wants: i64,
}

impl Tx {
    /// Says what an address of a server resolves to.
    pub async fn set_name(&mut self, server: &ServerId, address: &str, name: Option<&str>) -> Result<()> {
        let now = self.now;
        let sql = "insert into names (id, name, next_at) select address, $1, $2 from addresses where server_id = $3 and address = $4 \
                   on conflict (id) do update set name = excluded.name, published_at = null, attempt = 0, wants = names.wants + 1, parked_at = null, \
                   next_at = case when names.claimed_by is null then excluded.next_at else names.next_at end";
        self.exec_one(sql, args![name, now, server, address]).await?;
        self.wake(Queue::Names);
        Ok(())
    }

    /// The addresses that a server has (by this add-on, where one is named) resolve to nothing from now on.
    pub(crate) async fn forget_names(&mut self, server: &ServerId, addon: Option<&str>) -> Result<()> {
        // In one order, whoever locks them.
        let sql = "select id from names where name is not null \
                   and id in (select address from addresses where server_id = $1 and ($2 is null or addon = $2)) order by id {lock}";
        let named: Vec<(String,)> = self.all_on("", sql, args![server, addon]).await?;
        if named.is_empty() {
            return Ok(());
        }
        let account: AccountId = self.one::<(String,)>("select account_id from servers where id = $1", args![server]).await?.0.into();
        let (now, mut news) = (self.now, Vec::new());
        for (id,) in named {
            let sql = "update names set name = null, published_at = null, attempt = 0, wants = wants + 1, parked_at = null, \
                       next_at = case when claimed_by is null then $1 else next_at end where id = $2";
            self.exec_one(sql, args![now, &id]).await?;
            news.push(News { account: account.clone(), event: EventKind::PtrChanged, data: json!({ "id": server, "ip": id, "hostname": null }) });
        }
        self.wake(Queue::Names);
        self.publish(news).await
    }

    /// A name that this claim holds.
    pub async fn claimed_name(&mut self, id: &str, epoch: i64) -> Result<ReverseName> {
        let lost = StoreError::Lost { id: id.into(), epoch };
        self.optional("select id, name, published_at, attempt, wants from names where id = $1 and epoch = $2 {lock}", args![id, epoch]).await?.ok_or(lost)
    }

    /// A DNS server has taken it, unless it was changed meanwhile.
    pub async fn name_published(&mut self, n: &ReverseName) -> Result<()> {
        let now = self.now;
        self.exec("update names set published_at = $1, attempt = 0, last_error = null where id = $2 and wants = $3", args![now, &n.id, n.wants]).await?;
        Ok(())
    }

    /// No DNS server has taken it.
    pub async fn name_failed(&mut self, n: &ReverseName) -> Result<()> {
        self.exec("update names set attempt = attempt + 1 where id = $1 and wants = $2", args![&n.id, n.wants]).await?;
        Ok(())
    }

    /// Nobody knows what the DNS server has.
    pub async fn name_unsure(&mut self, id: &str) -> Result<()> {
        self.exec("update names set published_at = null where id = $1", args![id]).await?;
        self.want(Queue::Names, id).await
    }

    /// Has everything published that was not yet: for a worker with a DNS server.
    pub async fn publish_names(&mut self) -> Result<u64> {
        let now: Timestamp = self.now;
        let count = self.exec("update names set next_at = $1 where published_at is null and next_at is null and parked_at is null", args![now]).await?;
        self.wake(Queue::Names);
        Ok(count)
    }
}
