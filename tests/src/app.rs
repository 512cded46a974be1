//! A whole Leasehold in one process: store, worker and scheduler, on a clock that moves by hand.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use leasehold_commands::{accounts, catalog, order, servers};
use leasehold_cron::{Scheduler, settle::Settler};
use leasehold_domain::{
    Dice, Mark, ServerId, Timestamp,
    server::{Means, Power, Status},
};
use leasehold_hypervisor::{Call, Hypervisor, Observed, connect};
use leasehold_notifier::{Hooks, Outbox, Renderer, Sender};
use leasehold_store::{Clock, KeyRing, Options, Queue, Store, accounts::NewAccount, activity::Actor, args, servers::Server, settle::Settled};
use leasehold_worker::{Fleet, Limits, Post, Worker};
use tempfile::TempDir;

use crate::database::{Kind, fresh};

/// The application under test.
pub struct App {
    /// The database.
    pub store: Store,
    /// A worker.
    pub worker: Worker,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// Its first account's number.
    pub account: String,
    /// How the store was opened.
    pub options: Options,
    dir: TempDir,
}

/// An afternoon in March, before the clocks change.
pub const START: &str = "2026-03-10T14:00:00Z";

/// Unlike every other name of this run, so that tests share a cluster.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, SeqCst))
}

/// Runs a story on a fresh application and audits what it leaves.
pub async fn tell(kind: Kind, story: impl AsyncFnOnce(&mut App)) {
    let mut app = App::new(kind).await;
    story(&mut app).await;
    app.audit().await;
}

impl App {
    /// A fresh application with the sample catalogue of one simulated region, and an account with 100.00 EUR.
    pub async fn new(kind: Kind) -> Self {
        Self::seeded(kind, 1, "").await
    }

    /// As [`App::new`], with a seed for ids and faults, and settings for the simulated nodes (`faults = { … }`).
    pub async fn seeded(kind: Kind, seed: u64, node: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = fresh(kind, dir.path(), &unique_name()).await;
        let dice = Dice::seeded(seed);
        let keys = KeyRing::generate(&dice);
        let clock = Clock::frozen(START.parse().unwrap());
        let options = Options { clock, dice, keys: Some(keys), connections: 20, ..Options::new(url) };
        let store = Store::open(options.clone()).await.unwrap();
        let worker = worker(&store, "worker-1", dir.path());
        let scheduler = Scheduler {
            store: store.clone(),
            settler: Settler::new(store.clone()),
            ip_quarantine: Duration::from_hours(24),
            operator: Some("ops@example.org".into()),
        };
        let mut app = Self { store, worker, scheduler, account: String::new(), options, dir };
        app.import(node).await;
        app.account = app.new_account("ada@example.org", "100.00").await;
        app
    }

    /// The operator who acts in stories.
    pub fn operator() -> Actor {
        Actor::operator("test")
    }

    /// A folder of this application.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Imports the catalogue with these settings for its nodes.
    pub async fn import(&self, node: &str) {
        self.import_text(&catalog_text(self.dir.path(), node), catalog::How::default()).await;
    }

    /// Takes the nodes off the net.
    pub async fn nodes_go(&self) {
        self.import("faults = { down_file = true }").await;
        for node in ["node-a", "node-b"].map(|node| self.path(node)) {
            std::fs::create_dir_all(&node).unwrap();
            std::fs::write(node.join("down"), "").unwrap();
        }
    }

    /// The nodes are back.
    pub async fn nodes_come(&self) {
        self.import("").await;
    }

    /// Imports the catalogue with another text in it.
    pub async fn import_with(&self, from: &str, to: &str, how: catalog::How) {
        let text = catalog_text(self.dir.path(), "").replace(from, to);
        self.import_text(&text, how).await;
    }

    /// Imports the catalogue with more at its end.
    pub async fn import_more(&self, more: &str) {
        let text = format!("{}\n{more}", catalog_text(self.dir.path(), ""));
        self.import_text(&text, catalog::How::default()).await;
    }

    async fn import_text(&self, text: &str, how: catalog::How) {
        self.try_import(text, catalog::How { consent: catalog::Consent::All, ..how }).await.unwrap();
    }

    async fn try_import(&self, text: &str, how: catalog::How) -> leasehold_commands::Result<Vec<String>> {
        let catalog = catalog::Catalog::parse(text)?;
        catalog::import(&self.store, &Self::operator(), &catalog, |_, _| Ok(()), how).await.map(|imported| imported.lines)
    }

    /// What an import says that has another text in it, and is asked nothing.
    pub async fn import_says(&self, from: &str, to: &str) -> String {
        let text = catalog_text(self.dir.path(), "").replace(from, to);
        self.try_import(&text, catalog::How::default()).await.map_or_else(|e| e.to_string(), |lines| lines.join("\n"))
    }

    /// A second worker over the same database.
    pub fn another_worker(&self, name: &str) -> Worker {
        worker(&self.store, name, self.dir.path())
    }

    /// Mail goes to the SMTP server on this port of the loopback from now on.
    pub fn mail_through(&mut self, port: u16) {
        Arc::get_mut(&mut self.worker.post).unwrap().outbox = Outbox::open(&format!("smtp://127.0.0.1:{port}?tls=none"), None, sender()).unwrap();
    }

    /// A worker whose receipts carry their invoice.
    pub fn attaching_worker(&self) -> Worker {
        let mut worker = self.another_worker("attaching");
        Arc::get_mut(&mut worker.post).unwrap().attach_documents = true;
        worker
    }

    /// The mails that were delivered whose subject begins so, as they went out.
    pub fn mails_with(&self, subject: &str) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.path("mails")) else { return Vec::new() };
        let texts = files.flatten().map(|f| std::fs::read_to_string(f.path()).unwrap());
        texts.filter(|t| t.lines().any(|l| l.starts_with(&format!("Subject: {subject}")))).collect()
    }

    /// A new account with money.
    pub async fn new_account(&self, email: &str, funds: &str) -> String {
        let new = NewAccount {
            email: email.into(),
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            company: None,
            currency: "EUR".parse().unwrap(),
            locale: "en".into(),
            country: None,
        };
        let number = accounts::create(&self.store, &Self::operator(), &new).await.unwrap().number.to_string();
        self.top_up(&number, funds).await;
        number
    }

    /// Pays money in.
    pub async fn top_up(&self, account: &str, amount: &str) {
        let movement = accounts::Movement { account, amount, reason: "test", reference: None };
        accounts::credit(&self.store, &Self::operator(), &movement).await.unwrap();
    }

    /// What an order of this label looks like.
    pub fn an_order(&self, label: &str) -> order::Order {
        order::Order { label: Some(label.into()), hostname: Some(label.into()), ..order::Order::new(&self.account, "small", "debian-12") }
    }

    /// Orders a small server.
    pub async fn order(&self, label: &str) -> Server {
        order::order(&self.store, &Self::operator(), &self.an_order(label)).await.unwrap()
    }

    /// Works until nothing is due at this instant.
    pub async fn drain(&self) {
        self.drain_all_of(Queue::ALL).await;
    }

    /// Works on these queues until nothing is due in them at this instant.
    pub async fn drain_all_of(&self, queues: &[Queue]) {
        for _ in 0..10_000 {
            let mut due = self.due_queues().await;
            due.retain(|queue| queues.contains(queue));
            if due.is_empty() {
                return;
            }
            for queue in due {
                self.worker.run_one(queue).await.unwrap();
            }
        }
        panic!("the queues do not come to rest");
    }

    /// Has every node looked at now.
    pub async fn look(&self) {
        let mut tx = self.store.begin().await.unwrap();
        tx.want_looks().await.unwrap();
        tx.commit().await.unwrap();
        self.drain_all_of(&[Queue::Nodes]).await;
    }

    /// Queues with a row that is due. Looked at and not only tried: a transaction that was dropped may hold its rows for a moment on
    /// PostgreSQL, and claims pass them by.
    async fn due_queues(&self) -> Vec<Queue> {
        let sql = "with due(queue) as (select 'mails' where exists (select 1 from mails where next_at <= $1) union all \
                   select 'nodes' where exists (select 1 from nodes where next_at <= $1) union all \
                   select 'servers' where exists (select 1 from servers where next_at <= $1) union all \
                   select 'names' where exists (select 1 from names where next_at <= $1) union all \
                   select 'webhooks' where exists (select 1 from webhook_deliveries where next_at <= $1)) \
                   select queue from due where queue = 'nodes' or not exists (select 1 from restoration where released_at is null) \
                   or (queue = 'mails' and exists (select 1 from mails where next_at <= $1 and kind = 'operator_digest'))";
        let mut tx = self.store.read().await.unwrap();
        let due: Vec<(String,)> = tx.all(sql, args![self.now()]).await.unwrap();
        due.into_iter().map(|(queue,)| queue.parse().unwrap()).collect()
    }

    /// When anything is due next but nodes, which are looked at for ever.
    pub async fn next_due(&self) -> Option<Timestamp> {
        let mut next = None;
        for queue in Queue::ALL.iter().filter(|queue| **queue != Queue::Nodes) {
            next = next.into_iter().chain(self.store.next_due(*queue).await.unwrap()).min();
        }
        next
    }

    /// Works, moving the clock from event to event, until servers and mails are at rest.
    pub async fn until_quiet(&self) {
        for _ in 0..10_000 {
            self.drain().await;
            let Some(next) = self.next_due().await else { return };
            self.advance(next.since(self.now()).max(Duration::from_millis(1)));
        }
        panic!("the servers do not come to rest");
    }

    /// When an account is due to be settled next.
    pub async fn next_settle(&self) -> Option<Timestamp> {
        self.store.read().await.unwrap().next_settle(self.now()).await.unwrap()
    }

    /// One tick of the books.
    pub async fn settle(&self) -> Settled {
        leasehold_cron::settle::run(&self.store).await.unwrap()
    }

    /// Lets time pass, from event to event, with workers and the scheduler at work.
    pub async fn live(&self, by: Duration) {
        let end = self.now() + by;
        for _ in 0..100_000 {
            self.drain().await;
            self.settle().await;
            self.drain().await;
            let next = self.next_due().await.into_iter().chain(self.next_settle().await).min().filter(|at| *at <= end);
            match next {
                Some(at) => self.advance(at.since(self.now()).max(Duration::from_millis(1))),
                None if self.now() < end => self.advance(end.since(self.now())),
                None => return,
            }
        }
        panic!("time does not pass");
    }

    /// As [`App::live`], but nobody looks more often than every six hours: for storms in which something is tried again and again.
    pub async fn live_through(&self, by: Duration) {
        let (end, step) = (self.now() + by, Duration::from_hours(6));
        while self.now() < end {
            self.advance(step.min(end.since(self.now())));
            self.drain().await;
            self.settle().await;
            self.drain().await;
        }
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.store.clock().advance(by);
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.store.clock().now()
    }

    /// A server as it is now.
    pub async fn server(&self, id: &ServerId) -> Server {
        self.store.read().await.unwrap().server(id).await.unwrap()
    }

    /// What the first account can spend, `"91.00"`.
    pub async fn balance(&self) -> String {
        let mut tx = self.store.read().await.unwrap();
        let account = tx.find_account(&self.account).await.unwrap();
        tx.wallet(&account.id).await.unwrap().available().decimal()
    }

    /// What the guest of a server was given beside its first address.
    pub fn guest_addresses(&self, server: &ServerId) -> Vec<String> {
        let nodes = ["node-a", "node-b"].map(|n| self.path(n));
        nodes.iter().flat_map(|n| leasehold_hypervisor::simulated::more_addresses(n, server).unwrap()).collect()
    }

    /// Marks of all machines on the simulated nodes, sorted.
    pub fn machines(&self) -> Vec<String> {
        let nodes = ["node-a", "node-b"].map(|n| self.path(n));
        let mut marks: Vec<String> = nodes.iter().flat_map(|n| leasehold_hypervisor::simulated::marks(n).unwrap()).map(|m| m.to_string()).collect();
        marks.sort();
        marks
    }

    /// Subjects of the mails that were delivered, sorted.
    pub fn delivered(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.path("mails")) else { return Vec::new() };
        let subject = |f: std::fs::DirEntry| {
            let text = std::fs::read_to_string(f.path()).unwrap();
            text.lines().find_map(|l| l.strip_prefix("Subject: ")).unwrap_or_default().to_owned()
        };
        let mut subjects: Vec<String> = files.flatten().map(subject).collect();
        subjects.sort();
        subjects
    }

    /// What is open on the attention list: `kind subject`.
    pub async fn attention(&self) -> Vec<String> {
        let mut open: Vec<String> =
            self.store.read().await.unwrap().attention(false, 100).await.unwrap().into_iter().map(|a| format!("{} {}", a.kind, a.subject)).collect();
        open.sort();
        open
    }

    /// The audit finds nothing, and machines by mark are the servers that should have one.
    pub async fn audit(&self) {
        let findings = self.store.audit().await.unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
        // What is told of a wallet is what is in it.
        let mut tx = self.store.read().await.unwrap();
        for account in tx.accounts(50).await.unwrap() {
            let (from, until) = (Timestamp::default(), Timestamp::from_millis(i64::MAX));
            let statement = tx.statement(&account.id, from, until, 3).await.unwrap();
            let posted = tx.wallet(&account.id).await.unwrap().posted;
            assert_eq!(statement.closing, posted, "the statement of account {}", account.number);
        }
    }

    /// Machines by mark are the servers that have a place: at rest nothing else may stand on a node, and what runs is on.
    pub async fn machines_match(&self) {
        let servers = self.store.read().await.unwrap().servers(None, None, 10_000).await.unwrap();
        let mut expected: Vec<String> = servers.iter().filter(|s| s.node_id.is_some()).map(|s| format!("{}:{}", s.id, s.installed.unwrap_or(0))).collect();
        expected.sort();
        assert_eq!(self.machines(), expected, "machines by mark are the servers that should have one");
        for node in ["node-a", "node-b"].map(|n| self.path(n)) {
            let settings = format!("{{\"endpoint\": {:?}}}", node.display().to_string());
            let node = connect("simulated", &settings).unwrap();
            for machine in node.list_owned().await.unwrap() {
                let s = servers.iter().find(|s| s.id == machine.mark.server).unwrap();
                let Observed::Present(found) = node.observe(machine.vmid).await.unwrap() else { panic!("{} is gone", s.label) };
                let fits = match s.status {
                    Status::Running => found.link && found.power == Power::On,
                    Status::Stopped => found.link && found.power == Power::Off,
                    Status::Suspended if s.held.map(|h| h.0) == Some(Means::CutNetwork) => !found.link,
                    Status::Suspended => found.power == Power::Off,
                    _ => true,
                };
                assert!(fits, "{} is {}, its machine is {found:?}", s.label, s.status);
            }
        }
    }

    /// The power of a server's machine as its node has it, and whether its network is plugged in.
    pub async fn found(&self, label: &str) -> (Power, bool) {
        let (node, vmid) = self.server(&self.lease(label).await.server).await.place().unwrap();
        let settings = format!("{{\"endpoint\": {:?}}}", self.path(&node.0).display().to_string());
        let Observed::Present(found) = connect("simulated", &settings).unwrap().observe(vmid).await.unwrap() else { panic!("{label} is gone") };
        (found.power, found.link)
    }

    /// The node that a server is on.
    pub async fn node_of(&self, server: &Server) -> Arc<dyn Hypervisor> {
        let id = server.node_id.clone().expect("it has a place");
        let node = self.store.read().await.expect("a connection").node(&id.into()).await.expect("its node");
        connect(&node.backend, &node.settings).expect("its backend")
    }

    /// A call as the last worker that held this server made it for its first build's machine.
    pub async fn call_of(&self, id: &ServerId) -> Call {
        let epoch = self.server(id).await.epoch;
        Call { mark: Mark { server: id.clone(), generation: 1 }, epoch, now: self.now() }
    }

    /// Terminates a server.
    pub async fn terminate(&self, server: &ServerId) {
        servers::terminate(&self.store, &Self::operator(), server.as_str(), servers::Unfinished::Paid).await.unwrap();
    }
}

fn sender() -> Sender {
    Sender { from: "Test Host <hello@example.org>".into(), reply_to: None }
}

fn worker(store: &Store, name: &str, dir: &Path) -> Worker {
    let outbox = Outbox::open(&format!("file:{}", dir.join("mails").display()), None, sender()).unwrap();
    let post =
        Post { renderer: Renderer::new(None).unwrap(), outbox, host: "Test Host".into(), public_url: "http://127.0.0.1:8066".into(), attach_documents: false };
    Worker {
        store: store.clone(),
        name: name.into(),
        fleet: Arc::new(Fleet::default()),
        post: Arc::new(post),
        hooks: Hooks::new(true).unwrap(),
        names: None,
        limits: Limits::default(),
    }
}

/// Two simulated nodes in one region, two plans, addresses of both families.
fn catalog_text(dir: &Path, node: &str) -> String {
    let node = |name: &str, seed: u64| {
        format!(
            "[[node]]\nid = \"{name}\"\nregion = \"fra\"\nbackend = \"simulated\"\nendpoint = \"{}\"\ncapacity = {{ vcpu = 64, ram_mb = 65536, disk_gb = 2000 }}\nbuilds = 50\nseed = {seed}\n{node}\n",
            dir.join(name).display()
        )
    };
    format!(
        r#"
[policy]
orders_per_hour = 0
[[region]]
id = "fra"
name = "Frankfurt"
{}{}
[[template]]
id = "debian-12"
family = "debian"
label = "Debian 12"
image = "debian-12"
min_disk_gb = 2
[[template]]
id = "ubuntu-24.04"
family = "ubuntu"
label = "Ubuntu 24.04"
image = "ubuntu-24.04"
[[pool]]
id = "fra-v4"
region = "fra"
family = 4
cidr = "203.0.113.0/24"
gateway = "203.0.113.1"
range = "203.0.113.1-203.0.113.250"
[[pool]]
id = "fra-v6"
region = "fra"
family = 6
cidr = "2001:db8::/64"
gateway = "2001:db8::1"
range = "2001:db8::100-2001:db8::2ff"
[[product]]
key = "small"
name = "Small"
vcpu = 1
ram_mb = 1024
disk_gb = 10
bandwidth_gb = 1000
regions = ["fra"]
prices = {{ EUR = {{ 1m = "9.00", 12m = "90.00" }} }}
[[pool]]
id = "fra-blocks"
region = "fra"
family = 4
cidr = "198.51.100.0/24"
gateway = "198.51.100.1"
range = "198.51.100.0-198.51.100.255"
blocks = 25
[[addon]]
key = "ip"
name = "One more address"
kind = "extra-ip"
prices = {{ EUR = {{ 1m = "2.00", 12m = "20.00" }} }}
[[addon]]
key = "block"
name = "A block of addresses"
kind = "ip-class"
products = ["small"]
prices = {{ EUR = {{ 1m = "40.00" }} }}
[[addon]]
key = "backup"
name = "Nightly backup"
kind = "backup"
keep_days = 3
prices = {{ EUR = {{ 1m = "3.00", 12m = "30.00" }} }}
[[product]]
key = "tiny-disk"
name = "Tiny"
vcpu = 1
ram_mb = 512
disk_gb = 1
bandwidth_gb = 100
regions = ["fra"]
prices = {{ EUR = {{ 1m = "1.00" }} }}
"#,
        node("node-a", 1),
        node("node-b", 2)
    )
}
