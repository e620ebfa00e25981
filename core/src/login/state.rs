//! Where a login is, and what counts within one attempt.

use alloc::boxed::Box;

use super::error::{LoginError, Step, WhyInteractive};
use super::exchange::CertificateFacts;
use super::own_key::OwnKey;
use super::person::{Asked, DeviceLogin};
use super::renew::Rest;
use crate::http::FetchError;
use crate::machine::Mono;
use crate::oidc::discovery::Metadata;
use crate::oidc::scopes::Scopes;

/// What counts within one attempt.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) deadline: Mono,
    pub(super) metadata: Option<Metadata>,
    pub(super) scopes: Option<Scopes>,
    pub(super) has_refreshed: bool,
    pub(super) has_asked: bool,
    pub(super) stray_answers: bool,
    pub(super) unproven: u8,
}

/// Where the machine is. Each state but the resting ones waits for one effect.
#[derive(Debug)]
pub(super) enum State {
    New,
    Loading,
    ReadingToken,
    Discovering(Goal),
    Locking,
    Refreshing,
    Storing(After),
    Listening,
    Authorising(Box<Asked>),
    Redeeming(Box<Asked>),
    DeviceAsking,
    DeviceWaiting(Box<DeviceLogin>),
    DevicePolling(Box<DeviceLogin>),
    Keying(Origin),
    Exchanging(Origin, Box<OwnKey>),
    Writing(CertificateFacts),
    Resting(Rest),
    Done,
}

/// What the metadata is needed for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    Refresh,
    Person,
}

/// What follows once the tokens are stored.
#[derive(Debug)]
pub(super) enum After {
    Exchange(Origin),
    Person(WhyInteractive),
    PutOff(LoginError),
    Fail(LoginError),
    Settle(CertificateFacts),
}

/// Where the token that is exchanged came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Cached,
    Refreshed,
    Person,
    Given,
}

impl State {
    /// Latest moment at which something happens by itself. `deadline` is the attempt's.
    pub(super) fn due(&self, deadline: Mono) -> Option<Mono> {
        match self {
            Self::New | Self::Loading | Self::Done => None,
            Self::Resting(rest) => Some(rest.look()),
            Self::DeviceWaiting(login) => Some(login.due()),
            Self::ReadingToken
            | Self::Discovering(_)
            | Self::Locking
            | Self::Refreshing
            | Self::Storing(_)
            | Self::Listening
            | Self::Authorising(_)
            | Self::Redeeming(_)
            | Self::DeviceAsking
            | Self::DevicePolling(_)
            | Self::Keying(_)
            | Self::Exchanging(..)
            | Self::Writing(_) => Some(deadline),
        }
    }

    /// What it means that the attempt has taken too long. Without a person in it, somebody did not
    /// answer.
    pub(super) fn late(&self, attempt: &Attempt) -> LoginError {
        let late = FetchError::Timeout;
        match self {
            Self::Discovering(_) if !attempt.has_asked => {
                LoginError::ProviderUnreachable(Step::Discovery, late)
            }
            Self::Refreshing => LoginError::ProviderUnreachable(Step::Refresh, late),
            Self::Exchanging(..) if !attempt.has_asked => LoginError::ServerUnreachable(late),
            Self::Locking => LoginError::Busy,
            Self::Authorising(_) if attempt.stray_answers => LoginError::StateMismatch,
            Self::New
            | Self::Loading
            | Self::ReadingToken
            | Self::Discovering(_)
            | Self::Storing(_)
            | Self::Listening
            | Self::Authorising(_)
            | Self::Redeeming(_)
            | Self::DeviceAsking
            | Self::DeviceWaiting(_)
            | Self::DevicePolling(_)
            | Self::Keying(_)
            | Self::Exchanging(..)
            | Self::Writing(_)
            | Self::Resting(_)
            | Self::Done => LoginError::TimedOut,
        }
    }
}
