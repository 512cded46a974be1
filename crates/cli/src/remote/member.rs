//! `leasehold --server … member …` and `machine …`, over the Cloud API.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Remote, only_here, rows, word};
use crate::{
    commands::{
        machine::Machine,
        member::{Member, print},
    },
    exit::Failure,
    output::{show, table},
};

/// The id of one of these, by it or by another of its fields.
fn id_of(all: &Value, field: &str, text: &str) -> Result<String, Failure> {
    let same = |one: &&Value| one["id"] == text || one[field].as_str().is_some_and(|has| has.eq_ignore_ascii_case(text));
    let found: Vec<&Value> = all.as_array().into_iter().flatten().filter(same).collect();
    match found.as_slice() {
        [one] => Ok(word(one, "id")),
        [] => Err(Failure::NotFound(format!("no '{text}'"))),
        _ => Err(Failure::Usage(format!("several are called '{text}'; use the id"))),
    }
}

pub(super) async fn members(r: &Remote, command: Member) -> Result<(), Failure> {
    match command {
        Member::Invite { account: None, email, role } => {
            let made = r.post("/invitations", &json!({ "email": email, "role": role }), None).await?;
            show(r.json, &made, || say!("{} is invited as {role}, until {}", word(&made, "email"), word(&made, "expiresAt")));
        }
        Member::List { account: None } => {
            let (members, invitations) = (r.get("/members").await?, r.get("/invitations").await?);
            show(r.json, &json!({ "members": members, "invitations": invitations }), || print(&members, &invitations));
        }
        Member::Remove { account: None, member } => {
            let id = id_of(&r.get("/members").await?, "email", &member)?;
            r.ask(Method::DELETE, &format!("/members/{id}"), None, None).await?;
            show(r.json, &json!({ "id": id, "removed": true }), || say!("{member} does not act for the account any more; their keys open nothing"));
        }
        Member::Role { account: None, member, role } => {
            let id = id_of(&r.get("/members").await?, "email", &member)?;
            let now = r.ask(Method::PATCH, &format!("/members/{id}"), Some(&json!({ "role": role })), None).await?;
            show(r.json, &now, || say!("{} acts for the account as {role}", word(&now, "email")));
        }
        Member::Withdraw { account: None, invitation } => {
            let id = id_of(&r.get("/invitations").await?, "email", &invitation)?;
            r.ask(Method::DELETE, &format!("/invitations/{id}"), None, None).await?;
            show(r.json, &json!({ "id": id, "withdrawn": true }), || say!("{invitation} is not invited any more"));
        }
        _ => return Err(only_here("members of an account that is named, and their second factors,")),
    }
    Ok(())
}

pub(super) async fn machines(r: &Remote, command: Machine) -> Result<(), Failure> {
    match command {
        Machine::Forget { account: None, machine } => {
            let id = id_of(&r.get("/machines").await?, "name", &machine)?;
            r.ask(Method::DELETE, &format!("/machines/{id}"), None, None).await?;
            show(r.json, &json!({ "id": id, "forgotten": true }), || say!("{machine} is forgotten"));
        }
        Machine::List { account: None } => {
            let all = r.get("/machines").await?;
            let lines = rows(&all, &["name", "vendor", "addresses", "seenAt", "id"]);
            show(r.json, &all, || table(&["MACHINE", "VENDOR", "ADDRESSES", "SEEN", "ID"], lines));
        }
        Machine::Script { account: None, renew } => {
            let method = if renew { Method::POST } else { Method::GET };
            let line = word(&r.ask(method, "/machines/line", None, None).await?, "line");
            show(r.json, &json!({ "script": line }), || say!("{line}"));
        }
        _ => return Err(only_here("machines of an account that is named")),
    }
    Ok(())
}
