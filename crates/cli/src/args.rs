//! The command line as clap reads it: every subcommand, sorted.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use leasehold_store::Queue;

use crate::commands::{
    account::Account, attention::Attention, billing::Billing, breaker::Breaker, catalog::Catalog, clock::ClockCommand, config::ConfigCommand, coupon::Coupon,
    demo::Demo, invoice::Invoice, key::Key, machine::Machine, mail::Mail, member::Member, node::Node, queue::QueueCommand, restore::Restore, secrets::Secrets,
    server::Server, ssh_key::SshKey, tick::Tick,
};

/// The daemon behind a VPS host's shop window.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, propagate_version = true)]
pub struct Cli {
    /// Configuration file; may be given several times, later files win.
    #[arg(long, global = true, value_name = "FILE", env = "LEASEHOLD_CONFIG")]
    pub config: Vec<PathBuf>,
    /// One JSON document on stdout and nothing else.
    #[arg(long, global = true)]
    pub json: bool,
    /// A daemon elsewhere: `server`, `account show me`, `invoice`, `key`, `machine`, `member` and `ssh-key` ask its API with the account's key.
    #[arg(long, value_name = "URL", env = "LEASEHOLD_SERVER")]
    pub server: Option<String>,
    /// The key for it; better in the environment, since whoever is on this machine sees what programs are called with.
    #[arg(long, value_name = "KEY", env = "LEASEHOLD_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// `pretty` or `json`; the configuration's log.format by default.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// More logs (-vv: all).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// No logs but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Accounts and their money.
    #[command(subcommand)]
    Account(Account),
    /// Who did what.
    Activity {
        /// Only of this account.
        #[arg(long)]
        account: Option<String>,
        /// Only of this server.
        #[arg(long)]
        server: Option<String>,
        /// Lines at most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// The HTTP APIs, as a role of their own (PostgreSQL).
    Api,
    /// What needs a person.
    #[command(subcommand)]
    Attention(Attention),
    /// A consistent copy of the database (SQLite), or the pg_dump line (PostgreSQL).
    Backup {
        /// Where to.
        file: PathBuf,
    },
    /// The books.
    #[command(subcommand)]
    Billing(Billing),
    /// What stops a mass suspension.
    #[command(subcommand)]
    Breaker(Breaker),
    /// What is sold.
    #[command(subcommand)]
    Catalog(Catalog),
    /// Simulated time.
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Completions for a shell, on stdout.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What customers type to pay less.
    #[command(subcommand)]
    Coupon(Coupon),
    /// A tour with no set-up: an order, a failed build and its retry, the mails, the audit.
    Demo(Demo),
    /// Look at everything that the daemon needs, and say how to mend it; changes nothing.
    Doctor {
        /// Instead, send a test mail to this address.
        #[arg(long, value_name = "TO")]
        send_test_mail: Option<String>,
    },
    /// Machines that no server owns, servers whose machine is gone.
    Drift,
    /// Invoices.
    #[command(subcommand)]
    Invoice(Invoice),
    /// API keys.
    #[command(subcommand)]
    Key(Key),
    /// Machines that customers have elsewhere.
    #[command(subcommand)]
    Machine(Machine),
    /// Mails.
    #[command(subcommand)]
    Mail(Mail),
    /// The manual page, on stdout.
    Man,
    /// Who acts for an account.
    #[command(subcommand)]
    Member(Member),
    /// Bring the database up to date.
    Migrate {
        /// Only say what is missing; exit 1 if something is.
        #[arg(long)]
        check: bool,
    },
    /// Hypervisor nodes.
    #[command(subcommand)]
    Node(Node),
    /// The jobs.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Put a backup in the place of the database; without a file: how a restoration stands, and its release.
    Restore(Restore),
    /// The ticks, as a role of its own (PostgreSQL).
    Scheduler,
    /// The key file.
    #[command(subcommand)]
    Secrets(Secrets),
    /// All roles in one process.
    Serve,
    /// SSH keys of accounts.
    #[command(subcommand)]
    SshKey(SshKey),
    /// Servers.
    #[command(subcommand)]
    Server(Server),
    /// The scheduler's ticks.
    #[command(subcommand)]
    Tick(Tick),
    /// The job-queue worker, as a role of its own (PostgreSQL).
    Worker {
        /// Queues to serve, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "servers,nodes,mails,webhooks,names")]
        queues: Vec<Queue>,
        /// Runs at once, a queue.
        #[arg(long)]
        concurrency: Option<usize>,
    },
}
