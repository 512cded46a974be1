//! Address pools of a catalogue.

use std::{collections::BTreeSet, net::IpAddr};

use leasehold_domain::Span;
use leasehold_store::{Tx, catalog::AddressPool};

use super::{Catalog, differs, entries::PoolEntry, refuse_orphans, resolvers};
use crate::{CommandError, Result};

/// Addresses in one pool at most.
const POOL_MAX: u128 = 65_536;

fn to_number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn from_number(number: u128, family: i64) -> IpAddr {
    if family == 4 { IpAddr::V4((number as u32).into()) } else { IpAddr::V6(number.into()) }
}

/// What a range must say to bring these addresses or blocks.
pub(super) fn lowest_and_highest(addresses: &[String], family: i64) -> Option<(IpAddr, IpAddr)> {
    let bits = if family == 4 { 32 } else { 128 };
    let ends = addresses.iter().filter_map(|address| {
        let (ip, length) = address.split_once('/').map_or((address.as_str(), Some(bits)), |(ip, length)| (ip, length.parse().ok()));
        let first = to_number(ip.parse().ok()?);
        Some((first, first + ((1 << (bits - length?)) - 1)))
    });
    let (first, last) = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    Some((from_number(first, family), from_number(last, family)))
}

/// The addresses of a pool's range, without its gateway.
fn pool_addresses(e: &PoolEntry) -> Result<Vec<String>> {
    let invalid = |what: &str| CommandError::Invalid(format!("pool '{}': {what}", e.id));
    let bits: u32 = match e.family {
        4 => 32,
        6 => 128,
        _ => return Err(invalid("family is 4 or 6")),
    };
    let ip = |text: &str| text.trim().parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (e.family == 4));
    let (network, prefix) = e
        .cidr
        .split_once('/')
        .and_then(|(n, p)| Some((ip(n)?, p.parse::<u32>().ok()?)))
        .ok_or_else(|| invalid("cidr is no network of its family, like 203.0.113.0/24"))?;
    let (first, last) = e
        .range
        .split_once('-')
        .and_then(|(a, b)| Some((to_number(ip(a)?), to_number(ip(b)?))))
        .ok_or_else(|| invalid("range is written FIRST-LAST, both of its family"))?;
    let inside = |n: u128| prefix <= bits && (prefix == 0 || n >> (bits - prefix) == to_number(network) >> (bits - prefix));
    if first > last || !inside(first) || !inside(last) {
        return Err(invalid("range does not lie inside cidr"));
    }
    let gateway = to_number(e.gateway);
    if e.gateway.is_ipv4() != (e.family == 4) {
        return Err(invalid(&format!("the gateway {} is not of family {}", e.gateway, e.family)));
    }
    // A guest can reach no gateway outside of its network; link-local ones are inside every IPv6 network. Blocks are routed to a guest by another address.
    let link_local = matches!(e.gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
    if e.blocks.is_none() && !inside(gateway) && !link_local {
        return Err(invalid(&format!(
            "the gateway {} lies outside of {}, so no guest could reach it; write the network that holds both (the host answers for the addresses in it that are elsewhere), \
             and name the addresses in range",
            e.gateway, e.cidr
        )));
    }
    if last - first >= POOL_MAX {
        return Err(invalid(&format!("range holds more than {POOL_MAX} addresses")));
    }
    let Some(length) = e.blocks else {
        let addresses: Vec<String> = (first..=last).filter(|n| *n != gateway).map(|n| from_number(n, e.family).to_string()).collect();
        return if addresses.is_empty() { Err(invalid("range holds nothing but the gateway")) } else { Ok(addresses) };
    };
    if e.family != 4 || length < prefix || length > bits {
        return Err(invalid("blocks is the length of a prefix inside cidr, of family 4"));
    }
    let size = 1u128 << (bits - length);
    if first % size != 0 || last % size != size - 1 {
        return Err(invalid(&format!("range does not begin and end with a block of /{length}")));
    }
    Ok((first..=last).step_by(size as usize).map(|n| format!("{}/{length}", from_number(n, e.family))).collect())
}

/// Refuses pools that hold an address twice, alone or in a block, or the gateway of another.
fn apart(pools: &[(&PoolEntry, Vec<String>)]) -> Result<()> {
    let spans = pools.iter().flat_map(|(e, addresses)| addresses.iter().filter_map(move |address| Some((Span::of(address)?, (&e.id, address)))));
    let spans: Vec<_> = spans.collect();
    for (e, _) in pools.iter().filter(|(e, _)| e.blocks.is_none()) {
        let gateway = Span::of(&e.gateway.to_string());
        if let Some((_, (other, _))) = spans.iter().find(|(span, _)| gateway.is_some_and(|gateway| gateway.meets(*span))) {
            return Err(CommandError::Invalid(format!("the pool '{other}' holds {}, the gateway of '{}'", e.gateway, e.id)));
        }
    }
    match Span::first_two_that_meet(spans) {
        Some(((one, address), (other, same))) if address == same => {
            Err(CommandError::Invalid(format!("the pools '{one}' and '{other}' both hold {address}; an address belongs to one")))
        }
        Some(((one, address), (other, within))) => {
            Err(CommandError::Invalid(format!("{address} of the pool '{one}' and {within} of '{other}' hold the same addresses; an address belongs to one")))
        }
        None => Ok(()),
    }
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let before = tx.pools().await?;
    let pools = c.pool.iter().map(|e| Ok((e, pool_addresses(e)?))).collect::<Result<Vec<_>>>()?;
    apart(&pools)?;
    for (e, addresses) in pools {
        let row = AddressPool {
            id: e.id.clone(),
            region_id: e.region.clone(),
            family: e.family,
            cidr: e.cidr.clone(),
            gateway: e.gateway.to_string(),
            blocks: e.blocks.map(i64::from),
            resolvers: resolvers(&e.resolvers, &format!("pool '{}'", e.id))?,
            hidden: false,
        };
        let taken: Vec<(String,)> = tx.all("select address from addresses where pool_id = $1 and server_id is not null", leasehold_store::args![&e.id]).await?;
        let orphaned = taken.iter().filter(|(address,)| !addresses.contains(address)).count();
        refuse_orphans(orphaned as i64, &format!("addresses of pool '{}'", e.id))?;
        let old = before.iter().find(|b| b.id == row.id);
        if let Some(old) = old.filter(|old| old.region_id != row.region_id || old.family != row.family) {
            refuse_orphans(taken.len() as i64, &format!("the region or family of pool '{}'", old.id))?;
        }
        let set = |list: Vec<String>| list.into_iter().collect::<BTreeSet<_>>();
        let now = (row.clone(), set(addresses.clone()));
        let old = match old {
            Some(old) => Some((old.clone(), set(tx.pool_addresses(&e.id).await?))),
            None => None,
        };
        if differs(old.as_ref(), &now) {
            tx.put_pool(&row, &addresses).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.pool.iter().any(|e| e.id == b.id)) {
        let taken = tx.int("select count(*) from addresses where pool_id = $1 and server_id is not null", leasehold_store::args![&gone.id]).await?;
        refuse_orphans(taken, &format!("pool '{}'", gone.id))?;
        tx.put_pool(&AddressPool { hidden: true, ..gone }, &[]).await?;
    }
    Ok(())
}
