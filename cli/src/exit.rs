//! How a command ends: the one place where an exit code is chosen.

use std::process::ExitCode;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What kind of trouble it is.
    pub(crate) class: Class,
    /// Stable code, such as `config.invalid`.
    pub(crate) code: &'static str,
    /// What is wrong and what to do next.
    pub(crate) message: String,
}

/// Kinds of trouble that scripts can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Wrong usage, or anything without a class of its own.
    Other,
    /// A local file or setting.
    Local,
    /// The server or its policy said no.
    Refused,
    /// Server or provider not available.
    #[cfg(feature = "client")]
    Unavailable,
    /// The login was not completed.
    #[cfg(feature = "client")]
    LoginIncomplete,
}

impl Class {
    /// The exit code of the process.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Local => 2,
            Self::Refused => 3,
            #[cfg(feature = "client")]
            Self::Unavailable => 4,
            #[cfg(feature = "client")]
            Self::LoginIncomplete => 5,
        }
    }
}

impl Failure {
    /// A failure of any class.
    pub(crate) fn new(class: Class, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into() }
    }

    /// A failure of a local file or setting.
    pub(crate) fn local(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Local, code, message)
    }

    /// Prints it and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        crate::terminal::error_line(&format!("Error: {} [{}]", self.message, self.code));
        ExitCode::from(self.class.code())
    }
}
