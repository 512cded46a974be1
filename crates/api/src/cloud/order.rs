//! Ordering a server, and another system on one that is there.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::{
    order::{self, Order, Ordered},
    servers,
    user_data::UserData,
};
use leasehold_domain::{Money, Timestamp, lease::Cycle};
use leasehold_store::{Tx, catalog::Template};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::Failure as CloudFailure,
    view::{ServerView, view},
};
use crate::{
    Api,
    access::{For, ServersDestroy, ServersWrite},
    failure::Failure,
    names,
    once::{Begun, Posted, again, answer, begin},
};

/// A server to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewServer {
    /// The plan.
    #[schema(example = "5b0d6cb1-64e0-5d2c-a9f8-1b6a1d3e8f10")]
    product_id: String,
    /// The system: the template's id or its family; `custom-iso` for a CD.
    #[schema(example = "debian-12")]
    os: String,
    /// The template's id, or the CD's.
    #[schema(example = "debian-12")]
    os_template: String,
    /// May be left out where the plan is offered in one region only.
    #[schema(example = "fra")]
    region: Option<String>,
    /// Generated when left out.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-zA-Z0-9][a-zA-Z0-9 _-]*$", example = "web-1")]
    label: Option<String>,
    /// DNS labels; generated when left out.
    #[schema(max_length = 63, example = "web-1")]
    hostname: Option<String>,
    /// By id; one of a type.
    addons: Option<Vec<String>>,
    /// The SSH keys that it is built with; all of the account's when left out.
    ssh_key_ids: Option<Vec<String>>,
    /// What is to be done at the first boot: cloud-config (`#cloud-config`) or a script (`#!`), up to 32 KiB.
    #[schema(max_length = 32768, pattern = "^#(cloud-config|!)", example = "#cloud-config\npackages: [nginx]\n")]
    user_data: Option<String>,
    /// A coupon's code.
    coupon: Option<String>,
    /// How much is paid at once: 1m, 3m, 6m or 12m.
    #[schema(schema_with = names::cycle)]
    billing_cycle: Option<Cycle>,
}

/// A server that was ordered, and what it costs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderedView {
    #[serde(flatten)]
    server: ServerView,
    /// What the first period costs, tax included, a decimal.
    #[schema(example = "9.00")]
    price: String,
    /// What coupons and margins take off it.
    #[schema(example = "0.00")]
    discount: String,
    currency: String,
    /// When the second period begins, counted from now; it counts from when the server runs.
    #[schema(value_type = String, format = DateTime)]
    next_renewal_at: Timestamp,
}

/// Another system for a server.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OtherSystem {
    /// The system: the template's id or its family; `custom-iso` for a CD.
    #[schema(example = "debian-12")]
    os: String,
    /// The template's id, or the CD's.
    #[schema(example = "debian-12")]
    os_template: String,
}

impl From<Ordered> for OrderedView {
    fn from(o: Ordered) -> Self {
        let total = o.price.total;
        let off: i64 = o.price.lines.iter().map(|l| l.amount.minor).filter(|minor| *minor < 0).sum();
        Self {
            server: view(o.server, &[]),
            price: total.decimal(),
            discount: Money::new(-off, total.currency).decimal(),
            currency: total.currency.code().to_owned(),
            next_renewal_at: o.next_renewal_at,
        }
    }
}

/// The template that both fields of a body name.
async fn template(tx: &mut Tx, os: &str, os_template: &str) -> Result<Template, Failure> {
    let t = tx.offered_template(os_template).await.map_err(|e| Failure::of_body(e.into()))?;
    let is = os == t.family || os.replace('.', "") == t.id.as_str().replace('.', "");
    if is { Ok(t) } else { Err(Failure::bad(format!("'os' is '{os}', but the template '{}' is of {}; name one system in both", t.id, t.family))) }
}

/// Orders a server: it is paid for the first period at once, and built from then on.
#[utoipa::path(post, path = "/servers", tag = "servers", security(("key" = ["servers:write"])), params(("Idempotency-Key" = Option<String>, Header)), request_body = NewServer, responses(
    (status = 201, body = OrderedView),
    (status = 402, body = CloudFailure, description = "the wallet does not hold enough; nothing was ordered"),
    (status = 409, body = CloudFailure, description = "the region has no room or no address left, or an equal request is being carried out"),
))]
pub(crate) async fn place(State(api): State<Api>, caller: For<ServersWrite>, posted: Posted<NewServer>) -> Result<Response, Failure> {
    let mut open = match begin(&api, &caller, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::CREATED, text)),
        Begun::Now(open) => open,
    };
    let new = posted.body;
    let order = Order {
        account: caller.account.0.clone(),
        product: new.product_id,
        template: template(&mut open.tx, &new.os, &new.os_template).await?.id.0,
        region: new.region,
        label: new.label,
        hostname: new.hostname,
        cycle: new.billing_cycle.unwrap_or(Cycle::Month),
        addons: new.addons.unwrap_or_default(),
        coupon: new.coupon,
        ssh_keys: new.ssh_key_ids.unwrap_or_default(),
        user_data: new.user_data.as_deref().map(UserData::parse).transpose().map_err(Failure::of_body)?,
        key: None,
    };
    let ordered = order::place(&mut open.tx, &open.account, &caller.actor, &order).await.map_err(Failure::of_body)?;
    answer(open, StatusCode::CREATED, &OrderedView::from(ordered)).await
}

/// Puts another system on a server. All that is on its disk is lost; its id, its addresses, its add-ons and its bill stay.
#[utoipa::path(post, path = "/servers/{id}/reinstall", tag = "servers", security(("key" = ["servers:destroy"])), params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = OtherSystem, responses(
    (status = 202, body = ServerView),
    (status = 409, body = CloudFailure, description = "it is not delivered, or has snapshots"),
))]
pub(crate) async fn reinstall(
    State(api): State<Api>,
    caller: For<ServersDestroy>,
    Path(id): Path<String>,
    posted: Posted<OtherSystem>,
) -> Result<Response, Failure> {
    let mut open = match begin(&api, &caller, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::ACCEPTED, text)),
        Begun::Now(open) => open,
    };
    let tx = &mut open.tx;
    let id = caller.server(tx, &id).await?.id;
    let s = tx.lock_server(&id).await?;
    let template = template(tx, &posted.body.os, &posted.body.os_template).await?;
    let s = servers::wipe(tx, &caller.actor, s, Some(template.id.as_str()), false).await?;
    let addresses = tx.addresses(&s.id).await?;
    answer(open, StatusCode::ACCEPTED, &view(s, &addresses)).await
}
