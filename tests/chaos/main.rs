//! Chaos: real worker processes over a real PostgreSQL, and everything that can go wrong on a host goes wrong.
//!
//! `chaos [--seed N] [--orders N] [--rounds N]` prints what it did and ends with 0 when every promise held. The seed decides what is
//! done to whom in which order; processes and networks make each run a new one all the same.
#![expect(clippy::unwrap_used, reason = "a run that cannot go on panics")]

mod clients;
mod host;
mod proxy;
mod smtp;
mod storm;
mod verdict;

use std::time::Instant;

use leasehold_domain::Dice;

use crate::{clients::Clients, host::Host, storm::Storm};

struct Plan {
    seed: u64,
    orders: u64,
    rounds: u64,
}

fn plan() -> Plan {
    let mut plan = Plan { seed: 1, orders: 300, rounds: 1 };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().and_then(|v| v.parse().ok());
        match (flag.as_str(), value) {
            ("--seed", Some(n)) => plan.seed = n,
            ("--orders", Some(n)) => plan.orders = n,
            ("--rounds", Some(n)) => plan.rounds = n,
            _ => panic!("usage: chaos [--seed N] [--orders N] [--rounds N]"),
        }
    }
    plan
}

#[tokio::main]
async fn main() {
    let plan = plan();
    for seed in plan.seed..plan.seed + plan.rounds {
        round(seed, plan.orders).await;
        println!("seed {seed}: every promise held");
    }
}

/// One history: order and ask while the storm blows, wait for the calm, look at what is left.
async fn round(seed: u64, orders: u64) {
    let (dice, began) = (Dice::seeded(seed), Instant::now());
    let mut host = Host::start(&dice).await;
    let clients = Clients::open(&host, &dice, orders).await;
    let storm = Storm::new(&dice);
    let (served, blown) = tokio::join!(clients.run(), storm.blow(&mut host, clients.done()));
    println!("seed {seed}: {served} orders and {} other requests acknowledged in {} s; {blown}", clients.asked(), began.elapsed().as_secs());
    let calm = Instant::now();
    host.calm().await;
    println!("  at rest {} s later", calm.elapsed().as_secs());
    verdict::check(&mut host, &clients).await;
    host.end().await;
}
