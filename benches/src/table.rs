//! The table that is printed.

use exchange_bench::Aim;

/// One piece, measured.
pub struct Measured {
    pub name: &'static str,
    pub ours: f64,
    pub floor: Option<Beside>,
    pub peers: Vec<(&'static str, Beside)>,
    pub aim: Option<Aim>,
}

/// What stands beside ours.
#[derive(Clone, Copy)]
pub struct Beside {
    pub cost: f64,
    /// So many times what ours costs.
    pub of_ours: f64,
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
            let ratio = format!("{:.3}", 1.0 / floor.of_ours);
            println!(
                "{:<24} {:<28} {:>12} {ratio:>12}",
                "",
                "floor (ours / floor)",
                unit.show(floor.cost)
            );
        }
        for (label, peer) in peers {
            let ratio = format!("{:.2}", peer.of_ours);
            let label = format!("{label} (it / ours)");
            println!("{:<24} {label:<28} {:>12} {ratio:>12}", "", unit.show(peer.cost));
        }
        // Aims are about time.
        if let (Some(aim), Unit::Nanoseconds) = (aim, unit) {
            println!("{:<24} {}", "", verdict(*aim, *ours, *floor, peers));
        }
    }
}

fn verdict(aim: Aim, ours: f64, floor: Option<Beside>, peers: &[(&str, Beside)]) -> String {
    let (reached, aim) = match aim {
        Aim::OfFloor(most) => {
            let reached = floor.is_some_and(|floor| 1.0 <= most * floor.of_ours);
            (reached, format!("at most {most:.2} × floor"))
        }
        Aim::FasterThanPeer(least) => (
            peers.first().is_some_and(|(_, peer)| peer.of_ours >= least),
            format!("at least {least:.1} × as fast as the peer"),
        ),
        Aim::Nanos(most) => (ours <= most, format!("at most {most:.0} ns")),
    };
    format!("aim: {aim}: {}", if reached { "reached" } else { "MISSED" })
}
