//! The account whole, and the person behind it.

use axum::{Json, extract::State};
use leasehold_commands::{
    pairs,
    people::{self, Changes},
};
use leasehold_domain::role::Role;
use leasehold_store::{
    Tx,
    accounts::SshKey,
    keys::{ApiKey, KeyKind},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SUCCESS, Success};
use crate::{
    Api,
    access::{E24, For},
    failure::Failure,
    once,
    request::Body,
};

/// A pair that signs requests.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = E24Pair)]
pub(crate) struct PairView {
    #[schema(example = "7QF3ZKWPM2XVN8RTBC4D")]
    pub(crate) api_key: String,
    /// Whole where it is new, else its last four characters.
    #[schema(example = "…x4Qd")]
    pub(crate) secret_key: String,
}

/// A pair of the host's S3 gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct S3View {
    pub(crate) api_id: String,
    /// Whole where it is new, else its last four characters.
    #[schema(example = "…x4Qd")]
    pub(crate) secret_key: String,
}

/// Files.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FilesView {
    /// None before the first key of this API was made.
    pub(crate) s3: Option<S3View>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Notification {
    email: String,
    phone: String,
}

/// A public key that new servers are built with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = E24SshKey)]
pub(crate) struct SshKeyView {
    id: i64,
    name: String,
    fingerprint: String,
    /// The private half of one that was made here, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    private_key: Option<String>,
}

impl SshKeyView {
    pub(crate) fn new(k: SshKey, private_key: Option<String>) -> Self {
        Self { id: k.number, name: k.name, fingerprint: k.fingerprint, private_key }
    }
}

/// As what people act for the account.
#[derive(Debug, Serialize, ToSchema)]
struct Group {
    #[schema(example = "owner")]
    id: String,
    #[schema(example = "owner")]
    name: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = E24Owner)]
struct Owner {
    /// The person whose key it is.
    id: String,
    name: String,
    email: String,
    phone: String,
    notification: Notification,
    e24files: FilesView,
    api: Vec<PairView>,
    sshkeys: Vec<SshKeyView>,
    groups: Vec<Group>,
}

/// The account whole.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = E24Account)]
pub(crate) struct AccountView {
    success: bool,
    account: Owner,
}

/// What is shown of a secret that was shown before.
fn masked(secret: &SecretString) -> String {
    let text = secret.expose_secret();
    format!("…{}", &text[text.len().saturating_sub(4)..])
}

async fn shown(tx: &mut Tx, key: &ApiKey) -> Result<PairView, Failure> {
    let secret = tx.pair_secret(&key.id).await?;
    Ok(PairView { api_key: key.public_id.clone(), secret_key: masked(&secret) })
}

/// The account, the person whose key it is, and its keys.
#[utoipa::path(get, path = "", tag = "e24cloud", security(("signed" = ["e24"])), responses((status = 200, body = AccountView)))]
pub(crate) async fn show(State(api): State<Api>, caller: For<E24>) -> Result<Json<AccountView>, Failure> {
    let mut tx = api.store.read().await?;
    let account = tx.account(&caller.account).await?;
    let person = tx.person(caller.user()?).await?;
    let (mut signing, mut s3) = (Vec::new(), None);
    for key in pairs::active(&mut tx, &caller.account).await? {
        let pair = shown(&mut tx, &key).await?;
        match key.kind {
            KeyKind::S3 => s3 = Some(S3View { api_id: pair.api_key, secret_key: pair.secret_key }),
            _ => signing.push(pair),
        }
    }
    let sshkeys = tx.ssh_keys(&caller.account).await?.into_iter().map(|k| SshKeyView::new(k, None)).collect();
    let mut roles: Vec<Role> = tx.members(&caller.account).await?.into_iter().map(|m| m.role).collect();
    roles.sort_unstable();
    roles.dedup();
    let phone = person.phone.unwrap_or_default();
    Ok(Json(AccountView {
        success: true,
        account: Owner {
            id: person.id,
            name: format!("{} {}", person.first_name, person.last_name),
            email: person.email,
            notification: Notification { email: account.email, phone: phone.clone() },
            phone,
            e24files: FilesView { s3 },
            api: signing,
            sshkeys,
            groups: roles.into_iter().map(|role| Group { id: role.to_string(), name: role.to_string() }).collect(),
        },
    }))
}

/// What is said of the person whose key it is.
#[derive(Deserialize, ToSchema)]
#[schema(as = E24Data)]
pub(crate) struct Data {
    #[schema(min_length = 1, max_length = 80, example = "Ada")]
    first_name: String,
    #[schema(min_length = 1, max_length = 80, example = "Lovelace")]
    last_name: String,
    #[schema(example = "+48 22 555 01 00")]
    phone: String,
    /// Left as it is where none is said.
    #[schema(value_type = Option<String>, min_length = 12, max_length = 256)]
    password: Option<SecretString>,
}

/// Changes what is said of the person whose key it is.
#[utoipa::path(post, path = "/data", tag = "e24cloud", security(("signed" = ["e24"])), request_body = Data, responses((status = 200, body = Success)))]
pub(crate) async fn change(State(api): State<Api>, caller: For<E24>, Body(new): Body<Data>) -> Result<Json<Success>, Failure> {
    // Before the account is locked: it takes a while.
    let digest = match &new.password {
        Some(password) => Some(people::digest(api.store.dice(), password).await?),
        None => None,
    };
    let mut open = once::open(&api, &caller).await?;
    let changes = Changes { first_name: &new.first_name, last_name: &new.last_name, phone: &new.phone, digest: digest.as_deref() };
    people::change(&mut open.tx, &caller.actor, &caller.account, caller.user()?, &changes).await?;
    open.end("").await?;
    Ok(SUCCESS)
}
