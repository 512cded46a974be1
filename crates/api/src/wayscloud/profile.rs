//! Who asks.

use axum::{Json, extract::State};
use leasehold_domain::Timestamp;
use leasehold_store::accounts::AccountState;
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
pub(crate) struct ProfileView {
    customer_id: String,
    email: String,
    first_name: String,
    last_name: String,
    company: Option<String>,
    /// `private` or `business`.
    #[schema(example = "business")]
    customer_type: &'static str,
    #[schema(schema_with = names::account_state)]
    status: AccountState,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// The account of the key.
#[utoipa::path(get, path = "/profile", tag = "wayscloud", security(("key" = ["account:read"]), ("x_api_key" = [])), responses(
    (status = 200, body = ProfileView),
))]
pub(crate) async fn show(State(api): State<Api>, caller: For<AccountRead>) -> Result<Json<ProfileView>, Failure> {
    let a = api.store.read().await?.account(&caller.account).await?;
    Ok(Json(ProfileView {
        customer_id: a.id.0,
        email: a.email,
        first_name: a.first_name,
        last_name: a.last_name,
        customer_type: if a.company.is_some() { "business" } else { "private" },
        company: a.company,
        status: a.state,
        created_at: a.created_at,
    }))
}
