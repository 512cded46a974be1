//! Webhooks, and what they are told: a delivery is written with its cause, and handed over by the webhooks queue.

use std::collections::HashMap;

use leasehold_domain::{AccountId, Timestamp, event::EventKind, names};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::FromRow;

use crate::{Page, Queue, Result, Rows, StoreError, Tx, When, args, sealed::Place, servers::Server};

/// Where an account wants to be told what.
#[derive(Clone, Debug, FromRow)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Whose.
    pub account_id: String,
    /// Where.
    pub url: String,
    /// What, separated by commas.
    pub events: String,
    /// When it was made.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// Since when nothing was taken.
    pub failing_since: Option<When>,
    /// While it takes nothing: when one delivery is tried again; the others wait for that.
    pub next_try_at: Option<When>,
    /// When it was given up.
    pub disabled_at: Option<When>,
}

impl Webhook {
    /// What it wants to be told.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.events.split(',')
    }
}

names! {
    /// Where a delivery stands.
    DeliveryState {
        /// Not yet taken.
        Queued = "queued",
        /// Taken.
        Delivered = "delivered",
        /// Not tried any more.
        Dead = "dead",
    }
}

/// Something that a webhook is told.
#[derive(Clone, Debug, FromRow)]
pub struct Delivery {
    /// Its id, which the receiver knows it again by.
    pub id: String,
    /// To which webhook.
    pub webhook_id: String,
    /// Whose.
    pub account_id: String,
    /// What.
    #[sqlx(try_from = "String")]
    pub event: EventKind,
    /// As it is sent.
    pub body: String,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: DeliveryState,
    /// The status that was answered last.
    pub answer: Option<i64>,
    /// When it was written.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// When it was tried first.
    pub tried_at: Option<When>,
    /// When it was taken.
    pub delivered_at: Option<When>,
    /// Attempts so far.
    pub attempt: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it is due.
    pub next_at: Option<When>,
    /// The fence.
    pub epoch: i64,
    /// Requests so far.
    pub wants: i64,
}

/// Something that happened to an account.
#[derive(Clone, Debug)]
pub struct News {
    /// To whom.
    pub account: AccountId,
    /// What.
    pub event: EventKind,
    /// More of it.
    pub data: Value,
}

const SECRET: &str = "secret";

fn secret_of(id: &str) -> Place<'_> {
    Place { table: "webhooks", column: SECRET, id }
}

impl Tx {
    /// Writes a webhook with the secret that its deliveries are signed with; its id.
    pub async fn insert_webhook(&mut self, account: &AccountId, url: &str, events: &str, secret: &SecretString) -> Result<String> {
        let (id, now) = (self.new_id(), self.now);
        let sql = "insert into webhooks (id, account_id, url, events, created_at) values ($1, $2, $3, $4, $5)";
        self.exec_one(sql, args![&id, account, url, events, now]).await?;
        self.put_secret(secret_of(&id), secret).await?;
        Ok(id)
    }

    /// An account's webhooks, the oldest first.
    pub async fn webhooks(&mut self, account: &AccountId) -> Result<Vec<Webhook>> {
        self.all("select * from webhooks where account_id = $1 order by id", args![account]).await
    }

    /// One webhook of an account.
    pub async fn webhook_of(&mut self, account: &AccountId, id: &str) -> Result<Webhook> {
        let found = self.optional("select * from webhooks where account_id = $1 and id = $2", args![account, id]).await?;
        found.ok_or_else(|| StoreError::not_found("webhook", id))
    }

    /// The webhook of a delivery, unless it was deleted.
    pub async fn webhook(&mut self, id: &str) -> Result<Option<Webhook>> {
        self.optional("select * from webhooks where id = $1", args![id]).await
    }

    /// What a webhook's deliveries are signed with.
    pub async fn webhook_secret(&mut self, id: &str) -> Result<SecretString> {
        self.secret(secret_of(id)).await?.ok_or_else(|| StoreError::Broken(format!("webhook {id} has no secret")))
    }

    /// Forgets a webhook; what it was not told yet it is not told any more.
    pub async fn delete_webhook(&mut self, id: &str) -> Result<()> {
        self.exec("update webhook_deliveries set state = 'dead', last_error = 'the webhook was deleted' where webhook_id = $1 and state = 'queued'", args![id])
            .await?;
        self.drop_secrets("webhooks", id, None).await?;
        self.exec_one("delete from webhooks where id = $1", args![id]).await
    }

    /// Tells what happened to an account's server.
    pub async fn publish_server(&mut self, s: &Server, event: EventKind) -> Result<()> {
        let ip = self.addresses(&s.id).await?.into_iter().find(|a| a.family == 4 && a.addon.is_none()).map(|a| a.address);
        let data = json!({ "id": s.id, "label": s.label, "hostname": s.hostname, "status": s.status, "ipAddress": ip, "region": s.region_id });
        self.publish(vec![News { account: s.account_id.clone(), event, data }]).await
    }

    /// Writes deliveries of these news for everyone who wants to be told.
    pub async fn publish(&mut self, news: Vec<News>) -> Result<()> {
        let told = self.listeners(&news).await?;
        let now = self.now;
        let mut rows = Rows::new("v_id:t v_webhook:t v_account:t v_event:t v_body:t");
        for n in &news {
            for webhook in told.get(n.account.as_str()).into_iter().flatten().filter(|w| w.events().any(|e| e == n.event.as_str())) {
                let body = json!({ "type": n.event, "timestamp": now, "data": n.data }).to_string();
                rows.push(&[json!(format!("msg_{}", self.new_id())), json!(webhook.id), json!(n.account), json!(n.event), json!(body)]);
            }
        }
        if rows.count > 0 {
            let sql = "with v(v_id, v_webhook, v_account, v_event, v_body) as ({rows}) \
                       insert into webhook_deliveries (id, webhook_id, account_id, event, body, state, created_at, next_at) \
                       select v_id, v_webhook, v_account, v_event, v_body, 'queued', cast($2 as bigint), cast($2 as bigint) from v";
            self.exec_rows(sql, rows, args![now]).await?;
            self.wake(Queue::Webhooks);
        }
        Ok(())
    }

    /// The webhooks of the accounts that there is news of.
    async fn listeners(&mut self, news: &[News]) -> Result<HashMap<String, Vec<Webhook>>> {
        if news.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = Rows::ids(news.iter().map(|n| n.account.as_str()));
        let sql = "with v(v_id) as ({rows}) select * from webhooks where disabled_at is null and account_id in (select v_id from v)";
        let mut found: HashMap<String, Vec<Webhook>> = HashMap::new();
        for webhook in self.all_rows_on::<Webhook>("", sql, rows, &[]).await? {
            found.entry(webhook.account_id.clone()).or_default().push(webhook);
        }
        Ok(found)
    }

    /// A delivery that this worker holds.
    pub async fn claimed_delivery(&mut self, id: &str, epoch: i64) -> Result<Delivery> {
        let lost = StoreError::Lost { id: id.into(), epoch };
        self.optional("select * from webhook_deliveries where id = $1 and epoch = $2 {lock}", args![id, epoch]).await?.ok_or(lost)
    }

    /// How an attempt ended.
    pub async fn delivery_done(&mut self, d: &Delivery, state: DeliveryState, answer: Option<u16>, error: Option<&str>) -> Result<()> {
        let delivered_at = (state == DeliveryState::Delivered).then_some(self.now);
        let sql = "update webhook_deliveries set state = $1, answer = $2, last_error = $3, delivered_at = $4, attempt = attempt + 1, tried_at = coalesce(tried_at, $5) \
                   where id = $6 and epoch = $7 and state = 'queued'";
        let args = args![state.as_str(), answer.map(i64::from), error, delivered_at, self.now, &d.id, d.epoch];
        self.fenced(sql, args, &d.id, d.epoch).await
    }

    /// Whether a webhook that takes nothing may be tried now: one delivery is, and the others wait until `until` for what comes of it.
    pub async fn try_webhook(&mut self, id: &str, until: Timestamp) -> Result<bool> {
        let now = self.now;
        let sql = "update webhooks set next_try_at = $1 where id = $2 and (next_try_at is null or next_try_at <= $3)";
        Ok(self.exec(sql, args![until, id, now]).await? == 1)
    }

    /// A webhook took something, or what it did not take is not tried any more.
    pub async fn webhook_works(&mut self, id: &str) -> Result<()> {
        self.exec("update webhooks set failing_since = null, next_try_at = null where id = $1 and failing_since is not null", args![id]).await?;
        Ok(())
    }

    /// A webhook did not take something and is tried again at `next`; since when it has taken nothing, unless it was deleted meanwhile.
    pub async fn webhook_fails(&mut self, id: &str, next: Timestamp) -> Result<Option<Timestamp>> {
        let now = self.now;
        let sql = "update webhooks set failing_since = coalesce(failing_since, $1), next_try_at = $2 where id = $3 returning failing_since";
        let row: Option<(i64,)> = self.optional(sql, args![now, next, id]).await?;
        Ok(row.map(|(since,)| Timestamp::from_millis(since)))
    }

    /// A webhook is told nothing more; false when it was given up before.
    pub async fn disable_webhook(&mut self, id: &str) -> Result<bool> {
        let now = self.now;
        Ok(self.exec("update webhooks set disabled_at = $1 where id = $2 and disabled_at is null", args![now, id]).await? == 1)
    }

    /// What was told, newest first; of one webhook, in one state, or all.
    pub async fn deliveries(&mut self, webhook: Option<&str>, state: Option<DeliveryState>, page: Page) -> Result<Vec<Delivery>> {
        let sql = "select * from webhook_deliveries where ($1 is null or webhook_id = $1) and ($2 is null or state = $2) \
                   order by created_at desc, id desc limit $3 offset $4";
        self.all(sql, args![webhook, state.map(DeliveryState::as_str), page.most(), page.skip]).await
    }

    /// Tells something once more, under the id that it had; false when there is no such delivery.
    pub async fn redeliver(&mut self, id: &str) -> Result<bool> {
        let found = self.exec("update webhook_deliveries set state = 'queued', tried_at = null where id = $1", args![id]).await? == 1;
        if found {
            self.want(Queue::Webhooks, id).await?;
        }
        Ok(found)
    }

    /// Forgets what was told, or given up, before an instant.
    pub async fn prune_deliveries(&mut self, before: Timestamp) -> Result<u64> {
        self.exec("delete from webhook_deliveries where state <> 'queued' and created_at < $1", args![before]).await
    }
}
