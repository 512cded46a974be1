//! Closed sets of names, as the description of the routes lists them.

use leasehold_domain::{
    addon::AddonKind,
    affiliate::{RewardType, Trigger},
    breaker,
    event::EventKind,
    lease::{Cycle, LeaseState},
    notice::{MailState, NoticeKind},
    role::Role,
    server::{Goal, HoldKind, Status, Step},
};
use leasehold_store::{
    Queue,
    accounts::{AccountState, Tier},
    depth::WorkState,
    keys::Service,
    nodes::NodeState,
    webhooks::DeliveryState,
};
use utoipa::openapi::{Array, ArrayBuilder, Object, ObjectBuilder, Type, schema::SchemaType};

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

macro_rules! sets {
    ($($name:ident = $set:ty),+ $(,)?) => { $(pub(crate) fn $name() -> Object { one_of(<$set>::ALL.iter().map(|name| name.as_str())) })+ };
}

sets! {
    account_state = AccountState,
    addon_kind = AddonKind,
    breaker_kind = breaker::Kind,
    cycle = Cycle,
    delivery_state = DeliveryState,
    event_kind = EventKind,
    goal = Goal,
    hold_kind = HoldKind,
    lease_state = LeaseState,
    mail_state = MailState,
    node_state = NodeState,
    notice_kind = NoticeKind,
    queue = Queue,
    service = Service,
    reward_type = RewardType,
    role = Role,
    status = Status,
    step = Step,
    tier = Tier,
    trigger = Trigger,
    work_state = WorkState,
}

/// A service, where it is one's.
pub(crate) fn service_if_any() -> Object {
    let names = Service::ALL.iter().map(|name| Some(name.as_str())).chain([None]);
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null])).enum_values(Some(names)).build()
}

/// Several events.
pub(crate) fn event_kinds() -> Array {
    ArrayBuilder::new().items(event_kind()).build()
}
