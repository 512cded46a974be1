//! Time against leases as a picture: both axes logarithmic, a line a series.

use std::fmt::Write;

/// A measured point: series, leases, seconds.
pub(crate) type Point = (String, i64, f64);

const SIZE: (f64, f64) = (760.0, 460.0);
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;
const PLOT: (f64, f64) = (480.0, 370.0);
/// Powers of ten on either axis.
const LEASES: (f64, f64) = (3.0, 6.0);
const SECONDS: (f64, f64) = (-1.0, 4.0);
const COLORS: [&str; 4] = ["#1f77b4", "#d62728", "#7fb3d8", "#e8a0a0"];

fn x(leases: f64) -> f64 {
    LEFT + (leases.log10() - LEASES.0) / (LEASES.1 - LEASES.0) * PLOT.0
}

fn y(seconds: f64) -> f64 {
    TOP + PLOT.1 - (seconds.log10() - SECONDS.0) / (SECONDS.1 - SECONDS.0) * PLOT.1
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, what: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{what}</text>");
}

/// The picture of these points, as SVG.
pub(crate) fn svg(points: &[Point]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        SIZE.0, SIZE.1
    );
    for power in LEASES.0 as i32..=LEASES.1 as i32 {
        let at = x(10f64.powi(power));
        let _ = writeln!(svg, "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>", TOP + PLOT.1);
        text(&mut svg, (at, TOP + PLOT.1 + 18.0), "middle", &format!("{}", 10i64.pow(power as u32)));
    }
    for power in SECONDS.0 as i32..=SECONDS.1 as i32 {
        let at = y(10f64.powi(power));
        let _ = writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>", LEFT + PLOT.0);
        text(&mut svg, (LEFT - 8.0, at + 4.0), "end", &format!("{} s", 10f64.powi(power)));
    }
    text(&mut svg, (LEFT + PLOT.0 / 2.0, TOP + PLOT.1 + 38.0), "middle", "leases that fall due at once");
    let mut series: Vec<&String> = points.iter().map(|(name, ..)| name).collect();
    series.sort();
    series.dedup();
    for (n, name) in series.into_iter().enumerate() {
        let color = COLORS[n % COLORS.len()];
        let of: Vec<(f64, f64)> = points.iter().filter(|(s, ..)| s == name).map(|(_, leases, seconds)| (x(*leases as f64), y(*seconds))).collect();
        let line: Vec<String> = of.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>", line.join(" "));
        for (x, y) in of {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>");
        }
        let at = TOP + 16.0 + 20.0 * n as f64;
        let _ = writeln!(svg, "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"12\" height=\"4\" fill=\"{color}\"/>", LEFT + PLOT.0 + 16.0, at - 6.0);
        text(&mut svg, (LEFT + PLOT.0 + 34.0, at), "start", name);
    }
    svg.push_str("</svg>\n");
    svg
}
