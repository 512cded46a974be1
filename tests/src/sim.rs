//! The seeded simulation: customers, operators, workers, the clock, faults and crashes, drawn from one seed, one actor at a
//! time. After each history the promises are checked. The same seed is the same history.

use std::{collections::HashSet, time::Duration};

use leasehold_commands::{
    accounts::{self, Movement},
    addons,
    coupons::{self, NewCoupon},
    cycle, order,
    refunds::{self, Refund},
    servers, snapshots,
    webhooks::{self, NewWebhook},
};
use leasehold_domain::{
    Dice,
    event::EventKind,
    lease::Cycle,
    notice::MailState,
    policy::{Key, Level},
    server::{HoldKind, Means, Status},
};
use leasehold_store::{
    Page, Queue, Store,
    accounts::AccountState,
    books::Booked,
    crash::{POINTS, Plan, Stalled},
    invoices::Invoice,
    servers::{HoldTerms, Server},
    settle::Settled,
    webhooks::DeliveryState,
};
use leasehold_worker::{Ran, Worker};

use crate::{App, Kind, hook::Receiver};

/// Actions in one history. In every other one days pass instead of minutes, and it is about money.
const ACTIONS: u64 = 80;
/// How long addresses rest.
const QUARANTINE: Duration = Duration::from_hours(24);
/// Points where no transaction is open, so that a stalled worker holds up nobody.
const STALLS: &[&str] = &[
    "mail.answered",
    "mail.intent_committed",
    "node.looked",
    "step.asked",
    "step.before_ask",
    "step.before_outcome",
    "webhook.answered",
    "webhook.before_call",
    "work.before_settle",
];
const FAULTS: &[&str] = &[
    "",
    "faults = { busy = 0.2 }",
    "faults = { reply_lost = 0.2, request_lost = 0.1 }",
    "faults = { refused = 0.3 }",
    "faults = { capacity = 0.4, busy = 0.1 }",
    "faults = { agent_never = 0.3 }\nboot_time = \"20s\"",
    "disk_time = \"30s\"\nfaults = { reply_lost = 0.1 }",
    "faults = { down_file = true, create_timeout = 0.3 }",
];

type StalledRun = Stalled<'static, leasehold_store::Result<Ran>>;

/// One history.
pub struct Sim {
    app: App,
    kind: Kind,
    dice: Dice,
    plan: Plan,
    workers: Vec<Worker>,
    stalled: Vec<StalledRun>,
    orders: u64,
    days: bool,
    receiver: Receiver,
    mail_down: bool,
    mail_was_down: bool,
    verbs: std::collections::BTreeMap<&'static str, u64>,
    log: Vec<String>,
}

/// What the scheduler does to the books.
async fn books_tick(store: &Store) -> leasehold_store::Result<Settled> {
    let settled = leasehold_cron::settle::run(store).await?;
    leasehold_cron::addons::run(store, QUARANTINE).await?;
    Ok(settled)
}

impl Sim {
    /// Lives through one history and checks what it leaves; answers how often each crash point was visited, and what was decided about leases.
    pub async fn run(kind: Kind, seed: u64) -> std::collections::BTreeMap<&'static str, u64> {
        let app = App::seeded(kind, seed, "").await;
        let workers = vec![app.worker.clone(), app.another_worker("worker-2")];
        let mut sim = Self {
            app,
            kind,
            dice: Dice::seeded(seed ^ 0x5eed),
            plan: Plan::default(),
            workers,
            stalled: vec![],
            orders: 0,
            days: seed % 2 == 1,
            receiver: Receiver::start(200).await,
            mail_down: false,
            mail_was_down: false,
            verbs: std::collections::BTreeMap::new(),
            log: vec![],
        };
        sim.subscribe().await;
        let coupon = NewCoupon { code: "SIM", percent: Some(leasehold_domain::Percent::whole(30)), periods: Some(2), uses: Some(3), ..NewCoupon::default() };
        coupons::create(&sim.app.store, &App::operator(), &coupon).await.unwrap();
        if sim.days {
            if sim.dice.chance(0.5) {
                sim.app.set_rule(Level::System, "", Key::SuspendBy, "cut_network").await;
            }
            for _ in 0..3 {
                sim.order().await;
            }
            sim.catch_up().await;
        }
        for n in 0..ACTIONS {
            if sim.days && sim.dice.chance(0.75) {
                sim.act_on_money().await;
            } else {
                sim.act().await;
            }
            if n % 10 == 9 {
                sim.check_always().await;
            }
        }
        sim.settle().await;
        sim.check_end().await;
        // What a payment does at once is not answered to the scheduler.
        let mut tx = sim.app.store.read().await.unwrap();
        for (verb, sql) in [
            ("pay", "select count(*) from charges where paid_at > created_at"),
            ("reactivate", "select count(*) from activity where action = 'lease.reactivate'"),
        ] {
            sim.verbs.insert(verb, tx.int(sql, &[]).await.unwrap().cast_unsigned());
        }
        drop(tx);
        let mut visited = sim.plan.hits();
        visited.extend(sim.verbs.into_iter().filter(|(_, n)| *n > 0));
        visited
    }

    /// A program of the account is told everything.
    async fn subscribe(&self) {
        let mut tx = self.app.store.begin().await.unwrap();
        let account = tx.find_account(&self.app.account).await.unwrap().id;
        let events: Vec<String> = EventKind::ALL.iter().map(ToString::to_string).collect();
        let new = NewWebhook { url: &self.receiver.url, events: &events, plain: true };
        webhooks::add(&mut tx, &App::operator(), &account, &new).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// What was done, for a failure's report.
    fn note(&mut self, what: String) {
        if std::env::var_os("LEASEHOLD_SIM_LOG").is_some() {
            eprintln!("{} {what}", self.app.now());
        }
        self.log.push(what);
    }

    async fn act(&mut self) {
        match self.dice.below(100) {
            0..14 => self.order().await,
            14..17 => self.app.top_up(&self.app.account, "9.00").await,
            17..25 => self.ask_something().await,
            25..28 => self.change_faults().await,
            28..68 => self.work().await,
            68..78 => self.crash().await,
            78..84 => self.stall().await,
            84..88 => self.resume().await,
            88..91 => {
                let _ = self.app.scheduler.run_due().await.unwrap();
            }
            _ => self.pass_time(),
        }
    }

    async fn act_on_money(&mut self) {
        let (store, me) = (self.app.store.clone(), App::operator());
        match self.dice.below(100) {
            0..20 => self.tick().await,
            20..32 => self.catch_up().await,
            32..62 => {
                let days = 1 + self.dice.below(9);
                // The nodes are looked at once at the end.
                let queues = [Queue::Servers, Queue::Mails, Queue::Webhooks];
                for _ in 0..days {
                    self.app.advance(Duration::from_hours(24));
                    self.app.drain_all_of(&queues).await;
                    let Ok(settled) = self.plan.run(books_tick(&store)).await else { panic!("stopped without a plan") };
                    self.decided(settled.unwrap());
                    self.app.drain_all_of(&queues).await;
                }
                self.app.drain().await;
                self.note(format!("{days} days pass with everybody at work"));
            }
            62..70 => {
                let by = Duration::from_hours(1 + self.dice.below(24 * 12));
                self.note(format!("{by:?} pass"));
                self.app.advance(by);
            }
            70..78 => {
                let amount = format!("{}.00", 1 + self.dice.below(40));
                let movement = Movement {
                    account: &self.app.account.clone(),
                    amount: &amount,
                    reason: "sim",
                    reference: Some(&format!("in-{}", self.log.len()).parse().unwrap()),
                };
                self.plan.arm(["command.before_commit", "command.committed", "settle.account_committed"][self.dice.below(3) as usize], 1 + self.dice.below(2));
                let crashed = self.plan.run(accounts::credit(&store, &me, &movement)).await.is_err();
                self.plan.disarm();
                // Nobody heard the answer: the payment page tells it again.
                let (balance, _) = accounts::credit(&store, &me, &movement).await.unwrap();
                self.note(format!("{amount} paid in, crashed={crashed}, balance {balance}"));
            }
            78..84 => {
                let amount = self.app.balance().await;
                let movement = Movement { account: &self.app.account.clone(), amount: &amount, reason: "sim", reference: None };
                let answer = accounts::debit(&store, &me, &movement).await.map_err(|e| e.to_string());
                self.note(format!("{amount} taken out: {answer:?}"));
            }
            84..86 => self.take_money_back().await,
            86..90 => {
                let up = self.mail_down;
                (self.mail_down, self.mail_was_down) = (!up, true);
                self.app.mail_server(up);
                self.note(format!("mail server up={up}"));
            }
            90..95 => self.ask_for_an_addon().await,
            _ => {
                let Some(s) = self.any_server().await else { return };
                let (what, until) = (self.dice.below(4), self.app.now() + Duration::from_hours(24 * self.dice.below(30) + 1));
                let answer = match what {
                    0 => servers::protect(&store, &me, s.id.as_str(), Some(until)).await,
                    1 => servers::protect(&store, &me, s.id.as_str(), None).await,
                    _ => servers::set_auto_renew(&store, &me, s.id.as_str(), what == 2).await,
                };
                self.note(format!("money {what} of {}: {:?}", s.label, answer.map(drop).map_err(|e| e.to_string())));
            }
        }
    }

    fn decided(&mut self, settled: Settled) {
        settled.verbs.into_iter().for_each(|(verb, n)| *self.verbs.entry(verb.as_str()).or_default() += n as u64);
    }

    /// The workers get some quiet minutes.
    async fn catch_up(&mut self) {
        for _ in 0..6 {
            self.app.drain().await;
            self.app.advance(Duration::from_mins(1));
        }
        self.note("the workers catch up".into());
    }

    /// The books are settled: once, by two schedulers one after the other, or by one that dies.
    async fn tick(&mut self) {
        let store = self.app.store.clone();
        let points = ["settle.before_write", "settle.before_commit", "settle.committed", "enforce.before_commit", "addon.before_end"];
        let (dies, twice) = (self.dice.chance(0.3), self.dice.chance(0.3));
        if dies {
            self.plan.arm(points[self.dice.below(5) as usize], 1 + self.dice.below(2));
        }
        let settled = self.plan.run(books_tick(&store)).await.map_err(drop);
        let crashed = settled.is_err();
        self.plan.disarm();
        if let Ok(settled) = settled {
            self.decided(settled.unwrap());
        }
        if twice {
            let settled = self.app.settle().await;
            self.decided(settled);
        }
        self.note(format!("tick crashed={crashed} twice={twice}"));
    }

    fn pass_time(&mut self) {
        let by = match self.dice.below(20) {
            0 => Duration::from_mins(11),
            1 => Duration::from_hours(2),
            _ => Duration::from_millis(500 + self.dice.below(45_000)),
        };
        self.note(format!("{by:?} pass"));
        self.app.advance(by);
    }

    /// Orders through the crash plan: a crashed order is sent again with the same key, as a shop would.
    async fn order(&mut self) {
        self.orders += 1;
        let addons = ["ip", "block", "backup"].into_iter().filter(|_| self.dice.chance(0.4)).map(ToOwned::to_owned).collect();
        // The fourth order finds it used up, unless one of the first never ran.
        let coupon = (self.orders <= 4 && self.dice.chance(0.7)).then(|| "SIM".to_owned());
        let key = Some(format!("cart-{}", self.orders));
        let wanted = order::Order { key, addons, coupon, ..self.app.an_order(&format!("s{}", self.orders)) };
        let (store, me) = (self.app.store.clone(), App::operator());
        self.maybe_arm_command();
        let crashed = self.plan.run(order::order(&store, &me, &wanted)).await.is_err();
        self.plan.disarm();
        let answer = order::order(&store, &me, &wanted).await;
        self.note(format!("order {} crashed={crashed} {:?}", self.orders, answer.map(|s| s.id).map_err(|e| e.to_string())));
    }

    /// Now and then the program dies just before or just after a request is committed.
    fn maybe_arm_command(&self) {
        if self.dice.chance(0.2) {
            self.plan.arm(if self.dice.chance(0.5) { "command.before_commit" } else { "command.committed" }, 1);
        }
    }

    async fn any_server(&mut self) -> Option<Server> {
        let all = self.app.store.read().await.unwrap().servers(None, None, 1000).await.unwrap();
        let live: Vec<Server> = all.into_iter().filter(|s| s.status != Status::Terminated).collect();
        let n = self.dice.below(live.len() as u64) as usize;
        live.into_iter().nth(n)
    }

    /// A customer or an operator asks for something; refusals are fine, they change nothing.
    async fn ask_something(&mut self) {
        let Some(s) = self.any_server().await else { return };
        let (store, me, id) = (self.app.store.clone(), App::operator(), s.id.as_str());
        if self.dice.chance(0.2) {
            return self.ask_for_an_addon().await;
        }
        let what = self.dice.below(13);
        let asked = async {
            match what {
                0 => servers::terminate(&store, &me, id, servers::Unfinished::Paid).await.map(drop),
                1 | 2 => {
                    let (a, b) = futures::join!(servers::retry(&store, &me, id), servers::retry(&store, &me, id));
                    assert!(a.is_err() || b.is_err(), "two retries of one failure");
                    a.or(b).map(drop)
                }
                3 => {
                    let means = if self.dice.chance(0.5) { Means::CutNetwork } else { Means::PowerOff };
                    let terms = HoldTerms { means, free: self.dice.chance(0.5) };
                    servers::suspend(&store, &me, id, HoldKind::Abuse, terms, "sim").await.map(drop)
                }
                4 => servers::unsuspend(&store, &me, id, HoldKind::Abuse, None).await.map(drop),
                5 => servers::stop(&store, &me, id).await.map(drop),
                6 => servers::start(&store, &me, id).await.map(drop),
                7 => servers::reboot(&store, &me, id).await.map(drop),
                8 => servers::password_reset(&store, &me, id).await.map(drop),
                9 => servers::reinstall(&store, &me, id, Some("ubuntu-24.04"), true).await.map(drop),
                10 => snapshots::take(&store, &me, id, &format!("snap-{}", self.orders)).await.map(drop),
                _ => {
                    let all = snapshots::list(&store, id).await?;
                    let Some(any) = all.get(self.dice.below(all.len() as u64) as usize) else { return Ok(()) };
                    if what == 11 { snapshots::revert(&store, &me, id, &any.name).await } else { snapshots::delete(&store, &me, id, &any.name).await }.map(drop)
                }
            }
        };
        self.maybe_arm_command();
        let answer = self.plan.run(asked).await.unwrap_or_else(|_crashed| Ok(()));
        self.plan.disarm();
        self.note(format!("ask {what} of {} ({}): {:?}", s.label, s.status, answer.map_err(|e| e.to_string())));
    }

    /// A payment is taken back outside, or the newest invoice is given back; both are told twice.
    async fn take_money_back(&mut self) {
        let (store, me, account) = (self.app.store.clone(), App::operator(), self.app.account.clone());
        if self.dice.chance(0.5) {
            let (amount, reference) = (format!("{}.00", 1 + self.dice.below(60)), format!("back-{}", self.log.len()));
            let movement = Movement { account: &account, amount: &amount, reason: "sim", reference: Some(&reference.parse().unwrap()) };
            let (_, owed) = refunds::charge_back(&store, &me, &movement).await.unwrap();
            let (booked, again) = refunds::charge_back(&store, &me, &movement).await.unwrap();
            assert!(booked == Booked::Before && again == owed);
            accounts::set_state(&store, &me, &account, AccountState::Active).await.unwrap();
            return self.note(format!("{amount} charged back, {owed} owed"));
        }
        let Some(newest) = store.read().await.unwrap().invoices(None, 1).await.unwrap().pop() else { return };
        let amount = self.dice.chance(0.5).then_some("1.50");
        let (number, payout) = (newest.name(), self.dice.chance(0.3));
        let reference = format!("case-{}", self.log.len());
        let part = Refund { invoice: &number, amount, payout: false, reason: "sim", reference: Some(&reference.parse().unwrap()) };
        let a = refunds::refund(&store, &me, &part).await;
        let again = refunds::refund(&store, &me, &part).await;
        assert_eq!(a.as_ref().map(|n| &n.id).ok(), again.as_ref().map(|n| &n.id).ok(), "one case, one credit note");
        let b = refunds::refund(&store, &me, &Refund { amount: None, payout, reference: None, ..part }).await;
        let said = |r: leasehold_commands::Result<Invoice>| r.map(|n| n.total).map_err(|e| e.to_string());
        self.note(format!("{number} given back: {:?}, {:?}", said(a), said(b)));
    }

    /// A customer buys or ends an add-on, or changes the cycle; what was not answered is asked again with the same key.
    async fn ask_for_an_addon(&mut self) {
        let Some(s) = self.any_server().await else { return };
        let (store, me, id, key) = (self.app.store.clone(), App::operator(), s.id.as_str(), format!("addon-{}", self.log.len()));
        let what = self.dice.below(10);
        let (addon, cycle) = (["ip", "block", "backup"][self.dice.below(3) as usize], if self.dice.chance(0.5) { Cycle::Month } else { Cycle::Year });
        let asked = async || match what {
            0..4 => addons::attach(&store, &me, id, addon, Some(&key)).await.map(drop),
            4..9 => addons::detach(&store, &me, id, addon).await.map(drop),
            _ => cycle::change(&store, &me, id, cycle).await.map(drop),
        };
        self.maybe_arm_command();
        let crashed = self.plan.run(asked()).await.is_err();
        self.plan.disarm();
        let answer = if crashed { asked().await } else { Ok(()) };
        self.note(format!("add-on {what} {addon} of {} ({}): crashed={crashed} {:?}", s.label, s.status, answer.map_err(|e| e.to_string())));
    }

    async fn change_faults(&mut self) {
        let faults = FAULTS[self.dice.below(FAULTS.len() as u64) as usize];
        for node in ["node-a", "node-b"] {
            let down = self.app.path(node).join("down");
            std::fs::create_dir_all(self.app.path(node)).unwrap();
            if self.dice.chance(0.3) { std::fs::write(down, "").unwrap() } else { drop(std::fs::remove_file(down)) }
        }
        self.note(format!("faults: {faults}"));
        self.app.import(faults).await;
    }

    fn some_worker(&self) -> (Worker, Queue) {
        let queue = if self.dice.chance(0.7) { Queue::Servers } else { Queue::ALL[self.dice.below(Queue::ALL.len() as u64) as usize] };
        (self.workers[self.dice.below(2) as usize].clone(), queue)
    }

    async fn work(&mut self) {
        let (worker, queue) = self.some_worker();
        let ran = self.plan.run(worker.run_one(queue)).await;
        let Ok(ran) = ran else { panic!("stopped without a plan") };
        ran.unwrap();
    }

    /// A worker dies at a point.
    async fn crash(&mut self) {
        let point = POINTS[self.dice.below(POINTS.len() as u64) as usize];
        let (worker, queue) = self.some_worker();
        self.plan.arm(point, 1 + self.dice.below(2));
        let crashed = self.plan.run(worker.run_one(queue)).await.is_err();
        self.plan.disarm();
        self.note(format!("{queue}: {point}, crashed={crashed}"));
        // The daemon on SQLite starts again and takes its claims back; over PostgreSQL they run out.
        if crashed && self.kind == Kind::Sqlite && self.stalled.is_empty() {
            self.app.store.take_back_claims().await.unwrap();
        }
    }

    /// A worker process stalls at a point: stopped as a whole, not dead, and alone with what it holds.
    async fn stall(&mut self) {
        let point = STALLS[self.dice.below(STALLS.len() as u64) as usize];
        let (_, queue) = self.some_worker();
        let worker = self.app.another_worker("stalled");
        self.plan.arm(point, 1 + self.dice.below(2));
        let stalled = self.plan.run(async move { worker.run_one(queue).await }).await.err();
        self.plan.disarm();
        self.note(format!("{queue}: {point}, stalled={}", stalled.is_some()));
        self.stalled.extend(stalled);
    }

    /// A stalled worker wakes up, long after its claim may have run out.
    async fn resume(&mut self) {
        if self.stalled.is_empty() {
            return;
        }
        let n = self.dice.below(self.stalled.len() as u64) as usize;
        let run = self.stalled.swap_remove(n);
        self.note("a stalled worker wakes up".into());
        run.await.unwrap();
    }

    /// The storm is over: faults end, holds are lifted, everyone works until all is quiet.
    async fn settle(&mut self) {
        self.note("the storm is over".into());
        for node in ["node-a", "node-b"] {
            drop(std::fs::remove_file(self.app.path(node).join("down")));
        }
        self.app.import("").await;
        if self.mail_down {
            self.app.mail_server(true);
        }
        while !self.stalled.is_empty() {
            self.resume().await;
        }
        let (store, me) = (self.app.store.clone(), App::operator());
        // Money heals.
        self.app.top_up(&self.app.account, "2000.00").await;
        self.app.settle().await;
        for s in store.read().await.unwrap().servers(None, None, 1000).await.unwrap() {
            if s.held.is_some() {
                // One that is being terminated keeps its hold to the end.
                drop(servers::unsuspend(&store, &me, s.id.as_str(), HoldKind::Abuse, None).await);
            }
        }
        self.app.until_quiet().await;
        for _ in 0..3 {
            self.app.advance(Duration::from_mins(11));
            self.app.until_quiet().await;
        }
        self.app.scheduler.run_due().await.unwrap();
        self.app.until_quiet().await;
    }

    async fn check_always(&self) {
        let findings = self.app.store.audit().await.unwrap();
        assert!(findings.is_empty(), "{findings:#?}\n{}", self.log.join("\n"));
    }

    async fn check_end(&self) {
        let log = || self.log.join("\n");
        self.check_always().await;
        let mut tx = self.app.store.read().await.unwrap();
        let servers = tx.servers(None, None, 1000).await.unwrap();
        for s in &servers {
            let rests = matches!(s.status, Status::Running | Status::Stopped | Status::Failed | Status::Terminated);
            assert!(rests && s.next_at.is_none() && s.parked_at.is_none(), "{} is {} with {:?}\n{}", s.label, s.status, s.last_error, log());
            assert_eq!(
                s.node_id.is_some(),
                matches!(s.status, Status::Running | Status::Stopped) || s.installed.is_some(),
                "{} {}\n{}",
                s.label,
                s.status,
                log()
            );
        }
        let attention: Vec<String> = tx.attention(false, 1000).await.unwrap().into_iter().map(|a| format!("{} {}", a.kind, a.subject)).collect();
        for failed in servers.iter().filter(|s| s.status == Status::Failed) {
            assert!(attention.contains(&format!("build_failed server:{}", failed.id)), "{} failed in silence\n{}", failed.label, log());
        }
        for mail in tx.mails(None, None, 10_000).await.unwrap() {
            let bad: &[MailState] = if self.mail_was_down { &[MailState::Queued] } else { &[MailState::Queued, MailState::Dead] };
            assert!(!bad.contains(&mail.state), "{} is {}\n{}", mail.kind, mail.state, log());
            assert!(mail.attempt <= 1 || self.mail_was_down, "{} was sent {} times\n{}", mail.kind, mail.attempt, log());
        }
        for delivery in tx.deliveries(None, None, Page::default()).await.unwrap() {
            assert_eq!(delivery.state, DeliveryState::Delivered, "{} {:?}\n{}", delivery.event, delivery.last_error, log());
        }
        drop(tx);
        let told: HashSet<String> = self.receiver.told().into_iter().map(|t| t.body).collect();
        for s in &servers {
            let of = |text: &str| text.contains("\"server.created\"") && text.contains(s.id.as_str());
            assert!(told.iter().any(|body| of(body)), "nobody was told that {} was ordered\n{}", s.label, log());
        }
        self.app.machines_match().await;
        assert_eq!(leasehold_cron::verify_chain(&self.app.store).await.unwrap(), None, "the activity chain is whole");
    }
}
