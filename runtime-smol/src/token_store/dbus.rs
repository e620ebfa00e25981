//! As much of a D-Bus client as the Secret Service needs: one connection, one call at a time, and
//! no call without a deadline.
//!
//! [`wire`] is bytes in, values out; [`address`] finds the bus; this file moves the bytes.

mod address;
pub(super) mod wire;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use wire::Kind;
pub(super) use wire::{Call, Malformed, Message, Writer};

/// Longest line of the other side before messages begin.
const LINE_MAX: usize = 1024;
/// Signals that came while something else was waited for. Nobody sends us that many.
const SIGNALS_MAX: usize = 16;

/// The bus itself, for [`Call::service`].
pub(super) const BUS: &str = "org.freedesktop.DBus";

/// Why a call has no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DbusError {
    /// There is no bus that this process could reach.
    NoBus(&'static str),
    /// The time was over.
    TimedOut,
    /// The connection broke.
    Broken(ErrorKind),
    /// What came is no D-Bus.
    Malformed,
    /// The other side says no, by that name.
    Refused(Box<str>),
}

impl From<io::Error> for DbusError {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            Self::TimedOut
        } else {
            Self::Broken(kind)
        }
    }
}

impl From<Malformed> for DbusError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// A connection to the session bus.
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    signals: VecDeque<Message>,
}

impl Bus {
    /// Connects to the bus of this session and says hello, within `limit`.
    pub(super) fn connect(
        variable: impl Fn(&str) -> Option<String>,
        limit: Duration,
    ) -> Result<Self, DbusError> {
        let until = Instant::now() + limit;
        let stream = address::connect(variable, until)?;
        let mut bus = Self { stream, serial: 0, signals: VecDeque::new() };
        bus.authenticate(until)?;
        let hello = Call { path: "/org/freedesktop/DBus", interface: BUS, member: "Hello" };
        bus.call(BUS, &hello, "", Writer::default(), limit)?;
        Ok(bus)
    }

    /// Calls a method and waits for its answer.
    pub(super) fn call(
        &mut self,
        service: &str,
        call: &Call<'_>,
        signature: &str,
        body: Writer,
        limit: Duration,
    ) -> Result<Message, DbusError> {
        let until = Instant::now() + limit;
        self.serial = self.serial.checked_add(1).ok_or(DbusError::Malformed)?;
        let bytes = wire::method_call(self.serial, service, call, signature, &body)?;
        self.write(&bytes, until)?;
        loop {
            let message = self.read_message(until)?;
            match message.kind {
                Kind::Return if message.reply_to == Some(self.serial) => return Ok(message),
                Kind::Error if message.reply_to == Some(self.serial) => {
                    return Err(DbusError::Refused(message.error.unwrap_or_default()));
                }
                Kind::Signal => self.keep(message),
                // An answer to a call that was given up, or a call to us, who serve nothing.
                Kind::Return | Kind::Error | Kind::Call | Kind::Unknown => {}
            }
        }
    }

    /// Waits for the next signal that `wanted` picks, those included that came during calls.
    pub(super) fn signal(
        &mut self,
        wanted: impl Fn(&Message) -> bool,
        limit: Duration,
    ) -> Result<Message, DbusError> {
        if let Some(at) = self.signals.iter().position(&wanted)
            && let Some(found) = self.signals.remove(at)
        {
            return Ok(found);
        }
        let until = Instant::now() + limit;
        loop {
            let message = self.read_message(until)?;
            if message.kind == Kind::Signal && wanted(&message) {
                return Ok(message);
            }
        }
    }

    fn keep(&mut self, signal: Message) {
        if self.signals.len() >= SIGNALS_MAX {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
    }

    /// `EXTERNAL`: the bus asks the operating system who we are.
    fn authenticate(&mut self, until: Instant) -> Result<(), DbusError> {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.write(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes(), until)?;
        let line = self.read_line(until)?;
        if !line.starts_with(b"OK ") {
            return Err(DbusError::NoBus("the session bus does not let this user in"));
        }
        self.write(b"BEGIN\r\n", until)
    }

    /// A byte at a time, so that nothing is taken that belongs to the first message.
    fn read_line(&mut self, until: Instant) -> Result<Vec<u8>, DbusError> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() >= LINE_MAX {
                return Err(DbusError::Malformed);
            }
            let mut byte = [0];
            self.read(&mut byte, until)?;
            line.extend(byte);
        }
        Ok(line)
    }

    fn read_message(&mut self, until: Instant) -> Result<Message, DbusError> {
        let mut head = [0; wire::HEAD_BYTES];
        self.read(&mut head, until)?;
        let rest = wire::length_after(&head)?;
        let mut bytes = Zeroizing::new(vec![0; wire::HEAD_BYTES + rest]);
        let (start, end) = bytes.split_at_mut(wire::HEAD_BYTES);
        start.copy_from_slice(&head);
        self.read(end, until)?;
        Ok(wire::message(&bytes)?)
    }

    fn read(&mut self, mut into: &mut [u8], until: Instant) -> Result<(), DbusError> {
        while !into.is_empty() {
            self.stream.set_read_timeout(Some(left(until)?))?;
            match self.stream.read(into) {
                Ok(0) => return Err(DbusError::Broken(ErrorKind::UnexpectedEof)),
                Ok(n) => into = into.get_mut(n..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8], until: Instant) -> Result<(), DbusError> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(left(until)?))?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(DbusError::Broken(ErrorKind::WriteZero)),
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What is left until then. Never zero, which would mean for ever.
fn left(until: Instant) -> Result<Duration, DbusError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(DbusError::TimedOut) } else { Ok(left) }
}
