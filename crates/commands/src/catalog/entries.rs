//! A catalogue file as it is written.

use std::{collections::BTreeMap, net::IpAddr};

use leasehold_domain::{Percent, Timestamp, affiliate::Affiliates, document::Party};
use serde::{Deserialize, Serialize};

/// A catalogue file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) region: Vec<RegionEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) node: Vec<NodeEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) template: Vec<TemplateEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) iso: Vec<IsoEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pool: Vec<PoolEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) product: Vec<ProductEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) addon: Vec<AddonEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) coupon: Vec<CouponEntry>,
    /// What partners get off, by what they bought within 30 days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tier: Vec<TierEntry>,
    /// Who sells, as documents name it.
    pub(super) seller: Option<Party>,
    /// What is offered to those who bring customers.
    pub(super) affiliates: Option<Affiliates>,
    /// Tax by country, per cent.
    #[serde(default)]
    pub(super) tax: BTreeMap<String, String>,
    /// The rules of dunning, where they differ from the built-in ones.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub(super) policy: toml::Table,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegionEntry {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) resolvers: Vec<IpAddr>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capacity {
    pub(super) vcpu: i64,
    pub(super) ram_mb: i64,
    pub(super) disk_gb: i64,
}

/// What is not named here goes to the backend as its settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NodeEntry {
    pub(super) id: String,
    pub(super) region: String,
    pub(super) backend: String,
    pub(super) capacity: Capacity,
    #[serde(default = "builds")]
    pub(super) builds: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) resolvers: Vec<IpAddr>,
    #[serde(flatten)]
    pub(super) settings: BTreeMap<String, toml::Value>,
}

const fn builds() -> i64 {
    4
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateEntry {
    pub(super) id: String,
    pub(super) family: String,
    pub(super) label: String,
    pub(super) icon: Option<String>,
    pub(super) color: Option<String>,
    pub(super) image: String,
    #[serde(default = "min_disk")]
    pub(super) min_disk_gb: i64,
    #[serde(default = "username")]
    pub(super) username: String,
}

/// A CD.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IsoEntry {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Bytes.
    pub(super) size: i64,
    pub(super) image: String,
    #[serde(default = "min_disk")]
    pub(super) min_disk_gb: i64,
    /// False until all nodes have it: shown, and not ordered.
    #[serde(default = "yes")]
    pub(super) ready: bool,
}

const fn yes() -> bool {
    true
}

const fn min_disk() -> i64 {
    1
}

fn username() -> String {
    "root".into()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolEntry {
    pub(super) id: String,
    pub(super) region: String,
    pub(super) family: i64,
    pub(super) cidr: String,
    pub(super) gateway: IpAddr,
    pub(super) range: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) resolvers: Vec<IpAddr>,
    /// Handed out in blocks with a prefix of this length, for add-ons; absent: address by address.
    #[serde(default)]
    pub(super) blocks: Option<u32>,
}

/// Currency, then cycle, then amount.
pub(super) type Prices = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddonEntry {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) kind: String,
    /// How many addresses or blocks it brings.
    #[serde(default = "one")]
    pub(super) count: i64,
    /// How many days a nightly snapshot is kept.
    #[serde(default = "keep_days")]
    pub(super) keep_days: i64,
    /// The plans that it is offered with; absent: all.
    #[serde(default)]
    pub(super) products: Option<Vec<String>>,
    pub(super) prices: Prices,
}

const fn one() -> i64 {
    1
}

const fn keep_days() -> i64 {
    7
}

/// `percent`, or `amount` with its `currency`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CouponEntry {
    pub(super) code: String,
    pub(super) percent: Option<Percent>,
    pub(super) amount: Option<String>,
    pub(super) currency: Option<String>,
    /// Periods that it counts for.
    #[serde(default = "one")]
    pub(super) periods: i64,
    #[serde(default)]
    pub(super) forever: bool,
    pub(super) uses: Option<i64>,
    #[serde(default = "once")]
    pub(super) uses_per_account: Option<i64>,
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) products: Vec<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
const fn once() -> Option<i64> {
    Some(1)
}

/// A step of the partner programme.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierEntry {
    pub(super) name: String,
    pub(super) percent: Percent,
    /// What was bought within 30 days to reach it, by currency.
    pub(super) from: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductEntry {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) vcpu: i64,
    pub(super) ram_mb: i64,
    pub(super) disk_gb: i64,
    pub(super) bandwidth_gb: i64,
    pub(super) regions: Vec<String>,
    pub(super) prices: Prices,
    /// The rules of dunning for its leases, where they differ from the house's.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub(super) policy: toml::Table,
}
