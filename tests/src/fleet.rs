//! Thousands of accounts with leases that fell due, written as rows: what an order and its delivery would have left.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use leasehold_domain::{Timestamp, lease::Cycle, period::Anchor};
use leasehold_store::{Store, args};

/// How many, and how they stand.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// Accounts.
    pub accounts: i64,
    /// Leases of each.
    pub leases: i64,
    /// Every n-th account has an empty wallet; 0: none has.
    pub poor_every: i64,
    /// When the paid periods end, at the latest; they end in no order within the hour before.
    pub due: Timestamp,
}

/// What a period of each lease costs, cents.
pub const PRICE: i64 = 900;
/// Money in a wallet that is not empty, cents: enough for many periods.
pub const FUNDS: i64 = 10_000_000;

const HOUR_MS: i64 = 3_600_000;

/// Every row list is counted from this number, so that ids sort as numbers do.
const ROWS: &[(&str, bool)] = &[
    (
        "insert into accounts (id, number, email, first_name, last_name, currency, locale, state, created_at) \
         select 'a' || i, i, 'a' || i || '@example.org', 'Ada', 'Lovelace', 'EUR', 'en', 'active', $3 from n",
        true,
    ),
    ("insert into users (id, email, first_name, last_name, created_at) select 'p' || i, 'a' || i || '@example.org', 'Ada', 'Lovelace', $3 from n", true),
    ("insert into members (account_id, user_id, role) select 'a' || i, 'p' || i, 'owner' from n", true),
    ("insert into ledger_accounts (id, kind, currency) select 'wallet:a' || i, 'wallet', 'EUR' from n", true),
    (
        "insert into transfers (reference, id, wallet, debit, credit, amount, currency, code, state, created_at) \
         select 'top_up:a' || i, 't' || i, 'a' || i, 'clearing:EUR', 'wallet:a' || i, \
         case when $5 > 0 and i % $5 = 0 then 0 else $6 end + $4 * $7, 'EUR', 'top_up', 'posted', $3 from n",
        true,
    ),
    (
        "insert into wallets (account_id, currency, posted, held, settle_at) \
         select 'a' || i, 'EUR', case when $5 > 0 and i % $5 = 0 then 0 else $6 end, 0, $8 - (i * 7919) % $9 from n",
        true,
    ),
    (
        "insert into servers (id, account_id, product_id, region_id, template_id, build_template_id, label, hostname, vcpu, ram_mb, disk_gb, status, goal, \
         generation, build, power, ordered_at, created_at, running_at) \
         select 's' || i, 'a' || ((i - $1) / $7 + $10), p.id, 'fra', 'debian-12', 'debian-12', 'web-' || i, 'web-' || i, 1, 1024, 10, 'running', 'running', \
         1, 'first', 'on', $3, $3, $3 from n, products p where p.key = 'small'",
        false,
    ),
    (
        "insert into leases (id, account_id, server_id, state, cycle, price, currency, zone, anchor_at, anchor_no, period_no, paid_until, decide_at, auto_renew, created_at) \
         select 'l' || i, 'a' || ((i - $1) / $7 + $10), 's' || i, 'active', '1m', $4, 'EUR', 'UTC', $3 - (((i - $1) / $7 + $10) * 7919) % $9, 1, 1, \
         $8 - (((i - $1) / $7 + $10) * 7919) % $9, $8 - (((i - $1) / $7 + $10) * 7919) % $9, true, $3 from n",
        false,
    ),
    ("insert into lease_lines (lease_id, no, kind, description, amount, from_period) select 'l' || i, 1, 'plan', 'Small, web-' || i, $4, 1 from n", false),
    (
        "insert into transfers (reference, id, wallet, debit, credit, amount, currency, code, state, created_at) \
         select 'order:s' || i || ':1', 'u' || i, 'a' || ((i - $1) / $7 + $10), 'wallet:a' || ((i - $1) / $7 + $10), 'revenue:EUR', $4, 'EUR', 'order', 'posted', $3 from n",
        false,
    ),
    (
        "insert into charges (lease_id, kind, no, from_at, until_at, amount, currency, state, transfer, created_at, paid_at) \
         select 'l' || i, 'period', 1, $3 - (((i - $1) / $7 + $10) * 7919) % $9, $8 - (((i - $1) / $7 + $10) * 7919) % $9, $4, 'EUR', 'paid', 'order:s' || i || ':1', $3, $3 from n",
        false,
    ),
    (
        "insert into mails (id, kind, dedup_key, account_id, server_id, recipient, locale, data, message_id, state, created_at) \
         select 'm' || i, 'order_confirmation', 'order_confirmation:s' || i, 'a' || ((i - $1) / $7 + $10), 's' || i, 'a@example.org', 'en', '{}', '<m' || i || '>', \
         'sent', $3 from n",
        false,
    ),
    (
        "insert into mails (id, kind, dedup_key, account_id, server_id, recipient, locale, data, message_id, state, created_at) \
         select 'd' || i, 'receipt', 'receipt:i' || i, 'a' || ((i - $1) / $7 + $10), 's' || i, 'a@example.org', 'en', '{}', '<d' || i || '>', 'sent', $3 from n",
        false,
    ),
    (
        "insert into invoices (id, series, number, account_id, currency, net, tax, total, created_at) \
         select 'i' || i, 'FLEET', i - 100000000, 'a' || ((i - $1) / $7 + $10), 'EUR', $4, 0, $4, $3 from n",
        false,
    ),
    (
        "insert into invoice_lines (invoice_id, no, lease_id, charge_no, description, from_at, until_at, amount) \
         select 'i' || i, 1, 'l' || i, 1, 'Small, web-' || i, $3 - (((i - $1) / $7 + $10) * 7919) % $9, $8 - (((i - $1) / $7 + $10) * 7919) % $9, $4 from n",
        false,
    ),
    (
        "insert into mails (id, kind, dedup_key, account_id, server_id, recipient, locale, data, message_id, state, created_at) \
         select 'r' || i, 'server_ready', 'server_ready:s' || i || ':1', 'a' || ((i - $1) / $7 + $10), 's' || i, 'a@example.org', 'en', '{}', '<r' || i || '>', \
         'sent', $3 from n",
        false,
    ),
];

/// Accounts in one transaction.
const CHUNK: i64 = 50_000;
/// The first number: all have as many digits, so that ids sort as numbers do.
const FIRST: i64 = 100_000_001;

/// Writes a fleet into a store whose catalogue has the product `small` and the region `fra`.
pub async fn found(store: &Store, fleet: Fleet) {
    let mut tx = store.begin().await.unwrap();
    for kind in ["clearing", "revenue", "promotions", "tax", "receivable", "write_offs"] {
        let sql = "insert into ledger_accounts (id, kind, currency) values ($1, $2, 'EUR') on conflict do nothing";
        tx.exec(sql, args![format!("{kind}:EUR"), kind]).await.unwrap();
    }
    tx.commit().await.unwrap();
    for from in (0..fleet.accounts).step_by(CHUNK as usize) {
        chunk(store, fleet, from, CHUNK.min(fleet.accounts - from)).await;
    }
    // That they fall due was known.
    let mut tx = store.begin().await.unwrap();
    tx.exec("insert into invoice_series (id, next_no) values ('FLEET', $1)", args![fleet.accounts * fleet.leases + 1]).await.unwrap();
    tx.exec("delete from forecasts", &[]).await.unwrap();
    tx.exec("insert into forecasts (day, renewals) select paid_until / 86400000, count(*) from leases where state = 'active' group by 1", &[]).await.unwrap();
    tx.commit().await.unwrap();
}

/// The beginning of a period that ends then.
fn a_month_before(end: Timestamp) -> Timestamp {
    let ends_then = |at: &Timestamp| Anchor { at: *at, no: 1, cycle: Cycle::Month, zone: "UTC".into() }.end_of(1).is_ok_and(|until| until == end);
    (28..=31).map(|days| end - Duration::from_hours(days * 24)).find(ends_then).unwrap()
}

async fn chunk(store: &Store, fleet: Fleet, from: i64, accounts: i64) {
    let began = a_month_before(fleet.due);
    let mut tx = store.begin().await.unwrap();
    for (sql, per_account) in ROWS {
        let (first, count) = if *per_account { (FIRST + from, accounts) } else { (FIRST + from * fleet.leases, accounts * fleet.leases) };
        let values = args![first, first + count - 1, began, PRICE, fleet.poor_every, FUNDS, fleet.leases, fleet.due, HOUR_MS, FIRST + from];
        assert_eq!(tx.exec(statement(sql), values).await.unwrap() as i64, count, "{sql}");
    }
    tx.commit().await.unwrap();
}

/// The statement over the numbers `n(i)` from $1 to $2. It names the type of every value, which PostgreSQL wants to know, and is made
/// once and kept, as the drivers want it.
fn statement(sql: &'static str) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashMap<&'static str, &'static str>>> = LazyLock::new(Mutex::default);
    TEXTS.lock().unwrap().entry(sql).or_insert_with(|| {
        let typed: Vec<String> = (3..=10).map(|n| format!("cast(${n} as bigint)")).collect();
        let typed = typed.join(" + ");
        let numbers = "select cast($1 as bigint) union all select i + 1 from n where i < cast($2 as bigint)";
        Box::leak(format!("with recursive n(i) as ({numbers}), typed(v) as (select {typed}) {sql}").into_boxed_str())
    })
}
