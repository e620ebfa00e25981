//! One host, several people: nobody reads or ends the login of another, and where a login cannot
//! go on it says what to do.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::desk::{TOOLS, certificate};
use super::exchange::ED25519;
use super::lab::{Namespace, User, program_for_all};
use super::parts::{Ca, Provider, RULES, SOON, Serve};
use super::process::{
    Folder, Process, Tool, clean, done, have, programs, run, shell_script, skipped, text,
};

/// A host with everything to log in to, and a network of its own: port 8900 is nobody else's.
struct Host {
    serve: Serve,
    _provider: Provider,
    program: PathBuf,
    folder: Folder,
    _namespace: Namespace,
}

impl Host {
    fn new() -> Self {
        let namespace = Namespace::make().unwrap();
        let folder = Folder::shared(&namespace.0);
        let provider = Provider::start(&folder, &["--alg", "ES256", "--no-device"]);
        let ca = Ca::make(&folder, ED25519);
        let serve = Serve::start(&folder, &provider, &ca, RULES);
        let program = program_for_all(&folder);
        Self { serve, _provider: provider, program, folder, _namespace: namespace }
    }

    /// `login` of that user, who has told the system to keep nothing from anybody.
    fn login(&self, user: &User, flags: &[&str]) -> Command {
        let mut command = user.command(&self.folder, Path::new("/bin/sh"));
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(&self.program);
        command.args(["login", &self.serve.url]);
        if !flags.contains(&"--browser-command") {
            command.arg("--skip-open-browser");
        }
        command.arg("--server-ca");
        command.arg(&self.serve.own_ca).args(["--token-store", "file"]);
        command.args(["--scopes", "openid,profile,email,groups,offline_access"]).args(flags);
        command
    }

    fn start(&self, user: &User, flags: &[&str]) -> Process {
        Process::start("login", &mut self.login(user, flags))
    }

    /// Runs it to its end: exit code and what was said. It must not wait for a person.
    fn end(&self, user: &User, flags: &[&str]) -> (Option<i32>, String) {
        let mut login = self.start(user, flags);
        (login.ended(SOON).code(), login.printed())
    }

    /// A script of these tests, run by that user.
    fn python(&self, user: &User, name: &str) -> Command {
        let script = self.folder.file(name);
        fs::copy(programs().join(name), &script).unwrap();
        let mut command = user.command(&self.folder, Path::new(PYTHON));
        command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Somebody logs in at the address that `login` shows.
    fn browse(&self, login: &Process, account: &str) {
        let page = login.line_with("/auth?", SOON);
        let mut browser = clean(programs().join("browser.py"), &self.folder);
        done(browser.arg(page.trim()).env("INTEROP_ACCOUNT", account));
    }
}

/// The system's own, which every user can reach.
const PYTHON: &str = "/usr/bin/python3";

fn can_share() -> bool {
    if !Path::new(PYTHON).exists() {
        skipped("python3", "which every user can reach");
        return false;
    }
    have(TOOLS) && have(&[Tool::Namespaces, Tool::Users])
}

fn talosconfig(user: &User) -> String {
    fs::read_to_string(user.home.join(".talos/config")).unwrap()
}

/// Everything below a folder.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_path_buf()];
    let mut next = 0;
    while let Some(at) = found.get(next).cloned() {
        next += 1;
        if at.is_dir() && !at.is_symlink() {
            found.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// Everything in the home, and everything of this user beside it, is for this user alone.
fn assert_private(host: &Host, user: &User, count: usize) {
    let files: Vec<PathBuf> =
        all_below(&user.home).into_iter().filter(|path| *path != user.home).collect();
    assert!(files.len() >= count, "{files:?}");
    let temporary: Vec<PathBuf> = [std::env::temp_dir(), host.folder.path().to_path_buf()]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    for path in files.iter().chain(&temporary) {
        let Ok(meta) = fs::symlink_metadata(path) else { continue };
        if meta.uid() == user.uid && *path != user.home {
            assert_eq!(meta.mode() & 0o077, 0, "{} is open to others", path.display());
        }
    }
}

#[test]
fn two_people_at_once() {
    if !can_share() {
        return;
    }
    let host = Host::new();
    let (ann, ben) = (User::make(&host.folder, "ann"), User::make(&host.folder, "ben"));
    let mut first = host.start(&ann, &[]);
    first.line_with("/auth?", SOON);
    // The one port that providers know is in use.
    let (code, said) = host.end(&ben, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("failed to listen: port 8900 is in use"), "{said}");
    assert!(said.contains("--callback-port") && said.contains("[login.listen_failed]"), "{said}");
    // With another to fall back on.
    let mut second = host.start(&ben, &["--callback-port", "8900,8901"]);
    let page = second.line_with("/auth?", SOON);
    assert!(page.contains("127.0.0.1%3A8901%2Fcallback"), "{page}");
    host.browse(&second, "bob");
    assert_private(&host, &ann, 2);
    host.browse(&first, "alice");
    for login in [&mut first, &mut second] {
        assert!(login.ended(SOON).success(), "{}", login.printed());
    }
    for (user, name) in [(&ann, "alice@example.com"), (&ben, "bob@example.com")] {
        assert_eq!(certificate(&talosconfig(user)).common_name(), Some(name));
        // Folders and files of talosconfig and tokens, and their locks.
        assert_private(&host, user, 7);
    }
    // Also while a watch runs, and what a command is given.
    let mut watch = host.start(&ann, &["--watch", "--force", "--non-interactive"]);
    watch.line_with("Next renewal at", SOON);
    assert_private(&host, &ann, 7);
    assert_eq!(watch.terminate(SOON).code(), Some(0), "{}", watch.printed());
    for more in [&["exec"][..], &["exec", "--ephemeral"]] {
        let mut command = ann.command(&host.folder, Path::new("/bin/sh"));
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(&host.program).args(more);
        command.args([&host.serve.url, "--token-store", "file", "--non-interactive"]);
        command.args(["--scopes", "openid,profile,email,groups,offline_access"]);
        command.arg("--server-ca").arg(&host.serve.own_ca);
        let mode = done(command.args(["--", "sh", "-c", "stat -L -c %a \"$TALOSCONFIG\""]));
        assert_eq!(mode.trim(), "600", "{more:?}");
    }
    // To be sure, by trying.
    let homes = [&ann.home, &ben.home];
    for (reader, other) in [(&ben, homes[0]), (&ann, homes[1])] {
        let script =
            format!("find {} -type f -exec cat {{}} + 2>/dev/null | wc -c", other.display());
        let mut find = reader.command(&host.folder, Path::new("/bin/sh"));
        assert_eq!(done(find.args(["-c", &script])).trim(), "0");
    }
}

#[test]
fn a_hostile_neighbour_cannot_end_a_login() {
    if !can_share() {
        return;
    }
    let host = Host::new();
    let (ann, ben) = (User::make(&host.folder, "ann"), User::make(&host.folder, "ben"));
    let mut login = host.start(&ann, &[]);
    login.line_with("/auth?", SOON);
    let mut attack = host.python(&ben, "neighbour.py");
    attack.arg("8900").stdin(Stdio::piped());
    let mut attack = Process::start("neighbour", &mut attack);
    attack.line_with("attacking", SOON);
    host.browse(&login, "alice");
    assert!(login.ended(SOON).success(), "{}", login.printed());
    attack.close_stdin();
    assert!(attack.ended(SOON).success(), "{}", attack.printed());
    assert_eq!(certificate(&talosconfig(&ann)).common_name(), Some("alice@example.com"));
    let said = login.printed();
    assert!(said.matches("An error came back that may not belong").count() <= 5, "{said}");
    assert!(said.len() < 16 * 1024, "a flood of words: {}", said.len());
    let answers = attack.printed();
    println!("the neighbour got {answers}");
    let statuses: serde_json::Value =
        serde_json::from_str(answers.lines().last().unwrap()).unwrap();
    assert_eq!(statuses.get("200"), None, "{answers}");
    // Whatever it asks; what is no request at all is said to be that.
    assert!(statuses["403"].as_u64().unwrap() > 10, "{answers}");
    let other = statuses
        .as_object()
        .unwrap()
        .keys()
        .find(|status| !["403", "431", "400", "cut"].contains(&status.as_str()));
    assert_eq!(other, None, "{answers}");
    assert_eq!(said.matches("another user of this machine").count(), 1, "{said}");
}

/// Arguments are public: a neighbour reads the address out of them, with the state in it, logs in
/// at the provider as himself and hands the answer in. Ann would get his certificate.
#[test]
fn a_neighbour_cannot_log_somebody_in_as_himself() {
    if !can_share() {
        return;
    }
    let host = Host::new();
    let (ann, ben) = (User::make(&host.folder, "ann"), User::make(&host.folder, "ben"));
    let browser = ann.home.join("browser");
    // A shell that keeps the address among its arguments, as browsers do.
    shell_script(&browser, "sleep 60; exit 0");
    let mut login = host.login(&ann, &["--browser-command", &browser.display().to_string()]);
    let mut login = Process::start("login", &mut login);
    let shown = login.line_with("/auth?", SOON);
    let look = "for n in $(seq 300); do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' \
                | grep '^http.*/auth?' && exit 0; sleep 0.1; done; exit 1";
    let mut spy = ben.command(&host.folder, Path::new("/bin/sh"));
    let seen = done(spy.args(["-c", look]));
    assert!(seen.lines().any(|line| line == shown.trim()), "no address to be seen: {seen}");
    let mut forge = host.python(&ben, "browser.py");
    let output = run(forge.arg(shown.trim()).env("INTEROP_ACCOUNT", "bob"));
    assert_eq!(text(&output.stdout).trim(), "403 /callback", "{}", text(&output.stderr));
    login.line_with("another user of this machine", SOON);

    // Gone before anybody could look who it was.
    let hit_and_run = "import socket,sys\nfor n in range(20):\n s=socket.create_connection((\"127.0.0.1\",\
                       8900))\n s.sendall(b\"GET /callback?error=access_denied&state=\"+sys.argv[1]\
                       .encode()+b\" HTTP/1.1\\r\\nHost: 127.0.0.1:8900\\r\\n\\r\\n\")\n s.close()\n";
    let state = shown.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let mut forge = ben.command(&host.folder, Path::new(PYTHON));
    done(forge.args(["-c", hit_and_run, state]));

    let mut own = host.python(&ann, "browser.py");
    let printed = done(own.arg(shown.trim()).env("INTEROP_ACCOUNT", "alice"));
    assert_eq!(printed.trim(), "200 /callback");
    assert!(login.ended(SOON).success(), "{}", login.printed());
    assert_eq!(certificate(&talosconfig(&ann)).common_name(), Some("alice@example.com"));
}

/// A file system of its own, for what a disk can do.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, options: &str) -> Self {
        let mut mount = Command::new("mount");
        done(mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at));
        Self(at.to_path_buf())
    }

    fn read_only(&self) {
        done(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0));
    }

    /// Leaves no room for another byte.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[b'x'; 4096]).is_ok() {}
        while file.write_all(b"x").is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

#[test]
fn homes_that_cannot_be_used() {
    if !can_share() {
        return;
    }
    let host = Host::new();
    let user = User::make(&host.folder, "ann");
    let own = |folder: &Path| chown(folder, Some(user.uid), None).unwrap();
    let elsewhere = host.folder.file("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    own(&elsewhere);
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    let there = elsewhere.join("talosconfig").display().to_string();

    // Locked: nothing to be had at the default place, and it is said before anybody logs in.
    chown(&user.home, Some(0), Some(0)).unwrap();
    fs::set_permissions(&user.home, fs::Permissions::from_mode(0o700)).unwrap();
    let (code, said) = host.end(&user, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("permission denied") && said.contains("--talosconfig"), "{said}");
    assert!(!said.contains("/auth?"), "{said}");
    // At another place it is done, with a warning about the tokens.
    let mut login = host.start(&user, &["--talosconfig", &there]);
    host.browse(&login, "alice");
    assert!(login.ended(SOON).success(), "{}", login.printed());
    assert!(login.printed().contains("the tokens were not stored"), "{}", login.printed());
    certificate(&fs::read_to_string(&there).unwrap());
    fs::remove_file(&there).unwrap();

    // Read-only.
    own(&user.home);
    let disk = Disk::mount(&user.home, &format!("size=1m,mode=755,uid={}", user.uid));
    disk.read_only();
    let (code, said) = host.end(&user, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("read-only") && said.contains("--talosconfig"), "{said}");
    let mut login = host.start(&user, &["--talosconfig", &there]);
    host.browse(&login, "alice");
    assert!(login.ended(SOON).success(), "{}", login.printed());
    drop(disk);

    // Full.
    let disk = Disk::mount(&user.home, &format!("size=64k,mode=755,uid={}", user.uid));
    fs::create_dir(user.home.join(".talos")).unwrap();
    let before = "context: home\ncontexts:\n    home:\n        endpoints: [10.5.0.2]\n";
    fs::write(user.home.join(".talos/config"), before).unwrap();
    own(&user.home.join(".talos"));
    own(&user.home.join(".talos/config"));
    disk.fill();
    let (code, said) = host.end(&user, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no space is left") && said.contains("[file.no_space]"), "{said}");
    assert!(!said.contains("/auth?"), "nobody is troubled for nothing: {said}");
    assert_eq!(talosconfig(&user), before);
    let left: Vec<PathBuf> = all_below(&user.home.join(".talos"));
    assert!(left.iter().all(|path| !path.to_string_lossy().contains(".tmp")), "{left:?}");
    fs::remove_file(user.home.join("filler")).unwrap();
    let mut login = host.start(&user, &[]);
    host.browse(&login, "alice");
    assert!(login.ended(SOON).success(), "{}", login.printed());
    certificate(&talosconfig(&user));
}

/// In a folder where everybody may write, names that can be known beforehand are no way in.
#[test]
fn a_lock_that_a_neighbour_made_is_not_followed() {
    if !can_share() {
        return;
    }
    let host = Host::new();
    let (ann, ben) = (User::make(&host.folder, "ann"), User::make(&host.folder, "ben"));
    let common = host.folder.file("common");
    fs::create_dir(&common).unwrap();
    fs::set_permissions(&common, fs::Permissions::from_mode(0o777)).unwrap();
    let victim = ann.home.join("made-by-a-trick");
    symlink(&victim, common.join(".talosconfig.lock")).unwrap();
    std::os::unix::fs::lchown(common.join(".talosconfig.lock"), Some(ben.uid), None).unwrap();
    let path = common.join("talosconfig").display().to_string();
    let (code, said) = host.end(&ann, &["--talosconfig", &path, "--non-interactive"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(".talosconfig.lock"), "{said}");
    assert!(!victim.exists(), "{said}");
}
