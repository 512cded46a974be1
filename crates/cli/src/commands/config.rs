//! `leasehold config …`

use clap::Subcommand;
use serde_json::json;

use super::Context;
use crate::{
    config::{self, DEFAULT},
    exit::Failure,
    output::{show, table},
};

/// `leasehold config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// The commented default file.
    Default,
    /// The effective configuration and where each value came from.
    Show,
}

pub(super) fn run(c: &Context, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Default => say!("{}", DEFAULT.trim_end()),
        ConfigCommand::Show => {
            config::load(&c.cli.config)?;
            let origins = config::origins(&c.cli.config)?;
            let value = json!(origins.iter().map(|o| json!({ "key": o.key, "value": o.value, "from": o.from })).collect::<Vec<_>>());
            show(c.json(), &value, || table(&["KEY", "VALUE", "FROM"], origins.iter().map(|o| vec![o.key.clone(), o.value.clone(), o.from.clone()])));
        }
    }
    Ok(())
}
