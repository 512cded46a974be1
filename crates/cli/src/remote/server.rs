//! `leasehold --server … server`

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Remote, only_here, word};
use crate::{
    commands::{server::Server, server_addon, server_order, server_snapshot},
    exit::Failure,
    output::{confirm, progress, show, table},
};

/// How often a server is looked at while it is waited for.
const LOOK: Duration = Duration::from_secs(2);
/// Statuses that nothing but a request changes.
const AT_REST: &[&str] = &["running", "stopped", "suspended", "failed"];

pub(super) async fn run(r: &Remote, command: Server) -> Result<(), Failure> {
    match command {
        Server::Addon { server, action } => addon(r, &server, action).await,
        Server::Cancel { server, undo } => billing(r, &server, &json!({ "autoRenew": undo })).await,
        Server::Credentials { server } => {
            let c = r.get(&format!("{}/credentials", r.path(&server).await?)).await?;
            show(r.json, &c, || say!("ssh -p {} {}@{}\npassword: {}", word(&c, "port"), word(&c, "username"), word(&c, "ip"), word(&c, "password")));
            Ok(())
        }
        Server::Cycle { server, cycle } => billing(r, &server, &json!({ "cycle": cycle })).await,
        Server::Label { server, label } => {
            let s = r.ask(Method::PATCH, &format!("{}/label", r.path(&server).await?), Some(&json!({ "label": label })), None).await?;
            told(r, &s, "has its new label");
            Ok(())
        }
        Server::List { account: None, status } => {
            let all = r.get(&status.map_or_else(|| "/servers".to_owned(), |status| format!("/servers?status={status}"))).await?;
            let rows = all.as_array().into_iter().flatten();
            let row = |s: &Value| ["label", "status", "os", "region", "ipAddress", "id"].map(|field| word(s, field)).to_vec();
            show(r.json, &all, || table(&["LABEL", "STATUS", "SYSTEM", "REGION", "ADDRESS", "ID"], rows.map(row)));
            Ok(())
        }
        Server::Order(order) => place(r, order).await,
        Server::PasswordReset { server } => {
            let path = r.path(&server).await?;
            r.post(&format!("{path}/password-reset"), &Value::Null, None).await?;
            show(r.json, &json!({ "server": server, "changed": true }), || say!("changed; see: leasehold server credentials {server}"));
            Ok(())
        }
        Server::Reboot { server } => power(r, &server, "reboot").await,
        Server::Reinstall { server, template, drop_snapshots: false, yes } => {
            let s = r.server(&server).await?;
            if !yes && !confirm(&format!("everything on the disk of {server} will be lost; reinstall?")) {
                return Err(Failure::Refused(format!("{server} was not reinstalled; say --yes to do it")));
            }
            let template = template.unwrap_or_else(|| word(&s, "os"));
            let s = r.post(&format!("/servers/{}/reinstall", word(&s, "id")), &json!({ "os": template, "osTemplate": template }), None).await?;
            told(r, &s, "is being built anew");
            Ok(())
        }
        Server::Show { server } => {
            let s = r.get(&r.path(&server).await?).await?;
            show(r.json, &s, || print(&s));
            Ok(())
        }
        Server::Snapshot { server, action } => snapshot(r, &server, action).await,
        Server::Start { server } => power(r, &server, "start").await,
        Server::Stats { server } => {
            let s = r.get(&format!("{}/stats", r.path(&server).await?)).await?;
            show(r.json, &s, || match s["live"].as_object() {
                Some(live) => live.iter().for_each(|(name, value)| say!("{name:<15} {value}")),
                None => say!("{}; no sample yet, ask again in some seconds", word(&s, "powerState")),
            });
            Ok(())
        }
        Server::Stop { server } => power(r, &server, "stop").await,
        Server::Terminate { server, yes, dry_run: false, free: false } => {
            let s = r.server(&server).await?;
            if !yes && !confirm(&format!("{} ({}) and its disk of {} GB will be lost; terminate?", word(&s, "label"), word(&s, "id"), word(&s, "diskGb"))) {
                return Err(Failure::Refused(format!("{server} was not terminated; say --yes to do it")));
            }
            r.ask(Method::DELETE, &format!("/servers/{}", word(&s, "id")), None, None).await?;
            told(r, &s, "is being ended");
            Ok(())
        }
        Server::Watch { server } => {
            let rested = follow(r, &r.path(&server).await?).await?;
            told(r, &rested, &format!("is {}", word(&rested, "status")));
            Ok(())
        }
        _ => Err(only_here("this of server")),
    }
}

/// What was done, in a line, and the server as it is.
fn told(r: &Remote, s: &Value, what: &str) {
    show(r.json, s, || say!("{} ({}) {what}", word(s, "label"), word(s, "id")));
}

fn print(s: &Value) {
    say!("{} ({})\nstatus    {} {}", word(s, "label"), word(s, "id"), word(s, "status"), word(s, "statusReason"));
    say!("system    {} in {}", word(s, "os"), word(s, "region"));
    say!("address   {}", word(&s["networking"], "primaryIp"));
    let b = &s["billing"];
    if b.is_object() {
        say!("billing   {} {} every {}, {}, paid until {}", word(b, "price"), word(b, "currency"), word(b, "cycle"), word(b, "state"), word(b, "paidUntil"));
    }
    let p = &s["progress"];
    if p.is_object() {
        say!("progress  {} of {} steps, {} {}", word(p, "stepsDone"), word(p, "stepsTotal"), word(p, "step"), word(p, "error"));
    }
}

/// Waits until a server rests.
async fn follow(r: &Remote, path: &str) -> Result<Value, Failure> {
    let mut last = String::new();
    loop {
        let s = r.get(path).await?;
        let now = format!("{} {}", word(&s, "status"), word(&s["progress"], "step"));
        if now != last {
            progress(&now);
            last = now;
        }
        if AT_REST.contains(&word(&s, "status").as_str()) && s["statusReason"] != "terminating" {
            return Ok(s);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn place(r: &Remote, o: server_order::OrderArgs) -> Result<(), Failure> {
    let products = r.get("/products").await?;
    let named = |p: &&Value| p["id"] == o.product.as_str() || word(p, "name").eq_ignore_ascii_case(&o.product);
    let product = products.as_array().into_iter().flatten().find(named).ok_or_else(|| Failure::NotFound(format!("no product '{}'", o.product)))?;
    let body = json!({
        "productId": product["id"], "os": o.template, "osTemplate": o.template, "region": o.region, "label": o.label, "hostname": o.hostname,
        "addons": o.addons, "coupon": o.coupon, "billingCycle": o.cycle, "sshKeyIds": o.ssh_keys,
    });
    let s = r.post("/servers", &body, o.key.as_deref()).await?;
    if !o.wait {
        told(r, &s, &format!("is ordered for {} {}; follow it with: leasehold server watch", word(&s, "price"), word(&s, "currency")));
        return Ok(());
    }
    let rested = follow(r, &format!("/servers/{}", word(&s, "id"))).await?;
    told(r, &rested, &format!("is {}", word(&rested, "status")));
    if rested["status"] == "running" { Ok(()) } else { Err(Failure::Failed(format!("it is {}: {}", word(&rested, "status"), word(&rested, "statusReason")))) }
}

async fn power(r: &Remote, server: &str, verb: &str) -> Result<(), Failure> {
    let s = r.server(server).await?;
    let answer = r.post(&format!("/servers/{}/power/{verb}", word(&s, "id")), &Value::Null, None).await?;
    show(r.json, &answer, || say!("{} ({}) is {}", word(&s, "label"), word(&s, "id"), word(&answer, "status")));
    Ok(())
}

async fn billing(r: &Remote, server: &str, change: &Value) -> Result<(), Failure> {
    let b = r.ask(Method::PATCH, &format!("{}/billing", r.path(server).await?), Some(change), None).await?;
    show(r.json, &b, || {
        let goes_on = if b["autoRenew"] == true { "goes on" } else { "ends" };
        say!("{server}: {} {} every {}, {goes_on} after {}", word(&b, "price"), word(&b, "currency"), word(&b, "cycle"), word(&b, "paidUntil"));
    });
    Ok(())
}

async fn addon(r: &Remote, server: &str, action: server_addon::Action) -> Result<(), Failure> {
    let path = format!("{}/addons", r.path(server).await?);
    let all = r.get(&path).await?;
    let all = all.as_array().cloned().unwrap_or_default();
    let named = |text: &str| all.iter().find(|a| ["id", "type", "name"].iter().any(|field| a[*field] == text)).map(|a| word(a, "id"));
    let missing = |text: &str| Failure::NotFound(format!("no add-on '{text}'; see: leasehold server addon {server} list"));
    match action {
        server_addon::Action::List => {
            let row = |a: &Value| ["type", "name", "monthlyPrice", "proratedPrice", "active", "id"].map(|field| word(a, field)).to_vec();
            show(r.json, &json!(all), || table(&["TYPE", "NAME", "A PERIOD", "NOW", "ACTIVE", "ID"], all.iter().map(row)));
        }
        server_addon::Action::Add { addon, key } => {
            let id = named(&addon).ok_or_else(|| missing(&addon))?;
            let a = r.post(&path, &json!({ "addonId": id }), key.as_deref()).await?;
            show(r.json, &a, || say!("{} was added for {}", word(&a, "name"), word(&a, "proratedPrice")));
        }
        server_addon::Action::Remove { addon } => {
            let id = named(&addon).ok_or_else(|| missing(&addon))?;
            let a = r.ask(Method::DELETE, &format!("{path}/{id}"), None, None).await?;
            show(r.json, &a, || say!("{} ends on {}", word(&a, "name"), word(&a, "activeUntil")));
        }
    }
    Ok(())
}

async fn snapshot(r: &Remote, server: &str, action: server_snapshot::Action) -> Result<(), Failure> {
    let path = format!("{}/snapshots", r.path(server).await?);
    let all = r.get(&path).await?;
    let all = all.as_array().cloned().unwrap_or_default();
    let named = |text: &str| {
        let found = all.iter().find(|n| n["id"] == text || n["name"] == text).map(|n| word(n, "id"));
        found.ok_or_else(|| Failure::NotFound(format!("no snapshot '{text}'")))
    };
    match action {
        server_snapshot::Action::List => {
            let row = |n: &Value| ["name", "state", "createTime", "isCurrent", "id"].map(|field| word(n, field)).to_vec();
            show(r.json, &json!(all), || table(&["SNAPSHOT", "STATE", "TAKEN", "CURRENT", "ID"], all.iter().map(row)));
        }
        server_snapshot::Action::Create { name } => {
            let n = r.post(&path, &json!({ "name": name }), None).await?;
            show(r.json, &n, || say!("the snapshot '{name}' is being taken"));
        }
        server_snapshot::Action::Delete { name } => {
            r.ask(Method::DELETE, &format!("{path}/{}", named(&name)?), None, None).await?;
            show(r.json, &json!({ "snapshot": name, "deleted": true }), || say!("the snapshot '{name}' is being removed"));
        }
        server_snapshot::Action::Revert { name, yes } => {
            let id = named(&name)?;
            if !yes && !confirm(&format!("what {server} wrote since '{name}' will be lost; go back?")) {
                return Err(Failure::Refused(format!("{server} was not put back; say --yes to do it")));
            }
            let n = r.post(&format!("{path}/{id}/revert"), &Value::Null, None).await?;
            show(r.json, &n, || say!("the disk is being put back to '{name}'"));
        }
    }
    Ok(())
}
