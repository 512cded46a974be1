//! What can be ordered.

use axum::{Json, extract::State};
use leasehold_domain::server::Medium;
use leasehold_store::catalog::Template;
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

/// A CD that a server can start from, beside a blank disk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IsoView {
    /// What `osTemplate` is in an order, with `custom-iso` as `os`.
    #[schema(example = "rescue-12")]
    id: String,
    #[schema(example = "Rescue system 12")]
    name: String,
    description: String,
    #[schema(example = "linux")]
    r#type: String,
    /// Bytes.
    #[schema(example = 912_261_120)]
    size: i64,
    /// Whether it can be ordered already.
    ready: bool,
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
    let offered = all.into_iter().filter(|t| !t.hidden && t.medium == Medium::Image);
    Ok(Json(offered.map(|t| OsTemplateView { id: t.id.0, family: t.family, label: t.label, icon: t.icon, color: t.color }).collect()))
}

/// Which CDs a server can be started from. Such a server has a blank disk, no guest agent, and no credentials that we know of.
#[utoipa::path(get, path = "/iso-library", tag = "catalogue", security(("key" = ["account:read"])), responses(
    (status = 200, body = [IsoView]),
))]
pub(crate) async fn iso_library(State(api): State<Api>, _: For<AccountRead>) -> Result<Json<Vec<IsoView>>, Failure> {
    let all = api.store.read().await?.templates().await?;
    let offered = all.into_iter().filter(|t| !t.hidden && t.medium == Medium::Iso);
    let view = |t: Template| IsoView {
        id: t.id.0,
        name: t.label,
        description: t.description.unwrap_or_default(),
        r#type: t.kind.unwrap_or_default(),
        size: t.size.unwrap_or_default(),
        ready: t.ready,
    };
    Ok(Json(offered.map(view).collect()))
}
