//! Who and what is at this machine: a person, a display, a way in over SSH.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};

use exchange_smol::browser::{is_headless, is_in_container};
use exchange_smol::token_store::Prompt;

use crate::args;

/// What is known of this machine and of how we were started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Whether a browser started here would be seen by nobody.
    pub(crate) headless: bool,
    /// Whether the person may sit at another machine, so that a browser there does not reach this
    /// one.
    pub(crate) is_remote: bool,
    /// Whether somebody can type.
    pub(crate) can_type: bool,
    /// Whether what is said goes to a terminal that can show a QR code.
    pub(crate) shows_pictures: bool,
    has_terminal: bool,
    is_automation: bool,
    has_browser_variable: bool,
    ssh: Option<Ssh>,
}

/// The way by which the person came in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ssh {
    host: IpAddr,
    port: u16,
    user: Option<String>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let stdin = std::io::stdin().is_terminal();
        Self::new(stdin, std::io::stderr().is_terminal(), |name| std::env::var_os(name))
    }

    fn new(stdin: bool, stderr: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| variable(name).and_then(|value| value.into_string().ok());
        let is_set = |name| text(name).is_some_and(|value| !value.is_empty());
        Self {
            headless: is_headless(&variable),
            is_remote: ["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"].into_iter().any(is_set)
                || is_in_container(&variable),
            can_type: stdin,
            shows_pictures: stderr && text("TERM").is_none_or(|term| term != "dumb"),
            has_terminal: stdin || stderr,
            is_automation: text("CI").is_some_and(|value| !matches!(&*value, "" | "0" | "false")),
            has_browser_variable: is_set("BROWSER"),
            ssh: text("SSH_CONNECTION").and_then(|value| {
                let mut words = value.split_whitespace().skip(2);
                Some(Ssh {
                    host: words.next()?.parse().ok()?,
                    port: words.next()?.parse().ok()?,
                    user: text("USER").filter(|user| is_plain(user)),
                })
            }),
        }
    }

    /// Whether a person can be asked to log in. A flag or `$BROWSER` that says how settles it;
    /// else a build machine has nobody, and a watcher without a terminal is a service.
    pub(crate) fn is_somebody_there(&self, args: &args::Login) -> bool {
        let says_how = args.device_code
            || args.skip_open_browser
            || args.browser_command.is_some()
            || self.has_browser_variable;
        !args.non_interactive
            && (says_how || self.has_terminal || !(args.watch || self.is_automation))
    }

    /// Whether the person of an `interactive` run may be asked to unlock the keychain: the window
    /// would open on this machine's own screen.
    pub(crate) const fn prompt(&self, interactive: bool) -> Prompt {
        if interactive && !self.headless { Prompt::Once } else { Prompt::Never }
    }

    /// The command, for the machine that has a browser, that brings a port of its own to `at`
    /// here. Only somebody who came by SSH can be told the whole of it.
    pub(crate) fn tunnel(&self, at: SocketAddr) -> String {
        let port = at.port();
        let here = match at.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let whom = self.ssh.as_ref().map_or_else(
            || "<this machine>".to_owned(),
            |ssh| {
                let user = ssh.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let port = if ssh.port == 22 { String::new() } else { format!("-p {} ", ssh.port) };
                format!("{port}{user}{}", ssh.host)
            },
        );
        format!("ssh -N -L {port}:{here}:{port} {whom}")
    }
}

/// A user name that needs no quoting in a shell.
fn is_plain(user: &str) -> bool {
    !user.is_empty()
        && !user.starts_with('-')
        && user.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(terminal: bool, set: &[(&str, &str)]) -> Surroundings {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name);
        Surroundings::new(terminal, false, |name| find(name).map(|(_, value)| value.into()))
    }

    fn args(flags: &[&str]) -> args::Login {
        use clap::Parser as _;
        let words = ["talosctl-oidc", "login"].iter().chain(flags);
        match args::Cli::try_parse_from(words).map(|cli| cli.command) {
            Ok(args::Command::Login(login)) => *login,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_service_has_nobody_at_it() {
        let nobody = with(false, &[]);
        assert!(nobody.is_somebody_there(&args(&[])), "a script that shows the address");
        assert!(!nobody.is_somebody_there(&args(&["--watch"])));
        assert!(nobody.is_somebody_there(&args(&["--watch", "--device-code"])));
        assert!(with(true, &[]).is_somebody_there(&args(&["--watch"])));
        assert!(!with(true, &[]).is_somebody_there(&args(&["--non-interactive"])));
        assert!(!with(false, &[("CI", "true")]).is_somebody_there(&args(&[])));
        let scripted = with(false, &[("CI", "true"), ("BROWSER", "script")]);
        assert!(scripted.is_somebody_there(&args(&["--watch"])));
    }

    #[test]
    fn the_tunnel_goes_back_the_way_the_person_came() {
        let ssh = |user, connection, at: &str| {
            let at = at.parse().expect("an address");
            with(true, &[("USER", user), ("SSH_CONNECTION", connection)]).tunnel(at)
        };
        let v4 = "192.0.2.7 50000 192.0.2.1 22";
        assert_eq!(ssh("ann", v4, "127.0.0.1:8900"), "ssh -N -L 8900:127.0.0.1:8900 ann@192.0.2.1");
        assert_eq!(
            ssh("a;b", "2001:db8::7 50000 2001:db8::1 2222", "[::1]:8901"),
            "ssh -N -L 8901:[::1]:8901 -p 2222 2001:db8::1"
        );
        assert_eq!(ssh("ann", v4, "0.0.0.0:80"), "ssh -N -L 80:127.0.0.1:80 ann@192.0.2.1");
        assert_eq!(
            ssh("ann", "UNKNOWN 65535 UNKNOWN 65535", "[::]:8900"),
            "ssh -N -L 8900:[::1]:8900 <this machine>"
        );
    }

    #[test]
    fn a_person_who_came_by_ssh_sits_elsewhere() {
        assert!(with(true, &[("SSH_TTY", "/dev/pts/0"), ("BROWSER", "w3m")]).is_remote);
        assert!(!with(true, &[("SSH_TTY", "/dev/pts/0"), ("BROWSER", "w3m")]).headless);
        assert!(with(true, &[("container", "podman")]).is_remote);
    }
}
