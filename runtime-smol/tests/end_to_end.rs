//! A machine behind a TLS listener, asked by a fetcher: all parts together, as the program
//! assembles them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use exchange_core::http::{FetchRequest, Response, Trust};
use exchange_core::machine::{Entropy, Machine, Mono, Now, RequestId};
use exchange_smol::desk::{Arrival, Desk, Taken};
use exchange_smol::driver::{Hands, drive};
use exchange_smol::executor::{run, spawn, within};
use exchange_smol::fetch::Fetcher;
use exchange_smol::listen::{Drained, ListenLimits, Listener, Load};
use exchange_smol::proxy::ProxySettings;
use exchange_smol::tls::{ClientOptions, ClientRoots, ClientTls, ServerTls, ServerTlsOptions};
use smol::channel::bounded;

struct Asked {
    id: RequestId,
    target: String,
    entropy: Entropy<16>,
}

/// Answers each request with its path; those to `/later` when 50 ms have passed.
#[derive(Default)]
struct Parrot {
    answers: VecDeque<(RequestId, String)>,
    later: VecDeque<(Mono, RequestId)>,
}

impl Machine for Parrot {
    type Input = Asked;
    type Output = (RequestId, String);

    fn handle(&mut self, now: Now, input: Asked) {
        assert_ne!(*input.entropy.into_bytes(), [0; 16]);
        if input.target == "/later" {
            self.later.push_back((now.mono.plus_millis(50), input.id));
        } else {
            self.answers.push_back((input.id, input.target));
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        while self.later.front().is_some_and(|(at, _)| *at <= now.mono) {
            let (_, id) = self.later.pop_front().unwrap();
            self.answers.push_back((id, "later".to_owned()));
        }
    }

    fn poll_output(&mut self) -> Option<Self::Output> {
        self.answers.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.later.front().map(|(at, _)| *at)
    }
}

struct Clerk(Arc<Desk<Asked>>);

impl Hands<Parrot> for Clerk {
    fn start(&mut self, (id, text): (RequestId, String)) {
        self.0.answer(id, Response::new(200, "text/plain", text));
    }
}

fn shape(arrival: Arrival) -> Taken<Asked> {
    let entropy = exchange_smol::entropy::draw().unwrap();
    Taken::Input(Asked { id: arrival.id, target: arrival.request.head.target.into(), entropy })
}

async fn everything() {
    let (chain, key) =
        (include_bytes!("fixtures/server.crt"), include_bytes!("fixtures/server.key"));
    let tls = ServerTls::new(chain, key, ServerTlsOptions::default()).unwrap();
    let (inputs, inbox) = bounded(64);
    let desk = Desk::new(inputs, shape, |_| ());
    let driving = spawn(drive(Parrot::default(), inbox, Clerk(Arc::clone(&desk))));

    let listener = Listener::bind_loopback(0, true).unwrap();
    let port = listener.addresses()[0].port();
    let (stop, stopped) = bounded::<()>(1);
    let until = async move {
        let _ = stopped.recv().await;
    };
    let limits = ListenLimits::CALLBACK;
    let load = Arc::new(Load::default());
    let served = spawn(listener.serve(desk, Some(Arc::new(tls)), limits, load, until));

    let roots = ClientRoots::Only(include_bytes!("fixtures/ca.crt"));
    let client = ClientTls::new(ClientOptions { roots, ..ClientOptions::default() }).unwrap();
    let fetcher = Fetcher::new(client.clone(), client, ProxySettings::none(), "test/1");
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let path = if n % 2 == 0 { "later".to_owned() } else { format!("{n}") };
            let fetcher = fetcher.clone();
            spawn(async move {
                let request = FetchRequest {
                    url: format!("https://localhost:{port}/{path}").parse().unwrap(),
                    post: None,
                    headers: Vec::new(),
                    trust: Trust::Server,
                    body_bytes_max: 100,
                    timeout_millis: 10_000,
                };
                let reply = fetcher.fetch(request).await.unwrap();
                let body = String::from_utf8(reply.body.to_vec()).unwrap();
                assert_eq!(body.trim_start_matches('/'), path);
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    drop(stop);
    assert_eq!(served.await, Drained { left: 0 });
    driving.cancel().await;
}

#[test]
fn on_one_thread_and_on_three() {
    for threads in [1, 3] {
        let threads = NonZeroUsize::new(threads).unwrap();
        assert!(run(threads, within(30_000, everything())).is_some(), "hangs");
    }
}
