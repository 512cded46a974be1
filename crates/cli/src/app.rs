//! The roles, wired from the configuration: store, worker, scheduler, heartbeat, and their stop.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use leasehold_api::{Api, Settings};
use leasehold_cron::{Scheduler, settle::Settler};
use leasehold_domain::{Dice, retry::Backoff};
use leasehold_notifier::{Hooks, Renderer};
use leasehold_store::{
    Clock, KeyRing, Options, Queue, Store, StoreError, Word,
    activity::Actor,
    processes::{LOOKING, Process},
};
use leasehold_worker::{Fleet, Limits, Post, Roles, Worker, run_queues};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, exit::Failure, metrics, supervise};

/// What a process does.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: &'static str,
    /// The queues that it works on.
    pub queues: Vec<Queue>,
    /// Runs at once, a queue.
    pub concurrency: usize,
    /// Whether it runs the ticks.
    pub ticks: bool,
    /// Whether it serves the HTTP APIs.
    pub http: bool,
}

/// A process that is configured and connected.
pub struct App {
    /// What it was told.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// Who acts.
    pub actor: Actor,
}

/// How often a process gives a sign of life and measures the database's clock.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The longest that a process waits at its start for the nodes to be looked at.
const FIRST_LOOKS: Duration = Duration::from_secs(30);
/// The longest that it waits for what other processes know: a little longer than those that live take to give a sign of it.
const ALL_HEARD: Duration = Duration::from_secs(15);
/// How often it asks whether they were.
const FIRST_LOOKS_EVERY: Duration = Duration::from_millis(100);
/// When it tries again after an error.
const FIRST_LOOKS_AGAIN: Duration = Duration::from_secs(1);
/// The mode of the clock in which nobody's books are replaced.
const SIMULATED: &str = "simulated";

/// How often names are looked for that nobody published.
const NAMES_EVERY: Duration = Duration::from_mins(1);

impl App {
    /// Connects; secrets can be opened when the key file is there and safe.
    pub async fn open(config: Config) -> Result<Self, Failure> {
        let keys = if config.secrets.key_file.try_exists().unwrap_or(true) { Some(KeyRing::read(&config.secrets.key_file)?) } else { None };
        Self::connect(config, keys, false).await
    }

    /// As [`App::open`], without bringing the database up to date: to look at it.
    pub async fn open_as_it_is(config: Config) -> Result<Self, Failure> {
        Self::connect(config, None, true).await
    }

    /// As [`App::open`], for roles and commands that must open secrets.
    pub async fn open_with_keys(config: Config) -> Result<Self, Failure> {
        let keys = KeyRing::read(&config.secrets.key_file)?;
        Self::connect(config, Some(keys), false).await
    }

    async fn connect(config: Config, keys: Option<KeyRing>, as_it_is: bool) -> Result<Self, Failure> {
        let url = config.database.url.clone();
        let options = Options {
            direct_url: config.database.direct_url.clone(),
            connections: config.database.connections,
            clock: Clock::system(),
            dice: Dice::from_os(),
            keys,
            url,
            as_it_is,
            trial: config.clock.mode == SIMULATED,
        };
        let store = Store::open(options).await?;
        if config.clock.mode != SIMULATED {
            store.trust().go_by(Word::Others);
        }
        let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".into());
        Ok(Self { config, store, actor: Actor::operator(&user) })
    }

    fn is_simulated(&self) -> bool {
        self.config.clock.mode == SIMULATED
    }

    /// Refuses a database that this program must not use, and binds a new one to the clock's mode.
    pub async fn check(&self) -> Result<(), Failure> {
        self.store.check_schema().await?;
        Ok(self.store.bind_clock(&self.config.clock.mode).await?)
    }

    /// The templates of mails and documents.
    pub fn renderer(&self) -> Result<Renderer, Failure> {
        Renderer::new(self.config.mail.templates.as_deref()).map_err(|e| Failure::Usage(format!("configuration: {e}")))
    }

    /// A worker with a fresh name, for a process of this role.
    pub fn worker(&self, role: &str) -> Result<Worker, Failure> {
        let c = &self.config;
        let outbox = c.mail.outbox()?;
        let renderer = self.renderer()?;
        let host = c.mail.host();
        let public_url = c.api_settings().public_url;
        let post = Post { renderer, outbox, host, public_url, attach_documents: c.mail.attach_documents };
        let p = &c.provision;
        let limits = Limits {
            claim: c.worker.claim,
            backoff: Backoff { attempts: p.attempts, min: p.backoff_min, max: p.backoff_max },
            deadline: p.deadline,
            agent_wait: p.agent_wait,
            ip_quarantine: p.ip_quarantine,
            builds_per_account: p.builds_per_account,
            ..Limits::default()
        };
        let name = self.process_name(role);
        let hooks = Hooks::new(c.webhooks.allow_private_targets).map_err(|e| Failure::Failed(e.to_string()))?;
        let (fleet, names) = (Arc::new(Fleet::default()), c.dns.names()?);
        Ok(Worker { store: self.store.clone(), name: name.into(), fleet, post: Arc::new(post), hooks, names, limits })
    }

    /// The scheduler.
    pub fn scheduler(&self) -> Scheduler {
        Scheduler {
            store: self.store.clone(),
            settler: Settler::new(self.store.clone()),
            ip_quarantine: self.config.provision.ip_quarantine,
            operator: self.config.mail.operator.clone(),
        }
    }

    fn process_name(&self, role: &str) -> String {
        let boot = self.store.dice().text("0123456789abcdef", 8);
        let label = &self.config.worker.label;
        format!("{}{}{role}-{boot}", host(), if label.is_empty() { "-".to_owned() } else { format!("-{label}-") })
    }

    /// Runs a role until SIGTERM or SIGINT, with a heartbeat.
    pub async fn run(&self, role: Role) -> Result<(), Failure> {
        let Role { name: role, queues, concurrency, ticks, http } = role;
        let stop = CancellationToken::new();
        let worker = self.worker(role)?;
        let publishes = worker.names.is_some() && queues.contains(&Queue::Names);
        let w = &self.config.worker;
        let roles = Roles { queues: queues.clone(), concurrency, poll: w.poll, grace: w.shutdown_grace };
        let process = self.process(role, &worker.name, &queues);
        let web = if http { Some(self.listen().await?) } else { None };
        let works = ticks || !queues.is_empty();
        if works && !self.is_simulated() {
            self.store.trust().go_by(Word::Own);
        }
        self.beat(&process).await?;
        tracing::info!(role, name = process.name, version = process.version, "started");
        let listening = self.store.clone();
        let listener = tokio::spawn(async move { listening.keep_listening().await });
        let page = metrics::start(self.config.api.metrics_listen)?;
        let heart = self.heart(&process, stop.clone());
        let watch = async {
            supervise::watch(&self.store, &stop).await;
            Ok(())
        };
        let gauges = async {
            if ticks {
                metrics::count(&self.store, &stop).await;
            }
            Ok(())
        };
        let bell = async {
            if ticks { leasehold_cron::run(self.scheduler(), stop.clone().cancelled_owned()).await.map_err(|e| Failure::Failed(e.to_string())) } else { Ok(()) }
        };
        let hands = async {
            if queues.is_empty() {
                stop.cancelled().await;
                Ok(())
            } else {
                run_queues(&worker, &roles, stop.clone().cancelled_owned()).await.map_err(Failure::from)
            }
        };
        let trust = async { if self.is_simulated() { Ok(()) } else { self.keep_trust(&process, &stop).await } };
        let names = async {
            if publishes {
                Box::pin(self.take_names_up(&stop)).await;
            }
            Ok(())
        };
        let web = async {
            if let Some(listener) = web {
                let api = Api::new(self.store.clone(), Settings { metrics: page, ..self.config.api_settings() });
                leasehold_api::serve(&api, listener, stop.clone().cancelled_owned(), w.shutdown_grace).await?;
            }
            Ok(())
        };
        let told = async {
            wait_for_signal().await?;
            tracing::info!("stopping: ending what runs at the next step");
            stop.cancel();
            Ok(())
        };
        let ended = tokio::try_join!(told, Box::pin(trust), bell, hands, heart, watch, gauges, names, web);
        listener.abort();
        let mut tx = self.store.begin().await?;
        tx.farewell(&process.name).await?;
        tx.commit().await?;
        self.store.close().await;
        tracing::info!("stopped");
        ended.map(|_| ())
    }

    /// Has the nodes looked at before anything is done for the books, and whenever these may be others: the nodes know whether they are old, and so may
    /// this process.
    async fn keep_trust(&self, process: &Process, stop: &CancellationToken) -> Result<(), Failure> {
        let trust = self.store.trust();
        while !stop.is_cancelled() {
            if trust.is_doubted() {
                let regained = self.regain_trust(process);
                let failed = tokio::select! {
                    () = stop.cancelled() => break,
                    regained = regained => regained.err(),
                };
                let Some(error) = failed else { continue };
                tracing::warn!(%error, "it is not known whether the records are old; trying again");
                tokio::time::sleep(FIRST_LOOKS_AGAIN).await;
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = trust.doubted() => {}
            }
        }
        Ok(())
    }

    async fn regain_trust(&self, process: &Process) -> Result<(), Failure> {
        let trust = self.store.trust();
        let doubts = trust.doubts();
        self.beat(process).await?;
        if trust.is_in_doubt() {
            self.look_first().await?;
        }
        trust.dispel(doubts);
        Queue::ALL.iter().for_each(|queue| self.store.wakes().ring(*queue));
        Ok(self.beat(process).await?)
    }

    /// Waits until every node was asked, and every other process has compared the books with what it knows; not for ever for one that does not come to its
    /// turn, but for somebody who asks nodes.
    async fn look_first(&self) -> Result<(), Failure> {
        let mut tx = self.store.begin().await?;
        tx.want_looks().await?;
        tx.commit().await?;
        let since = Instant::now();
        while since.elapsed() < FIRST_LOOKS {
            let mut tx = self.store.read().await?;
            let heard = since.elapsed() > ALL_HEARD || tx.processes_were_heard().await?;
            if heard && tx.nodes_were_asked().await? {
                return Ok(());
            }
            drop(tx);
            tokio::time::sleep(FIRST_LOOKS_EVERY).await;
        }
        if !self.store.read().await?.processes_alive().await?.iter().any(|p| p.serves(Queue::Nodes)) {
            return Err(Failure::TryAgain("nobody looks at nodes: start a worker with the queue nodes".into()));
        }
        tracing::warn!("not every node could be looked at first; going on");
        Ok(())
    }

    /// Has names published that rest unpublished: from before there was a DNS server, or of a worker that has none.
    async fn take_names_up(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let taken = async {
                let mut tx = self.store.begin().await?;
                if tx.publish_names().await? > 0 {
                    tx.commit().await?;
                }
                Ok::<_, StoreError>(())
            };
            if let Err(error) = taken.await {
                tracing::warn!(%error, "names could not be looked at; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(NAMES_EVERY) => {}
            }
        }
    }

    /// The place where the HTTP APIs are served.
    async fn listen(&self) -> Result<TcpListener, Failure> {
        let at = self.config.api.listen;
        let listener = TcpListener::bind(at).await.map_err(|e| Failure::Usage(format!("configuration: api.listen {at}: {e}")))?;
        tracing::info!(address = %listener.local_addr()?, "serving HTTP");
        Ok(listener)
    }

    async fn heart(&self, process: &Process, stop: CancellationToken) -> Result<(), Failure> {
        while tokio::time::timeout(HEARTBEAT, stop.cancelled()).await.is_err() {
            match self.beat(process).await {
                Ok(()) => {
                    self.store.pulse().beat("heart", HEARTBEAT * 2);
                    if let Err(error) = self.store.end_what_stands_still().await {
                        tracing::warn!(%error, "it could not be seen who stands still");
                    }
                }
                Err(error) => {
                    // It may be another database by then that lacks the last of this one.
                    if error.is_outage() && !self.store.is_sqlite() {
                        self.store.trust().doubt();
                    }
                    tracing::warn!(%error, "no heartbeat: the database does not answer; trying again");
                    self.store.pulse().trouble("heart", &error, HEARTBEAT * 2);
                }
            }
        }
        Ok(())
    }

    /// A sign of life; where these books may be others than before, not without having compared them.
    async fn beat(&self, process: &Process) -> Result<(), StoreError> {
        self.store.sync_clock().await?;
        let mut tx = self.store.begin().await?;
        let proof = tx.compare_with_memory().await?;
        let looking = self.store.trust().is_in_doubt().then(|| LOOKING.to_owned());
        tx.heartbeat(&Process { trouble: looking.or_else(|| supervise::trouble(&self.store)), ..process.clone() }).await?;
        tx.commit().await?;
        if let Some(proof) = proof {
            tracing::error!(proof, "the records are older than this process");
            // Written down by now, and not to be found out twice.
            self.store.trust().forget();
        }
        Ok(())
    }

    fn process(&self, role: &str, name: &str, queues: &[Queue]) -> Process {
        let now = self.store.clock().now();
        let queues = queues.iter().map(|q| q.as_str()).collect::<Vec<_>>().join(",");
        Process {
            name: name.into(),
            role: role.into(),
            host: host(),
            version: env!("CARGO_PKG_VERSION").into(),
            queues,
            started_at: now,
            seen_at: now,
            trouble: None,
        }
    }
}

fn host() -> String {
    std::fs::read_to_string("/etc/hostname").ok().map(|h| h.trim().to_owned()).filter(|h| !h.is_empty()).unwrap_or_else(|| "localhost".into())
}

async fn wait_for_signal() -> Result<(), Failure> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
