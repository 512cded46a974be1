//! Three customers with shops of their own: they order, each order under a key until it is acknowledged, and ask for things.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use leasehold_commands::{CommandError, accounts, order, servers};
use leasehold_domain::{Dice, ServerId};
use leasehold_store::{Store, accounts::NewAccount, activity::Actor};
use tokio_util::sync::CancellationToken;

use crate::host::Host;

const CLIENTS: u64 = 3;
/// What each customer pays in, and the price of a server, in EUR cents.
pub(crate) const FUNDS: i64 = 200_000;
pub(crate) const PRICE: i64 = 900;

/// A customer.
pub(crate) struct Client {
    pub(crate) account: String,
    store: Store,
    dice: Dice,
    orders: u64,
    /// What was acknowledged.
    pub(crate) servers: Mutex<Vec<ServerId>>,
}

pub(crate) struct Clients {
    pub(crate) all: Vec<Arc<Client>>,
    asked: AtomicU64,
    done: CancellationToken,
}

impl Clients {
    pub(crate) async fn open(host: &Host, dice: &Dice, orders: u64) -> Self {
        let mut all = Vec::new();
        for n in 0..CLIENTS {
            let new = NewAccount {
                email: format!("client-{n}@example.org"),
                first_name: "Ada".into(),
                last_name: "Lovelace".into(),
                company: None,
                currency: "EUR".parse().unwrap(),
                locale: "en".into(),
                country: None,
            };
            let account = accounts::create(&host.store, &Actor::operator("chaos"), &new).await.unwrap().number.to_string();
            let paid = format!("{}.00", FUNDS / 100);
            let movement = accounts::Movement { account: &account, amount: &paid, reason: "chaos", reference: None };
            accounts::credit(&host.store, &Actor::operator("chaos"), &movement).await.unwrap();
            let (store, dice) = (host.shaky_store().await, Dice::seeded(dice.below(u64::MAX)));
            all.push(Arc::new(Client { account, store, dice, orders: orders / CLIENTS, servers: Mutex::default() }));
        }
        Self { all, asked: AtomicU64::new(0), done: CancellationToken::new() }
    }

    /// Fires when every order is acknowledged.
    pub(crate) fn done(&self) -> CancellationToken {
        self.done.clone()
    }

    /// Other requests that were acknowledged.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Relaxed)
    }

    /// Orders and asks; answers how many orders were acknowledged.
    pub(crate) async fn run(&self) -> u64 {
        let served = futures::future::join_all(self.all.iter().map(|client| async {
            for n in 0..client.orders {
                client.order(n).await;
                for _ in 0..6 {
                    tokio::time::sleep(Duration::from_millis(20 + client.dice.below(80))).await;
                    // The addresses of what ends late would be waited for long after the storm.
                    self.asked.fetch_add(u64::from(client.ask(n < client.orders / 2).await), Relaxed);
                }
            }
            client.orders
        }))
        .await;
        self.done.cancel();
        served.iter().sum()
    }
}

impl Client {
    /// Sends an order, and again under the same key, until there is an answer.
    async fn order(&self, n: u64) {
        let label = format!("c{}-{n}", self.account);
        let name = || Some(label.clone());
        let wanted = order::Order { label: name(), hostname: name(), key: name(), ..order::Order::new(&self.account, "small", "debian-12") };
        loop {
            match order::order(&self.store, &Actor::operator("shop"), &wanted).await {
                Ok(server) => {
                    self.servers.lock().unwrap().push(server.id);
                    return;
                }
                Err(CommandError::Store(error)) if error.is_outage() => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(CommandError::TryAgain(_) | CommandError::Underway(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(refused) => panic!("an order that is in order is refused: {refused}"),
            }
        }
    }

    /// One of the youngest, which workers are busy with, or one of a few that run already and are asked for something all the time.
    fn any_server(&self, young: bool) -> String {
        let servers = self.servers.lock().unwrap();
        let n = servers.len();
        let at = if young { n - 1 - self.dice.below(n.min(30) as u64) as usize } else { (n / 3 + self.dice.below(2) as usize).min(n - 1) };
        servers[at].to_string()
    }

    /// Asks something of one of its servers. A refusal is an answer, too; without one, nobody knows.
    async fn ask(&self, may_end: bool) -> bool {
        let (store, me) = (&self.store, Actor::operator("shop"));
        let what = self.dice.below(100);
        let server = self.any_server(what >= 70);
        let asked = match what {
            0..70 => match servers::stop(store, &me, &server).await {
                Err(CommandError::Refused(_)) => servers::start(store, &me, &server).await,
                stopped => stopped,
            },
            70..76 => servers::reboot(store, &me, &server).await,
            76..82 => servers::reinstall(store, &me, &server, None, false).await,
            82..88 => servers::password_reset(store, &me, &server).await.map(|(s, _)| s),
            88..100 if may_end => servers::terminate(store, &me, &server, servers::Unfinished::Paid).await,
            _ => servers::retry(store, &me, &server).await,
        };
        asked.is_ok()
    }
}
