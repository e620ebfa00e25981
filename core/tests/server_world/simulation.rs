//! Many worlds from many seeds against a model that knows who may hold which roles.

use crate::world::{EPOCH, Weather, World, claims, server, setup, token};

/// A small generator (SplitMix64), so that a seed replays exactly.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// What one request in a world deserves at best.
struct Hope {
    id: u64,
    role: Option<&'static str>,
    genuine: bool,
}

fn one_world(seed: u64) {
    let mut dice = Dice(seed);
    let mut world = World::new();
    let mut machine = server(setup());
    let mut millis = 0;
    let mut hopes: Vec<Hope> = Vec::new();
    for _ in 0..dice.roll(4) + 1 {
        world.fetch_delay = dice.roll(12_000);
        world.sign_delay = dice.roll(9_000);
        world.signer_works = dice.roll(8) > 0;
        world.weather = match dice.roll(6) {
            0 => Weather::Refused,
            1 => Weather::Silent,
            2 => Weather::Html,
            3 => Weather::WrongIssuer,
            _ => Weather::Fine,
        };
        let key = dice.roll(3) as u8 + 1;
        world.published = vec![(format!("k{key}"), key)];
        for _ in 0..dice.roll(12) + 1 {
            millis += dice.roll(20_000);
            let group = ["admins", "readers", "guests"][dice.roll(3) as usize];
            let role = match group {
                "admins" => Some("os:admin"),
                "readers" => Some("os:reader"),
                _ => None,
            };
            let signer = dice.roll(4) as u8 + 1;
            let age = dice.roll(600);
            let now = EPOCH + millis / 1000;
            let text = token(signer, &format!("k{key}"), &claims(now - age, "somebody", group));
            // Key 4 is never the provider's; a token of another key than its name says is forged.
            let genuine = signer == key && age < 360;
            hopes.push(Hope { id: world.ask(millis, &text), role, genuine });
        }
        world.run(&mut machine);
        millis = millis.max(world.millis);
    }
    for Hope { id, role, genuine } in hopes {
        let answer = &world.answers[&id];
        let issued = answer.status == 200;
        assert!(!issued || (genuine && role.is_some()), "seed {seed}: request {id} got in");
        let recorded = answer
            .audit
            .iter()
            .any(|event| event.serial.is_some() && event.roles.iter().map(|r| r.as_str()).eq(role));
        assert_eq!(issued, recorded, "seed {seed}: certificate and audit event of {id} differ");
        assert!(!answer.audit.is_empty(), "seed {seed}: no trace of {id}");
        assert!([200, 401, 403, 500, 503].contains(&answer.status), "seed {seed}: {id}");
    }
}

/// `SIMULATION_SEEDS` says how many worlds; a failure names its seed.
#[test]
fn nobody_gets_in_who_should_not_in_any_world() {
    let seeds = std::env::var("SIMULATION_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    (0..seeds).for_each(one_world);
}
