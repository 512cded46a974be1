//! Ids as types, so that an account is never passed where a server is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);
        impl $name {
            /// The text form, as stored.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
        impl From<String> for $name { fn from(text: String) -> Self { Self(text) } }
        impl From<&str> for $name { fn from(text: &str) -> Self { Self(text.to_owned()) } }
        impl From<uuid::Uuid> for $name { fn from(id: uuid::Uuid) -> Self { Self(id.to_string()) } }
    )+ };
}

id! {
    /// An account: whoever pays (UUIDv7).
    AccountId,
    /// A person who signs in (UUIDv7).
    UserId,
    /// A server (UUIDv7).
    ServerId,
    /// A lease: the contract behind a server (UUIDv7).
    LeaseId,
    /// A hypervisor node (the catalogue's slug).
    NodeId,
    /// A region (the catalogue's slug).
    RegionId,
    /// A product (UUIDv5 of the catalogue's key).
    ProductId,
    /// An operating system template (the catalogue's slug, e.g. `debian-12`).
    TemplateId,
    /// A mail (UUIDv7).
    MailId,
}
