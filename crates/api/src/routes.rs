//! The one list of routes.

use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    admin::{self, accounts, attention, breakers, clock, coupons, deliveries, keys, ledger, mails, nodes, queue, ticks},
    cloud::{
        account, activity, addons, billing, catalog, events, ips, live, machines, members, order, power, reseller, servers, shop, snapshots, sso, two_factor,
        wallet, webhooks,
    },
    cloud66::{accounts as accounts66, otp, register},
    e24cloud, health, invitation, metrics,
    openapi::{self, Frame},
    reference, sign_in,
    wayscloud::{api_keys, profile, services, ssh_keys},
};

fn cloud() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(account::show))
        .routes(routes!(activity::list))
        .routes(routes!(addons::list, addons::add))
        .routes(routes!(addons::end))
        .routes(routes!(billing::list))
        .routes(routes!(billing::show))
        .routes(routes!(billing::transactions))
        .routes(routes!(catalog::iso_library))
        .routes(routes!(catalog::os_templates))
        .routes(routes!(catalog::regions))
        .routes(routes!(events::listen))
        .routes(routes!(ips::list))
        .routes(routes!(ips::set_ptr, ips::clear_ptr))
        .routes(routes!(live::credentials))
        .routes(routes!(live::password_reset))
        .routes(routes!(live::stats))
        .routes(routes!(machines::list))
        .routes(routes!(machines::forget))
        .routes(routes!(machines::show_line, machines::renew_line))
        .routes(routes!(members::invitations, members::invite))
        .routes(routes!(members::list))
        .routes(routes!(members::set_role, members::remove))
        .routes(routes!(members::withdraw))
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
        .routes(routes!(sign_in::with_password))
        .routes(routes!(two_factor::propose, two_factor::confirm, two_factor::end))
        .routes(routes!(wallet::show))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::delete))
        .routes(routes!(power::reboot))
        .routes(routes!(power::start))
        .routes(routes!(power::stop))
}

fn wayscloud() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(api_keys::list))
        .routes(routes!(api_keys::create_service))
        .routes(routes!(api_keys::create_token))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(profile::show))
        .routes(routes!(services::list))
        .routes(routes!(ssh_keys::list, ssh_keys::add))
        .routes(routes!(ssh_keys::remove))
}

fn e24cloud() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(e24cloud::account::show))
        .routes(routes!(e24cloud::account::change))
        .routes(routes!(e24cloud::api::create, e24cloud::api::delete))
        .routes(routes!(e24cloud::api::renew))
        .routes(routes!(e24cloud::api::renew_files))
        .routes(routes!(e24cloud::sshkeys::add))
        .routes(routes!(e24cloud::sshkeys::remove))
}

fn cloud66() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(accounts66::list)).routes(routes!(accounts66::show)).routes(routes!(otp::create))
}

fn admin() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::show, accounts::edit))
        .routes(routes!(accounts::credit))
        .routes(routes!(accounts::debit))
        .routes(routes!(accounts::freeze))
        .routes(routes!(accounts::policy))
        .routes(routes!(accounts::set_rule, accounts::clear_rule))
        .routes(routes!(accounts::resume))
        .routes(routes!(attention::list))
        .routes(routes!(attention::close))
        .routes(routes!(breakers::list))
        .routes(routes!(breakers::confirm))
        .routes(routes!(admin::catalog::addons))
        .routes(routes!(admin::catalog::export))
        .routes(routes!(admin::catalog::import))
        .routes(routes!(admin::catalog::reprice))
        .routes(routes!(admin::catalog::pools))
        .routes(routes!(admin::catalog::products))
        .routes(routes!(admin::catalog::regions))
        .routes(routes!(admin::catalog::templates))
        .routes(routes!(clock::show))
        .routes(routes!(clock::advance))
        .routes(routes!(coupons::list, coupons::create))
        .routes(routes!(coupons::disable))
        .routes(routes!(coupons::redemptions))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::redeliver))
        .routes(routes!(keys::verify))
        .routes(routes!(ledger::audit))
        .routes(routes!(ledger::export))
        .routes(routes!(mails::list))
        .routes(routes!(mails::show))
        .routes(routes!(mails::resend))
        .routes(routes!(admin::members::list))
        .routes(routes!(admin::members::set_role, admin::members::remove))
        .routes(routes!(admin::members::end_two_factor))
        .routes(routes!(admin::members::invitations, admin::members::invite))
        .routes(routes!(admin::members::withdraw))
        .routes(routes!(admin::members::list_machines))
        .routes(routes!(admin::members::forget_machine))
        .routes(routes!(admin::members::renew_line))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::drain))
        .routes(routes!(nodes::look))
        .routes(routes!(nodes::undrain))
        .routes(routes!(queue::depths))
        .routes(routes!(queue::jobs))
        .routes(routes!(queue::processes))
        .routes(routes!(queue::runs))
        .routes(routes!(admin::servers::list))
        .routes(routes!(admin::servers::retry_all))
        .routes(routes!(admin::servers::show))
        .routes(routes!(admin::servers::protect))
        .routes(routes!(admin::servers::resolve))
        .routes(routes!(admin::servers::retry))
        .routes(routes!(admin::servers::suspend))
        .routes(routes!(admin::servers::terminate))
        .routes(routes!(admin::servers::unsuspend))
        .routes(routes!(ticks::list))
        .routes(routes!(ticks::pause))
        .routes(routes!(ticks::resume))
        .routes(routes!(ticks::run))
}

/// Every route there is.
pub(crate) fn all() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .nest("/api/v1", cloud())
        .nest("/api/3", cloud66())
        .nest("/v1/account", wayscloud())
        .nest("/v2/account", e24cloud())
        .nest("/admin/v1", admin())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(invitation::show, invitation::accept))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::serve))
        .routes(routes!(reference::in_markdown))
        .routes(routes!(reference::llms))
        .routes(routes!(reference::page))
        .routes(routes!(register::show, register::tell))
        .routes(routes!(sign_in::follow))
        .routes(routes!(sign_in::follow_otp))
}
