//! `leasehold --server … key …` and `ssh-key …`, over the account API.

use reqwest::Method;
use serde_json::json;

use super::{Remote, only_here, rows, word};
use crate::{
    commands::{
        key::Key,
        ssh_key::{self, SshKey},
    },
    exit::Failure,
    output::{show, table},
};

/// Where the account API is.
const API_KEYS: &str = "/v1/account/api-keys";
const SSH_KEYS: &str = "/v1/account/ssh-keys";

pub(super) async fn keys(r: &Remote, command: Key) -> Result<(), Failure> {
    match command {
        Key::Create { account: None, member: None, kind, scopes, expires, service, description } => {
            let days = expires.map(|text| text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()).ok_or(text)).transpose();
            let days = days.map_err(|text| Failure::Usage(format!("--expires '{text}' is no number of days, like 90d")))?;
            let new = match (kind.as_str(), service) {
                ("service", Some(service)) => r.post(&format!("{API_KEYS}/service"), &json!({ "service": service, "description": description }), None).await?,
                ("pat", None) => {
                    let scopes = scopes.ok_or_else(|| Failure::Usage("what may it do? say --scopes".into()))?;
                    let scopes: Vec<&str> = scopes.split(',').collect();
                    r.post(&format!("{API_KEYS}/pat"), &json!({ "scopes": scopes, "description": description, "expires_in_days": days }), None).await?
                }
                _ => return Err(Failure::Usage("a key makes keys of the kind pat, or service with --service".into())),
            };
            show(r.json, &new, || say!("{}\nIt is shown once; only a digest of it is kept.", word(&new, "key")));
        }
        Key::List { account: None } => {
            let all = r.get(API_KEYS).await?;
            let lines = rows(&all, &["id", "key_prefix", "key_type", "scopes", "created_at", "is_active"]);
            show(r.json, &all, || table(&["ID", "KEY", "KIND", "SCOPES", "CREATED", "ACTIVE"], lines));
        }
        Key::Revoke { id } => {
            let gone = r.ask(Method::DELETE, &format!("{API_KEYS}/{id}"), None, None).await?;
            show(r.json, &gone, || say!("key {id} is revoked"));
        }
        _ => return Err(only_here("keys of an account that is named")),
    }
    Ok(())
}

pub(super) async fn ssh_keys(r: &Remote, command: SshKey) -> Result<(), Failure> {
    match command {
        SshKey::Add { account: None, file, name } => {
            let (name, text) = ssh_key::read(&file, name)?;
            let key = r.post(SSH_KEYS, &json!({ "name": name, "public_key": text }), None).await?;
            show(r.json, &key, || say!("{} added; it goes onto every server built from now on", word(&key, "fingerprint")));
        }
        SshKey::List { account: None } => {
            let all = r.get(SSH_KEYS).await?;
            let lines = rows(&all, &["id", "name", "key_type", "fingerprint", "vm_count"]);
            show(r.json, &all, || table(&["ID", "NAME", "TYPE", "FINGERPRINT", "SERVERS"], lines));
        }
        SshKey::Remove { account: None, key } => {
            let gone = r.ask(Method::DELETE, &format!("{SSH_KEYS}/{key}"), None, None).await?;
            show(r.json, &gone, || say!("the SSH key is gone; servers that were built with it keep it"));
        }
        _ => return Err(only_here("keys of an account that is named")),
    }
    Ok(())
}
