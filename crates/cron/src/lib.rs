//! The scheduler: ticks that look at rows and the time, and do what is due. tokio-cron-scheduler rings; a tick that rings
//! twice, late, or in two processes changes nothing more.

pub mod addons;
mod audit;
mod breaker;
mod digest;
mod enforce;
mod prune;
mod ring;
mod sanity;
mod seal;
pub mod settle;

pub use ring::{Scheduler, TICKS, Tick, run};
pub use sanity::synchronised;
pub use seal::verify_chain;
