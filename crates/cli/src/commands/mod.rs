//! One file a subcommand; this list is all that the program does.

pub(crate) mod account;
mod activity;
pub(crate) mod attention;
mod backup;
pub(crate) mod billing;
pub(crate) mod breaker;
pub(crate) mod catalog;
pub(crate) mod clock;
mod completions;
pub(crate) mod config;
pub(crate) mod coupon;
pub(crate) mod demo;
mod demo_months;
mod demo_qemu;
mod doctor;
mod drift;
pub(crate) mod invoice;
pub(crate) mod key;
pub(crate) mod machine;
pub(crate) mod mail;
mod man;
pub(crate) mod member;
mod migrate;
pub(crate) mod node;
pub(crate) mod queue;
pub(crate) mod restore;
mod roles;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod server_addon;
pub(crate) mod server_order;
mod server_show;
pub(crate) mod server_snapshot;
mod server_stats;
pub(crate) mod ssh_key;
pub(crate) mod tick;

use crate::{Cli, Command, app::App, config as configuration, exit::Failure, remote};

/// What every command gets.
pub(crate) struct Context {
    cli: Cli,
}

impl Context {
    fn json(&self) -> bool {
        self.cli.json
    }

    /// As [`Context::app`], with the key file open: for what is digested or sealed.
    async fn app_with_keys(&self) -> Result<App, Failure> {
        let app = App::open_with_keys(self.configured()?).await?;
        app.store.check_schema().await?;
        Ok(app)
    }

    /// Connects to a database that is up to date.
    async fn app(&self) -> Result<App, Failure> {
        let app = App::open(self.configured()?).await?;
        app.store.check_schema().await?;
        Ok(app)
    }

    /// Connects to a database that may need migrations, and leaves it as it is.
    async fn app_as_it_is(&self) -> Result<App, Failure> {
        App::open_as_it_is(self.configured()?).await
    }

    /// As [`Context::app`], of a database that is made where there is none: for the first import of a catalogue.
    async fn app_or_new(&self) -> Result<App, Failure> {
        let app = App::open(configuration::load(&self.cli.config)?).await?;
        app.store.check_schema().await?;
        Ok(app)
    }

    /// The configuration, of a database that is there: a command in the wrong folder must not make an empty one and call it healthy.
    fn configured(&self) -> Result<configuration::Config, Failure> {
        let config = configuration::load(&self.cli.config)?;
        let file = config.database.url.strip_prefix("sqlite:").map(|path| std::path::absolute(path).unwrap_or_else(|_| path.into()));
        let Some(file) = file else { return Ok(config) };
        match file.try_exists() {
            Ok(true) => Ok(config),
            Err(e) => Err(Failure::Failed(format!("the database {} cannot be looked at: {e}; run this as the user that the daemon runs as", file.display()))),
            Ok(false) if let Some(error) = leasehold_store::file::left_behind(&file) => Err(error.into()),
            Ok(false) => Err(Failure::NotFound(format!(
                "there is no database {} ({}); name the right configuration with --config, or make a new database with: leasehold migrate",
                file.display(),
                configuration::source(&self.cli.config)
            ))),
        }
    }
}

/// A percentage as it is written.
fn percent(text: Option<String>) -> Result<Option<leasehold_domain::Percent>, Failure> {
    text.map(|text| text.parse()).transpose().map_err(|e: leasehold_domain::percent::BadPercent| Failure::Usage(e.to_string()))
}

/// The account that is named; over the API it is the key's.
fn whose(account: Option<String>) -> Result<String, Failure> {
    account.ok_or_else(|| Failure::Usage("whose? say --account".into()))
}

pub(crate) async fn run(mut cli: Cli) -> Result<(), Failure> {
    let command = std::mem::replace(&mut cli.command, Command::Man);
    if cli.server.is_some() {
        return remote::run(&cli, command).await;
    }
    let context = Context { cli };
    let c = &context;
    match command {
        Command::Account(command) => account::run(c, command).await,
        Command::Activity { account, server, limit } => activity::run(c, account, server, limit).await,
        Command::Api => roles::api(c).await,
        Command::Attention(command) => attention::run(c, command).await,
        Command::Backup { file } => backup::run(c, &file).await,
        Command::Billing(command) => billing::run(c, command).await,
        Command::Breaker(command) => breaker::run(c, command).await,
        Command::Catalog(command) => catalog::run(c, command).await,
        Command::Clock(command) => clock::run(c, command).await,
        Command::Completions { shell } => completions::run(shell),
        Command::Config(command) => config::run(c, &command),
        Command::Coupon(command) => coupon::run(c, command).await,
        Command::Demo(options) => demo::run(options).await,
        Command::Doctor { send_test_mail } => doctor::run(c, send_test_mail).await,
        Command::Drift => drift::run(c).await,
        Command::Invoice(command) => invoice::run(c, command).await,
        Command::Key(command) => key::run(c, command).await,
        Command::Machine(command) => machine::run(c, command).await,
        Command::Mail(command) => mail::run(c, command).await,
        Command::Man => man::run(),
        Command::Member(command) => member::run(c, command).await,
        Command::Migrate { check } => migrate::run(c, check).await,
        Command::Node(command) => node::run(c, command).await,
        Command::Queue(command) => queue::run(c, command).await,
        Command::Restore(options) => restore::run(c, options).await,
        Command::Scheduler => roles::scheduler(c).await,
        Command::Secrets(command) => secrets::run(c, &command).await,
        Command::Serve => roles::serve(c).await,
        Command::Server(command) => server::run(c, command).await,
        Command::SshKey(command) => ssh_key::run(c, command).await,
        Command::Tick(command) => tick::run(c, command).await,
        Command::Worker { queues, concurrency } => roles::worker(c, queues, concurrency).await,
    }
}
