//! Lines over a logarithmic axis, as SVG.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A line: points of one server.
pub struct Line {
    /// What it is of.
    pub name: String,
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A picture.
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x: String,
    /// At its side.
    pub y: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
// Told apart also without colours: by the dashes.
const STYLES: [(&str, &str); 4] =
    [("#0b62a4", "none"), ("#b5490c", "7 4"), ("#2f7d32", "2 3"), ("#6a3d9a", "10 3 2 3")];

impl Plot {
    /// Writes the picture into `folder`.
    pub fn write(&self, folder: &Path, name: &str) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let path = folder.join(name);
        fs::write(&path, self.svg())?;
        println!("{}", path.display());
        Ok(())
    }

    fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        // Zero has no logarithm; it stands at the left end, one below the smallest.
        let place = |x: f64| (x + 1.0).log10();
        let left = points().map(|(x, _)| place(x)).fold(f64::INFINITY, f64::min);
        let right = points().map(|(x, _)| place(x)).fold(left + 0.1, f64::max);
        let top = nice(points().map(|(_, y)| y).fold(0.0, f64::max));
        let at_x = |x: f64| LEFT + (place(x) - left) / (right - left) * (WIDTH - LEFT - RIGHT);
        let at_y = |y: f64| HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let mut text = |x: f64, y: f64, anchor: &str, more: &str, what: &str| {
            let what = what.replace('&', "&amp;").replace('<', "&lt;");
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{what}</text>"
            );
        };
        text(WIDTH / 2.0, 24.0, "middle", " font-size=\"16\"", &self.title);
        text(WIDTH / 2.0, HEIGHT - 14.0, "middle", "", &self.x);
        let turned = format!(" transform=\"rotate(-90 18 {})\"", HEIGHT / 2.0);
        text(18.0, HEIGHT / 2.0, "middle", &turned, &self.y);
        let mut ticks: Vec<f64> = points().map(|(x, _)| x).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        for x in &ticks {
            text(at_x(*x), HEIGHT - BOTTOM + 18.0, "middle", "", &short(*x));
        }
        let steps: Vec<f64> = (0..=5).map(|n| top * f64::from(n) / 5.0).collect();
        for y in &steps {
            text(LEFT - 8.0, at_y(*y) + 4.0, "end", "", &short(*y));
        }
        for (n, line) in self.lines.iter().enumerate() {
            let y = TOP + 4.0 + 18.0 * n as f64;
            text(WIDTH - RIGHT - 50.0, y, "end", "", &line.name);
        }
        for y in steps {
            let y = at_y(y);
            let end = WIDTH - RIGHT;
            let _ =
                writeln!(out, "<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"#ddd\" fill=\"none\"/>");
        }
        for (n, line) in self.lines.iter().enumerate() {
            let (colour, dashes) = STYLES[n % STYLES.len()];
            let mut path = String::new();
            for (n, (x, y)) in line.points.iter().enumerate() {
                let letter = if n == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{letter}{:.1} {:.1}", at_x(*x), at_y(*y));
            }
            let key = TOP + 18.0 * n as f64;
            let from = WIDTH - RIGHT - 44.0;
            for path in [path, format!("M{from} {key}h40")] {
                let _ = writeln!(
                    out,
                    "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"2\" \
                     stroke-dasharray=\"{dashes}\" fill=\"none\"/>"
                );
            }
        }
        out.push_str("</svg>\n");
        out
    }
}

/// A round number that is not below.
fn nice(value: f64) -> f64 {
    let value = value.max(1e-9);
    let power = 10_f64.powf(value.log10().floor());
    let factors = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    factors.into_iter().map(|f| f * power).find(|round| *round >= value).unwrap_or(value)
}

fn short(value: f64) -> String {
    if value >= 1000.0 && (value / 100.0).fract() == 0.0 {
        format!("{}k", value / 1000.0)
    } else if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}
