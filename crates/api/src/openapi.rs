//! The description of all routes, made from the routes themselves.

use axum::Json;
use utoipa::{
    OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// What stands around the routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Leasehold", description = "Order, watch and run servers.", license(name = "MIT OR Apache-2.0")),
    tags(
        (name = "account", description = "Who asks"),
        (name = "catalogue", description = "What can be ordered"),
        (name = "billing", description = "What was paid"),
        (name = "servers", description = "Servers and their power"),
        (name = "health", description = "For load balancers"),
    )
)]
pub(crate) struct Frame;

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = serde_json::Value)))]
pub(crate) async fn serve() -> Json<Document> {
    Json(document())
}

/// The document, OpenAPI 3.1.
pub fn document() -> Document {
    let mut document = crate::routes::all().split_for_parts().1;
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key, as `leasehold key create` shows it once.")).build();
    document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(key));
    document
}
