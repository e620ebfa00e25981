//! What happened in the worlds, counted where it takes effect.

macro_rules! kinds {
    ($($kind:ident => $words:literal,)*) => {
        /// A thing that must happen in a full run, or the run has proven less than it says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($kind,)* }

        /// Every kind with its words.
        pub const KINDS: &[(Kind, &str)] = &[$((Kind::$kind, $words),)*];
    };
}

kinds! {
    Delayed => "messages that took a second or more",
    Lost => "messages lost",
    Reordered => "messages that overtook others",
    ProviderDown => "requests while the provider was down",
    Rotated => "keys of the provider rotated",
    Restarted => "server crashed and started again",
    Cut => "answers cut off by a crash",
    ClientKilled => "clients killed",
    ClientFailed => "clients that ended with an error",
    KilledWriting => "clients killed while they wrote",
    LogFull => "answers withheld, as the disk of the audit log was full",
    ClientFull => "tokens or talosconfig not written, as the disk was full",
    ServerClock => "clock of the server set",
    ClientClock => "clock of a client set",
    Reloaded => "configuration reloaded",
    SignerFailed => "signatures not given",
    KeysKept => "saved keys taken over",
    KeysTooOld => "saved keys refused for their age",
    Revoked => "sessions ended by the provider",
    Refused => "logins and refreshes refused by the provider",
    GroupChanged => "people moved to another group",
    PortTaken => "listeners whose port was taken",
    Browser => "logins with a browser",
    Device => "logins with a device code",
    Pending => "polls for a device code that came too early",
    Refreshed => "tokens refreshed",
    Replayed => "captured tokens sent by the adversary",
    Forged => "tokens by the adversary's own key",
    Stolen => "tokens by keys that were withdrawn",
    OthersToken => "tokens for another client",
    OldToken => "tokens that had ended",
    EarlyToken => "tokens from the future",
    Unsigned => "tokens without a signature",
    FalseCallback => "callbacks by another page",
    LimitedAddress => "requests refused, too many of an address",
    LimitedSubject => "requests refused, too many of a subject",
    Unauthorized => "tokens refused",
    Denied => "people refused who have no role",
    Admin => "certificates for os:admin",
    Reader => "certificates for os:reader",
}

/// How often each kind happened.
#[derive(Clone, Copy)]
pub struct Counts([u64; KINDS.len()]);

impl Counts {
    pub fn none() -> Self {
        Self([0; KINDS.len()])
    }

    pub fn add(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    pub fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Kinds that never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        let never = KINDS.iter().filter(|(kind, _)| self.of(*kind) == 0);
        never.map(|(_, words)| *words).collect()
    }
}
