//! The audit: what must hold over all rows when nothing is in flight between two commits. Each rule is one query that finds nothing.

mod periods;

use std::{collections::BTreeMap, time::Duration};

use leasehold_domain::{Money, Span, document::DocumentKind, server::next_step};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Result, Store, Tx, args, invoices::Invoice, servers::Server};

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
                cast(sum(case when state <> 'posted' then 0 when credit = 'wallet:' || wallet then amount when debit = 'wallet:' || wallet then -amount else 0 end) as bigint) as posted, \
                cast(sum(case when state = 'pending' then amount else 0 end) as bigint) as held from transfers where wallet is not null group by wallet) t \
              on t.wallet = w.account_id where w.posted <> coalesce(t.posted, 0) or w.held <> coalesce(t.held, 0)",
    },
    Rule {
        name: "every account has an owner",
        sql: "select a.id as subject, 'account ' || a.number as detail from accounts a \
              where not exists (select 1 from members m where m.account_id = a.id and m.role = 'owner')",
    },
    Rule {
        name: "what is owed beyond a wallet is what chargebacks left open",
        sql: "select w.account_id as subject, 'owes ' || w.owed || ', transfers ' || coalesce(t.owed, 0) as detail from wallets w left join (select wallet, \
                cast(sum(case when debit = 'receivable:' || currency then amount else -amount end) as bigint) as owed from transfers \
                where wallet is not null and state = 'posted' and (debit = 'receivable:' || currency or credit = 'receivable:' || currency) group by wallet) t \
              on t.wallet = w.account_id where w.owed <> coalesce(t.owed, 0)",
    },
    Rule {
        name: "a credit note gives back what it says, of an invoice of its account, and no more than that came to",
        sql: "select n.id as subject, n.total || ' ' || n.currency as detail from invoices n left join invoices i on i.id = n.corrects and i.kind = 'invoice' \
              left join transfers t on t.reference = 'refund:' || n.id where n.kind = 'credit_note' and (i.id is null or i.account_id <> n.account_id \
              or t.reference is null or t.state <> 'posted' or t.amount <> n.total \
              or (select sum(x.total) from invoices x where x.corrects = i.id) > i.total or (select sum(x.tax) from invoices x where x.corrects = i.id) > i.tax)",
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
        name: "what was paid for is paid",
        sql: "select lease_id as subject, kind || ' ' || no || ' is ' || state as detail from charges where transfer is not null and state <> 'paid'",
    },
    Rule {
        name: "every posted order paid one charge",
        sql: "select t.reference as subject, t.amount || ' ' || t.currency as detail from transfers t \
              where t.code = 'order' and t.state = 'posted' and (select count(*) from charges c where c.transfer = t.reference and c.no = 1) <> 1",
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
              or (l.state in ('active', 'past_due', 'suspended') and (s.running_at is null or s.goal = 'terminated')) \
              or (l.state = 'ended' and s.goal <> 'terminated' and s.status <> 'failed')",
    },
    Rule {
        name: "a server is held for the bill exactly while its lease is suspended",
        sql: "select l.id as subject, l.state as detail from leases l left join holds h on h.server_id = l.server_id and h.kind = 'billing' \
              where l.state <> 'ended' and (l.state = 'suspended') <> (h.server_id is not null)",
    },
    Rule {
        name: "whoever owes has one open charge, and nobody else has",
        sql: "select l.id as subject, l.state as detail from leases l left join charges c on c.lease_id = l.id and c.state = 'open' \
              where (l.state in ('past_due', 'suspended')) <> (c.lease_id is not null)",
    },
    Rule {
        name: "the charges of a lease follow each other",
        sql: "select lease_id as subject, 'charge ' || no as detail from (select lease_id, no, from_at, until_at, \
              lag(until_at) over (partition by lease_id order by no) as before_until, lag(no) over (partition by lease_id order by no) as before_no \
              from charges where kind = 'period') c where from_at > until_at or before_until > from_at or no <> coalesce(before_no, 0) + 1",
    },
    Rule {
        name: "a lease is paid as far as its charges are, and numbered as far",
        sql: "select l.id as subject, 'paid until ' || coalesce(l.paid_until, 0) || ', period ' || l.period_no as detail from leases l \
              join (select lease_id, max(no) as last, max(case when state = 'paid' then until_at end) as until from charges where kind = 'period' group by lease_id) c \
              on c.lease_id = l.id where c.last <> l.period_no or (l.state = 'active' and l.paid_until < c.until)",
    },
    Rule {
        name: "a charge for a whole period is what the lines of its lease come to",
        sql: "select c.lease_id as subject, 'charge ' || c.no || ': ' || (c.amount - c.tax) || ', lines ' || coalesce(n.net, 0) as detail from charges c \
              left join (select p.lease_id, p.no, cast(sum(l.amount) as bigint) as net from charges p join lease_lines l on l.lease_id = p.lease_id \
                and l.from_period <= p.no and (l.until_period is null or l.until_period >= p.no) where p.kind = 'period' group by p.lease_id, p.no) n \
              on n.lease_id = c.lease_id and n.no = c.no \
              where c.kind = 'period' and c.full_until is null and c.amount - c.tax <> case when coalesce(n.net, 0) < 0 then 0 else coalesce(n.net, 0) end",
    },
    Rule {
        // Billed together, it is what the charge adds to the rounded tax of the sum: off by less than a unit.
        name: "the tax of a charge is its rate of the net, rounded",
        sql: "select lease_id as subject, kind || ' ' || no || ': ' || tax as detail from charges where abs(tax * 100000 - (amount - tax) * tax_rate) >= 100000",
    },
    Rule {
        name: "a charge of an add-on is what was quoted",
        sql: "select c.lease_id as subject, 'charge ' || c.no as detail from charges c join leases l on l.id = c.lease_id left join server_addons a \
              on c.transfer = 'addon:' || a.id where c.kind = 'addon' and c.amount > 0 and (a.id is null or c.amount <> a.held + a.held_margin + a.held_tax)",
    },
    Rule {
        name: "the price of an add-on is set aside exactly while it waits",
        sql: "select a.id as subject, a.state as detail from server_addons a left join transfers t on t.reference = 'addon:' || a.id and t.state = 'pending' \
              where (a.state = 'held' and a.held + a.held_margin + a.held_tax > 0) <> (t.reference is not null)",
    },
    Rule {
        name: "every posted add-on paid one charge",
        sql: "select x.reference as subject, 'no charge' as detail from (select reference from transfers where code = 'addon' and state = 'posted' \
              except select transfer from charges where kind = 'addon' and state = 'paid' and transfer is not null) x",
    },
    Rule {
        name: "an attached add-on has its addresses, and only then",
        sql: "select s.id as subject, a.kind || ' ' || a.state || ': ' || coalesce(n.n, 0) as detail from server_addons a join servers s on s.id = a.server_id \
              left join (select server_id, addon, count(*) as n from addresses where addon is not null group by server_id, addon) n \
              on n.server_id = a.server_id and n.addon = a.id where s.status in ('running', 'stopped', 'suspended') and s.goal <> 'terminated' \
              and coalesce(n.n, 0) <> case when a.kind in ('extra-ip', 'ip-class') and a.state in ('held', 'active', 'ending') then a.count else 0 end",
    },
    Rule {
        name: "an add-on that goes on is in the price of the next period",
        sql: "select a.id as subject, a.state as detail from server_addons a join leases l on l.server_id = a.server_id where l.state in ('active', 'past_due', 'suspended') \
              and (a.state = 'active') <> exists (select 1 from lease_lines n where n.lease_id = l.id and n.addon = a.id and n.until_period is null)",
    },
    Rule {
        name: "no add-on stands on a lease that is over",
        sql: "select a.id as subject, a.state as detail from server_addons a join leases l on l.server_id = a.server_id \
              where l.state = 'ended' and a.state in ('ordered', 'held', 'active', 'ending')",
    },
    Rule {
        name: "a coupon was used as often as orders stand that use it",
        sql: "select c.code as subject, c.used || ' times, ' || coalesce(r.n, 0) || ' orders' as detail from coupons c \
              left join (select coupon, count(*) as n from redemptions where returned_at is null group by coupon) r on r.coupon = c.code \
              where c.used <> coalesce(r.n, 0)",
    },
    Rule {
        name: "an order that never ran uses no coupon",
        sql: "select r.server_id as subject, r.coupon as detail from redemptions r left join leases l on l.server_id = r.server_id \
              where l.id is null or (r.returned_at is not null) <> (l.state = 'ended' and l.period_no = 0)",
    },
    Rule {
        name: "every renewal paid one charge",
        // As sets: a join on a column without an index is quadratic on either database, depending on its statistics.
        sql: "select x.reference as subject, 'no charge' as detail from (select reference from transfers where code = 'renewal' and state = 'posted' \
              except select transfer from charges where state = 'paid' and transfer is not null) x",
    },
    Rule {
        name: "the tax of every paid charge went on to its account",
        sql: "select c.lease_id as subject, 'charge ' || c.no as detail from charges c left join transfers t on t.reference = c.transfer || ':tax' \
              where c.state = 'paid' and c.tax > 0 and (t.reference is null or t.amount <> c.tax)",
    },
    Rule {
        name: "an invoice is the sum of its lines and its tax",
        sql: "select i.id as subject, i.total || ' ' || i.currency as detail from invoices i \
              left join (select invoice_id, cast(sum(amount) as bigint) as net from invoice_lines group by invoice_id) n on n.invoice_id = i.id \
              where i.net <> coalesce(n.net, 0) or i.total <> i.net + i.tax",
    },
    Rule {
        name: "every paid charge stands once on an invoice, with its days and its net",
        sql: "select x.lease_id as subject, 'charge ' || x.no as detail from \
              (select lease_id, no, from_at, until_at, cast(sum(amount - tax) as bigint) as net from charges where state = 'paid' and amount > 0 \
              group by lease_id, no, from_at, until_at \
              except select v.lease_id, v.charge_no, v.from_at, v.until_at, cast(sum(v.amount) as bigint) from invoice_lines v \
              join invoices i on i.id = v.invoice_id and i.kind = 'invoice' group by v.lease_id, v.charge_no, v.from_at, v.until_at) x",
    },
    Rule {
        name: "an invoice bills what was paid",
        sql: "select x.lease_id as subject, 'charge ' || x.charge_no as detail from \
              (select v.lease_id, v.charge_no, v.from_at, v.until_at from invoice_lines v join invoices i on i.id = v.invoice_id and i.kind = 'invoice' \
              except select lease_id, no, from_at, until_at from charges where state = 'paid') x",
    },
    Rule {
        name: "an invoice bills the leases of its own account",
        sql: "select i.id as subject, v.lease_id as detail from invoices i join invoice_lines v on v.invoice_id = i.id left join leases l on l.id = v.lease_id \
              where i.kind = 'invoice' and (l.id is null or l.account_id <> i.account_id)",
    },
    Rule {
        name: "invoice numbers have no gap, but for those that a restoration lost",
        sql: "select s.id as subject, 'next ' || s.next_no || ', issued ' || coalesce(i.n, 0) as detail from invoice_series s \
              left join (select series, count(*) as n, max(number) as last from invoices group by series) i on i.series = s.id \
              left join (select series, cast(sum(last - first + 1) as bigint) as n, max(last) as last from lost_documents group by series) l on l.series = s.id \
              where coalesce(i.n, 0) + coalesce(l.n, 0) <> s.next_no - 1 \
              or s.next_no - 1 <> case when coalesce(i.last, 0) > coalesce(l.last, 0) then coalesce(i.last, 0) else coalesce(l.last, 0) end",
    },
    Rule {
        name: "every server has its lease and its order confirmation",
        sql: "select s.id as subject, s.status as detail from servers s where not exists (select 1 from leases l where l.server_id = s.id and l.account_id = s.account_id) \
              or not exists (select 1 from mails m where m.dedup_key = 'order_confirmation:' || s.id)",
    },
    Rule {
        name: "every document was told of",
        sql: "select i.id as subject, i.series || '-' || i.number as detail from invoices i where not exists (select 1 from mails m where m.dedup_key = \
              case i.kind when 'invoice' then 'receipt:' else 'credit_note:' end || i.id)",
    },
    Rule {
        name: "every server that was delivered was told of",
        sql: "select s.id as subject, s.status as detail from servers s where s.running_at is not null \
              and s.id not in (select server_id from mails where kind = 'server_ready' and server_id is not null)",
    },
    Rule {
        name: "whoever owes was told",
        sql: "select l.id as subject, l.state as detail from leases l join charges c on c.lease_id = l.id and c.kind = 'period' and c.state = 'open' \
              where not exists (select 1 from mails m where m.dedup_key = 'payment_failed:' || l.id || ':' || c.no)",
    },
    Rule {
        // One that could not be delivered for a week counts as told, and may arrive later.
        name: "a lease is suspended after its charge is due and after what was told before",
        sql: "select l.id as subject, 'suspended at ' || l.suspended_at as detail from leases l join charges c on c.lease_id = l.id and c.kind = 'period' and c.state = 'open' \
              where l.state = 'suspended' and (l.suspended_at is null or l.suspended_at < c.from_at or l.off_at < l.suspended_at or exists (select 1 from mails m \
              where m.charge = l.id || ':' || c.no and m.resend_of is null and m.kind = 'payment_failed' and m.sent_at >= l.suspended_at and m.created_at > l.suspended_at - 604800000))",
    },
    Rule {
        name: "a warning of the end is sent after the suspension that it follows",
        sql: "select l.id as subject, 'suspended at ' || l.suspended_at as detail from leases l join charges c on c.lease_id = l.id and c.kind = 'period' and c.state = 'open' \
              join mails m on m.charge = l.id || ':' || c.no and m.kind in ('server_suspended', 'termination_warning') \
              where l.state = 'suspended' and m.sent_at < l.suspended_at",
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
        found.extend(forgotten(&mut tx).await?);
        found.extend(had_twice(&mut tx).await?);
        found.extend(wrong_parts(&mut tx).await?);
        found.extend(periods::wrong(&mut tx).await?);
        found.extend(wrong_taxes(&mut tx).await?);
        Ok(found)
    }
}

/// An address that two servers have, or that stands in a block of another.
async fn had_twice(tx: &mut Tx) -> Result<Vec<Finding>> {
    let taken: Vec<(String, String)> = tx.all("select address, server_id from addresses where server_id is not null", &[]).await?;
    let spans = taken.into_iter().filter_map(|(address, server)| Some((Span::of(&address)?, (address, server)))).collect();
    let finding = |((one, server), (other, _)): ((String, String), (String, String))| Finding {
        rule: "an address is had by one server, alone or in a block",
        subject: server,
        detail: format!("{one} and {other}"),
    };
    Ok(Span::first_two_that_meet(spans).into_iter().map(finding).collect())
}

/// The longest that an account is put off which took too long.
const PUT_OFF: Duration = Duration::from_hours(2);

/// A lease that runs and that nobody will look at in time.
async fn forgotten(tx: &mut Tx) -> Result<Vec<Finding>> {
    let latest = tx.now + PUT_OFF;
    let sql = "select l.id as subject, l.state as detail from leases l join wallets w on w.account_id = l.account_id \
               where l.state in ('active', 'past_due', 'suspended') and w.parked_at is null \
               and (l.decide_at is null or w.settle_at is null or (w.settle_at > l.decide_at and (w.last_error is null or w.settle_at > $1)))";
    let rows: Vec<Row> = tx.all(sql, args![latest]).await?;
    Ok(rows.into_iter().map(|r| Finding { rule: "no lease that runs is forgotten", subject: r.subject, detail: r.detail }).collect())
}

/// A charge for a part of a period that does not come to that part of the lease's lines.
async fn wrong_parts(tx: &mut Tx) -> Result<Vec<Finding>> {
    let sql = "select c.lease_id, c.no, l.amount, c.until_at - c.from_at as part, c.full_until - c.from_at as whole, c.amount - c.tax as net, c.currency \
               from charges c join lease_lines l on l.lease_id = c.lease_id and l.from_period <= c.no and (l.until_period is null or l.until_period >= c.no) \
               where c.kind = 'period' and c.full_until is not null order by c.lease_id, c.no";
    let mut nets: BTreeMap<(String, i64), (i64, i64)> = BTreeMap::new();
    for (lease, no, amount, part, whole, net, currency) in tx.all::<(String, i64, i64, i64, i64, i64, String)>(sql, &[]).await? {
        let line = Money::new(amount, currency.parse()?).part(part, whole.max(1))?;
        nets.entry((lease, no)).or_insert((net, 0)).1 += line.minor;
    }
    let wrong = nets.into_iter().filter(|(_, (net, lines))| *net != (*lines).max(0));
    let finding = |((lease, no), (net, lines))| Finding {
        rule: "a charge for a part of a period is that part of the lines of its lease",
        subject: lease,
        detail: format!("charge {no}: {net}, lines {lines}"),
    };
    Ok(wrong.map(finding).collect())
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

/// Documents that are looked at together.
const DOCUMENTS: i64 = 10_000;

/// Units by which the tax in a part given back may be off: its sum is given with the tax in it, and all notes together have the invoice's tax.
const NOTE: i64 = 3;

/// A document whose tax of a rate is not the rate of what is taxed at it, rounded once.
async fn wrong_taxes(tx: &mut Tx) -> Result<Vec<Finding>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        // A note of a document of an older version gives back a part of what was rounded charge by charge.
        let sql = "select * from invoices i where id > $1 and not exists (select 1 from invoices o where o.id = i.corrects and o.taxes not like '%\"rate\":\"%') order by id limit $2";
        let page: Vec<Invoice> = tx.all(sql, args![&after, DOCUMENTS]).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after.clone_from(&last.id);
        for i in &page {
            let (rates, currency) = (i.taxed()?, i.currency.parse()?);
            let sums = rates.iter().fold((0, 0), |(net, tax), r| (net + r.net, tax + r.tax));
            let bound = if i.kind == DocumentKind::Invoice { 0 } else { NOTE };
            let mut wrong = !rates.is_empty() && sums != (i.net, i.tax);
            for r in rates.iter().filter(|_| i.taxed_once()) {
                wrong |= (r.rate.of(Money::new(r.net, currency))?.minor - r.tax).abs() > bound;
            }
            if wrong {
                let detail = format!("{}: net {}, tax {}, by rate {}", i.name(), i.net, i.tax, i.taxes);
                found.push(Finding { rule: "the tax on a document is its rate of the sum, rounded once", subject: i.id.clone(), detail });
            }
        }
    }
}
