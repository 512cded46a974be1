//! The one list of routes.

use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    cloud::{account, addons, billing, catalog, live, power, servers},
    health,
    openapi::{self, Frame},
};

/// Every route there is.
pub(crate) fn all() -> OpenApiRouter<Api> {
    let cloud = OpenApiRouter::new()
        .routes(routes!(account::show))
        .routes(routes!(addons::list))
        .routes(routes!(billing::list))
        .routes(routes!(billing::show))
        .routes(routes!(catalog::os_templates))
        .routes(routes!(catalog::regions))
        .routes(routes!(live::credentials))
        .routes(routes!(live::stats))
        .routes(routes!(servers::list))
        .routes(routes!(servers::show, servers::destroy))
        .routes(routes!(servers::rename))
        .routes(routes!(power::reboot))
        .routes(routes!(power::start))
        .routes(routes!(power::stop));
    OpenApiRouter::with_openapi(Frame::openapi())
        .nest("/api/v1", cloud)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(openapi::serve))
}
