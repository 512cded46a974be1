//! Who asks.

use axum::{Json, extract::State};
use leasehold_domain::Timestamp;
use leasehold_store::accounts::Tier;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::{AccountRead, For},
    failure::Failure,
    names,
};

/// The account of the key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountView {
    id: String,
    email: String,
    first_name: String,
    last_name: String,
    /// What can be spent: what was paid in less what is set aside, a decimal.
    #[schema(example = "50.00")]
    balance: String,
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    #[schema(schema_with = names::tier)]
    tier: Tier,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// The account of the key.
#[utoipa::path(get, path = "/account", tag = "account", security(("key" = ["account:read"])), responses(
    (status = 200, body = AccountView),
))]
pub(crate) async fn show(State(api): State<Api>, caller: For<AccountRead>) -> Result<Json<AccountView>, Failure> {
    let mut tx = api.store.read().await?;
    let (a, wallet) = (tx.account(&caller.account).await?, tx.wallet(&caller.account).await?);
    Ok(Json(AccountView {
        id: a.id.0,
        email: a.email,
        first_name: a.first_name,
        last_name: a.last_name,
        balance: wallet.available().decimal(),
        currency: a.currency,
        tier: a.tier,
        created_at: a.created_at,
    }))
}
