//! Opens a page in the user's browser, or says that there is none.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use exchange_core::types::Url;

/// A launcher that still runs after this long is the browser itself.
const SETTLED: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// Why no page was opened. Never a reason to give up: the URL is printed as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowserError {
    /// Plain `http` to a host that is not this one.
    NotSecure,
    /// No launcher was found, or each one failed.
    NoLauncher,
}

impl BrowserError {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotSecure => "browser.not_secure",
            Self::NoLauncher => "browser.no_launcher",
        }
    }
}

impl fmt::Display for BrowserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSecure => "the page is not https: open it by hand if you trust the network",
            Self::NoLauncher => "no browser could be started: open the printed URL by hand",
        })
    }
}

impl std::error::Error for BrowserError {}

/// Opens `url` with the first launcher that works. Blocks for up to a few seconds; inside the
/// executor call it through `smol::unblock`.
///
/// `browser` is the value of `$BROWSER`: commands separated by `:`, each with `%s` for the URL or
/// without, in which case the URL comes last. The URL is one argument and no shell sees it.
///
/// # Errors
/// [`BrowserError`].
pub fn open(url: &Url, browser: Option<&str>) -> Result<(), BrowserError> {
    if !url.is_https() && !url.is_loopback() {
        return Err(BrowserError::NotSecure);
    }
    let mut candidates = browser.map_or_else(Vec::new, |list| from_list(list, url.as_str()));
    candidates.extend(of_platform(url.as_str()));
    for argv in candidates {
        if launch(&argv) {
            return Ok(());
        }
    }
    Err(BrowserError::NoLauncher)
}

/// The commands of a `$BROWSER` list with the URL put in.
fn from_list(list: &str, url: &str) -> Vec<Vec<String>> {
    list.split(':')
        .filter_map(|command| {
            let mut argv: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            // The URL never becomes the program.
            let (program, arguments) = argv.split_first_mut()?;
            if program.contains("%s") {
                return None;
            }
            let mut placed = false;
            for argument in arguments {
                if argument.contains("%s") {
                    *argument = argument.replace("%s", url);
                    placed = true;
                }
            }
            if !placed {
                argv.push(url.to_owned());
            }
            Some(argv)
        })
        .collect()
}

/// What opens a page on this system, by the name of its program.
const LAUNCHERS: &[&[&str]] = if cfg!(target_os = "macos") {
    &[&["open"]]
} else if cfg!(windows) {
    &[&["rundll32", "url.dll,FileProtocolHandler"]]
} else {
    &[&["xdg-open"], &["gio", "open"], &["wslview"], &["termux-open-url"]]
};

fn of_platform(url: &str) -> Vec<Vec<String>> {
    LAUNCHERS
        .iter()
        .map(|command| command.iter().copied().chain([url]).map(str::to_owned).collect())
        .collect()
}

/// Starts a launcher and waits until it has ended well or is plainly running.
fn launch(argv: &[String]) -> bool {
    let Some((program, arguments)) = argv.split_first() else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < SETTLED => thread::sleep(PAUSE),
            Ok(None) => {
                reap(child);
                return true;
            }
            Err(_) => return false,
        }
    }
}

/// Waits for the end of a browser, so that it does not stay as a zombie of a watching client.
fn reap(mut child: Child) {
    let _ = thread::Builder::new().name("browser".to_owned()).spawn(move || {
        let _ = child.wait();
    });
}

/// Whether opening a browser here would show it to nobody: over SSH, without a display, or in a
/// container that has nothing to open one with. (The containers that stand in for a desktop's
/// terminal have display and opener.) `$BROWSER` says that somebody has thought of it. `variable`
/// reads the environment.
#[must_use]
pub fn is_headless(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    if is_set("BROWSER") {
        return false;
    }
    if is_set("SSH_CONNECTION") || is_set("SSH_TTY") || is_set("SSH_CLIENT") {
        return true;
    }
    if cfg!(any(target_os = "macos", windows)) {
        return false;
    }
    let has_display = is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") || is_set("WSL_DISTRO_NAME");
    !has_display || (is_in_container(&variable) && !has_launcher(variable("PATH")))
}

/// Whether this is the inside of a container, whose loopback interface may be its own.
#[must_use]
pub fn is_in_container(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    is_set("container")
        || is_set("KUBERNETES_SERVICE_HOST")
        || Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
}

fn has_launcher(path: Option<OsString>) -> bool {
    let Some(path) = path else { return false };
    std::env::split_paths(&path).any(|folder| {
        let programs = LAUNCHERS.iter().filter_map(|argv| argv.first());
        programs.into_iter().any(|program| folder.join(program).is_file())
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::files::tests::Scratch;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_list_is_read_as_other_programs_do() {
        let argv = from_list("firefox --new-tab %s::w3m : x%s a: lynx -u=%s -v", "https://a/?b&c");
        assert_eq!(
            argv,
            [
                vec!["firefox", "--new-tab", "https://a/?b&c"],
                vec!["w3m", "https://a/?b&c"],
                vec!["lynx", "-u=https://a/?b&c", "-v"],
            ]
        );
    }

    #[test]
    fn the_url_arrives_as_one_argument_untouched_by_a_shell() {
        let dir = Scratch::new();
        let (script, seen) = (dir.path("launcher"), dir.path("seen"));
        fs::write(&script, format!("#!/bin/sh\nprintf '%s|' \"$@\" > {}\n", seen.display()))
            .unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let page = "https://idp.example/a?b=1&c=$(id);`id`'&d=*";
        let list = format!("/nonexistent/browser:{}", script.display());
        open(&url(page), Some(&list)).unwrap();
        assert_eq!(fs::read_to_string(&seen).unwrap(), format!("{page}|"));
    }

    #[test]
    fn a_launcher_that_fails_is_passed_over() {
        assert!(!launch(&["false".to_owned()]));
        assert!(!launch(&["/nonexistent/browser".to_owned()]));
        assert!(launch(&["true".to_owned()]));
    }

    #[test]
    fn only_secure_pages_are_opened() {
        let refused = open(&url("http://idp.example/"), Some("true"));
        assert_eq!(refused, Err(BrowserError::NotSecure));
        assert_eq!(open(&url("http://127.0.0.1:8080/"), Some("true")), Ok(()));
    }

    #[test]
    fn nobody_looks_at_a_remote_screen() {
        let with = |set: &'static [&'static str]| {
            is_headless(move |name| set.contains(&name).then(|| OsString::from("x")))
        };
        assert!(with(&[]));
        assert!(with(&["DISPLAY", "SSH_CONNECTION"]));
        assert!(with(&["WAYLAND_DISPLAY", "SSH_TTY"]));
        assert!(with(&["DISPLAY", "container"]));
        assert!(!with(&["SSH_TTY", "BROWSER"]));
    }

    #[test]
    fn a_container_with_display_and_opener_is_a_desktop() {
        let dir = Scratch::new();
        let in_toolbox = |name: &str| match name {
            "PATH" => Some(dir.path("").into_os_string()),
            "container" | "WAYLAND_DISPLAY" => Some(OsString::from("x")),
            _ => None,
        };
        assert!(is_headless(in_toolbox), "nothing to open a page with");
        fs::write(dir.path("xdg-open"), "").unwrap();
        assert!(!is_headless(in_toolbox));
        assert!(is_headless(|name| in_toolbox(name).filter(|_| name != "WAYLAND_DISPLAY")));
        assert!(is_headless(|name| match name {
            "SSH_CLIENT" => Some(OsString::from("192.0.2.7 50000 22")),
            _ => in_toolbox(name),
        }));
    }
}
