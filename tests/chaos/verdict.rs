//! What must hold when all is quiet.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_domain::{
    notice::{MailState, NoticeKind},
    server::{Power, Status},
};
use leasehold_store::{Tx, args, mails::Mail, servers::Server};

use crate::{
    clients::{Clients, FUNDS, PRICE},
    host::Host,
};

/// More than any run makes.
const ALL: i64 = 100_000;

/// Broken promises, each with what was found.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

pub(crate) async fn check(host: &mut Host, clients: &Clients) {
    let mut found = Findings::default();
    let mut tx = host.store.read().await.unwrap();
    let servers = tx.servers(None, None, ALL).await.unwrap();
    let mails = tx.mails(None, None, ALL).await.unwrap();
    acknowledged(&mut found, clients, &servers);
    at_rest(&mut found, &servers);
    money(&mut found, &mut tx, clients, &servers).await;
    machines(&mut found, host, &servers).await;
    posted(&mut found, host, &servers, &mails);
    told(&mut found, &mut tx, &servers, &mails).await;
    drop(tx);
    for finding in host.store.audit().await.unwrap() {
        found.0.push(format!("audit: {finding:?}"));
    }
    let count = |status| servers.iter().filter(|s| s.status == status).count();
    let by_status: Vec<String> = Status::ALL.iter().map(|s| format!("{} {s}", count(*s))).collect();
    println!("  servers: {}; mails: {}", by_status.join(", "), mails.len());
    if !found.0.is_empty() {
        for s in servers.iter().filter(|s| found.0.iter().any(|f| f.contains(s.id.as_str()) || f.contains(&s.label))) {
            eprintln!("{}", host.show(s.id.as_str()));
        }
        host.keep_logs();
        panic!("{} promises are broken:\n{}", found.0.len(), found.0.join("\n"));
    }
}

/// Every acknowledged order is one server, and nothing else is.
fn acknowledged(found: &mut Findings, clients: &Clients, servers: &[Server]) {
    let promised: BTreeSet<String> = clients.all.iter().flat_map(|c| c.servers.lock().unwrap().clone()).map(|id| id.to_string()).collect();
    let there: BTreeSet<String> = servers.iter().map(|s| s.id.to_string()).collect();
    found.expect(promised == there, || {
        format!("acknowledged and not there: {:?}; there and not acknowledged: {:?}", promised.difference(&there), there.difference(&promised))
    });
}

/// Running, stopped as its owner wants, failed, or gone; and nobody waits for anything.
fn at_rest(found: &mut Findings, servers: &[Server]) {
    for s in servers {
        let rests = matches!(s.status, Status::Running | Status::Stopped | Status::Failed | Status::Terminated);
        found.expect(rests && s.next_at.is_none() && s.parked_at.is_none(), || format!("{} is {} and not at rest: {:?}", s.label, s.status, s.last_error));
    }
}

/// Servers of an account that were ended after their boot and before their delivery, and paid for: a cent each, by the hour's share of the price.
async fn used(found: &mut Findings, tx: &mut Tx, account: &str) -> i64 {
    let sql = "select s.label, c.amount, (select count(*) from server_steps p where p.server_id = s.id and p.step = 'boot') from servers s \
               join leases l on l.server_id = s.id join charges c on c.lease_id = l.id where s.account_id = $1 and s.running_at is null order by s.label";
    let charges: Vec<(String, i64, i64)> = tx.all(sql, args![account]).await.unwrap();
    for (label, amount, boots) in &charges {
        found.expect(*amount == 1 && *boots > 0, || format!("{label} was never delivered, booted {boots} times and paid {amount}"));
    }
    charges.len() as i64
}

/// Whoever was delivered pays once, who ended a machine that was booted pays a cent; everyone else has the money back.
async fn money(found: &mut Findings, tx: &mut Tx, clients: &Clients, servers: &[Server]) {
    for client in &clients.all {
        let account = tx.find_account(&client.account).await.unwrap();
        let delivered = servers.iter().filter(|s| s.account_id == account.id && s.running_at.is_some()).count() as i64;
        let wallet = tx.wallet(&account.id).await.unwrap();
        let expected = FUNDS - delivered * PRICE - used(found, tx, account.id.as_str()).await;
        found.expect(wallet.posted.minor == expected && wallet.held.minor == 0, || {
            format!("account {} was delivered {delivered} servers and has {} (held {}), {expected} is right", client.account, wallet.posted, wallet.held)
        });
    }
}

/// By mark and power, the nodes hold what the records say.
async fn machines(found: &mut Findings, host: &Host, servers: &[Server]) {
    let mut there = BTreeMap::new();
    for node in host.nodes() {
        let settings = format!("{{\"endpoint\": {:?}}}", node.display().to_string());
        for machine in leasehold_hypervisor::connect("simulated", &settings).unwrap().list_owned().await.unwrap() {
            let double = there.insert(machine.mark.to_string(), machine.power).is_some();
            found.expect(!double, || format!("two machines carry the mark {}", machine.mark));
        }
    }
    // A failed reinstall keeps its machine as it was.
    let power = |s: &Server| match s.status {
        Status::Running => Some(Power::On),
        Status::Stopped => Some(Power::Off),
        _ => None,
    };
    let recorded: BTreeMap<String, Option<Power>> =
        servers.iter().filter(|s| s.node_id.is_some()).map(|s| (format!("{}:{}", s.id, s.installed.unwrap_or(0)), power(s))).collect();
    for (mark, power) in &there {
        match recorded.get(mark) {
            None => found.0.push(format!("the machine {mark} belongs to no server")),
            Some(should) => found.expect(should.is_none_or(|p| p == *power), || format!("the machine {mark} is {power}, its server says {should:?}")),
        }
    }
    for mark in recorded.keys().filter(|m| !there.contains_key(*m)) {
        found.0.push(format!("the server of {mark} has no machine"));
    }
}

/// The mail server took each sent mail once, and no mail twice.
fn posted(found: &mut Findings, host: &Host, servers: &[Server], mails: &[Mail]) {
    let taken = host.smtp.taken();
    for mail in mails {
        let times = taken.get(&mail.message_id).copied().unwrap_or(0);
        let fits = match mail.state {
            MailState::Sent => times == 1,
            MailState::Ambiguous => times <= 1,
            MailState::Dead | MailState::Superseded => times == 0,
            MailState::Queued => false,
        };
        found.expect(fits, || format!("the {} of {:?} is {} and was taken {times} times", mail.kind, mail.server_id, mail.state));
    }
    for unknown in taken.keys().filter(|id| !mails.iter().any(|m| m.message_id == **id)) {
        found.0.push(format!("the mail server took {unknown}, which no row knows"));
    }
    for s in servers {
        let confirmations = mails.iter().filter(|m| m.kind == NoticeKind::OrderConfirmation && m.server_id.as_deref() == Some(s.id.as_str())).count();
        found.expect(confirmations == 1, || format!("{} has {confirmations} confirmations", s.label));
        let ready = mails.iter().filter(|m| m.kind == NoticeKind::ServerReady && m.server_id.as_deref() == Some(s.id.as_str())).count() as i64;
        let delivered = i64::from(s.running_at.is_some());
        found.expect((delivered..=s.generation).contains(&ready), || {
            format!("{} (generation {}) has {ready} mails that say it is ready", s.label, s.generation)
        });
    }
}

/// Whatever failed is on the list.
async fn told(found: &mut Findings, tx: &mut Tx, servers: &[Server], mails: &[Mail]) {
    let open: BTreeSet<String> = tx.attention(false, ALL).await.unwrap().into_iter().map(|a| format!("{} {}", a.kind, a.subject)).collect();
    for s in servers.iter().filter(|s| s.status == Status::Failed) {
        found.expect(open.contains(&format!("build_failed server:{}", s.id)), || format!("{} failed in silence", s.label));
    }
    for (state, kind) in [(MailState::Dead, "mail_dead"), (MailState::Ambiguous, "mail_ambiguous")] {
        for mail in mails.iter().filter(|m| m.state == state) {
            found.expect(open.contains(&format!("{kind} mail:{}", mail.id)), || format!("the {} {} is {state} in silence", mail.kind, mail.id));
        }
    }
}
