//! `leasehold man`

use clap::CommandFactory;

use crate::{Cli, exit::Failure};

pub(super) fn run() -> Result<(), Failure> {
    Ok(clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?)
}
