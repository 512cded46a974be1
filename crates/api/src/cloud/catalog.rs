//! What can be ordered.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::{AccountRead, For},
    failure::Failure,
};

/// A region.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegionView {
    #[schema(example = "fra")]
    slug: String,
    #[schema(example = "Frankfurt")]
    name: String,
}

/// An operating system.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OsTemplateView {
    /// What `os` is in an order.
    #[schema(example = "debian-12")]
    id: String,
    #[schema(example = "debian")]
    family: String,
    #[schema(example = "Debian 12")]
    label: String,
    icon: Option<String>,
    color: Option<String>,
}

/// Where servers can be ordered.
#[utoipa::path(get, path = "/regions", tag = "catalogue", security(("key" = ["account:read"])), responses(
    (status = 200, body = [RegionView]),
))]
pub(crate) async fn regions(State(api): State<Api>, _: For<AccountRead>) -> Result<Json<Vec<RegionView>>, Failure> {
    let all = api.store.read().await?.regions().await?;
    Ok(Json(all.into_iter().filter(|r| !r.hidden).map(|r| RegionView { slug: r.id.0, name: r.name }).collect()))
}

/// Which operating systems can be ordered, one a version.
#[utoipa::path(get, path = "/os-templates", tag = "catalogue", security(("key" = ["account:read"])), responses(
    (status = 200, body = [OsTemplateView]),
))]
pub(crate) async fn os_templates(State(api): State<Api>, _: For<AccountRead>) -> Result<Json<Vec<OsTemplateView>>, Failure> {
    let all = api.store.read().await?.templates().await?;
    let offered = all.into_iter().filter(|t| !t.hidden);
    Ok(Json(offered.map(|t| OsTemplateView { id: t.id.0, family: t.family, label: t.label, icon: t.icon, color: t.color }).collect()))
}
