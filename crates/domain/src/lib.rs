//! The rules of the business, as values and pure functions: no async, no SQL, no clock, no I/O.
//!
//! Read `server.rs` first (the life of a server), then `books.rs` (money and leases).
//! Whatever is decided here is carried out by the other crates, which never decide.

pub mod addon;
pub mod affiliate;
pub mod bill;
pub mod books;
pub mod breaker;
pub mod clock;
pub mod coupon;
pub mod decision;
pub mod dice;
pub mod document;
pub mod dunning;
pub mod event;
pub mod hex;
pub mod id;
pub mod lease;
pub mod ledger;
pub mod machine;
pub mod money;
pub mod movements;
pub mod names;
pub mod notice;
pub mod percent;
pub mod period;
pub mod placement;
pub mod policy;
pub mod price;
pub mod reference;
pub mod retry;
pub mod role;
pub mod server;
mod span;
pub mod standing;
pub mod tax;
pub mod terms;
pub mod time;
pub mod usage;
pub mod vat_id;
pub mod window;

pub use dice::Dice;
pub use hex::hex;
pub use id::*;
pub use machine::Mark;
pub use money::{Currency, Money};
pub use percent::Percent;
pub use reference::Reference;
pub use span::Span;
pub use time::Timestamp;
pub use vat_id::VatId;

/// Declares a closed set of names: an enum, its text form in the database, and the way back.
///
/// An unknown text is an error that names the set and the text.
#[macro_export]
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])* #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }
        impl $name {
            /// Every member, in the order of the list.
            pub const ALL: &[$name] = &[$($name::$variant),+];
            /// The text form.
            pub const fn as_str(self) -> &'static str { match self { $($name::$variant => $text),+ } }
        }
        $crate::text_form!($name);
    };
}

/// The traits that every closed set of names shares.
#[macro_export]
macro_rules! text_form {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl TryFrom<String> for $name {
            type Error = $crate::UnknownName;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::UnknownName;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|v| v.as_str() == s)
                    .ok_or_else(|| $crate::UnknownName::new(stringify!($name), s, Self::ALL.iter().map(|v| v.as_str())))
            }
        }
    };
}

/// A text that is not in a closed set of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {set} '{text}' (known: {known})")]
pub struct UnknownName {
    set: &'static str,
    text: String,
    known: String,
}

impl UnknownName {
    /// Says which text was not found in which set, and what the set holds.
    pub fn new<'a>(set: &'static str, text: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Self { set, text: text.to_owned(), known: known.collect::<Vec<_>>().join(", ") }
    }
}
