//! One context of the talosconfig on disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use exchange_core::login::{ContextWrite, ExistingContext};
use exchange_core::talosconfig::{
    MakeCurrent, NewContext, Nodes, Talosconfig, TalosconfigError, remove_context, set_context,
};
use exchange_core::types::{ContextName, Secret};
use exchange_smol::files::{
    self, FileAction, FileError, FileLock, FileProblem, Update, create_private_dir,
};
use zeroize::Zeroizing;

use crate::exit::Failure;

/// More than a context grows a talosconfig by: three PEM texts in base64.
const CONTEXT_BYTES: usize = 16 * 1024;

/// Where a certificate goes.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// Into this talosconfig.
    File(PathBuf),
    /// Into one that exists in this process only.
    Memory(Arc<Mutex<Zeroizing<String>>>),
}

/// Nodes that the user names for a context.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamedNodes {
    /// The nodes; none where they are not named.
    pub(crate) list: Vec<String>,
    /// Whether they only go into a context that has none, as a variable may be set for good.
    pub(crate) is_default: bool,
}

/// Why the talosconfig could not be read or changed. It is as it was.
#[derive(Debug)]
pub(crate) enum ContextError {
    /// The file.
    File(FileError),
    /// What is in it.
    Content(PathBuf, TalosconfigError),
    /// It is not UTF-8.
    NotText(PathBuf),
}

impl From<FileError> for ContextError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Content(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotText(path) => {
                write!(f, "{}: the talosconfig is not UTF-8 text: repair it", path.display())
            }
        }
    }
}

impl From<ContextError> for Failure {
    fn from(error: ContextError) -> Self {
        Self::local(error.code(), error.to_string())
    }
}

impl ContextError {
    /// Stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Content(_, error) => error.code(),
            Self::NotText(_) => "talosconfig.not_text",
        }
    }
}

/// Reads the talosconfig; `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Talosconfig>, ContextError> {
    let bytes_max = Update::default().bytes_max;
    let Some(bytes) = files::read_if_there(path, bytes_max)? else { return Ok(None) };
    let parsed = Talosconfig::parse(text_of(path, &bytes)?);
    parsed.map(Some).map_err(|error| ContextError::Content(path.into(), error))
}

impl Destination {
    /// Certificate and key of the context, if both are there and readable.
    pub(crate) fn existing(&self, name: &ContextName) -> Option<ExistingContext> {
        let Self::File(path) = self else { return None };
        let config = read(path).ok()??;
        let context = config.context(name.as_str())?;
        let certificate = context.crt_pem().ok()??;
        Some(ExistingContext { certificate, key: context.key_pem().ok()?? })
    }

    /// Whether the context has other nodes than those that were named.
    pub(crate) fn has_other_nodes(&self, name: &ContextName, named: &NamedNodes) -> bool {
        let Self::File(path) = self else { return false };
        let Ok(Some(config)) = read(path) else { return false };
        let context = config.context(name.as_str());
        context.is_some_and(|context| {
            let may_change = !named.is_default || context.nodes.is_empty();
            may_change && !named.list.is_empty() && context.nodes != named.list
        })
    }

    /// Sets the context; nodes that were `named` by the flag take the place of its own, those of
    /// the variable or the server only fill it. Of several processes that do so at once, none undoes what another wrote.
    pub(crate) fn write(&self, new: &ContextWrite, named: &NamedNodes) -> Result<(), ContextError> {
        let make_current = if new.make_current { MakeCurrent::Yes } else { MakeCurrent::OnCreate };
        let body = NewContext {
            endpoints: &new.endpoints,
            nodes: match named.list.as_slice() {
                [] => Nodes::Fill(new.nodes.as_deref().unwrap_or_default()),
                list if named.is_default => Nodes::Fill(list),
                list => Nodes::Set(list),
            },
            ca_pem: &new.ca,
            crt_pem: &new.certificate,
            key_pem: &new.key,
        };
        let edit = |path: &Path, old: &str| {
            set_context(old, &new.context, &body, make_current)
                .map_err(|error| ContextError::Content(path.into(), error))
        };
        match self {
            Self::File(path) => {
                make_folder(path)?;
                files::update(path, Update::default(), |old| {
                    let text = edit(path, text_of(path, old.unwrap_or_default())?)?;
                    Ok::<_, ContextError>(Some(bytes_of(&text)))
                })?;
            }
            Self::Memory(text) => {
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                *text = edit(Path::new("the talosconfig in memory"), &text)?;
            }
        }
        Ok(())
    }

    /// Says now what [`Destination::write`] would say in the end, before a person is troubled to
    /// log in.
    pub(crate) fn rehearse(&self, name: &ContextName) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        self.try_write(path, name).map_err(|error| match &error {
            ContextError::File(FileError {
                action: FileAction::Write | FileAction::CreateDir | FileAction::Lock,
                problem: FileProblem::Denied | FileProblem::ReadOnly | FileProblem::Full,
                ..
            }) => Failure::local(
                error.code(),
                format!("{error}; --talosconfig names another place for the certificate"),
            ),
            ContextError::File(_) | ContextError::Content(..) | ContextError::NotText(_) => {
                error.into()
            }
        })
    }

    fn try_write(&self, path: &Path, name: &ContextName) -> Result<(), ContextError> {
        make_folder(path)?;
        // Where the lock can be made, so can the file. Who holds it now is no matter.
        match FileLock::acquire(path, 0) {
            Ok(_) => {}
            Err(error) if matches!(error.problem, FileProblem::Busy { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let bytes_max = Update::default().bytes_max;
        let bytes = files::read_if_there(path, bytes_max)?;
        files::try_room(path, bytes.as_ref().map_or(0, |bytes| bytes.len()) + CONTEXT_BYTES)?;
        let Some(bytes) = bytes else { return Ok(()) };
        let pem = "-----BEGIN REHEARSAL-----";
        let body = NewContext {
            endpoints: &["192.0.2.1".to_owned()],
            nodes: Nodes::Fill(&[]),
            ca_pem: pem,
            crt_pem: pem,
            key_pem: &Secret::new(pem.as_bytes()),
        };
        set_context(text_of(path, &bytes)?, name, &body, MakeCurrent::Yes)
            .map(|_| ())
            .map_err(|error| ContextError::Content(path.into(), error))
    }

    /// What else there is to know after the context was written.
    pub(crate) fn remarks(&self, name: &ContextName) -> Vec<String> {
        let Self::File(path) = self else { return Vec::new() };
        let (name, shown) = (name.as_str(), path.display());
        let mut remarks = Vec::new();
        if let Ok(Some(config)) = read(path)
            && let Some(current) = config.current
            && current != name
        {
            remarks.push(format!(
                "The current context stays {current:?}: use talosctl --context {name}, or \
                 talosctl config context {name}"
            ));
        }
        if let Some(mode) = files::open_to_others(path) {
            remarks.push(format!(
                "warning: {shown} holds a private key and is open to others (mode {mode:o}): \
                 chmod 600 {shown}"
            ));
        }
        remarks
    }

    /// A talosconfig of that one context, which is the current one in it.
    pub(crate) fn alone(&self, name: &ContextName) -> Result<Zeroizing<String>, ContextError> {
        let path = match self {
            Self::Memory(text) => {
                return Ok(text.lock().unwrap_or_else(PoisonError::into_inner).clone());
            }
            Self::File(path) => path,
        };
        let wrong = |error| ContextError::Content(path.clone(), error);
        let config = read(path)?.unwrap_or_default();
        let context = config.context(name.as_str());
        let missing = |key| wrong(TalosconfigError::NotPem { key });
        let context = context.ok_or_else(|| missing("crt"))?;
        let key = context.key_pem().map_err(wrong)?.ok_or_else(|| missing("key"))?;
        let body = NewContext {
            endpoints: &context.endpoints,
            nodes: Nodes::Set(&context.nodes),
            ca_pem: &context.ca_pem().map_err(wrong)?.ok_or_else(|| missing("ca"))?,
            crt_pem: &context.crt_pem().map_err(wrong)?.ok_or_else(|| missing("crt"))?,
            key_pem: &key,
        };
        set_context("", name, &body, MakeCurrent::Yes).map_err(wrong)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory(_) => f.write_str("memory"),
        }
    }
}

/// Removes the context. Says whether there was one.
pub(crate) fn remove(path: &Path, name: &ContextName) -> Result<bool, ContextError> {
    if !path.exists() {
        return Ok(false);
    }
    files::update(path, Update::default(), |old| {
        let old = text_of(path, old.unwrap_or_default())?;
        let text =
            remove_context(old, name).map_err(|error| ContextError::Content(path.into(), error))?;
        Ok::<_, ContextError>(text.map(|text| bytes_of(&text)))
    })
}

fn make_folder(path: &Path) -> Result<(), FileError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => create_private_dir(folder),
        None => Ok(()),
    }
}

fn text_of<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, ContextError> {
    std::str::from_utf8(bytes).map_err(|_| ContextError::NotText(path.into()))
}

fn bytes_of(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}
