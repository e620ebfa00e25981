//! What holds for every run: timers that fire early change nothing, and no order of answers, true
//! or false, breaks the machine.

use exchange_core::http::{FetchError, FetchReply, Headers};
use exchange_core::login::{FileTrouble, Input, LoginMachine, LoginSettings, Output};
use exchange_core::machine::{
    EffectIds, Entropy, Machine, Mono, Now, RequestId, UnixTime, World as _,
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::world::{Event, START, Tokens, World, get, settings};

/// Like [`exchange_core::machine::run`], with timers that fire whenever they like.
fn run_restlessly(world: &mut World, settings: LoginSettings) {
    let mut machine = LoginMachine::new(settings).unwrap();
    world.push(0, Event::Input(Input::Start { jitter: Entropy::new([3; 8]) }));
    while !world.finished() {
        let answer = world.wait(machine.poll_timeout());
        let now = world.now();
        machine.handle_timeout(now);
        if let Some(input) = answer {
            machine.handle(now, input);
        }
        machine.handle_timeout(now);
        machine.handle_timeout(now);
        while let Some(output) = machine.poll_output() {
            world.perform(output);
        }
    }
}

#[test]
fn early_timers_change_nothing() {
    let scripts: [fn(&mut World); 3] = [
        |_| {},
        |world| world.remember(-10, Some("refresh-0")),
        |world| {
            world.remember(-10, Some("refresh-0"));
            world.refreshes.push_back(Tokens::Raw(503, ""));
        },
    ];
    for script in scripts {
        let watch = || LoginSettings { watch: true, ..settings() };
        let (mut calm, mut restless) = (World::default(), World::default());
        script(&mut calm);
        script(&mut restless);
        calm.interrupt_after(2000);
        restless.interrupt_after(2000);
        let _ = calm.run(watch());
        run_restlessly(&mut restless, watch());
        assert_eq!(calm.log, restless.log);
        assert_eq!(calm.notices, restless.notices);
        assert_eq!(calm.ended, restless.ended);
    }
}

fn reply(status: u16, body: &str) -> Result<FetchReply, FetchError> {
    let body = Zeroizing::new(body.as_bytes().to_vec());
    Ok(FetchReply { status, headers: Headers::default(), body })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any input at any time, with effects that exist and effects that do not.
    #[test]
    fn no_order_of_inputs_breaks_it(
        steps in proptest::collection::vec((0u8..17, 1usize..12, 0u64..400_000, -100_000i64..100_000), 0..80),
        watch in any::<bool>(),
        interactive in any::<bool>(),
    ) {
        let mut machine = LoginMachine::new(LoginSettings { watch, interactive, ..settings() }).unwrap();
        let (mut mono, mut ended, mut open, mut locked) = (0u64, false, 0usize, false);
        let metadata = World::default().metadata.to_string();
        for (kind, effect, millis, leap) in steps {
            mono += millis;
            let wall = START.saturating_add(mono / 1000).saturating_add_signed(leap);
            let now = Now { mono: Mono::from_millis(mono), wall: UnixTime::from_secs(wall) };
            let mut ids = EffectIds::default();
            let effect = (0..effect).map(|_| ids.mint()).last().unwrap();
            let entropy = exchange_core::login::AuthorizationEntropy {
                state: Entropy::new([1; 32]),
                nonce: Entropy::new([2; 32]),
                verifier: Entropy::new([3; 32]),
            };
            let trouble = FileTrouble { text: "no".into() };
            let input = match kind {
                0 => Input::Start { jitter: Entropy::new([1; 8]) },
                1 => Input::Loaded { effect, entry: None, context: None },
                2 => Input::Locked { effect, entry: None },
                3 => Input::LockFailed { effect, busy: millis % 2 == 0 },
                4 => Input::Fetched { effect, result: Err(FetchError::Connect) },
                5 => Input::Fetched { effect, result: reply(200, &metadata) },
                6 => Input::Fetched { effect, result: reply(200, "{}") },
                7 => Input::Listening { effect, port: 8900, entropy },
                8 => Input::Callback {
                    request: RequestId(1),
                    head: get("/callback?code=x&state=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"),
                    body: Zeroizing::new(Vec::new()),
                    entropy,
                },
                9 => Input::BrowserFailed,
                10 => Input::Saved { effect },
                11 => Input::SaveFailed { effect, trouble },
                12 => Input::Written { effect },
                13 => Input::WriteFailed { effect, trouble },
                15 => Input::Seeded { effect, seed: Entropy::new([5; 32]) },
                14 => Input::IdTokenGiven { effect, token: Err(trouble) },
                _ => Input::Interrupt,
            };
            open += usize::from(matches!(input, Input::Callback { .. }));
            machine.handle(now, input);
            machine.handle_timeout(now);
            while let Some(output) = machine.poll_output() {
                match output {
                    Output::Answer { .. } => open = open.checked_sub(1).unwrap(),
                    Output::Finished(_) | Output::Failed(_) => {
                        prop_assert!(!ended, "one end");
                        ended = true;
                    }
                    Output::ReleaseLock => prop_assert!(std::mem::take(&mut locked)),
                    other => {
                        prop_assert!(!ended, "nothing follows the end: {other:?}");
                        if matches!(other, Output::Lock { .. }) {
                            locked = true;
                        }
                        if matches!(other, Output::OpenBrowser { .. } | Output::Listen { .. }) {
                            prop_assert!(interactive, "nobody is there");
                        }
                    }
                }
            }
            prop_assert!(open <= 1, "at most the one that waits for the outcome");
            prop_assert!(!ended || (open == 0 && machine.poll_timeout().is_none()));
        }
    }
}
