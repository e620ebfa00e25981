//! The command `demo`: the whole way on one machine.
//!
//! | module | what it does |
//! |---|---|
//! | [`provider`], [`page`] | a development OpenID provider |
//! | [`ca`] | a Talos-like authority, and certificates that are wrong on purpose |
//! | [`node`], [`methods`] | a stand-in for a Talos node |
//! | [`stage`], [`child`], [`folder`] | starts all of it, `serve` and `login` as processes |
//! | [`browser`], [`wire`] | what a person clicks on; HTTP on loopback |
//! | [`story`], [`show`] | what happens, checked step by step, and how it is told |
//!
//! All of it but [`run`] is private to this module, so the compiler keeps the development provider
//! out of `serve`.

mod browser;
mod ca;
mod child;
mod folder;
mod methods;
mod node;
mod page;
mod provider;
mod show;
mod stage;
mod stay;
mod story;
mod wire;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use exchange_smol::signals::Signals;
use exchange_smol::{clock, executor};

use crate::args;
use crate::exit::{Class, Failure};
use show::Show;
use stage::Stage;
use wire::Trouble;

/// Runs the command.
pub(crate) fn run(args: &args::Demo) -> Result<ExitCode, Failure> {
    executor::run(NonZeroUsize::MIN, async {
        let mut signals = Signals::listen(false).map_err(|error| broken(error.to_string()))?;
        let interrupted = async {
            signals.next().await;
            None
        };
        // Whatever comes first, dropping the other ends the processes and removes the folder.
        let acted = async { Some(if args.stay { stay().await } else { once().await }) };
        match smol::future::or(acted, interrupted).await {
            Some(outcome) => outcome,
            None if args.stay => Ok(ExitCode::SUCCESS),
            None => Err(Failure::new(Class::Other, "demo.interrupted", "the demo was interrupted")),
        }
    })
}

/// The whole story.
async fn once() -> Result<ExitCode, Failure> {
    let start = clock::mono();
    let mut show = Show::new();
    let told = async {
        let stage = Stage::new().await?;
        let exchange = stage.exchange("server", "5m").await?;
        story::introduce(&mut show, &stage, &exchange);
        story::tell(&mut show, &stage, &exchange).await
    };
    let told = told.await;
    let millis = clock::mono().since(start);
    let (checks, wrong) = show.result();
    if !wrong.is_empty() {
        let message =
            format!("{} of {checks} checks came out wrong: {}", wrong.len(), wrong.join("; "));
        return Err(Failure::new(Class::Other, "demo.unexpected", message));
    }
    told.map_err(broken)?;
    let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
    show.line(&format!("\nAll {checks} checks came out as they should, in {seconds}.{tenths} s."));
    Ok(ExitCode::SUCCESS)
}

/// Everything stays up until a signal.
async fn stay() -> Result<ExitCode, Failure> {
    let mut show = Show::new();
    let stage = Stage::new().await.map_err(broken)?;
    let exchange = stage.exchange("server", "5m").await.map_err(broken)?;
    story::introduce(&mut show, &stage, &exchange);
    stay::suggest(&mut show, &stage, &exchange);
    std::future::pending().await
}

fn broken(trouble: Trouble) -> Failure {
    Failure::new(Class::Other, "demo.broken", format!("the demo cannot go on: {trouble}"))
}
