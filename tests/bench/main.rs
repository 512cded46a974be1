//! What Leasehold costs, each figure beside what it is made of: `just bench`.
//!
//! `bench [PART …]` prints Markdown tables; parts are `queue`, `latency`, `load`, `resume`, `settle`, `million`, `heal`, `advance`, `machine`, `api`, all of them when none is named.
//! `LEASEHOLD_PLOT` names a file for the picture of `settle` and `million`.
//! Needs `LEASEHOLD_TEST_POSTGRES`, a cluster that it may make databases in, and `LEASEHOLD_GUEST` for `machine`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a run that cannot go on panics")]

mod advance;
mod api;
mod heal;
mod latency;
mod load;
mod machine;
mod plot;
mod process;
mod queue;
mod resume;
mod settle;

use leasehold_tests::Kind;

/// One figure of one database.
struct Figure {
    what: String,
    /// What it should be, as the design has it.
    target: &'static str,
    seen: String,
    /// Where it stands in the picture, if it does.
    points: Vec<plot::Point>,
}

impl Figure {
    fn new(what: impl Into<String>, target: &'static str, seen: impl Into<String>) -> Self {
        Self { what: what.into(), target, seen: seen.into(), points: vec![] }
    }
}

/// The median of a few.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn measure(kind: Kind, wanted: &dyn Fn(&str) -> bool) -> Vec<Figure> {
    let mut column = Vec::new();
    if wanted("queue") {
        column.extend(queue::measure(kind).await);
    }
    if wanted("latency") {
        column.extend(latency::measure(kind).await);
    }
    if wanted("load") {
        column.push(load::measure(kind).await);
    }
    if wanted("resume") {
        column.extend(resume::measure(kind).await);
    }
    if wanted("settle") {
        column.extend(settle::measure(kind, &[10_000, 100_000]).await);
        column.push(settle::memory(kind, 100_000).await);
    }
    if wanted("million") {
        column.extend(settle::million(kind).await);
    }
    if wanted("heal") {
        column.extend(heal::measure(kind).await);
    }
    if wanted("advance") {
        column.push(advance::measure(kind).await);
    }
    if wanted("machine") {
        column.extend(machine::measure(kind).await);
    }
    if wanted("api") {
        column.extend(api::measure(kind).await);
    }
    column
}

#[tokio::main]
async fn main() {
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let mut columns = Vec::new();
    for kind in [Kind::Sqlite, Kind::Postgres] {
        columns.push(measure(kind, &wanted).await);
    }
    let points: Vec<plot::Point> = columns.iter().flatten().flat_map(|f| f.points.clone()).collect();
    if let Some(file) = std::env::var_os("LEASEHOLD_PLOT").filter(|_| !points.is_empty()) {
        std::fs::write(file, plot::svg(&points)).unwrap();
    }
    println!("| what | target | SQLite | PostgreSQL |\n|---|---|---|---|");
    for (sqlite, postgres) in columns[0].iter().zip(&columns[1]) {
        // What only one of them was measured for is named there.
        let named = if sqlite.what.is_empty() { postgres } else { sqlite };
        println!("| {} | {} | {} | {} |", named.what, named.target, sqlite.seen, postgres.seen);
    }
}
