//! Where things are on this machine: the talosconfig, the tokens, the person's home.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Where Kubernetes puts the talosconfig of a service account. Nobody can write there.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/talos.dev/config";

/// What paths are made from.
pub(crate) struct Places {
    home: Option<PathBuf>,
    talosconfig: Option<PathBuf>,
    talos_home: Option<PathBuf>,
}

/// The talosconfig that `talosctl` would use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Talosconfig {
    /// Where it is, or will be.
    pub(crate) path: PathBuf,
    /// Whether it may be written to.
    pub(crate) writable: bool,
}

impl Places {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        Self::new(dirs::home_dir(), |name| std::env::var_os(name))
    }

    /// Those of that home and that environment. An empty variable counts as unset, as does a
    /// relative `TALOS_HOME`.
    pub(crate) fn new(home: Option<PathBuf>, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            home: home.filter(|home| home.is_absolute()),
            talosconfig: path("TALOSCONFIG"),
            talos_home: path("TALOS_HOME").filter(|path| path.is_absolute()),
        }
    }

    /// What `TALOSCONFIG` names.
    pub(crate) fn talosconfig_variable(&self) -> Option<&Path> {
        self.talosconfig.as_deref()
    }

    /// `path` with a leading `~` replaced: a shell does not do it behind `=`.
    pub(crate) fn expand(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home.clone(),
            (Ok(rest), Some(home)) => home.join(rest),
            (Ok(_), None) | (Err(_), _) => path.to_path_buf(),
        }
    }

    /// The talosconfig by the rules of `talosctl`: the flag; else the first that exists of
    /// `$TALOSCONFIG`, `$TALOS_HOME/config` or `~/.talos/config`, and the one of the service
    /// account; else the first of them that can be made.
    pub(crate) fn talosconfig(&self, flag: Option<&Path>) -> Result<Talosconfig, Failure> {
        if let Some(path) = flag.filter(|path| !path.as_os_str().is_empty()) {
            return Ok(Talosconfig { path: self.expand(path), writable: true });
        }
        let home = match (&self.talos_home, &self.home) {
            (Some(talos_home), _) => Some(talos_home.join("config")),
            (None, Some(home)) => Some(home.join(".talos").join("config")),
            (None, None) => None,
        };
        let own: Vec<PathBuf> = self.talosconfig.iter().cloned().chain(home).collect();
        if let Some(path) = own.iter().find(|path| path.exists()) {
            return Ok(Talosconfig { path: path.clone(), writable: true });
        }
        if Path::new(SERVICE_ACCOUNT).exists() {
            return Ok(Talosconfig { path: SERVICE_ACCOUNT.into(), writable: false });
        }
        let path = own.into_iter().next().ok_or_else(|| {
            Failure::local(
                "config.invalid",
                "no home directory is known: set HOME, or pass --talosconfig",
            )
        })?;
        Ok(Talosconfig { path, writable: true })
    }
}

impl Talosconfig {
    /// The path, if it may be written to.
    pub(crate) fn writable(self) -> Result<PathBuf, Failure> {
        if self.writable {
            return Ok(self.path);
        }
        Err(Failure::local(
            "file.not_writable",
            format!(
                "not allowed to write to {}, which Kubernetes made: pass --talosconfig",
                self.path.display()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(set: &[(&str, &str)]) -> Places {
        let set: Vec<(String, OsString)> =
            set.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        Places::new(Some("/home/u".into()), move |name| {
            set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    }

    fn found(set: &[(&str, &str)], flag: Option<&str>) -> PathBuf {
        places(set).talosconfig(flag.map(Path::new)).expect("a path").path
    }

    #[test]
    fn the_order_is_that_of_talosctl() {
        assert_eq!(found(&[], None), Path::new("/home/u/.talos/config"));
        assert_eq!(found(&[("TALOS_HOME", "/t")], None), Path::new("/t/config"));
        assert_eq!(found(&[("TALOS_HOME", "t")], None), Path::new("/home/u/.talos/config"));
        assert_eq!(found(&[("TALOSCONFIG", "/x"), ("TALOS_HOME", "/t")], None), Path::new("/x"));
        assert_eq!(found(&[("TALOSCONFIG", "")], None), Path::new("/home/u/.talos/config"));
        assert_eq!(found(&[("TALOSCONFIG", "/x")], Some("~/y")), Path::new("/home/u/y"));
        assert_eq!(found(&[("TALOSCONFIG", "/x")], Some("")), Path::new("/x"));
    }

    #[test]
    fn a_file_that_exists_wins_over_one_that_does_not() {
        let here = std::env::current_exe().expect("this program has a path");
        let there = here.parent().expect("it is in a directory").to_path_buf();
        let name = here.file_name().expect("it has a name");
        std::fs::create_dir_all(there.join(".talos")).expect("the target directory is ours");
        let own = there.join(".talos").join("config");
        std::fs::write(&own, name.as_encoded_bytes()).expect("the target directory is ours");
        let places =
            Places::new(Some(there), |name| (name == "TALOSCONFIG").then(|| "/absent/x".into()));
        assert_eq!(places.talosconfig(None).expect("a path").path, own);
    }

    #[test]
    fn only_the_own_home_is_expanded() {
        let places = places(&[]);
        let expand = |text: &str| places.expand(Path::new(text));
        assert_eq!(expand("~"), Path::new("/home/u"));
        assert_eq!(expand("~/a/~"), Path::new("/home/u/a/~"));
        assert_eq!(expand("~other/a"), Path::new("~other/a"));
        assert_eq!(expand("./~"), Path::new("./~"));
    }
}
