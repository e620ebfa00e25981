//! The table that is printed.

use exchange_bench::Aim;

/// One piece, measured.
pub struct Measured {
    pub name: &'static str,
    pub ours: f64,
    pub floor: Option<f64>,
    pub peers: Vec<(&'static str, f64)>,
    pub aim: Option<Aim>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Nanoseconds,
    Instructions,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Nanoseconds if value < 10_000.0 => format!("{value:.0} ns"),
            Self::Nanoseconds => format!("{:.2} µs", value / 1e3),
            Self::Instructions => format!("{value:.0}"),
        }
    }
}

/// A ratio over 1 in the last column means that the other one takes longer than ours.
pub fn print(measured: &[Measured], unit: Unit) {
    let what = if unit == Unit::Nanoseconds { "time" } else { "instructions" };
    println!("{:<24} {:<28} {:>12} {:>12}", "piece", "by", what, "ratio");
    for Measured { name, ours, floor, peers, aim } in measured {
        println!("{name:<24} {:<28} {:>12}", "ours", unit.show(*ours));
        if let Some(floor) = floor {
            let ratio = format!("{:.3}", ours / floor);
            println!(
                "{:<24} {:<28} {:>12} {ratio:>12}",
                "",
                "floor (ours / floor)",
                unit.show(*floor)
            );
        }
        for (label, peer) in peers {
            let ratio = format!("{:.2}", peer / ours);
            let label = format!("{label} (it / ours)");
            println!("{:<24} {label:<28} {:>12} {ratio:>12}", "", unit.show(*peer));
        }
        // Aims are about time.
        if let (Some(aim), Unit::Nanoseconds) = (aim, unit) {
            println!("{:<24} {}", "", verdict(*aim, *ours, *floor, peers));
        }
    }
}

fn verdict(aim: Aim, ours: f64, floor: Option<f64>, peers: &[(&str, f64)]) -> String {
    let (reached, aim) = match aim {
        Aim::OfFloor(most) => {
            (floor.is_some_and(|floor| ours <= most * floor), format!("at most {most:.2} × floor"))
        }
        Aim::FasterThanPeer(least) => (
            peers.first().is_some_and(|(_, peer)| *peer >= least * ours),
            format!("at least {least:.1} × as fast as the peer"),
        ),
        Aim::Nanos(most) => (ours <= most, format!("at most {most:.0} ns")),
    };
    format!("aim: {aim}: {}", if reached { "reached" } else { "MISSED" })
}
