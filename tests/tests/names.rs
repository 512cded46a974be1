//! What addresses resolve to, at a real DNS server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use leasehold_commands::ptr;
use leasehold_domain::ServerId;
use leasehold_notifier::{Names, NamesSettings};
use leasehold_store::{Options, Queue, Store, addresses::Address, args};
use leasehold_tests::{
    App,
    dns::{DnsServer, KEY, ZONES},
    on_both,
    program::{Program, eventually, free_port},
};
use tokio::net::TcpListener;

fn names_at(server: &str, key: &str) -> Names {
    let zones: Vec<String> = ZONES.iter().map(|zone| (*zone).to_owned()).collect();
    let key = key.to_owned().into();
    Names::new(&NamesSettings { server, zones: &zones, key_name: KEY.0, algorithm: "hmac-sha256", key: &key, ttl: Duration::from_hours(1) }).unwrap()
}

async fn set(store: &Store, server: &ServerId, address: &str, name: Option<&str>) {
    let mut tx = store.begin().await.unwrap();
    ptr::set(&mut tx, &App::operator(), server, address, name).await.unwrap();
    tx.commit().await.unwrap();
}

/// A server that runs, and its IPv4 and IPv6 address.
async fn a_server(app: &App) -> (ServerId, String, String) {
    let server = app.order("web").await.id;
    app.until_quiet().await;
    let addresses: Vec<Address> = app.store.read().await.unwrap().addresses(&server).await.unwrap();
    (server, addresses[0].address.clone(), addresses[1].address.clone())
}

on_both!(what_addresses_resolve_to_is_what_their_owner_last_said(app) {
    let (server, v4, v6) = a_server(app).await;
    // Nobody publishes; it is kept.
    set(&app.store, &server, &v4, Some("old.example.org")).await;
    app.until_quiet().await;
    let dns = DnsServer::start(&app.path(""));
    app.worker.names = Some(names_at(&dns.address(), KEY.1));
    assert_eq!(dns.name_of(&v4), "");
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(tx.publish_names().await.unwrap(), 1, "from the first start with a DNS server on");
    tx.commit().await.unwrap();
    app.until_quiet().await;
    assert_eq!(dns.name_of(&v4), "old.example.org.");

    set(&app.store, &server, &v4, Some("web.example.org")).await;
    set(&app.store, &server, &v6, Some("web.example.org")).await;
    app.until_quiet().await;
    assert_eq!((dns.name_of(&v4), dns.name_of(&v6)), ("web.example.org.".into(), "web.example.org.".into()), "one name, not two");
    // An address of no zone is kept, and nobody is bothered.
    let only: Vec<String> = vec![ZONES[1].to_owned()];
    let key = KEY.1.to_owned().into();
    let other = NamesSettings { server: &dns.address(), zones: &only, key_name: KEY.0, algorithm: "hmac-sha256", key: &key, ttl: Duration::from_hours(1) };
    let all = app.worker.names.replace(Names::new(&other).unwrap());
    set(&app.store, &server, &v4, Some("third.example.org")).await;
    app.until_quiet().await;
    assert_eq!((dns.name_of(&v4).as_str(), app.attention().await.len()), ("web.example.org.", 0));
    // A worker without a DNS server leaves it to one that has it.
    app.worker.names = None;
    set(&app.store, &server, &v4, Some("web.example.org")).await;
    app.until_quiet().await;
    app.worker.names = all;
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(tx.publish_names().await.unwrap(), 1);
    tx.commit().await.unwrap();
    set(&app.store, &server, &v6, None).await;
    app.until_quiet().await;
    assert_eq!((dns.name_of(&v4), dns.name_of(&v6)), ("web.example.org.".into(), String::new()));

    leasehold_commands::servers::terminate(&app.store, &App::operator(), server.as_str(), leasehold_commands::servers::Unfinished::Paid).await.unwrap();
    app.until_quiet().await;
    assert_eq!(dns.name_of(&v4), "", "the next tenant has no name of the last");
    let waiting = "select count(*) from names where published_at is null or next_at is not null";
    assert_eq!(app.store.read().await.unwrap().int(waiting, args![]).await.unwrap(), 0);
});

on_both!(a_name_is_tried_until_the_server_takes_it(app) {
    let (server, v4, _) = a_server(app).await;
    let (dir, port) = (app.path("dns"), free_port());
    std::fs::create_dir(&dir).unwrap();
    app.worker.names = Some(names_at(&format!("127.0.0.1:{port}"), KEY.1));
    set(&app.store, &server, &v4, Some("web.example.org")).await;
    let tries = async |n: usize| {
        for _ in 0..n {
            app.drain().await;
            app.advance(app.store.next_due(Queue::Names).await.unwrap().unwrap().since(app.now()));
        }
    };
    tries(2).await;
    assert!(app.attention().await.is_empty(), "servers restart");
    tries(1).await;
    assert_eq!(app.attention().await, ["name_unpublished dns"]);

    let dns = DnsServer::on(&dir, port);
    app.worker.names = Some(names_at(&dns.address(), "d3Jvbmc="));
    app.drain().await;
    let (why,): (String,) = app.store.read().await.unwrap().one("select last_error from names", args![]).await.unwrap();
    assert!(why.contains("NOTAUTH") && dns.name_of(&v4).is_empty(), "{why}");
    app.worker.names = Some(names_at(&dns.address(), KEY.1));
    app.until_quiet().await;
    assert_eq!((dns.name_of(&v4).as_str(), app.attention().await.len()), ("web.example.org.", 0));
});

on_both!(an_update_that_comes_late_is_not_the_last_word(app) {
    let (server, v4, _) = a_server(app).await;
    // A worker asks, and is held up past its claim.
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut late = app.another_worker("late");
    late.names = Some(names_at(&slow.local_addr().unwrap().to_string(), KEY.1));
    set(&app.store, &server, &v4, Some("old.example.org")).await;
    let asking = tokio::spawn(async move { late.run_one(Queue::Names).await });
    let (asked, _) = slow.accept().await.unwrap();

    // Another takes over, and publishes what was said meanwhile.
    let dns = DnsServer::start(&app.path(""));
    app.worker.names = Some(names_at(&dns.address(), KEY.1));
    set(&app.store, &server, &v4, Some("new.example.org")).await;
    app.advance(Duration::from_mins(1));
    app.drain().await;
    assert_eq!((dns.name_of(&v4).as_str(), app.store.next_due(Queue::Names).await.unwrap()), ("new.example.org.", None));

    drop(asked);
    asking.await.unwrap().unwrap();
    assert!(app.store.next_due(Queue::Names).await.unwrap().is_some(), "the first may have come last: it is published once more");
    app.until_quiet().await;
    assert_eq!(dns.name_of(&v4), "new.example.org.");
});

#[test]
fn the_daemon_publishes_where_the_configuration_says_so() {
    let p = Program::new(None);
    let dns = DnsServer::start(&p.path(""));
    let account = p.set_up("50.00");
    let ordered = p.json(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "web"]);
    let daemon = p.daemon(&["serve"]);
    eventually("it runs", || p.json(&["server", "show", "web"])["status"] == "running");
    assert_eq!(daemon.stop(), Some(0));
    let (server, address) =
        (ordered["id"].as_str().unwrap().to_owned(), p.json(&["server", "show", "web"])["addresses"][0]["address"].as_str().unwrap().to_owned());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(Options::new(format!("sqlite:{}", p.path("leasehold.db").display()))).await.unwrap();
        set(&store, &server.as_str().into(), &address, Some("web.example.org")).await;
    });

    let says = |what: &str| {
        let told = p.run(&["--config", "dns.toml", "doctor"]);
        assert!(told.out.lines().any(|line| line.contains("names") && line.contains(what)), "{what}: {told:?}");
    };
    let configure = |key_file: &str| {
        let text = format!("[dns]\nserver = \"{}\"\nzones = {ZONES:?}\n{key_file}", dns.address());
        std::fs::write(p.path("dns.toml"), text).unwrap();
    };
    std::fs::write(p.path("dns.toml"), "").unwrap();
    says("names no server");
    configure("");
    p.refuses(2, &["dns.key_file", "needed"], &["--config", "dns.toml", "serve"]);
    configure("key_file = \"dns-key\"");
    std::fs::write(p.path("dns-key"), "d3Jvbmc=\n").unwrap();
    says("NOTAUTH");
    std::fs::write(p.path("dns-key"), KEY.1).unwrap();
    says("takes updates");
    let daemon = p.daemon(&["--config", "dns.toml", "serve"]);
    eventually("the name of before is published", || dns.name_of(&address) == "web.example.org.");
    assert_eq!(daemon.stop(), Some(0));
}
