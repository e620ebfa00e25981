//! The vocabulary both machines share: what goes in, what comes out, and when.

use core::fmt;
use core::num::NonZeroU64;

use zeroize::Zeroizing;

/// Milliseconds since the process started. Never goes back; every deadline uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(u64);

impl Mono {
    /// The moment `millis` after the start of the process.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of the process.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// This moment plus `millis`; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// This moment plus `secs`; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_secs(self, secs: u64) -> Self {
        self.plus_millis(secs.saturating_mul(1000))
    }

    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Seconds since 1970-01-01T00:00:00Z. May jump; only `exp`, `notAfter` and audit use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The moment `secs` after the epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds after the epoch.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// This moment plus `secs`; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// This moment minus `secs`; never before the epoch.
    #[must_use]
    pub const fn minus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_sub(secs))
    }

    /// Seconds from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The two clock readings a machine may need, taken by the runtime at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and pacing.
    pub mono: Mono,
    /// For everything another party wrote a date on.
    pub wall: UnixTime,
}

/// Fresh operating-system randomness, consumed by use: neither `Clone` nor printable.
pub struct Entropy<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> Entropy<N> {
    /// Takes bytes that the runtime drew from the operating system for this one use.
    #[must_use]
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Gives the bytes up.
    #[must_use]
    pub fn into_bytes(self) -> Zeroizing<[u8; N]> {
        self.0
    }
}

impl<const N: usize> fmt::Debug for Entropy<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entropy<{N}>(redacted)")
    }
}

/// Names one effect. Minted by a machine, echoed by the runtime, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EffectId(NonZeroU64);

impl EffectId {
    /// The identifier as a number, for traces.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// Mints [`EffectId`]s: 1, 2, 3 and so on.
#[derive(Debug)]
pub struct EffectIds(NonZeroU64);

impl Default for EffectIds {
    fn default() -> Self {
        Self(NonZeroU64::MIN)
    }
}

impl EffectIds {
    /// The next unused identifier.
    pub fn mint(&mut self) -> EffectId {
        let id = EffectId(self.0);
        self.0 = self.0.saturating_add(1);
        id
    }
}

/// Names one request of a peer. Minted by the runtime, echoed in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A pure state machine: things that happened go in, things to do come out.
pub trait Machine {
    /// What may happen to it.
    type Input;
    /// What it may ask for.
    type Output;

    /// Feeds one thing that happened. Never blocks, never fails: a refusal is an output.
    fn handle(&mut self, now: Now, input: Self::Input);

    /// Says that time passed. Calling it early or twice changes nothing.
    fn handle_timeout(&mut self, now: Now);

    /// Next thing to do, in order. Outputs queue: two `handle` calls in a row lose nothing.
    fn poll_output(&mut self) -> Option<Self::Output>;

    /// Latest moment for `handle_timeout`; `None` when no timer runs.
    fn poll_timeout(&self) -> Option<Mono>;
}

/// What a blocking driver needs from its surroundings. Tests, simulation and fuzzing bring
/// their own; the smol runtime has a concurrent equivalent.
pub trait World<M: Machine> {
    /// Both clocks, read now.
    fn now(&mut self) -> Now;
    /// Performs one output, or starts it and queues the answer for `wait`.
    fn perform(&mut self, output: M::Output);
    /// Next answer, or `None` at `until`. A simulation moves its clock here.
    fn wait(&mut self, until: Option<Mono>) -> Option<M::Input>;
    /// Whether there is nothing more to run for.
    fn finished(&self) -> bool;
}

/// Drives `machine` in `world` until the world is finished.
pub fn run<M: Machine>(machine: &mut M, world: &mut impl World<M>) {
    while !world.finished() {
        let answer = world.wait(machine.poll_timeout());
        let now = world.now();
        match answer {
            Some(input) => machine.handle(now, input),
            None => machine.handle_timeout(now),
        }
        while let Some(output) = machine.poll_output() {
            world.perform(output);
        }
    }
}
