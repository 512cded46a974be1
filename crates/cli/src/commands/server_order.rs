//! `leasehold server order`

use leasehold_commands::order::{self, Order};
use leasehold_domain::server::Status;

use super::{Context, server::value, server_show};
use crate::{args, exit::Failure, output::show};

pub(super) async fn run(c: &Context, o: args::Order) -> Result<(), Failure> {
    let app = c.app().await?;
    let order = Order { account: o.account, product: o.product, template: o.template, region: o.region, label: o.label, hostname: o.hostname, cycle: o.cycle, key: o.key };
    let server = order::order(&app.store, &app.actor, &order).await?;
    if !o.wait {
        show(c.json(), &value(&server), || println!("{} ({}) is ordered; follow it with: leasehold server watch {}", server.label, server.id, server.id));
        return Ok(());
    }
    let rested = server_show::follow(&app.store, &server.id, crate::output::progress).await?;
    show(c.json(), &value(&rested), || println!("{} is {}", rested.label, rested.status));
    match rested.status {
        Status::Running => Ok(()),
        other => Err(Failure::Failed(format!("{} is {other}: {}; see: leasehold server show {}", rested.label, rested.status_reason.unwrap_or_default(), rested.id))),
    }
}
