//! All SQL, for SQLite and PostgreSQL, written once.
//!
//! # House rules
//! - `$1` placeholders, lower case, next to the function that runs it; differences between the databases are words in
//!   braces (`{skip}`, `{lock}`, `{rows}`) that `dialect.rs` fills in.
//! - Ids are text, instants epoch milliseconds, money minor units and a currency, whole numbers always `i64`
//!   (PostgreSQL keeps the types of a cached statement's first run).
//! - SQL never asks what time it is: [`Tx::now`] is read once a transaction, from the store's [`Clock`].
//! - Locks are taken in one order: wallet, leases, transfers, charges, mails, servers, addresses, invoice series, invoices.
//! - `update t as s set …` names no alias left of `=`, `returning` names no alias, the columns of a row list start with `v_`:
//!   what both databases accept.
//! - A choice of rows (`limit`, `{skip}`) that an `update` is based on stands in a `materialized` CTE: PostgreSQL may make it anew for every row.
//! - Every claim repeats its predicate, every fenced update names its epoch and checks that one row changed.

pub mod accounts;
pub mod activity;
pub mod addons;
pub mod addresses;
pub mod attention;
pub mod audit;
pub mod books;
pub mod breakers;
mod calls;
pub mod catalog;
pub mod clock;
pub mod coupons;
pub mod crash;
pub mod depth;
mod dialect;
mod error;
mod facts;
pub mod file;
pub mod invoices;
mod key_ring;
pub mod keys;
pub mod leases;
pub mod machines;
pub mod mails;
pub mod members;
mod migrate;
pub mod names;
pub mod nodes;
pub mod notices;
mod page;
mod pairs;
pub mod parties;
pub mod partners;
pub mod people;
pub mod placing;
pub mod policies;
pub mod pool;
pub mod processes;
mod pulse;
mod reprice;
pub mod restoration;
mod rows;
pub mod runs;
pub mod samples;
pub mod sealed;
pub mod servers;
pub mod settle;
pub mod sign_in;
pub mod snapshots;
pub mod statement;
pub mod steps;
pub mod ticks;
mod trust;
mod tx;
mod wake;
pub mod webhooks;
mod witness;
pub mod work;

pub use clock::Clock;
pub use error::{Result, StoreError};
pub use facts::Facts;
pub use file::DaemonLock;
pub use key_ring::KeyRing;
pub use migrate::Pending;
pub use page::Page;
pub use pool::{Options, Store};
pub use pulse::{Health, Pulse};
pub use rows::{Rows, Text, When};
pub use trust::{Trust, Word};
pub use tx::{Arg, Record, Tx};
pub use wake::Wakes;
pub use work::Queue;
