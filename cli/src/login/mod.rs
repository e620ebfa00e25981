//! The command `login`, and what it shares with `logout` and `status`.

mod callback;
pub(crate) mod checked;
pub(crate) mod client;
pub(crate) mod context;
pub(crate) mod given;
mod hands;
mod keeper;
pub(crate) mod paths;
mod plan;
pub(crate) mod requests;
pub(crate) mod server_says;
mod spinner;
pub(crate) mod store;
pub(crate) mod surroundings;
pub(crate) mod tell;
pub(crate) mod trace;
pub(crate) mod watcher;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use exchange_core::login::{ErrorClass, Input, LoginError, LoginMachine, Outcome};
use exchange_core::types::ContextName;
use exchange_smol::driver::drive;
use exchange_smol::entropy::draw;
use exchange_smol::executor::{run as run_executor, spawn};
use exchange_smol::signals::{Signals, hears_hangup};
use exchange_smol::{clock, entropy};
use smol::channel::{Sender, bounded};
use zeroize::Zeroizing;

use crate::args;
use crate::exit::{Class, Failure};
use context::Destination;
use hands::LoginHands;
use keeper::Keeper;
use plan::Plan;
use spinner::Spinner;
use store::TokenStore;
use tell::Voice;

/// Inputs that may wait for the machine.
const QUEUE: usize = 64;

/// Where the login of this run is kept.
pub(crate) struct Place {
    /// Tokens.
    pub(crate) store: TokenStore,
    /// The talosconfig.
    pub(crate) destination: Destination,
    /// The context in it.
    pub(crate) context: ContextName,
}

/// Runs the command.
pub(crate) fn run(args: &args::Login) -> Result<ExitCode, Failure> {
    let voice = Voice { quiet: args.quiet, format: args.output, no_result: false };
    run_executor(NonZeroUsize::MIN, async {
        let plan = plan::of(args, false).await?;
        perform(plan, voice).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Logs in without a word on standard output. A talosconfig of the context alone.
pub(crate) async fn for_command(
    args: &args::Login,
    in_memory: bool,
) -> Result<Zeroizing<String>, Failure> {
    let voice = Voice { quiet: args.quiet, format: args.output, no_result: true };
    let plan = plan::of(args, in_memory).await?;
    let (destination, context) = (plan.destination.clone(), plan.settings.context.clone());
    perform(plan, voice).await?;
    Ok(destination.alone(&context)?)
}

/// Runs the machine to its end.
async fn perform(plan: Plan, voice: Voice) -> Result<(), Failure> {
    let (inputs, queue) = bounded(QUEUE);
    let Plan {
        settings,
        requests,
        ports,
        reach,
        destination,
        store,
        given,
        nodes,
        browser,
        surroundings,
    } = plan;
    let context = settings.context.clone();
    let mark = match &destination {
        Destination::File(path) if settings.watch => {
            let mark = watcher::Mark::leave(path, &context);
            if mark.is_none() && watcher::is_running(path, &context) {
                voice.attention(
                    "warning: another login --watch keeps this context fresh already: see \
                     talosctl-oidc status",
                );
            }
            mark
        }
        Destination::File(_) | Destination::Memory(_) => None,
    };
    let machine = LoginMachine::new(settings).map_err(|error| failure(&error))?;
    let place = Arc::new(Place { store, destination, context: context.clone() });
    let hands = LoginHands {
        keeper: Keeper::start(place.store.clone(), context.clone(), inputs.clone()),
        desk: callback::desk(inputs.clone()),
        inputs: inputs.clone(),
        place: Arc::clone(&place),
        given: given.map(Arc::new),
        requests,
        listening: None,
        ports,
        reach,
        nodes,
        browser,
        spinner: Spinner::start(
            !voice.quiet && !trace::is_on(),
            surroundings.can_type && (surroundings.headless || surroundings.is_remote),
        ),
        surroundings,
        voice: voice.clone(),
        debug: trace::is_on(),
        mark,
        callback: None,
        closing: Vec::new(),
        reads_pasted: false,
        no_entropy: None,
        ended: None,
    };
    pass_signals_on(inputs.clone())?;
    let jitter = draw().map_err(no_entropy)?;
    let _ = inputs.send(Input::Start { jitter }).await;
    let (_, hands) = drive(machine, queue, hands).await;
    if let Some(error) = hands.no_entropy {
        return Err(no_entropy(error));
    }
    match hands.close().await {
        Some(Ok(Outcome::StillFresh(facts))) => {
            voice.result(false, &context, &place.destination, &facts, clock::now().wall);
            Ok(())
        }
        Some(Ok(Outcome::Written(_) | Outcome::Stopped)) => Ok(()),
        Some(Err(error)) => Err(failure(&error)),
        None => Err(Failure::new(Class::Other, "login.aborted", "the login ended without a word")),
    }
}

/// Ctrl-C, SIGTERM and a terminal that closes end a login in order, so that no token is lost
/// half-way.
fn pass_signals_on(inputs: Sender<Input>) -> Result<(), Failure> {
    let mut signals = Signals::listen(hears_hangup()).map_err(|error| {
        let text = format!("cannot listen to signals: {}", error.kind());
        Failure::new(Class::Other, "signals.failed", text)
    })?;
    spawn(async move {
        while signals.next().await.is_some() {
            if inputs.send(Input::Interrupt).await.is_err() {
                return;
            }
        }
    })
    .detach();
    Ok(())
}

fn no_entropy(error: entropy::NoEntropy) -> Failure {
    Failure::new(Class::Other, "entropy.absent", error.to_string())
}

/// An error of the machine as the end of the program.
pub(crate) fn failure(error: &LoginError) -> Failure {
    let class = match error.class() {
        ErrorClass::Usage => Class::Other,
        ErrorClass::Local => Class::Local,
        ErrorClass::Refused => Class::Refused,
        ErrorClass::Unavailable => Class::Unavailable,
        ErrorClass::NotCompleted => Class::LoginIncomplete,
    };
    Failure::new(class, error.code(), error.to_string())
}
