//! The audit: what must hold over all rows when nothing is in flight between two commits. Each rule is one query that finds nothing.

use leasehold_domain::server::next_step;
use serde::Serialize;
use sqlx::FromRow;

use crate::{Result, Store, Tx, servers::Server};

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// The row that breaks it.
    pub subject: String,
    /// How.
    pub detail: String,
}

#[derive(FromRow)]
struct Row {
    subject: String,
    detail: String,
}

struct Rule {
    name: &'static str,
    sql: &'static str,
}

/// The rules. Each query answers `(subject, detail)` for every row that breaks it.
const RULES: &[Rule] = &[
    Rule {
        name: "wallet posted = sum of posted transfers, held = sum of pending ones",
        sql: "select w.account_id as subject, 'wallet ' || w.posted || '/' || w.held || ', transfers ' || coalesce(t.posted, 0) || '/' || coalesce(t.held, 0) as detail \
              from wallets w left join (select wallet, \
                cast(sum(case when state <> 'posted' then 0 when credit = 'wallet:' || wallet then amount else -amount end) as bigint) as posted, \
                cast(sum(case when state = 'pending' then amount else 0 end) as bigint) as held from transfers where wallet is not null group by wallet) t \
              on t.wallet = w.account_id where w.posted <> coalesce(t.posted, 0) or w.held <> coalesce(t.held, 0)",
    },
    Rule {
        name: "every transfer names two ledger accounts of its currency",
        sql: "select t.reference as subject, t.debit || ' -> ' || t.credit as detail from transfers t \
              left join ledger_accounts d on d.id = t.debit and d.currency = t.currency left join ledger_accounts c on c.id = t.credit and c.currency = t.currency \
              where d.id is null or c.id is null",
    },
    Rule {
        name: "every paid charge has its posted transfer of the same amount",
        sql: "select c.lease_id as subject, c.kind || ' ' || c.no as detail from charges c left join transfers t on t.reference = c.transfer \
              where c.state = 'paid' and c.amount > 0 and (t.reference is null or t.state <> 'posted' or t.amount <> c.amount)",
    },
    Rule {
        name: "every posted order paid one charge",
        sql: "select t.reference as subject, t.amount || ' ' || t.currency as detail from transfers t \
              where t.code = 'order' and t.state = 'posted' and (select count(*) from charges c where c.transfer = t.reference) <> 1",
    },
    Rule {
        name: "a held price belongs to a lease that waits",
        sql: "select t.reference as subject, t.amount || ' ' || t.currency as detail from transfers t where t.code = 'order' and t.state = 'pending' \
              and not exists (select 1 from leases l join servers s on s.id = l.server_id where l.state = 'pending' and t.reference = 'order:' || s.id || ':' || s.generation)",
    },
    Rule {
        name: "a lease fits its server",
        sql: "select l.id as subject, 'lease ' || l.state || ', server ' || s.status || ' with goal ' || s.goal as detail from leases l join servers s on s.id = l.server_id \
              where (l.state = 'pending' and (s.status not in ('pending', 'building') or s.goal = 'terminated')) \
              or (l.state = 'active' and (s.running_at is null or s.goal = 'terminated')) \
              or (l.state = 'ended' and s.goal <> 'terminated' and s.status <> 'failed')",
    },
    Rule {
        name: "every server has its lease and its order confirmation",
        sql: "select s.id as subject, s.status as detail from servers s where not exists (select 1 from leases l where l.server_id = s.id and l.account_id = s.account_id) \
              or not exists (select 1 from mails m where m.dedup_key = 'order_confirmation:' || s.id)",
    },
    Rule {
        name: "a server that is over holds no address, room or secret",
        sql: "select s.id as subject, s.status as detail from servers s where s.node_id is null and s.status in ('failed', 'terminated') \
              and (exists (select 1 from addresses a where a.server_id = s.id) or exists (select 1 from reservations r where r.server_id = s.id) \
              or (s.status = 'terminated' and exists (select 1 from sealed x where x.owner_table = 'servers' and x.owner_id = s.id)))",
    },
    Rule {
        name: "a placed server has its reservation on its node",
        sql: "select s.id as subject, coalesce(s.node_id, '-') as detail from servers s left join reservations r on r.server_id = s.id \
              where coalesce(s.node_id, '') <> coalesce(r.node_id, '') or coalesce(s.vmid, 0) <> coalesce(r.vmid, 0)",
    },
    Rule {
        name: "an open mail is due, claimed or parked",
        sql: "select id as subject, state as detail from mails where state = 'queued' and next_at is null and parked_at is null",
    },
];

impl Store {
    /// Runs every rule in one read transaction.
    pub async fn audit(&self) -> Result<Vec<Finding>> {
        let mut tx = self.read().await?;
        let mut found = Vec::new();
        for rule in RULES {
            let rows: Vec<Row> = tx.all(rule.sql, &[]).await?;
            found.extend(rows.into_iter().map(|r| Finding { rule: rule.name, subject: r.subject, detail: r.detail }));
        }
        found.extend(at_rest_with_work_left(&mut tx).await?);
        Ok(found)
    }
}

/// A server at rest whose next step is not none was forgotten.
async fn at_rest_with_work_left(tx: &mut Tx) -> Result<Vec<Finding>> {
    let sql = "select s.*, {facts} from servers s where s.next_at is null and s.parked_at is null order by s.id";
    let servers: Vec<Server> = tx.all(sql, &[]).await?;
    let finding = |s: Server| {
        next_step(&s.facts()).map(|step| Finding {
            rule: "nothing is at rest with work left",
            subject: s.id.to_string(),
            detail: format!("{} with {step} to do", s.status),
        })
    };
    Ok(servers.into_iter().filter_map(finding).collect())
}
