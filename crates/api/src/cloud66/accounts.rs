//! The accounts that a person belongs to.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_commands::machines::line;
use leasehold_domain::Timestamp;
use leasehold_store::{
    Tx,
    accounts::{Account, AccountState},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    access::{Caller, For, Scope, ServersWrite, Users},
    failure::Failure,
    request::{Asked, PAGES},
};

/// A machine that the customer has elsewhere.
#[derive(Debug, Serialize, ToSchema)]
struct Unmanaged {
    id: String,
    name: String,
    vendor: String,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cloud66Account)]
pub(crate) struct AccountView {
    id: i64,
    /// The owner's address.
    owner: String,
    #[schema(value_type = String, format = DateTime)]
    created_at_iso: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at_iso: Timestamp,
    /// Servers that have not ended.
    stack_count: i64,
    /// What they run on.
    #[schema(example = json!(["qemu"]))]
    used_clouds: Vec<String>,
    /// Whether it is the key's own.
    current_account: bool,
    friendly_name: String,
    /// Machines elsewhere, where they are asked for.
    unmanaged_servers: Option<Vec<Unmanaged>>,
    /// A line for the shell of a machine elsewhere, which has it listed. It is a secret of the account: null but for the key's own, and where its person only looks at that.
    server_registration_script: Option<String>,
    /// A UUID.
    configstore_namespace: String,
}

/// One account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cloud66AccountAnswer)]
pub(crate) struct One {
    response: AccountView,
}

/// Where a list is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pagination {
    previous: Option<u32>,
    next: Option<u32>,
    current: u32,
    per_page: u32,
    count: usize,
    pages: u32,
}

/// Several accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cloud66AccountsAnswer)]
pub(crate) struct Several {
    response: Vec<AccountView>,
    count: usize,
    pagination: Pagination,
}

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 30)]
    per_page: Option<u32>,
}

/// What is wanted of an account.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Machines elsewhere, too; of the key's own account only.
    include_servers: Option<bool>,
}

const PER_PAGE: u32 = 30;
const MOST: u32 = 100;

async fn view(api: &Api, tx: &mut Tx, caller: &Caller, a: Account, servers: bool) -> Result<AccountView, Failure> {
    let own = a.id == caller.account;
    let use_of = tx.account_use(&a.id).await?;
    let machines = if servers { Some(tx.machines(&a.id).await?) } else { None };
    let unmanaged = |m: leasehold_store::machines::Machine| Unmanaged { id: m.id, name: m.name, vendor: m.vendor };
    let script =
        if own && caller.key().role_may(ServersWrite::NAME) { Some(line(&api.settings.public_url, &tx.registration_token(&a.id).await?)) } else { None };
    Ok(AccountView {
        id: a.number,
        friendly_name: a.called(),
        owner: a.email,
        created_at_iso: a.created_at,
        updated_at_iso: use_of.changed_at.unwrap_or(a.created_at),
        stack_count: use_of.servers,
        used_clouds: use_of.backends,
        current_account: own,
        unmanaged_servers: machines.map(|all| all.into_iter().map(unmanaged).collect()),
        server_registration_script: script,
        configstore_namespace: a.id.0,
    })
}

/// The accounts that the person whose key it is belongs to.
#[utoipa::path(get, path = "/accounts", tag = "cloud66", security(("key" = ["users"])), params(Part), responses((status = 200, body = Several)))]
pub(crate) async fn list(State(api): State<Api>, caller: For<Users>, Asked(part): Asked<Part>) -> Result<Json<Several>, Failure> {
    let (current, per_page) = (part.page.unwrap_or(1), part.per_page.unwrap_or(PER_PAGE));
    if !(1..=PAGES).contains(&current) || !(1..=MOST).contains(&per_page) {
        return Err(Failure::bad(format!("'page' is 1 to {PAGES}, 'per_page' 1 to {MOST}")));
    }
    let mut tx = api.store.read().await?;
    let all = tx.accounts_of(caller.user()?).await?;
    let (count, pages) = (all.len(), u32::try_from(all.len()).unwrap_or(u32::MAX).div_ceil(per_page).max(1));
    let mut response = Vec::new();
    for account in all.into_iter().skip((current - 1) as usize * per_page as usize).take(per_page as usize) {
        response.push(view(&api, &mut tx, &caller, account, false).await?);
    }
    let pagination = Pagination { previous: (current > 1).then(|| current - 1), next: (current < pages).then(|| current + 1), current, per_page, count, pages };
    Ok(Json(Several { count: response.len(), response, pagination }))
}

/// One of them.
#[utoipa::path(get, path = "/accounts/{number}", tag = "cloud66", security(("key" = ["users"])), params(("number" = i64, Path), Wanted), responses((status = 200, body = One)))]
pub(crate) async fn show(State(api): State<Api>, caller: For<Users>, Path(number): Path<i64>, Asked(wanted): Asked<Wanted>) -> Result<Json<One>, Failure> {
    let mut tx = api.store.read().await?;
    let found = tx.accounts_of(caller.user()?).await?.into_iter().find(|a| a.number == number);
    let account = found.ok_or_else(|| Failure::not_found(format!("no account '{number}'")))?;
    let servers = wanted.include_servers == Some(true);
    if servers && account.id != caller.account {
        return Err(Failure::bad("'include_servers' is for the key's own account only"));
    }
    if account.state != AccountState::Active {
        return Err(Failure::bad(format!("account {number} is restricted: it is {}", account.state)));
    }
    Ok(Json(One { response: view(&api, &mut tx, &caller, account, servers).await? }))
}
