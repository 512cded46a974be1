//! Four hundred days of a thousand servers, as the program moves simulated time.

use std::time::Instant;

use leasehold_commands::{
    accounts::{self, Movement},
    order,
};
use leasehold_store::{Options, Store, accounts::NewAccount, activity::Actor};
use leasehold_tests::Kind;

use crate::{Figure, process::Host};

const ACCOUNTS: usize = 500;
/// Servers an account.
const SERVERS: usize = 2;
/// Every so manieth account has money for the first month only: its servers are suspended and ended on the way, as many at once as the
/// breaker lets through without asking.
const POOR: usize = 100;

pub(crate) async fn measure(kind: Kind) -> Figure {
    eprintln!("{kind:?}: simulated time");
    let host = Host::with(kind, "advance", "", &[("CLOCK__MODE", "simulated")]).await;
    let (store, me) = (Store::open(Options::new(host.url.clone())).await.unwrap(), Actor::operator("bench"));
    for n in 0..ACCOUNTS {
        let (email, currency) = (format!("t{n}@example.org"), "EUR".parse().unwrap());
        let new = NewAccount { email, first_name: "Ada".into(), last_name: "L".into(), company: None, currency, locale: "en".into(), country: None };
        let account = accounts::create(&store, &me, &new).await.unwrap().number.to_string();
        let amount = if n % POOR == 0 { "10.00" } else { "1000.00" };
        accounts::credit(&store, &me, &Movement { account: &account, amount, reason: "bench", reference: None }).await.unwrap();
        for _ in 0..SERVERS {
            order::order(&store, &me, &order::Order::new(&account, "small", "debian-12")).await.unwrap();
        }
    }
    tokio::task::block_in_place(|| host.program.ok(&["clock", "advance", "1h"]));
    let count = async |sql| store.read().await.unwrap().int(sql, &[]).await.unwrap();
    assert_eq!(count("select count(*) from servers where status = 'running'").await, (ACCOUNTS * SERVERS) as i64);
    let began = Instant::now();
    tokio::task::block_in_place(|| host.program.ok(&["clock", "advance", "400d"]));
    let took = began.elapsed().as_secs_f64();
    let (ended, mails) = (count("select count(*) from servers where status = 'terminated'").await, count("select count(*) from mails").await);
    assert_eq!(ended, (ACCOUNTS / POOR * SERVERS) as i64);
    let findings = store.audit().await.unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let what = format!("`leasehold clock advance 400d` with {} servers, {mails} mails", ACCOUNTS * SERVERS);
    Figure::new(what, "≤ 60 s", format!("{took:.0} s"))
}
