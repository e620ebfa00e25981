//! No keychain: this build was made without the feature `keychain`.

use zeroize::Zeroizing;

use super::keychain::{KeychainError, Order};

/// There is nothing to read.
pub(super) fn get(_: &mut Order<'_>) -> Result<Option<Zeroizing<String>>, KeychainError> {
    Err(KeychainError::NotBuiltIn)
}

/// There is nowhere to store.
pub(super) fn set(_: &mut Order<'_>, _: &str) -> Result<(), KeychainError> {
    Err(KeychainError::NotBuiltIn)
}

/// There is nothing to delete.
pub(super) fn delete(_: &mut Order<'_>) -> Result<bool, KeychainError> {
    Err(KeychainError::NotBuiltIn)
}

/// There is nowhere to store.
pub(super) fn check(_: &mut Order<'_>) -> Result<(), KeychainError> {
    Err(KeychainError::NotBuiltIn)
}
