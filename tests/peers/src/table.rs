//! What was measured, as Markdown: one table of figures, one of faults with a column a queue.

use crate::faults::Fault;

pub(crate) struct Figures {
    pub(crate) name: String,
    /// How many jobs were worked off.
    pub(crate) jobs: usize,
    /// Jobs a second at a concurrency of 100 and of 10; none where it took too long.
    pub(crate) rates: [Option<f64>; 2],
    /// From enqueued to begun, ms: the middle one and the 99th of 100.
    pub(crate) waits: Option<(f64, f64)>,
}

fn rate(of: Option<f64>) -> String {
    of.map_or_else(|| "over 120 s".into(), |r| format!("{r:.0}/s"))
}

fn word(passes: Option<bool>) -> &'static str {
    match passes {
        Some(true) => "**holds**: ",
        Some(false) => "**fails**: ",
        None => "",
    }
}

pub(crate) fn print(measured: &[(Figures, Vec<Fault>)]) {
    println!("| queue | no-op jobs | at 100 | at 10 | enqueued → begun, p50 / p99 |\n|---|---|---|---|---|");
    for (f, _) in measured {
        let waits = f.waits.map_or_else(|| "not all within a minute".into(), |(p50, p99)| format!("{p50:.1} / {p99:.1} ms"));
        println!("| {} | {} | {} | {} | {waits} |", f.name, f.jobs, rate(f.rates[0]), rate(f.rates[1]));
    }
    let names: Vec<&str> = measured.iter().map(|(f, _)| f.name.as_str()).collect();
    println!("\n| fault | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    for n in 0..measured.iter().map(|(_, faults)| faults.len()).max().unwrap_or_default() {
        let cells: Vec<String> = measured.iter().map(|(_, faults)| format!("{}{}", word(faults[n].passes), faults[n].seen)).collect();
        println!("| {} | {} |", measured[0].1[n].fault, cells.join(" | "));
    }
}
