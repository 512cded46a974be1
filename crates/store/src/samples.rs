//! What servers use, as rows: the last sample of each, and their traffic by month.

use std::time::Duration;

use leasehold_domain::{
    NodeId, ServerId, Timestamp,
    usage::{Counters, LIVE, Live},
};
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;

use crate::{Queue, Result, Rows, StoreError, Tx, When, args, nodes::Node};

/// A running machine and its last sample, if there is one.
#[derive(Clone, Debug, FromRow)]
pub struct Sampled {
    /// The server.
    #[sqlx(try_from = "String")]
    pub server_id: ServerId,
    /// Its machine.
    pub vmid: i64,
    /// When somebody last wanted to know.
    pub asked_at: Option<When>,
    /// When it was sampled.
    pub sampled_at: Option<When>,
    counters: Option<String>,
}

/// A new sample of a server.
#[derive(Clone, Debug)]
pub struct NewSample<'a> {
    /// What was known before.
    pub before: &'a Sampled,
    /// What the node counts now.
    pub counters: Counters,
}

/// What a server sent and received in a month.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// `2026-03`, UTC.
    pub month: String,
    /// Bytes.
    pub received_bytes: i64,
    /// Bytes.
    pub sent_bytes: i64,
}

/// Somebody who asked is taken to watch for this long.
pub const WATCHED: Duration = Duration::from_mins(1);
/// A watch is renewed when it is this old: whoever polls writes once in a while only.
const RENEWED: Duration = Duration::from_secs(20);

fn parsed(text: &str) -> Result<Counters> {
    serde_json::from_str(text).map_err(|e| StoreError::Broken(format!("a sample: {e}")))
}

impl Tx {
    /// The machines of a node that should be running.
    pub async fn sampled_on(&mut self, node: &NodeId) -> Result<Vec<Sampled>> {
        let sql = "select s.id as server_id, s.vmid, m.asked_at, m.sampled_at, m.counters from servers s \
                   left join server_samples m on m.server_id = s.id where s.node_id = $1 and s.vmid is not null and s.status = 'running' order by s.id";
        self.all(sql, args![node]).await
    }

    /// Writes samples of a node's machines and what they add to their traffic, under the epoch of the node's claim: a late sample of
    /// another worker would look like a restart. They are of the time `at` which the node was asked: rates are over the time between two
    /// questions, however long it took to write the answers down.
    pub async fn record_samples(&mut self, node: &Node, at: Timestamp, samples: &[NewSample<'_>]) -> Result<()> {
        if self.int("select epoch from nodes where id = $1 {lock}", args![&node.id]).await? != node.epoch {
            return Err(StoreError::Lost { id: node.id.to_string(), epoch: node.epoch });
        }
        let (mut rows, mut traffic) = (Rows::new("v_id:t v_counters:t v_over:i v_used:t"), Rows::new("v_id:t v_received:i v_sent:i"));
        for s in samples {
            let before = s.before.counters.as_deref().map(parsed).transpose()?;
            let used = s.counters.since(before.as_ref());
            let over = s.before.sampled_at.map(|before| at.since(before.0).as_millis() as i64);
            rows.push(&[json!(s.before.server_id), json!(json!(s.counters).to_string()), json!(over), json!(json!(used).to_string())]);
            if let (Some(received), Some(sent)) = (used.net_received_bytes, used.net_sent_bytes) {
                traffic.push(&[json!(s.before.server_id), json!(received), json!(sent)]);
            }
        }
        let sql = "with v(v_id, v_counters, v_over, v_used) as ({rows}) \
                   insert into server_samples (server_id, sampled_at, counters, over_ms, used) select v_id, $2, v_counters, v_over, v_used from v where true \
                   on conflict (server_id) do update set sampled_at = excluded.sampled_at, counters = excluded.counters, over_ms = excluded.over_ms, used = excluded.used";
        self.exec_rows(sql, rows, args![at]).await?;
        let sql = "with v(v_id, v_received, v_sent) as ({rows}) \
                   insert into traffic (server_id, month, received_bytes, sent_bytes) select v_id, $2, v_received, v_sent from v where true \
                   on conflict (server_id, month) do update set received_bytes = traffic.received_bytes + excluded.received_bytes, \
                   sent_bytes = traffic.sent_bytes + excluded.sent_bytes";
        self.exec_rows(sql, traffic, args![at.month()]).await?;
        Ok(())
    }

    /// What a server is using now, as far as it is known.
    pub async fn live(&mut self, server: &ServerId) -> Result<Option<Live>> {
        let sql = "select m.sampled_at, m.over_ms, m.used, s.vcpu, s.ram_mb from server_samples m join servers s on s.id = m.server_id \
                   where m.server_id = $1 and s.status = 'running' and m.sampled_at >= $2 and m.over_ms <= $3";
        let (now, longest) = (self.now, LIVE.as_millis() as i64);
        let found: Option<(i64, i64, String, i64, i64)> = self.optional(sql, args![server, now - LIVE, longest]).await?;
        let live = |(at, over, used, vcpu, ram_mb): (i64, i64, String, i64, i64)| {
            Ok(Live::of(&parsed(&used)?, Duration::from_millis(over as u64), Timestamp::from_millis(at), vcpu, ram_mb))
        };
        found.map(live).transpose()
    }

    /// Whether the watch on a server must be renewed, see [`Tx::watch`].
    pub async fn watch_is_old(&mut self, server: &ServerId) -> Result<bool> {
        let now = self.now;
        Ok(self.int("select count(*) from server_samples where server_id = $1 and asked_at > $2", args![server, now - RENEWED]).await? == 0)
    }

    /// Says that somebody watches a server: its node samples it every few seconds for a minute.
    pub async fn watch(&mut self, server: &ServerId) -> Result<()> {
        let now = self.now;
        let sql = "insert into server_samples (server_id, asked_at) values ($1, $2) on conflict (server_id) do update set asked_at = excluded.asked_at";
        self.exec_one(sql, args![server, now]).await?;
        let node: Option<(String,)> = self.optional("select node_id from servers where id = $1 and node_id is not null", args![server]).await?;
        match node {
            Some((node,)) => self.want(Queue::Nodes, &node).await,
            None => Ok(()),
        }
    }

    /// A server's traffic, the newest month first.
    pub async fn traffic(&mut self, server: &ServerId) -> Result<Vec<Traffic>> {
        self.all("select month, received_bytes, sent_bytes from traffic where server_id = $1 order by month desc", args![server]).await
    }

    /// The machine went; its traffic is kept.
    pub async fn forget_sample(&mut self, server: &ServerId) -> Result<()> {
        self.exec("delete from server_samples where server_id = $1", args![server]).await?;
        Ok(())
    }
}
