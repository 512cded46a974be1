//! Where the account can pay in by itself.

use axum::{Json, extract::State};
use leasehold_domain::policy::Deposit;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::{BillingRead, For},
    failure::Failure,
};

/// An address that the account can pay to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DepositView {
    address: String,
    #[schema(example = "bitcoin")]
    chain: String,
    /// What lies there is booked by the host as it comes in: always 0 here.
    #[schema(example = "0")]
    balance: String,
    is_active: bool,
}

/// Where the account can pay in by itself, where the host has set such addresses.
#[utoipa::path(get, path = "/wallet", tag = "billing", security(("key" = ["billing:read"])), responses((status = 200, body = [DepositView])))]
pub(crate) async fn show(State(api): State<Api>, caller: For<BillingRead>) -> Result<Json<Vec<DepositView>>, Failure> {
    let account = caller.account.as_str();
    let policy = api.store.read().await?.policies([account].into_iter()).await?.of("", account, "")?;
    let view = |d: &Deposit| DepositView { address: d.address.clone(), chain: d.chain.clone(), balance: "0".into(), is_active: true };
    Ok(Json(policy.deposit_addresses.iter().map(view).collect()))
}
