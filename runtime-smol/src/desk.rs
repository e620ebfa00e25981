//! Hands requests of many connections to the one task that owns a machine, and the answers back.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use exchange_core::http::{Request, Response};
use exchange_core::machine::RequestId;
use smol::channel::Sender;

use crate::listen::{Notice, Peer, Service, overloaded};

/// One request at the desk.
#[derive(Debug)]
pub struct Arrival {
    /// Its number, to be echoed by the answer.
    pub id: RequestId,
    /// Who asks.
    pub peer: Peer,
    /// What.
    pub request: Request,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Taken<I> {
    /// It goes to the machine.
    Input(I),
    /// Somebody else was told to answer it, with [`Desk::answer`].
    Elsewhere,
    /// It has its answer.
    Answer(Response),
}

type Make<I> = Box<dyn Fn(Arrival) -> Taken<I> + Send + Sync>;
type Hear = Box<dyn Fn(Notice) + Send + Sync>;

/// A [`Service`] that turns each request into an input of a machine and waits for its answer.
pub struct Desk<I> {
    inputs: Sender<I>,
    make: Make<I>,
    hear: Hear,
    waiting: Mutex<BTreeMap<RequestId, Arc<Place>>>,
    next: AtomicU64,
}

impl<I: Send + 'static> Desk<I> {
    /// A desk whose requests go into `inputs` as `make` shapes them; `make` also draws the
    /// randomness that the input carries. `hear` gets what went wrong before there was a request.
    pub fn new(
        inputs: Sender<I>,
        make: impl Fn(Arrival) -> Taken<I> + Send + Sync + 'static,
        hear: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inputs,
            make: Box::new(make),
            hear: Box::new(hear),
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
        })
    }

    /// Gives the answer to a request. Returns whether its client still waits for it.
    pub fn answer(&self, id: RequestId, response: Response) -> bool {
        let place = self.lock().remove(&id);
        place.map(|place| place.put(response)).is_some()
    }

    /// How many requests wait for an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RequestId, Arc<Place>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Send + 'static> Service for Desk<I> {
    async fn call(&self, peer: Peer, request: Request) -> Response {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let place = Arc::new(Place::default());
        self.lock().insert(id, Arc::clone(&place));
        // Forgets the place also when the connection stops waiting.
        let _forget = Forget { desk: self, id };
        match (self.make)(Arrival { id, peer, request }) {
            Taken::Input(input) => {
                // Requests beyond the queue are refused at once rather than remembered.
                if self.inputs.try_send(input).is_err() {
                    return overloaded();
                }
            }
            Taken::Elsewhere => {}
            Taken::Answer(response) => return response,
        }
        poll_fn(|cx| place.poll(cx)).await
    }

    fn notice(&self, notice: Notice) {
        (self.hear)(notice);
    }
}

impl<I> fmt::Debug for Desk<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

/// Where one request waits for its answer: an answer comes once, which a channel would not know.
#[derive(Default)]
struct Place(Mutex<Held>);

#[derive(Default)]
struct Held {
    answer: Option<Response>,
    waker: Option<Waker>,
}

impl Place {
    fn put(&self, response: Response) {
        let waker = {
            let mut held = self.lock();
            held.answer = Some(response);
            held.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Response> {
        let mut held = self.lock();
        match held.answer.take() {
            Some(response) => Poll::Ready(response),
            None => {
                held.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Forget<'a, I: Send + 'static> {
    desk: &'a Desk<I>,
    id: RequestId,
}

impl<I: Send + 'static> Drop for Forget<'_, I> {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::http::{Headers, Method, RequestHead, Version};
    use smol::channel;
    use smol::future;
    use std::pin::pin;

    fn request(target: &str) -> Request {
        let head = RequestHead {
            method: Method::Get,
            target: target.into(),
            version: Version::Http11,
            headers: Headers::default(),
        };
        Request { head, body: Ok(Default::default()) }
    }

    fn peer() -> Peer {
        Peer { address: "192.0.2.1:5000".parse().unwrap(), tls: true }
    }

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let (send, inputs) = channel::bounded(8);
        let desk = Desk::new(send, Taken::Input, |_| ());
        smol::block_on(async {
            let mut first = pin!(desk.call(peer(), request("/1")));
            let mut second = pin!(desk.call(peer(), request("/2")));
            assert!(future::poll_once(&mut first).await.is_none());
            assert!(future::poll_once(&mut second).await.is_none());
            let (a, b) = (inputs.recv().await.unwrap(), inputs.recv().await.unwrap());
            assert_eq!((&*a.request.head.target, &*b.request.head.target), ("/1", "/2"));
            assert!(desk.answer(b.id, Response::new(202, "text/plain", "b")));
            assert!(desk.answer(a.id, Response::new(201, "text/plain", "a")));
            assert!(!desk.answer(a.id, Response::new(500, "text/plain", "again")));
            assert_eq!((first.await.status, second.await.status), (201, 202));
        });
        assert_eq!(desk.waiting(), 0);
    }

    #[test]
    fn who_stops_waiting_is_forgotten_and_a_full_queue_refuses() {
        let (send, inputs) = channel::bounded(1);
        let desk = Desk::new(send, Taken::Input, |_| ());
        smol::block_on(async {
            {
                let mut first = pin!(desk.call(peer(), request("/1")));
                assert!(future::poll_once(&mut first).await.is_none());
                assert_eq!(desk.waiting(), 1);
                assert_eq!(desk.call(peer(), request("/2")).await.status, 503);
            }
            assert_eq!(desk.waiting(), 0);
            let late = inputs.recv().await.unwrap();
            assert!(!desk.answer(late.id, Response::new(200, "text/plain", "late")));
            drop(inputs);
            assert_eq!(desk.call(peer(), request("/3")).await.status, 503);
        });
    }

    #[test]
    fn what_the_machine_does_not_get_is_answered_too() {
        let (send, inputs) = channel::bounded(8);
        let make = |arrival: Arrival| match arrival.request.head.path() {
            "/now" => Taken::Answer(Response::new(202, "text/plain", "")),
            _ => Taken::<Arrival>::Elsewhere,
        };
        let desk = Desk::new(send, make, |_| ());
        smol::block_on(async {
            assert_eq!(desk.call(peer(), request("/now")).await.status, 202);
            let mut later = pin!(desk.call(peer(), request("/later")));
            assert!(future::poll_once(&mut later).await.is_none());
            assert!(desk.answer(RequestId(2), Response::new(203, "text/plain", "")));
            assert_eq!(later.await.status, 203);
        });
        assert!(inputs.is_empty());
        assert_eq!(desk.waiting(), 0);
    }
}
