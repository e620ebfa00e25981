//! Signals of the operating system as values.

use std::io;

use async_signal::Signals as Source;
use smol::stream::StreamExt;

/// What the operating system may tell a running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: the service manager wants an orderly end.
    Terminate,
    /// SIGINT: the user pressed Ctrl-C.
    Interrupt,
    /// SIGHUP: to a server, read the configuration again and re-open the audit file; to a program
    /// at a terminal, that it has closed.
    Reload,
}

/// The signals of this process from here on; until dropped they do not end it.
#[derive(Debug)]
pub struct Signals(Source);

impl Signals {
    /// Starts to listen. SIGHUP is left alone unless `reload` asks for it.
    ///
    /// # Errors
    /// The operating system's, which in practice has none to give.
    pub fn listen(reload: bool) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use async_signal::Signal as S;
            let wanted = [S::Term, S::Int, S::Hup];
            let count = if reload { 3 } else { 2 };
            Ok(Self(Source::new(wanted.into_iter().take(count))?))
        }
        #[cfg(not(unix))]
        {
            let _ = reload;
            Ok(Self(Source::new([async_signal::Signal::Int])?))
        }
    }

    /// Waits for the next one. `None` when no more can come.
    pub async fn next(&mut self) -> Option<Signal> {
        loop {
            let signal = match self.0.next().await? {
                #[cfg(unix)]
                Ok(async_signal::Signal::Term) => Some(Signal::Terminate),
                #[cfg(unix)]
                Ok(async_signal::Signal::Hup) => Some(Signal::Reload),
                Ok(async_signal::Signal::Int) => Some(Signal::Interrupt),
                #[allow(
                    unreachable_patterns,
                    reason = "the rest is never asked for, and on Windows there is no rest"
                )]
                Ok(_) | Err(_) => None,
            };
            if signal.is_some() {
                return signal;
            }
        }
    }
}

/// Whether this process can be told that its terminal has closed. `nohup` has it ignore that, and
/// where that cannot be known it is left as it is.
#[must_use]
pub fn hears_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_is_a_reload() {
        let mut signals = Signals::listen(true).unwrap();
        let this = rustix::process::getpid();
        rustix::process::kill_process(this, rustix::process::Signal::HUP).unwrap();
        let got = smol::block_on(crate::executor::within(5000, signals.next()));
        assert_eq!(got, Some(Some(Signal::Reload)));
    }
}
