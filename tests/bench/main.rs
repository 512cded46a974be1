//! What the job queue costs, measured beside the bare statements that it is made of: `just bench`.
//!
//! Needs `LEASEHOLD_TEST_POSTGRES`, a cluster that it may make databases in. Prints one Markdown table.
#![expect(clippy::unwrap_used, reason = "a run that cannot go on panics")]

mod latency;
mod queue;
mod resume;

use leasehold_tests::Kind;

#[tokio::main]
async fn main() {
    println!("| what | SQLite | PostgreSQL |\n|---|---|---|");
    let mut rows = Vec::new();
    for kind in [Kind::Sqlite, Kind::Postgres] {
        eprintln!("measuring on {kind:?}");
        let mut column = queue::measure(kind).await;
        column.extend(latency::measure(kind).await);
        column.extend(resume::measure(kind).await);
        rows.push(column);
    }
    for (sqlite, postgres) in rows[0].iter().zip(&rows[1]) {
        println!("| {} | {} | {} |", sqlite.0, sqlite.1, postgres.1);
    }
}
