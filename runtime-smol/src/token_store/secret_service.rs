//! The Secret Service of freedesktop.org, which GNOME, KDE and KeePassXC offer on the session bus.
//!
//! Items are those of the original program: attributes `service` and `username`, in the collection
//! `login` where there is one, else in the default one. The session is a plain one, as there: the
//! bus is a socket of this user alone.

use std::time::Duration;

use zeroize::Zeroizing;

use super::dbus::{BUS, Bus, Call, DbusError, Malformed, Message, Writer};
use super::keychain::{KeychainError, Order};

#[cfg(test)]
mod tests;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// For one call. The first of them may have to start the service.
    call: Duration,
    /// For a person who is asked for a password.
    prompt: Duration,
}

const LIMITS: Limits = Limits { call: Duration::from_secs(15), prompt: Duration::from_secs(60) };

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";
/// Where there is no object.
const NOTHING: &str = "/";

const APPLICATION: &str = "talosctl-oidc";
const CONTENT_TYPE: &str = "text/plain; charset=utf8";

/// The entry of that account.
pub(super) fn get(order: &mut Order<'_>) -> Result<Option<Zeroizing<String>>, KeychainError> {
    Secrets::of_session()?.get(order)
}

/// Stores an entry, and leaves no other of the same account that could be read instead.
pub(super) fn set(order: &mut Order<'_>, text: &str) -> Result<(), KeychainError> {
    Secrets::of_session()?.set(order, text)
}

/// Deletes all entries of that account.
pub(super) fn delete(order: &mut Order<'_>) -> Result<bool, KeychainError> {
    Secrets::of_session()?.delete(order)
}

/// Whether there is an open collection; asks for it to be opened.
pub(super) fn check(order: &mut Order<'_>) -> Result<(), KeychainError> {
    Secrets::of_session()?.open_home(order).map(drop)
}

impl From<DbusError> for KeychainError {
    fn from(error: DbusError) -> Self {
        match error {
            DbusError::NoBus(why) => Self::Unavailable(why.into()),
            DbusError::TimedOut => Self::TimedOut,
            DbusError::Broken(kind) => {
                Self::Unavailable(format!("the session bus broke off: {kind}").into())
            }
            DbusError::Malformed => Self::Refused("its answer is no D-Bus".into()),
            DbusError::Refused(name) => match &*name {
                "org.freedesktop.Secret.Error.IsLocked" => Self::Locked,
                "org.freedesktop.DBus.Error.ServiceUnknown"
                | "org.freedesktop.DBus.Error.NameHasNoOwner"
                | "org.freedesktop.DBus.Error.NoReply"
                | "org.freedesktop.DBus.Error.AccessDenied" => {
                    Self::Unavailable("no Secret Service on the session bus".into())
                }
                // The service could not be started, for one reason or the other.
                spawn if spawn.starts_with("org.freedesktop.DBus.Error.Spawn.") => {
                    Self::Unavailable("the Secret Service does not start".into())
                }
                _ => Self::Refused(name),
            },
        }
    }
}

impl From<Malformed> for KeychainError {
    fn from(error: Malformed) -> Self {
        DbusError::from(error).into()
    }
}

/// Items of one account.
struct Found {
    open: Vec<Box<str>>,
    locked: Vec<Box<str>>,
}

/// A session with the service.
struct Secrets {
    bus: Bus,
    limits: Limits,
    session: Box<str>,
}

impl Secrets {
    fn of_session() -> Result<Self, KeychainError> {
        Self::open(|name| std::env::var(name).ok(), LIMITS)
    }

    fn open(
        variable: impl Fn(&str) -> Option<String>,
        limits: Limits,
    ) -> Result<Self, KeychainError> {
        let bus = Bus::connect(variable, limits.call)?;
        let mut secrets = Self { bus, limits, session: NOTHING.into() };
        let mut body = Writer::default();
        body.string("plain");
        body.signature("s");
        body.string("");
        let answer = secrets.call(ROOT, "Service", "OpenSession", "sv", body)?;
        let mut answer = answer.body();
        let kind = answer.signature()?;
        answer.skip(kind)?;
        secrets.session = answer.string()?.into();
        Ok(secrets)
    }

    fn get(&mut self, order: &mut Order<'_>) -> Result<Option<Zeroizing<String>>, KeychainError> {
        let found = self.search(order.account)?;
        let Some(item) = self.best(&found)? else { return Ok(None) };
        if found.locked.contains(&item) {
            self.unlock(&[&item], order)?;
        }
        self.secret(&item).map(Some)
    }

    fn set(&mut self, order: &mut Order<'_>, text: &str) -> Result<(), KeychainError> {
        let home = self.open_home(order)?;
        let item = self.create(&home, order, text)?;
        let found = self.search(order.account)?;
        for other in found.open.iter().filter(|other| **other != item) {
            self.delete_item(other, order)?;
        }
        Ok(())
    }

    fn delete(&mut self, order: &mut Order<'_>) -> Result<bool, KeychainError> {
        let found = self.search(order.account)?;
        for item in &found.open {
            self.delete_item(item, order)?;
        }
        let locked: Vec<&str> = found.locked.iter().map(|item| &**item).collect();
        if !locked.is_empty() {
            self.unlock(&locked, order)?;
        }
        for item in &locked {
            self.delete_item(item, order)?;
        }
        Ok(!(found.open.is_empty() && locked.is_empty()))
    }

    fn open_home(&mut self, order: &mut Order<'_>) -> Result<Box<str>, KeychainError> {
        let home = self.home()?.ok_or(KeychainError::NoKeyring)?;
        if self.is_locked(&home)? {
            self.unlock(&[&home], order)?;
        }
        Ok(home)
    }

    fn call(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Message, KeychainError> {
        let interface = format!("org.freedesktop.Secret.{interface}");
        let call = Call { path, interface: &interface, member };
        Ok(self.bus.call(SERVICE, &call, signature, body, self.limits.call)?)
    }

    /// A property as a variant: its signature, then its value.
    fn property(
        &mut self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<Message, KeychainError> {
        let mut body = Writer::default();
        body.string(&format!("org.freedesktop.Secret.{interface}"));
        body.string(name);
        let call = Call { path, interface: "org.freedesktop.DBus.Properties", member: "Get" };
        Ok(self.bus.call(SERVICE, &call, "ss", body, self.limits.call)?)
    }

    /// Other programs may have added attributes of their own; ours must all be there.
    fn search(&mut self, account: &str) -> Result<Found, KeychainError> {
        let mut body = Writer::default();
        attributes(&mut body, account);
        let answer = self.call(ROOT, "Service", "SearchItems", "a{ss}", body)?;
        let mut answer = answer.body();
        Ok(Found { open: answer.strings()?, locked: answer.strings()? })
    }

    /// The item that the original program would read, else any, sooner an open one.
    fn best(&mut self, found: &Found) -> Result<Option<Box<str>>, KeychainError> {
        let mut all = found.open.iter().chain(&found.locked);
        let (first, is_alone) = (all.next(), all.next().is_none());
        if is_alone {
            return Ok(first.cloned());
        }
        let home = self.home()?.map(|home| format!("{home}/"));
        let mut all = found.open.iter().chain(&found.locked);
        let at_home = all.find(|item| home.as_ref().is_some_and(|home| item.starts_with(home)));
        Ok(at_home.or(first).cloned())
    }

    /// The collection in which the original program looks.
    fn home(&mut self) -> Result<Option<Box<str>>, KeychainError> {
        let answer = self.property(ROOT, "Service", "Collections")?;
        let mut answer = answer.body();
        if answer.signature()? == "ao" && answer.strings()?.iter().any(|path| &**path == LOGIN) {
            return Ok(Some(LOGIN.into()));
        }
        let mut body = Writer::default();
        body.string("default");
        let answer = self.call(ROOT, "Service", "ReadAlias", "s", body)?;
        let path = answer.body().string()?;
        Ok(Some(path).filter(|path| *path != NOTHING).map(Box::from))
    }

    fn is_locked(&mut self, collection: &str) -> Result<bool, KeychainError> {
        let answer = self.property(collection, "Collection", "Locked")?;
        let mut answer = answer.body();
        Ok(answer.signature()? == "b" && answer.bool()?)
    }

    fn secret(&mut self, item: &str) -> Result<Zeroizing<String>, KeychainError> {
        let mut body = Writer::default();
        let session = self.session.clone();
        body.string(&session);
        let answer = self.call(item, "Item", "GetSecret", "o", body)?;
        let mut answer = answer.body();
        answer.begin()?;
        let _session = answer.string()?;
        let _parameters = answer.bytes()?;
        let text = std::str::from_utf8(answer.bytes()?)
            .map_err(|_| KeychainError::Refused("the entry is not text".into()))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn create(
        &mut self,
        collection: &str,
        order: &mut Order<'_>,
        text: &str,
    ) -> Result<Box<str>, KeychainError> {
        let account = order.account;
        let mut body = Writer::with_room(1024 + 2 * account.len() + text.len());
        body.array(8, |properties| {
            properties.begin();
            properties.string("org.freedesktop.Secret.Item.Label");
            properties.signature("s");
            properties.string(&format!("Password for '{account}' on '{APPLICATION}'"));
            properties.begin();
            properties.string("org.freedesktop.Secret.Item.Attributes");
            properties.signature("a{ss}");
            attributes(properties, account);
        });
        body.begin();
        let session = self.session.clone();
        body.string(&session);
        body.bytes(&[]);
        body.bytes(text.as_bytes());
        body.string(CONTENT_TYPE);
        body.bool(true);
        let created = self.call(collection, "Collection", "CreateItem", "a{sv}(oayays)b", body)?;
        let mut answer = created.body();
        let (item, prompt): (Box<str>, Box<str>) =
            (answer.string()?.into(), answer.string()?.into());
        self.finish(&prompt, order)?;
        Ok(item)
    }

    fn delete_item(&mut self, item: &str, order: &mut Order<'_>) -> Result<(), KeychainError> {
        let answer = self.call(item, "Item", "Delete", "", Writer::default())?;
        let prompt: Box<str> = answer.body().string()?.into();
        self.finish(&prompt, order)
    }

    fn unlock(&mut self, objects: &[&str], order: &mut Order<'_>) -> Result<(), KeychainError> {
        let mut body = Writer::default();
        body.array(4, |list| objects.iter().for_each(|object| list.string(object)));
        let answer = self.call(ROOT, "Service", "Unlock", "ao", body)?;
        let mut answer = answer.body();
        let _open = answer.strings()?;
        let prompt: Box<str> = answer.string()?.into();
        self.finish(&prompt, order)
    }

    /// Lets the service ask the person, where it has to and may.
    fn finish(&mut self, prompt: &str, order: &mut Order<'_>) -> Result<(), KeychainError> {
        if prompt == NOTHING {
            return Ok(());
        }
        if !*order.may_ask {
            // Nobody will ever answer this one.
            let _ = self.call(prompt, "Prompt", "Dismiss", "", Writer::default());
            return Err(KeychainError::Locked);
        }
        *order.may_ask = false;
        let mut body = Writer::default();
        body.string(&format!(
            "type='signal',sender='{SERVICE}',interface='org.freedesktop.Secret.Prompt',\
             member='Completed',path='{prompt}'"
        ));
        let call = Call { path: "/org/freedesktop/DBus", interface: BUS, member: "AddMatch" };
        self.bus.call(BUS, &call, "s", body, self.limits.call)?;
        // The number of the window that asks: we have none.
        let mut body = Writer::default();
        body.string("");
        self.call(prompt, "Prompt", "Prompt", "s", body)?;
        let completed = self.bus.signal(
            |signal| {
                signal.path.as_deref() == Some(prompt)
                    && signal.interface.as_deref() == Some("org.freedesktop.Secret.Prompt")
                    && signal.member.as_deref() == Some("Completed")
            },
            self.limits.prompt,
        );
        match completed {
            Ok(signal) if signal.body().bool()? => Err(KeychainError::Locked),
            Ok(_) => Ok(()),
            Err(DbusError::TimedOut) => {
                let _ = self.call(prompt, "Prompt", "Dismiss", "", Writer::default());
                Err(KeychainError::Locked)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// `a{ss}`: what an item is found by.
fn attributes(body: &mut Writer, account: &str) {
    body.array(8, |list| {
        for (name, value) in [("service", APPLICATION), ("username", account)] {
            list.begin();
            list.string(name);
            list.string(value);
        }
    });
}
