//! From a seed that fails to a case of `vectors/script`: the run of the machine at fault, without
//! what the fault does not need.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use exchange_core::machine::{Machine as _, Mono, Now, UnixTime};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::case::Case;
use crate::plant::Plant;
use crate::tape::{Tape, Tapes, Told, numberless};
use crate::words::Player;
use crate::world::{EPOCH, Who, World};
use crate::{login, panic_text, server};

/// By what a replay is known to fail.
#[derive(Clone)]
pub enum Fault {
    /// The machine orders this.
    Order(String),
    /// The machine orders this, whatever number it has then, at that millisecond.
    OrderAt(String, u64),
    /// The machine panics with this text.
    Panic(String),
}

/// A case of `vectors/script`.
pub struct Vector {
    pub who: Who,
    pub case: Value,
    /// Whether it fails when it is replayed: else what is wrong lies between the machines, and this
    /// is only what one of them was told.
    pub fails: bool,
}

/// Runs the world once more, on tape.
pub fn vectors(seed: u64, plant: Plant) -> Vec<Vector> {
    let mut world = World::new(seed, plant);
    world.tapes = Some(Tapes::new(world.clients.len()));
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let tapes = world.tapes.take().unwrap();
    let (fault, text) = match (&result, world.accused, world.at_work) {
        (Err(panic), _, Some(who)) => {
            (Some((who, Fault::Panic(panic_text(panic)))), panic_text(panic))
        }
        (Err(panic), ..) => (None, panic_text(panic)),
        (Ok(Err(text)), Some(accused), _) => (Some(accused), text.clone()),
        (Ok(Err(text)), ..) => (None, text.clone()),
        (Ok(Ok(_)), ..) => (None, "nothing".into()),
    };
    if let Some((who, fault)) = fault {
        let tape = tapes.of(who);
        if let Some(steps) = smallest(who, tape, plant, &fault) {
            let case = written(who, tape, &steps, Some(&fault), seed, &text);
            return vec![Vector { who, case, fails: true }];
        }
    }
    let all = [Who::Server].into_iter().chain((0..world.clients.len()).map(Who::Client));
    let told = all.filter(|who| !tapes.of(*who).steps.is_empty());
    told.map(|who| {
        let tape = tapes.of(who);
        Vector { who, case: written(who, tape, &tape.steps, None, seed, &text), fails: false }
    })
    .collect()
}

/// Writes them to a folder beside the build; what to say about them.
pub fn write(folder: &str, seed: u64, plant: Plant) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("..").join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let line = |Vector { who, case, fails }: Vector| {
        let name = match who {
            Who::Server => format!("server-seed-{seed}.json"),
            Who::Client(index) => format!("login-seed-{seed}-{index}.json"),
        };
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(&case).unwrap();
        std::fs::write(&path, format!("{text}\n")).unwrap();
        let what = if fails { "the fault" } else { "what one machine was told" };
        let path = path.display();
        format!("\n{what}: SCRIPT={path} cargo test -p exchange-core --test script")
    };
    vectors(seed, plant).into_iter().map(line).collect()
}

/// The case as the files have it.
fn written(
    who: Who,
    tape: &Tape,
    steps: &[Told],
    fault: Option<&Fault>,
    seed: u64,
    text: &str,
) -> Value {
    // From here on nobody knows what is right, only what is not.
    let (open, never) = match fault {
        Some(Fault::Order(order)) => {
            let number = answered(order);
            let asked = steps.iter().position(|step| {
                let request = step.input.as_ref().and_then(|input| input.get("request"));
                request.is_some_and(|request| request["id"].as_u64() == number)
            });
            (asked.unwrap_or(steps.len() - 1), json!([order]))
        }
        // Where it goes wrong nobody can say.
        Some(Fault::OrderAt(order, _)) => {
            let said = &steps.last().unwrap().said;
            (0, json!([said.iter().find(|said| numberless(said) == *order)]))
        }
        Some(Fault::Panic(_)) => (steps.len() - 1, json!([])),
        None => (steps.len(), Value::Null),
    };
    let step = |(number, told): (usize, &Told)| {
        let mut step = json!({ "at": told.at });
        if told.wall != EPOCH + told.at / 1000 {
            step["wall"] = told.wall.into();
        }
        if let Some(input) = &told.input {
            step["input"] = input.clone();
        }
        if number < open {
            step["expect"] = json!(told.said);
        } else {
            step["never"] = never.clone();
        }
        step
    };
    let steps: Vec<Value> = steps.iter().enumerate().map(step).collect();
    let machine = if who == Who::Server { "server" } else { "login" };
    json!({
        "comment": text, "source": format!("simulation, seed {seed}"),
        machine: { "settings": tape.settings, "steps": steps },
    })
}

/// Leaves out what the fault does not need, larger pieces first.
fn smallest(who: Who, tape: &Tape, plant: Plant, fault: &Fault) -> Option<Vec<Told>> {
    let mut kept = tape.steps.clone();
    let mut found = replay(who, &tape.settings, &kept, plant, fault)?;
    let loose = loose(&kept, fault);
    let mut piece = kept.len().div_ceil(2);
    while piece > 0 {
        let mut end = kept.len();
        while end > 0 {
            let begin = end.saturating_sub(piece);
            let rest: Vec<Told> = kept
                .iter()
                .enumerate()
                .filter(|(at, step)| !(begin..end).contains(at) || !loose(step))
                .map(|(_, step)| step.clone())
                .collect();
            if rest.len() < kept.len()
                && let Some(shorter) = replay(who, &tape.settings, &rest, plant, fault)
            {
                (kept, found) = (rest, shorter);
            }
            end = begin;
        }
        piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
    }
    Some(found)
}

/// What may be left out. A panic is wrong whatever came before it; whether an answer is wrong hangs
/// on the configuration, the keys, and requests of the same address or subject; whether it is too
/// early for an order, on everything but visits to the listener and time.
fn loose(steps: &[Told], fault: &Fault) -> impl Fn(&Told) -> bool + use<> {
    let request = |step: &Told| step.input.as_ref()?.get("request").cloned();
    let asked = match fault {
        Fault::Order(order) => {
            let number = answered(order);
            steps.iter().filter_map(request).find(|request| request["id"].as_u64() == number)
        }
        Fault::OrderAt(..) | Fault::Panic(_) => None,
    };
    let all = matches!(fault, Fault::Panic(_));
    let of = |request: &Value| {
        let subject = request["json"]["id_token"]["claims"]["sub"].clone();
        (request["peer"].clone(), subject)
    };
    move |step| {
        let Some(asked) = &asked else {
            return all || step.input.as_ref().is_none_or(|word| word.get("callback").is_some());
        };
        if step.said.iter().any(|said| said.starts_with("fetch ")) {
            return false;
        }
        match &step.input {
            None => true,
            Some(word) if word.get("recorded").is_some() => true,
            Some(_) => request(step).is_some_and(|other| {
                let ((peer, subject), (same_peer, same_subject)) = (of(&other), of(asked));
                peer != same_peer && subject != same_subject
            }),
        }
    }
}

/// The request that is answered.
fn answered(answer: &str) -> Option<u64> {
    answer.strip_prefix("respond ")?.split(':').next()?.parse().ok()
}

/// The steps as they are when only these happen, up to the fault; nothing when it does not come.
fn replay(
    who: Who,
    settings: &Value,
    steps: &[Told],
    plant: Plant,
    fault: &Fault,
) -> Option<Vec<Told>> {
    let settings = plant.settings(settings.clone());
    match who {
        Who::Server => {
            let settings = serde_json::from_value(settings).unwrap();
            play(&server::Play::new(&settings), steps, plant, fault)
        }
        Who::Client(_) => {
            let settings = serde_json::from_value(settings).unwrap();
            play(&login::Play::new(&settings), steps, plant, fault)
        }
    }
}

fn play<P: Player>(player: &P, steps: &[Told], plant: Plant, fault: &Fault) -> Option<Vec<Told>>
where
    P::Word: DeserializeOwned,
{
    let now = |at, wall| Now { mono: Mono::from_millis(at), wall: UnixTime::from_secs(wall) };
    let mut machine = player.machine(now(0, EPOCH));
    let (mut memory, mut played) = (P::Memory::default(), Vec::new());
    // Orders have other numbers when those before them are gone.
    let mut numbers = BTreeMap::new();
    for step in steps {
        let mut input = step.input.clone();
        let body =
            input.as_mut().and_then(Value::as_object_mut).and_then(|o| o.values_mut().next());
        if let Some(effect) = body.and_then(|body| body.get_mut("effect")) {
            match numbers.get(&effect.as_u64().unwrap()) {
                Some(number) => *effect = json!(number),
                // An answer to what was not ordered.
                None => continue,
            }
        }
        let moment = now(step.at, step.wall);
        let heard = || match plant.hears(input.clone()) {
            Some(word) => {
                let word: P::Word = serde_json::from_value(word).unwrap();
                machine.handle(moment, player.input(moment, &word, &memory));
            }
            None => machine.handle_timeout(moment),
        };
        let panic = catch_unwind(AssertUnwindSafe(heard)).err();
        let orders = std::iter::from_fn(|| machine.poll_output());
        let said: Vec<String> = match panic {
            Some(_) => Vec::new(),
            None => orders.map(|order| P::brief(&order, &mut memory)).collect(),
        };
        numbers.extend(ordered(&step.said).zip(ordered(&said)));
        let over = match (fault, &panic) {
            (Fault::Order(order), None) => said.contains(order),
            (Fault::OrderAt(order, at), None) => {
                step.at == *at && said.iter().any(|said| numberless(said) == *order)
            }
            (Fault::Panic(text), Some(panic)) => *text == panic_text(panic),
            (Fault::Order(_) | Fault::OrderAt(..), Some(_)) => return None,
            (Fault::Panic(_), None) => false,
        };
        if panic.is_some() && !over {
            return None;
        }
        played.push(Told { at: step.at, wall: step.wall, input, said });
        if over {
            return Some(played);
        }
    }
    None
}

/// Numbers of the orders that want an answer: the first one in each, but for answers of our own.
fn ordered(said: &[String]) -> impl Iterator<Item = u64> {
    said.iter()
        .filter(|said| !said.starts_with("respond") && !said.starts_with("answer"))
        .filter_map(|said| said.split(' ').find_map(|word| word.parse().ok()))
}

/// Plays the case as the test of the vectors does.
pub fn check(case: &Value) -> Result<(), String> {
    serde_json::from_value::<Case>(case.clone()).unwrap().check()
}

/// The case as a machine with that fault reads it.
pub fn with_fault(case: &Value, plant: Plant) -> Value {
    let mut case = case.clone();
    let name = if case.get("server").is_some() { "server" } else { "login" };
    let machine = &mut case[name];
    machine["settings"] = plant.settings(machine["settings"].take());
    for step in machine["steps"].as_array_mut().unwrap() {
        if let Some(input) = step.get_mut("input") {
            match plant.hears(Some(input.take())) {
                Some(heard) => *input = heard,
                None => drop(step.as_object_mut().unwrap().remove("input")),
            }
        }
    }
    case
}
