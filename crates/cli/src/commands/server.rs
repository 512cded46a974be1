//! `leasehold server …`

use clap::Subcommand;
use leasehold_commands::{cycle, servers};
use leasehold_domain::server::Status;
use leasehold_domain::{
    Timestamp,
    lease::Cycle,
    server::{HoldKind, Means},
};
use leasehold_store::servers::{HoldTerms, Server as Row};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Context, server_addon, server_order, server_show, server_snapshot, server_stats};
use crate::{
    app::App,
    exit::Failure,
    output::{confirm, show, table},
};

/// `leasehold server …`
#[derive(Debug, Subcommand)]
pub enum Server {
    /// What is bought beside it.
    Addon {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// What to do.
        #[command(subcommand)]
        action: server_addon::Action,
    },
    /// End it with what is paid; nothing more is charged.
    Cancel {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// Let it go on after all.
        #[arg(long)]
        undo: bool,
    },
    /// Where and how to sign in; the only command that prints a password.
    Credentials {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
    },
    /// How much is paid at once, from the next period on.
    Cycle {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// 1m, 3m, 6m or 12m.
        cycle: Cycle,
    },
    /// Change its label.
    Label {
        /// Its id or the first characters of it, label, hostname or address.
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
    Order(server_order::OrderArgs),
    /// A new root password, through the guest agent.
    PasswordReset {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
    },
    /// Nothing is taken away for an unpaid charge before a date.
    Protect {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// Until when, like 2026-12-31.
        #[arg(long, required_unless_present = "off")]
        until: Option<Timestamp>,
        /// No more.
        #[arg(long, conflicts_with = "until")]
        off: bool,
    },
    /// Off and on again.
    Reboot {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
    },
    /// A new system; everything on its disk is lost.
    Reinstall {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// Another system than the one it has.
        #[arg(long)]
        template: Option<String>,
        /// Its snapshots, too, are lost.
        #[arg(long)]
        drop_snapshots: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Close its open matters; a machine that its node cannot be asked about counts as gone.
    Resolve {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Build a failed server again.
    Retry {
        /// Its id or the first characters of it, label, hostname or address.
        #[arg(required_unless_present = "all_failed")]
        server: Option<String>,
        /// Every failed server.
        #[arg(long)]
        all_failed: bool,
    },
    /// One server: state, step log, lease, addresses, mails.
    Show {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
    },
    /// Snapshots of its disk.
    Snapshot {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// What to do.
        #[command(subcommand)]
        action: server_snapshot::Action,
    },
    /// On.
    Start {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
    },
    /// What it uses, and its traffic by month.
    Stats {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
    },
    /// Off.
    Stop {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
    },
    /// Place a hold.
    Suspend {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// `abuse` or `admin`.
        #[arg(long)]
        kind: HoldKind,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Leave the machine on and cut its network only.
        #[arg(long)]
        cut_network: bool,
        /// Charge nothing while the hold stands; otherwise its lease goes on.
        #[arg(long)]
        free: bool,
    },
    /// The end: its data is deleted, its addresses go back.
    Terminate {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Only show what would be lost.
        #[arg(long)]
        dry_run: bool,
        /// Nothing is paid for an order that was booted and not delivered; else what was used is, by the policy min_charge.
        #[arg(long)]
        free: bool,
    },
    /// Lift a hold.
    Unsuspend {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
        /// Which.
        #[arg(long)]
        kind: HoldKind,
        /// For `billing`: unless it is paid by then, the server is suspended again.
        #[arg(long)]
        until: Option<Timestamp>,
    },
    /// Follow a server until it rests.
    Watch {
        /// Its id or the first characters of it, label, hostname or address.
        server: String,
    },
}

/// What a list shows of a server.
pub(super) fn value(s: &Row) -> Value {
    json!({ "id": s.id, "label": s.label, "hostname": s.hostname, "account": s.account_id, "status": s.status, "statusReason": s.status_reason, "goal": s.goal, "region": s.region_id, "template": s.template_id, "node": s.node_id, "createdAt": s.created_at })
}

pub(super) async fn run(c: &Context, command: Server) -> Result<(), Failure> {
    match command {
        Server::Addon { server, action } => return server_addon::run(c, &server, action).await,
        Server::Cycle { server, cycle } => return change_cycle(c, &server, cycle).await,
        Server::Order(order) => return server_order::run(c, order).await,
        Server::Show { server } => return server_show::show_one(c, &server).await,
        Server::Snapshot { server, action } => return server_snapshot::run(c, &server, action).await,
        Server::Stats { server } => return server_stats::run(c, &server).await,
        Server::Watch { server } => return server_show::watch(c, &server).await,
        Server::Credentials { server } => return credentials(c, &server).await,
        _ => {}
    }
    let app = c.app().await?;
    let (store, me) = (&app.store, &app.actor);
    let s = match command {
        Server::List { status, account } => return list(c, &app, status, account).await,
        Server::Retry { server, all_failed } => return retry(c, &app, server, all_failed).await,
        Server::PasswordReset { server } => return password_reset(c, &app, &server).await,
        Server::Terminate { server, yes, dry_run, free } => return terminate(c, &app, &server, yes, dry_run, free).await,
        Server::Reinstall { server, template, drop_snapshots, yes } => {
            if !yes && !confirm(&format!("everything on the disk of {server} will be lost; reinstall?")) {
                return Err(Failure::Refused(format!("{server} was not reinstalled; say --yes to do it")));
            }
            servers::reinstall(store, me, &server, template.as_deref(), drop_snapshots).await?
        }
        Server::Cancel { server, undo } => servers::set_auto_renew(store, me, &server, undo).await?,
        Server::Protect { server, until, off: _ } => servers::protect(store, me, &server, until).await?,
        Server::Label { server, label } => servers::label(store, me, &server, &label).await?,
        Server::Start { server } => servers::start(store, me, &server).await?,
        Server::Stop { server } => servers::stop(store, me, &server).await?,
        Server::Reboot { server } => servers::reboot(store, me, &server).await?,
        Server::Suspend { server, kind, reason, cut_network, free } => {
            let means = if cut_network { Means::CutNetwork } else { Means::PowerOff };
            servers::suspend(store, me, &server, kind, HoldTerms { means, free }, &reason).await?
        }
        Server::Unsuspend { server, kind, until } => servers::unsuspend(store, me, &server, kind, until).await?,
        Server::Resolve { server, reason } => servers::resolve(store, me, &server, &reason, app.config.provision.ip_quarantine).await?,
        Server::Addon { .. }
        | Server::Cycle { .. }
        | Server::Order(_)
        | Server::Show { .. }
        | Server::Snapshot { .. }
        | Server::Stats { .. }
        | Server::Watch { .. }
        | Server::Credentials { .. } => {
            return Ok(());
        }
    };
    accepted(c, &s);
    Ok(())
}

fn accepted(c: &Context, s: &Row) {
    show(c.json(), &value(s), || say!("{} ({}): accepted, it is {} now; follow it with: leasehold server watch {}", s.label, s.id, s.status, s.id));
}

async fn change_cycle(c: &Context, server: &str, cycle: Cycle) -> Result<(), Failure> {
    let app = c.app().await?;
    let (s, price) = cycle::change(&app.store, &app.actor, server, cycle).await?;
    show(c.json(), &json!({ "server": s.id, "cycle": cycle, "price": price.decimal(), "currency": price.currency }), || {
        say!("{} is paid {cycle} at once from its next period on: {price}; see: leasehold server show {}", s.label, s.id);
    });
    Ok(())
}

async fn list(c: &Context, app: &App, status: Option<Status>, account: Option<String>) -> Result<(), Failure> {
    let mut tx = app.store.read().await?;
    let account = match account {
        Some(text) => Some(tx.find_account(&text).await?.id),
        None => None,
    };
    let servers = tx.servers(status, account.as_ref(), 1000).await?;
    let row = |s: &Row| {
        vec![s.label.clone(), s.status.to_string(), s.template_id.to_string(), s.node_id.clone().unwrap_or_default(), s.created_at.human(), s.id.to_string()]
    };
    show(c.json(), &json!(servers.iter().map(value).collect::<Vec<_>>()), || {
        table(&["LABEL", "STATUS", "TEMPLATE", "NODE", "ORDERED", "ID"], servers.iter().map(row));
    });
    Ok(())
}

async fn retry(c: &Context, app: &App, server: Option<String>, all_failed: bool) -> Result<(), Failure> {
    let ids = match server.filter(|_| !all_failed) {
        Some(server) => vec![server],
        None => app.store.read().await?.servers(Some(Status::Failed), None, 10_000).await?.into_iter().map(|s| s.id.to_string()).collect(),
    };
    let (mut values, mut refused) = (Vec::new(), Vec::new());
    for id in &ids {
        match servers::retry(&app.store, &app.actor, id).await {
            Ok(s) => values.push(value(&s)),
            Err(error) if ids.len() == 1 => return Err(error.into()),
            Err(error) => refused.push(format!("{id}: {error}")),
        }
    }
    show(c.json(), &json!({ "retried": values, "refused": refused }), || {
        say!("{} server(s) will be built again", values.len());
        refused.iter().for_each(|line| say!("not {line}"));
    });
    if refused.is_empty() { Ok(()) } else { Err(Failure::Refused(format!("{} server(s) could not be retried", refused.len()))) }
}

async fn terminate(c: &Context, app: &App, server: &str, yes: bool, dry_run: bool, free: bool) -> Result<(), Failure> {
    let mut tx = app.store.read().await?;
    let s = tx.find_server(server).await?;
    let addresses: Vec<String> = tx.addresses(&s.id).await?.into_iter().map(|a| a.address).collect();
    drop(tx);
    let lost = format!("{} ({}, {}): its disk of {} GB and its addresses {}", s.label, s.id, s.status, s.disk_gb, addresses.join(", "));
    if dry_run {
        show(c.json(), &json!({ "server": value(&s), "addresses": addresses, "dryRun": true }), || say!("would be lost: {lost}"));
        return Ok(());
    }
    if !yes && !confirm(&format!("this will be lost: {lost}; terminate?")) {
        return Err(Failure::Refused(format!("{} was not terminated; say --yes to do it", s.label)));
    }
    let unfinished = if free { servers::Unfinished::Free } else { servers::Unfinished::Paid };
    let s = servers::terminate(&app.store, &app.actor, s.id.as_str(), unfinished).await?;
    accepted(c, &s);
    Ok(())
}

async fn credentials(c: &Context, server: &str) -> Result<(), Failure> {
    let app = c.app_with_keys().await?;
    let (at, password) = servers::credentials(&app.store, &app.actor, server).await?;
    let shown = password.as_ref().map(ExposeSecret::expose_secret);
    show(c.json(), &json!({ "username": at.username, "password": shown, "ip": at.host, "port": at.port }), || {
        say!("ssh -p {} {}@{}\npassword: {}", at.port, at.username, at.host, shown.unwrap_or("none is known: the guest agent did not answer"));
    });
    Ok(())
}

async fn password_reset(c: &Context, app: &App, server: &str) -> Result<(), Failure> {
    let (s, number) = servers::password_reset(&app.store, &app.actor, server).await?;
    servers::password_reset_outcome(&app.store, &s, number).await?;
    show(c.json(), &json!({ "server": s.id, "changed": true }), || say!("changed; see: leasehold server credentials {}", s.label));
    Ok(())
}
