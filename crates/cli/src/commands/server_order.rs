//! `leasehold server order`

use std::path::{Path, PathBuf};

use clap::Args;
use leasehold_commands::{
    CommandError,
    order::{self, Order},
    user_data::UserData,
};
use leasehold_domain::lease::Cycle;
use leasehold_domain::server::Status;

use super::{Context, server::value, server_show};
use crate::{exit::Failure, output::show};

/// `leasehold server order`
#[derive(Debug, Args)]
pub struct OrderArgs {
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
    /// An add-on, by key or id; may be given several times.
    #[arg(long = "addon")]
    pub addons: Vec<String>,
    /// A coupon's code.
    #[arg(long)]
    pub coupon: Option<String>,
    /// An SSH key that it is built with, by number or id; may be given several times. All of the account's where none is named.
    #[arg(long = "ssh-key")]
    pub ssh_keys: Vec<String>,
    /// A file with what is to be done at the first boot: cloud-config or a script, up to 32 KiB.
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
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

fn read(file: &Path) -> Result<UserData, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| CommandError::Invalid(format!("{}: {e}", file.display())))?;
    Ok(UserData::parse(&text)?)
}

pub(super) async fn run(c: &Context, o: OrderArgs) -> Result<(), Failure> {
    let user_data = o.user_data.map(|file| read(&file)).transpose()?;
    let app = c.app().await?;
    let order = Order {
        account: o.account,
        product: o.product,
        template: o.template,
        region: o.region,
        label: o.label,
        hostname: o.hostname,
        cycle: o.cycle,
        addons: o.addons,
        coupon: o.coupon,
        ssh_keys: o.ssh_keys,
        user_data,
        key: o.key,
    };
    let server = order::order(&app.store, &app.actor, &order).await?;
    if !o.wait {
        show(c.json(), &value(&server), || say!("{} ({}) is ordered; follow it with: leasehold server watch {}", server.label, server.id, server.id));
        return Ok(());
    }
    let rested = server_show::follow_daemon(&app.store, &server.id).await?;
    show(c.json(), &value(&rested), || say!("{} is {}", rested.label, rested.status));
    match rested.status {
        Status::Running => Ok(()),
        other => {
            Err(Failure::Failed(format!("{} is {other}: {}; see: leasehold server show {}", rested.label, rested.status_reason.unwrap_or_default(), rested.id)))
        }
    }
}
