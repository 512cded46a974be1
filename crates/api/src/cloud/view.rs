//! Servers as the Cloud API shows them.

use std::net::Ipv4Addr;

use leasehold_domain::{
    Timestamp,
    lease::{Cycle, LeaseState},
    server::{Goal, Status, Step},
};
use leasehold_store::{Result, Tx, addresses::Address, servers::Server};
use serde::Serialize;
use utoipa::ToSchema;

use crate::names;

/// An address beside the server's own.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct IpView {
    #[schema(example = "203.0.113.17")]
    ip: String,
    gateway: String,
    /// None for IPv6.
    netmask: Option<String>,
    #[schema(example = "203.0.113.0/24")]
    cidr: String,
    region: String,
}

/// A server at a glance.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerView {
    id: String,
    label: String,
    hostname: String,
    #[schema(schema_with = names::status)]
    status: Status,
    /// None before it is placed.
    ip_address: Option<String>,
    #[schema(example = "debian-12")]
    os: String,
    region: String,
    vcpu: i64,
    ram_mb: i64,
    disk_gb: i64,
    additional_ips: Vec<IpView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// How a server is reached.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NetworkingView {
    primary_ip: Option<String>,
    gateway: Option<String>,
    netmask: Option<String>,
    additional_ips: Vec<IpView>,
}

/// What a server is made of.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpecsView {
    vcpu: i64,
    ram_mb: i64,
    ram_gb: f64,
    disk_gb: i64,
    bandwidth_gb: i64,
    os: String,
    region: String,
}

/// How a server is paid.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BillingView {
    #[schema(schema_with = names::cycle)]
    cycle: Cycle,
    /// What a period costs from the next one on, tax included, a decimal.
    #[schema(example = "9.00")]
    price: String,
    currency: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_until: Option<Timestamp>,
    #[schema(schema_with = names::lease_state)]
    state: LeaseState,
    /// When it is suspended if nothing is paid, at the earliest.
    #[schema(value_type = Option<String>, format = DateTime)]
    suspends_at: Option<Timestamp>,
    /// When it is ended if nothing is paid, at the earliest.
    #[schema(value_type = Option<String>, format = DateTime)]
    terminates_at: Option<Timestamp>,
    auto_renew: bool,
}

/// How far a build is.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProgressView {
    #[schema(value_type = Option<String>, example = "create_disk")]
    step: Option<Step>,
    steps_done: usize,
    steps_total: usize,
    /// Of this step, from 1.
    attempt: i64,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    error: Option<String>,
}

/// A server whole.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerDetail {
    #[serde(flatten)]
    server: ServerView,
    status_reason: Option<String>,
    networking: NetworkingView,
    specs: SpecsView,
    billing: Option<BillingView>,
    /// None once it is built.
    progress: Option<ProgressView>,
}

/// Of an IPv4 network in CIDR notation.
pub(crate) fn netmask(cidr: &str) -> Option<String> {
    let (network, bits) = cidr.split_once('/')?;
    network.parse::<Ipv4Addr>().ok()?;
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
    Some(Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0)).to_string())
}

/// The server's own IPv4 address, and the others.
fn split(addresses: &[Address], region: &str) -> (Option<Address>, Vec<IpView>) {
    let primary = addresses.iter().position(|a| a.family == 4 && a.addon.is_none());
    let others = addresses.iter().enumerate().filter(|(at, _)| Some(*at) != primary).map(|(_, a)| IpView {
        ip: a.address.clone(),
        gateway: a.gateway.clone(),
        netmask: netmask(if a.is_block() { &a.address } else { &a.cidr }),
        cidr: if a.is_block() { a.address.clone() } else { a.cidr.clone() },
        region: region.to_owned(),
    });
    (primary.map(|at| addresses[at].clone()), others.collect())
}

/// At a glance.
pub(crate) fn view(s: Server, addresses: &[Address]) -> ServerView {
    let (primary, additional_ips) = split(addresses, s.region_id.as_str());
    ServerView {
        id: s.id.0,
        label: s.label,
        hostname: s.hostname,
        status: s.status,
        ip_address: primary.map(|a| a.address),
        os: s.template_id.0,
        region: s.region_id.0,
        vcpu: s.vcpu,
        ram_mb: s.ram_mb,
        disk_gb: s.disk_gb,
        additional_ips,
        created_at: s.created_at,
    }
}

/// Whole.
pub(crate) async fn detail(tx: &mut Tx, s: Server) -> Result<ServerDetail> {
    let addresses = tx.addresses(&s.id).await?;
    let (primary, additional_ips) = split(&addresses, s.region_id.as_str());
    let product = tx.product(&s.product_id).await?;
    let (billing, progress) = (billing(tx, &s).await?, progress(tx, &s).await?);
    Ok(ServerDetail {
        status_reason: if s.goal == Goal::Terminated { Some("terminating".into()) } else { s.status_reason.clone() },
        networking: NetworkingView {
            primary_ip: primary.as_ref().map(|a| a.address.clone()),
            gateway: primary.as_ref().map(|a| a.gateway.clone()),
            netmask: primary.as_ref().and_then(|a| netmask(&a.cidr)),
            additional_ips,
        },
        specs: SpecsView {
            vcpu: s.vcpu,
            ram_mb: s.ram_mb,
            ram_gb: s.ram_mb as f64 / 1024.0,
            disk_gb: s.disk_gb,
            bandwidth_gb: product.bandwidth_gb,
            os: s.template_id.0.clone(),
            region: s.region_id.0.clone(),
        },
        billing,
        progress,
        server: view(s, &addresses),
    })
}

/// How it is paid.
pub(crate) async fn billing(tx: &mut Tx, s: &Server) -> Result<Option<BillingView>> {
    let Some(lease) = tx.lease_of(&s.id).await? else { return Ok(None) };
    let next = tx.outlook(&lease.account, &lease.id).await?;
    Ok(Some(BillingView {
        cycle: lease.cycle,
        price: next.as_ref().and_then(|n| n.next_price).unwrap_or(lease.price).decimal(),
        currency: lease.price.currency.code().to_owned(),
        paid_until: lease.paid_until,
        state: lease.state,
        suspends_at: next.as_ref().and_then(|n| n.suspends_at),
        terminates_at: next.as_ref().and_then(|n| n.terminates_at),
        auto_renew: lease.auto_renew,
    }))
}

/// What went wrong at a node is for the host.
const TRIED_AGAIN: &str = "a step did not work; it is tried again, and the host is told where it never does";

/// How far its build is.
pub(crate) async fn progress(tx: &mut Tx, s: &Server) -> Result<Option<ProgressView>> {
    if !matches!(s.status, Status::Pending | Status::Building | Status::Failed) {
        return Ok(None);
    }
    let steps: Vec<_> = tx.steps(&s.id).await?.into_iter().filter(|step| step.generation == s.generation).collect();
    let all = s.build.steps();
    let last = steps.last();
    let step = s.cursor.map(|step| step.0).or(last.map(|step| step.step));
    Ok(Some(ProgressView {
        step,
        steps_done: step.and_then(|step| all.iter().position(|one| *one == step)).unwrap_or(0),
        steps_total: all.len(),
        attempt: last.map_or(1, |step| step.attempt),
        started_at: steps.first().map_or(s.ordered_at, |step| step.started_at),
        error: s.last_error.as_ref().map(|_| TRIED_AGAIN.to_owned()),
    }))
}

#[cfg(test)]
mod tests {
    use super::netmask;

    #[test]
    fn a_netmask_is_of_ipv4() {
        assert_eq!(
            ["10.0.0.0/8", "203.0.113.0/24", "0.0.0.0/0", "192.0.2.1/32"].map(|cidr| netmask(cidr).unwrap()),
            ["255.0.0.0", "255.255.255.0", "0.0.0.0", "255.255.255.255"]
        );
        assert_eq!(["2001:db8::/64", "nonsense", "10.0.0.0/33"].map(netmask), [None, None, None]);
    }
}
