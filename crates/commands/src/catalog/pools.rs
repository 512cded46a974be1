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

/// A pool of the file with its addresses and blocks, as they are written and as numbers.
struct Held<'a> {
    entry: &'a PoolEntry,
    addresses: Vec<String>,
}

impl Held<'_> {
    fn spans(&self) -> impl Iterator<Item = (Span, (&str, &str))> {
        self.addresses.iter().filter_map(|address| Some((Span::of(address)?, (self.entry.id.as_str(), address.as_str()))))
    }

    /// Why this pool and another cannot be both, if so: an address belongs to one, alone or in a block, and a gateway to none.
    fn clash(&self, other: &Self) -> Option<String> {
        if let Some(((one, address), (other, within))) = Span::first_two_that_meet(self.spans().chain(other.spans()).collect()) {
            return Some(if address == within {
                format!("the pools '{one}' and '{other}' both hold {address}; an address belongs to one")
            } else {
                format!("{address} of the pool '{one}' and {within} of '{other}' hold the same addresses; an address belongs to one")
            });
        }
        let gateway = |of: &Self, holder: &Self| {
            let gateway = Span::of(&of.entry.gateway.to_string()).filter(|_| of.entry.blocks.is_none())?;
            let holds = holder.spans().any(|(span, _)| span.meets(gateway));
            holds.then(|| format!("the pool '{}' holds {}, the gateway of '{}'", holder.entry.id, of.entry.gateway, of.entry.id))
        };
        gateway(self, other).or_else(|| gateway(other, self))
    }

    /// Whether a house has it already, with all that it holds now.
    async fn was_there(&self, tx: &mut Tx, before: &[AddressPool]) -> Result<bool> {
        if !before.iter().any(|b| b.id == self.entry.id && !b.hidden && b.gateway == self.entry.gateway.to_string()) {
            return Ok(false);
        }
        let had: BTreeSet<String> = tx.pool_addresses(&self.entry.id).await?.into_iter().collect();
        Ok(self.addresses.iter().all(|address| had.contains(address)))
    }
}

/// Refuses pools that are not apart, unless the house has both of them so: those who use them cannot be asked to go.
async fn apart(tx: &mut Tx, before: &[AddressPool], pools: &[Held<'_>]) -> Result<()> {
    for (n, pool) in pools.iter().enumerate() {
        for other in &pools[..n] {
            if let Some(why) = other.clash(pool)
                && !(pool.was_there(tx, before).await? && other.was_there(tx, before).await?)
            {
                return Err(CommandError::Invalid(why));
            }
        }
    }
    Ok(())
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let before = tx.pools().await?;
    let pools = c.pool.iter().map(|entry| Ok(Held { entry, addresses: pool_addresses(entry)? })).collect::<Result<Vec<_>>>()?;
    apart(tx, &before, &pools).await?;
    for Held { entry: e, addresses } in pools {
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
