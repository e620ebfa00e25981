//! The task that owns a machine.

use std::future::Future;

use exchange_core::machine::{Machine, Mono, Now};
use smol::channel::Receiver;
use smol::future;

use crate::clock;

/// What a driver does for its machine.
pub trait Hands<M: Machine> {
    /// Performs one output or starts it and returns at once; its answer comes as an input.
    /// Never blocks: while this runs, nothing else reaches the machine.
    fn start(&mut self, output: M::Output);

    /// Whether there is nothing more to run for, asked after each round.
    fn finished(&self) -> bool {
        false
    }

    /// Both clocks, read now.
    fn now(&self) -> Now {
        clock::now()
    }

    /// Waits until `deadline`, for ever when there is none.
    fn sleep_until(&self, deadline: Option<Mono>) -> impl Future<Output = ()> + Send {
        clock::sleep_until(deadline)
    }
}

/// Drives `machine` until `hands` are finished or all senders of `inputs` are gone, then gives
/// machine and hands back.
///
/// One task owns the machine, so it needs no lock. Between `handle` and the end of the drain
/// nothing is awaited, so an input is answered as a whole.
pub async fn drive<M: Machine, H: Hands<M>>(
    mut machine: M,
    inputs: Receiver<M::Input>,
    mut hands: H,
) -> (M, H) {
    loop {
        // First of all, for what a new machine wants before anything has happened.
        while let Some(output) = machine.poll_output() {
            hands.start(output);
        }
        if hands.finished() {
            return (machine, hands);
        }
        let due = machine.poll_timeout();
        // A stream of inputs must not keep a timer that is due from firing.
        if due.is_some_and(|due| due <= hands.now().mono) {
            machine.handle_timeout(hands.now());
            while let Some(output) = machine.poll_output() {
                hands.start(output);
            }
        }
        let input = async { Some(inputs.recv().await) };
        let timer = async {
            hands.sleep_until(machine.poll_timeout()).await;
            None
        };
        match future::or(input, timer).await {
            Some(Ok(input)) => machine.handle(hands.now(), input),
            Some(Err(_closed)) => return (machine, hands),
            None => machine.handle_timeout(hands.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts inputs and asks for a timer 200 ms after one.
    #[derive(Default)]
    struct Counter {
        queue: VecDeque<&'static str>,
        timer: Option<Mono>,
        inputs: u32,
        rung: Arc<AtomicUsize>,
    }

    impl Machine for Counter {
        type Input = ();
        type Output = &'static str;

        fn handle(&mut self, now: Now, (): ()) {
            self.inputs += 1;
            self.queue.push_back("input");
            self.timer.get_or_insert(now.mono.plus_millis(200));
        }

        fn handle_timeout(&mut self, now: Now) {
            if self.timer.is_some_and(|at| at <= now.mono) {
                self.timer = None;
                self.rung.fetch_add(1, Ordering::Relaxed);
                self.queue.push_back("timer");
            }
        }

        fn poll_output(&mut self) -> Option<&'static str> {
            self.queue.pop_front()
        }

        fn poll_timeout(&self) -> Option<Mono> {
            self.timer
        }
    }

    #[derive(Default)]
    struct Collect {
        seen: Vec<&'static str>,
        until: usize,
    }

    impl Hands<Counter> for Collect {
        fn start(&mut self, output: &'static str) {
            self.seen.push(output);
        }

        fn finished(&self) -> bool {
            self.seen.len() >= self.until
        }
    }

    #[test]
    fn inputs_then_timer_in_order() {
        let (send, inputs) = smol::channel::bounded(4);
        let hands = Collect { until: 3, ..Collect::default() };
        send.try_send(()).unwrap();
        send.try_send(()).unwrap();
        let driven = crate::executor::within(5000, drive(Counter::default(), inputs, hands));
        let (machine, hands) = smol::block_on(driven).unwrap();
        assert_eq!(hands.seen, ["input", "input", "timer"]);
        assert_eq!(machine.inputs, 2);
    }

    #[test]
    fn ends_when_nobody_can_send_any_more() {
        let (send, inputs) = smol::channel::bounded(4);
        send.try_send(()).unwrap();
        drop(send);
        let hands = Collect { until: usize::MAX, ..Collect::default() };
        let (_, hands) = smol::block_on(drive(Counter::default(), inputs, hands));
        assert_eq!(hands.seen, ["input"]);
    }

    #[test]
    fn a_flood_of_inputs_does_not_starve_the_timer() {
        let (send, inputs) = smol::channel::bounded(1000);
        let hands = Collect { until: usize::MAX, ..Collect::default() };
        let machine = Counter::default();
        let rung = Arc::clone(&machine.rung);
        let flood = async move {
            let start = clock::mono();
            while rung.load(Ordering::Relaxed) < 3 {
                assert!(clock::mono().since(start) < 20_000, "the timer starves");
                send.send(()).await.unwrap();
            }
        };
        smol::block_on(future::zip(drive(machine, inputs, hands), flood));
    }
}
