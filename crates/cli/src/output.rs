//! Printing: a table for people or one JSON document for programs, progress and logs on stderr.

use std::{
    fmt::Arguments,
    io::{IsTerminal, Write},
};

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use leasehold_domain::names;
use serde_json::Value;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{Cli, Command, config};

/// Prints a line; ends quietly when nobody reads on, as in `leasehold server show web | head -1`.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

pub(crate) fn line(text: Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !gone {
            eprintln!("error: stdout: {error}");
        }
        std::process::exit(i32::from(!gone));
    }
}

/// Prints one JSON document, or what `human` prints.
pub(crate) fn show(json: bool, value: &Value, human: impl FnOnce()) {
    if json { say!("{value:#}") } else { human() }
}

/// Words of others: what would move a terminal's cursor, or turn the direction of a line, is shown as a point.
fn harmless(words: &str) -> String {
    words.chars().map(|c| if names::is_invisible(c) { '·' } else { c }).collect()
}

/// A table with a head.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    rows.into_iter().for_each(|row| {
        table.add_row(row.iter().map(|cell| harmless(cell)));
    });
    say!("{table}");
}

/// One line of progress, on a terminal only.
pub(crate) fn progress(line: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("{line}");
    }
}

/// Asks before something is lost; without a terminal the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

pub(crate) fn init_logs(cli: &Cli) {
    let configured = config::load(&cli.config).ok().map(|c| c.log);
    let daemon = matches!(cli.command, Command::Serve | Command::Worker { .. } | Command::Scheduler);
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error".to_owned(),
        (_, 0) if daemon => configured.as_ref().map_or_else(|| "info".into(), |l| l.level.clone()),
        (_, 0) => "error".to_owned(),
        (_, 1) => "debug,sqlx=warn".to_owned(),
        _ => "trace".to_owned(),
    };
    let format = cli.log_format.clone().or_else(|| configured.map(|l| l.format)).unwrap_or_default();
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if format == "json" {
        logs.json().init();
    } else {
        logs.with_ansi(std::io::stderr().is_terminal()).init();
    }
}
