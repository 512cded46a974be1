//! `leasehold completions`

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::{Cli, exit::Failure};

#[expect(clippy::unnecessary_wraps, reason = "every command answers alike")]
pub(super) fn run(shell: Shell) -> Result<(), Failure> {
    generate(shell, &mut Cli::command(), "leasehold", &mut std::io::stdout());
    Ok(())
}
