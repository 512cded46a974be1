//! The command line as clap reads it: every subcommand, sorted.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use leasehold_domain::{lease::Cycle, notice::MailState, server::{HoldKind, Status}};
use leasehold_store::{Queue, keys::KeyKind};

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
    /// A tour with no set-up: an order, a failed build and its retry, the mails, the audit.
    Demo(Demo),
    /// Machines that no server owns, servers whose machine is gone.
    Drift,
    /// API keys.
    #[command(subcommand)]
    Key(Key),
    /// Mails.
    #[command(subcommand)]
    Mail(Mail),
    /// The manual page, on stdout.
    Man,
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
    /// The ticks, as a role of its own (PostgreSQL).
    Scheduler,
    /// The key file.
    #[command(subcommand)]
    Secrets(Secrets),
    /// All roles in one process.
    Serve,
    /// Servers.
    #[command(subcommand)]
    Server(Server),
    /// The scheduler's ticks.
    #[command(subcommand)]
    Tick(Tick),
    /// The job-queue worker, as a role of its own (PostgreSQL).
    Worker {
        /// Queues to serve, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "servers,nodes,mails")]
        queues: Vec<Queue>,
        /// Runs at once, a queue.
        #[arg(long)]
        concurrency: Option<usize>,
    },
}

/// `leasehold account …`
#[derive(Debug, Subcommand)]
pub enum Account {
    /// An account and its owner.
    Create {
        /// Where mail goes.
        #[arg(long)]
        email: String,
        /// Given name.
        #[arg(long)]
        first_name: String,
        /// Family name.
        #[arg(long)]
        last_name: String,
        /// Company.
        #[arg(long)]
        company: Option<String>,
        /// The currency of its wallet.
        #[arg(long, default_value = "EUR")]
        currency: String,
    },
    /// Pay money in (a top-up).
    Credit(Movement),
    /// Take money out.
    Debit(Movement),
    /// Sell nothing more to it.
    Freeze {
        /// Account id or number.
        account: String,
    },
    /// All accounts.
    List,
    /// Sell to it again.
    Resume {
        /// Account id or number.
        account: String,
    },
    /// One account, its wallet, keys and servers.
    Show {
        /// Account id or number.
        account: String,
    },
    /// Add an SSH public key, which goes onto every server built from then on.
    SshKey {
        /// Account id or number.
        account: String,
        /// The .pub file.
        file: PathBuf,
        /// Its name.
        #[arg(long)]
        name: Option<String>,
    },
    /// Every movement of its wallet.
    Statement {
        /// Account id or number.
        account: String,
        /// Lines at most.
        #[arg(long, default_value_t = 100)]
        limit: i64,
    },
}

/// Money in or out.
#[derive(Debug, Args)]
pub struct Movement {
    /// Account id or number.
    pub account: String,
    /// How much, like 9.99, in the account's currency.
    #[arg(allow_hyphen_values = true)]
    pub amount: String,
    /// Why; it is what the books say later.
    #[arg(long)]
    pub reason: String,
    /// The payment's own reference: the same one twice is booked once.
    #[arg(long)]
    pub reference: Option<String>,
}

/// `leasehold attention …`
#[derive(Debug, Subcommand)]
pub enum Attention {
    /// Close one.
    Close {
        /// Its id.
        id: String,
    },
    /// What is open.
    List {
        /// Closed ones too.
        #[arg(long)]
        all: bool,
    },
    /// One, in full.
    Show {
        /// Its id.
        id: String,
    },
}

/// `leasehold billing …`
#[derive(Debug, Subcommand)]
pub enum Billing {
    /// Check that the books balance and the records fit; exit 1 when something does not.
    Audit,
}

/// `leasehold catalog …`
#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Bring the catalogue to what a file says.
    Import {
        /// The TOML file.
        file: PathBuf,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// What is offered.
    Show,
}

/// `leasehold clock …`
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Move simulated time forward, from event to event.
    Advance {
        /// By how much, like 40d.
        by: String,
    },
    /// What time it is for leasehold.
    Show,
}

/// `leasehold config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// The commented default file.
    Default,
    /// The effective configuration and where each value came from.
    Show,
}

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

/// `leasehold key …`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key; it is printed once.
    Create {
        /// Whose; not for an operator's.
        #[arg(long)]
        account: Option<String>,
        /// What for.
        #[arg(long, default_value = "api")]
        kind: KeyKind,
        /// What it may do, separated by commas.
        #[arg(long)]
        scopes: Option<String>,
        /// How long it lasts, like 90d.
        #[arg(long)]
        expires: Option<String>,
    },
    /// Keys of an account, or the operators'.
    List {
        /// Whose.
        #[arg(long)]
        account: Option<String>,
    },
    /// End a key at once.
    Revoke {
        /// Its id or public id.
        id: String,
    },
}

/// `leasehold mail …`
#[derive(Debug, Subcommand)]
pub enum Mail {
    /// The newest mails.
    List {
        /// Only of this state.
        #[arg(long)]
        state: Option<MailState>,
    },
    /// What a notice looks like.
    Preview {
        /// Which notice.
        kind: leasehold_domain::notice::NoticeKind,
    },
    /// Send one again under a new Message-ID.
    Resend {
        /// Its id.
        id: String,
    },
    /// One mail, in full.
    Show {
        /// Its id.
        id: String,
    },
}

/// `leasehold node …`
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Place nothing new there.
    Drain {
        /// The node.
        node: String,
    },
    /// All nodes, what they hold and whether they answer.
    List,
    /// Place there again.
    Undrain {
        /// The node.
        node: String,
    },
}

/// `leasehold queue …`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// The jobs themselves.
    List {
        /// Only of this queue.
        #[arg(long)]
        queue: Option<Queue>,
        /// Only due, claimed, waiting, parked or stuck ones.
        #[arg(long)]
        state: Option<String>,
    },
    /// What ran where and how it ended.
    Runs {
        /// Only of this worker.
        #[arg(long)]
        worker: Option<String>,
        /// Lines at most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// How many jobs are due, claimed, waiting, parked, stuck; who is alive.
    Status,
}

/// `leasehold secrets …`
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Make the key file; refuses to overwrite one.
    Generate,
    /// Put a new key before the old ones and seal everything anew.
    Rotate,
}

/// `leasehold server …`
#[derive(Debug, Subcommand)]
pub enum Server {
    /// Where and how to sign in; the only command that prints a password.
    Credentials {
        /// Server id, label or hostname.
        server: String,
    },
    /// Change its label.
    Label {
        /// Server id, label or hostname.
        server: String,
        /// The new label.
        label: String,
    },
    /// All servers.
    List {
        /// Only of this status.
        #[arg(long)]
        status: Option<Status>,
        /// Only of this account.
        #[arg(long)]
        account: Option<String>,
    },
    /// Order one.
    Order(Order),
    /// A new root password, through the guest agent.
    PasswordReset {
        /// Server id, label or hostname.
        server: String,
    },
    /// Off and on again.
    Reboot {
        /// Server id, label or hostname.
        server: String,
    },
    /// A new system; everything on its disk is lost.
    Reinstall {
        /// Server id, label or hostname.
        server: String,
        /// Another system than the one it has.
        #[arg(long)]
        template: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Close its open matters; a machine that its node cannot be asked about counts as gone.
    Resolve {
        /// Server id, label or hostname.
        server: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Build a failed server again.
    Retry {
        /// Server id, label or hostname.
        #[arg(required_unless_present = "all_failed")]
        server: Option<String>,
        /// Every failed server.
        #[arg(long)]
        all_failed: bool,
    },
    /// One server: state, step log, lease, addresses, mails.
    Show {
        /// Server id, label or hostname.
        server: String,
    },
    /// On.
    Start {
        /// Server id, label or hostname.
        server: String,
    },
    /// Off.
    Stop {
        /// Server id, label or hostname.
        server: String,
    },
    /// Place a hold.
    Suspend {
        /// Server id, label or hostname.
        server: String,
        /// `abuse` or `admin`.
        #[arg(long)]
        kind: HoldKind,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// The end: its data is deleted, its addresses go back.
    Terminate {
        /// Server id, label or hostname.
        server: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Only show what would be lost.
        #[arg(long)]
        dry_run: bool,
    },
    /// Lift a hold.
    Unsuspend {
        /// Server id, label or hostname.
        server: String,
        /// Which.
        #[arg(long)]
        kind: HoldKind,
    },
    /// Follow a server until it rests.
    Watch {
        /// Server id, label or hostname.
        server: String,
    },
}

/// `leasehold server order`
#[derive(Debug, Args)]
pub struct Order {
    /// Account id or number.
    #[arg(long)]
    pub account: String,
    /// The plan's key or id.
    #[arg(long)]
    pub product: String,
    /// The system.
    #[arg(long)]
    pub template: String,
    /// Where; needed where the plan is offered in several regions.
    #[arg(long)]
    pub region: Option<String>,
    /// The customer's name for it.
    #[arg(long)]
    pub label: Option<String>,
    /// Its own name.
    #[arg(long)]
    pub hostname: Option<String>,
    /// How much is paid at once: 1m, 3m, 6m, 12m.
    #[arg(long, default_value = "1m")]
    pub cycle: Cycle,
    /// The same key with the same order is the same order.
    #[arg(long)]
    pub key: Option<String>,
    /// Show the build live; exit 0 only when it runs.
    #[arg(long)]
    pub wait: bool,
}

/// `leasehold tick …`
#[derive(Debug, Subcommand)]
pub enum Tick {
    /// All ticks.
    List,
    /// Skip a tick until it is resumed.
    Pause {
        /// The tick.
        name: String,
    },
    /// No longer skip it.
    Resume {
        /// The tick.
        name: String,
    },
    /// Make a tick due now.
    Run {
        /// The tick.
        name: String,
    },
}
