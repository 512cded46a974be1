//! The one list of routes.

use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    cloud::{account, activity, addons, billing, catalog, events, ips, live, order, power, reseller, servers, shop, snapshots, sso, webhooks},
    health,
    openapi::{self, Frame},
    sign_in,
};

/// Every route there is.
pub(crate) fn all() -> OpenApiRouter<Api> {
    let cloud = OpenApiRouter::new()
        .routes(routes!(account::show))
        .routes(routes!(activity::list))
        .routes(routes!(addons::list, addons::add))
        .routes(routes!(addons::end))
        .routes(routes!(billing::list))
        .routes(routes!(billing::show))
        .routes(routes!(billing::transactions))
        .routes(routes!(catalog::os_templates))
        .routes(routes!(catalog::regions))
        .routes(routes!(events::listen))
        .routes(routes!(ips::list))
        .routes(routes!(ips::set_ptr, ips::clear_ptr))
        .routes(routes!(live::credentials))
        .routes(routes!(live::password_reset))
        .routes(routes!(live::stats))
        .routes(routes!(order::reinstall))
        .routes(routes!(reseller::show))
        .routes(routes!(servers::list, order::place))
        .routes(routes!(servers::show, servers::destroy))
        .routes(routes!(servers::rename))
        .routes(routes!(servers::set_billing))
        .routes(routes!(shop::affiliates))
        .routes(routes!(shop::coupon))
        .routes(routes!(shop::products))
        .routes(routes!(snapshots::list, snapshots::take))
        .routes(routes!(snapshots::delete))
        .routes(routes!(snapshots::revert))
        .routes(routes!(sso::of_account))
        .routes(routes!(sso::of_server))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::delete));
    let cloud = cloud.routes(routes!(power::reboot)).routes(routes!(power::start)).routes(routes!(power::stop));
    OpenApiRouter::with_openapi(Frame::openapi())
        .nest("/api/v1", cloud)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(openapi::serve))
        .routes(routes!(sign_in::follow))
}
