//! `leasehold demo`: a tour without set-up. Everything runs for real, in a temporary folder: the database, the worker, the
//! scheduler's audit, a simulated node, mails written to files. It ends well only if every promise on the way held.

use clap::Args;
use std::{path::Path, time::Duration};

use leasehold_commands::{
    CommandError,
    accounts::{self, Movement},
    catalog::{self, Catalog, How},
    order::{self, Order},
    servers,
};
use leasehold_domain::{Dice, Reference, notice::MailState, server::Status};
use leasehold_store::{KeyRing, Queue, accounts::NewAccount, servers::Server};
use leasehold_worker::{Roles, run_queues};
use tokio_util::sync::CancellationToken;

use super::{catalog::check_node, demo_months, demo_qemu, server_show::follow};
use crate::{app::App, config, exit::Failure};

/// `leasehold demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Build on a real QEMU machine of this host.
    #[arg(long)]
    pub qemu: bool,
    /// No pauses.
    #[arg(long)]
    pub fast: bool,
    /// Seed of the simulated node.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The sample catalogue, whose node is put into the demo's own folder.
const CATALOG: &str = include_str!("../../../../config/catalog.toml");
const PRODUCT: &str = "small";

pub(super) struct Tour {
    pub(super) app: App,
    pub(super) account: String,
    catalog: String,
}

pub(super) async fn run(options: Demo) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let tour = Tour::new(dir.path(), &options).await?;
    let stop = CancellationToken::new();
    let worker = tour.app.worker("demo")?;
    let roles = Roles { queues: Queue::ALL.to_vec(), concurrency: 8, poll: Duration::from_secs(1), grace: Duration::from_secs(5) };
    let toured = async {
        let result = if options.qemu { demo_qemu::walk(&tour, dir.path()).await } else { tour.walk(dir.path()).await };
        stop.cancel();
        result
    };
    let (worked, toured) = tokio::join!(run_queues(&worker, &roles, stop.clone().cancelled_owned()), toured);
    worked?;
    toured?;
    if !options.qemu {
        // Nobody else is at work while time is moved.
        demo_months::walk(&tour).await?;
        tour.audit().await?;
    }
    tour.app.store.close().await;
    Ok(())
}

pub(super) fn say(line: &str) {
    say!("{line}");
}

pub(super) fn held(promise: bool, what: &str) -> Result<(), Failure> {
    if promise {
        say(&format!("  ok: {what}"));
        return Ok(());
    }
    Err(Failure::Failed(format!("a promise was broken: {what}")))
}

impl Tour {
    async fn new(dir: &Path, options: &Demo) -> Result<Self, Failure> {
        let mut config = config::defaults()?;
        config.database.url = format!("sqlite:{}", dir.join("leasehold.db").display());
        config.mail.transport = format!("file:{}", dir.join("mails").display());
        config.mail.from = "Demo Host <hello@demo.example>".into();
        config.secrets.key_file = dir.join("leasehold.key");
        config.provision.backoff_min = Duration::from_secs(1);
        config.clock.mode = "simulated".into();
        let key = KeyRing::new_file(&Dice::from_os());
        std::fs::write(&config.secrets.key_file, key)?;
        std::fs::set_permissions(&config.secrets.key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let app = App::open_with_keys(config).await?;
        app.check().await?;
        let latency = if options.fast { "0ms" } else { "50ms..200ms" };
        let catalog = if options.qemu {
            demo_qemu::catalog(dir)?
        } else {
            CATALOG
                .replace("simulated/node-1", &dir.join("node-1").display().to_string())
                .replace("latency = \"50ms..200ms\"", &format!("latency = \"{latency}\""))
                .replace("seed = 1", &format!("seed = {}", options.seed))
        };
        let mut tour = Self { app, account: String::new(), catalog };
        tour.import("").await?;
        say("A VPS host opens its shop: one region, one node, its plans.");
        tour.account = tour.new_account().await?;
        Ok(tour)
    }

    async fn walk(&self, dir: &Path) -> Result<(), Failure> {
        self.an_order_runs().await?;
        self.a_build_fails_and_is_retried().await?;
        self.mails(dir, 7).await
    }

    /// The catalogue, with faults for its node.
    async fn import(&self, faults: &str) -> Result<(), Failure> {
        let text = self.catalog.replace("boot_time = ", &format!("{faults}\nboot_time = "));
        catalog::import(&self.app.store, &self.app.actor, &Catalog::parse(&text)?, check_node, How::default()).await?;
        Ok(())
    }

    async fn new_account(&self) -> Result<String, Failure> {
        let new = NewAccount {
            email: "ada@demo.example".into(),
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            company: None,
            currency: "EUR".parse().map_err(|e| Failure::Failed(format!("{e}")))?,
            locale: "en".into(),
            country: None,
        };
        let account = accounts::create(&self.app.store, &self.app.actor, &new).await?.number.to_string();
        let reference = "pay-1".parse::<Reference>().map_err(CommandError::from)?;
        let movement = Movement { account: &account, amount: "20.00", reason: "card payment", reference: Some(&reference) };
        accounts::credit(&self.app.store, &self.app.actor, &movement).await?;
        accounts::credit(&self.app.store, &self.app.actor, &movement).await?;
        say(&format!("Ada opens account {account} and pays 20.00 EUR in; the payment is reported twice."));
        Ok(account)
    }

    pub(super) async fn balance(&self) -> Result<String, Failure> {
        let mut tx = self.app.store.read().await?;
        let account = tx.find_account(&self.account).await?;
        Ok(tx.wallet(&account.id).await?.available().decimal())
    }

    pub(super) async fn order(&self, label: &str, template: &str) -> Result<Server, Failure> {
        let (name, key) = (Some(label.to_owned()), Some(format!("cart-{label}")));
        let order = Order { label: name.clone(), hostname: name, key, ..Order::new(&self.account, PRODUCT, template) };
        order::order(&self.app.store, &self.app.actor, &order).await?;
        Ok(order::order(&self.app.store, &self.app.actor, &order).await?)
    }

    async fn an_order_runs(&self) -> Result<(), Failure> {
        held(self.balance().await? == "20.00", "the payment was booked once")?;
        say("\nAda orders a server, and clicks twice.");
        let server = self.order("web", "debian-12").await?;
        held(self.balance().await? == "15.00", "one order, 5.00 EUR set aside")?;
        let server = follow(&self.app.store, &server.id, say).await?;
        held(server.status == Status::Running, "the server runs")?;
        let (at, password) = servers::credentials(&self.app.store, &self.app.actor, server.id.as_str()).await?;
        held(password.is_some(), &format!("she can sign in: ssh {}@{}, password sealed in the database", at.username, at.host))
    }

    async fn a_build_fails_and_is_retried(&self) -> Result<(), Failure> {
        say("\nThe node's storage breaks, and Ada orders another server.");
        self.import("faults = { refused = 1.0 }").await?;
        let server = self.order("shop", "debian-12").await?;
        let server = self.until(&server, Status::Failed).await?;
        say(&format!("  the build failed: {}", server.status_reason.as_deref().unwrap_or_default()));
        held(self.balance().await? == "15.00", "her money is back by itself")?;
        let matters = self.app.store.read().await?.attention(false, 10).await?;
        held(matters.iter().any(|m| m.kind == "build_failed"), "it is on the operator's list (leasehold attention list)")?;
        say("\nThe operator mends the storage and retries (leasehold server retry shop).");
        self.import("").await?;
        servers::retry(&self.app.store, &self.app.actor, server.id.as_str()).await?;
        let server = self.until(&server, Status::Running).await?;
        held(server.generation == 2 && self.balance().await? == "10.00", "the second build runs and is paid")
    }

    async fn until(&self, server: &Server, status: Status) -> Result<Server, Failure> {
        for _ in 0..100 {
            let now = follow(&self.app.store, &server.id, |_| ()).await?;
            if now.status == status && now.next_at.is_none() {
                for step in self.app.store.read().await?.steps(&now.id).await?.iter().filter(|s| s.generation == now.generation) {
                    say(&format!("  {:<16} {:<12} {}", step.step, step.outcome.as_deref().unwrap_or_default(), step.detail.as_deref().unwrap_or_default()));
                }
                return Ok(now);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(Failure::Failed(format!("{} did not become {status}", server.label)))
    }

    pub(super) async fn mails(&self, dir: &Path, count: usize) -> Result<(), Failure> {
        say("\nWhat Ada was told:");
        for _ in 0..100 {
            if self.app.store.read().await?.mails(Some(MailState::Queued), None, 1).await?.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut mails = self.app.store.read().await?.mails(None, None, 100).await?;
        mails.reverse();
        for mail in &mails {
            let file = dir.join("mails").join(format!("{}.eml", mail.message_id.trim_matches(['<', '>'])));
            let text = std::fs::read_to_string(file)?;
            say(&format!("  {:<22} {}", mail.state.to_string(), text.lines().find(|l| l.starts_with("Subject: ")).unwrap_or_default()));
        }
        held(mails.iter().all(|m| m.state == MailState::Sent) && mails.len() == count, "each notice was sent, and once")
    }

    pub(super) async fn audit(&self) -> Result<(), Failure> {
        say("\nThe night's audit:");
        let findings = self.app.store.audit().await?;
        held(findings.is_empty(), "the books balance, every record fits")?;
        say("\nNext: leasehold help, and the README.");
        Ok(())
    }
}
