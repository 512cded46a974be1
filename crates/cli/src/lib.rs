//! The command line: one file a subcommand, the configuration, and the wiring of the roles.

#![warn(clippy::print_stdout)]

#[macro_use]
mod output;

pub mod app;
mod args;
pub(crate) mod commands;
pub mod config;
mod doctor;
mod drive;
mod exit;
mod files;
mod metrics;
mod remote;
mod supervise;

pub use args::{Cli, Command};
pub use exit::Failure;

/// Runs one invocation; what it prints goes to stdout, logs and progress to stderr.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    Box::pin(commands::run(cli)).await
}

/// Sets the logs up as the configuration and `-v`/`-q` say.
pub fn init_logs(cli: &Cli) {
    output::init_logs(cli);
}
