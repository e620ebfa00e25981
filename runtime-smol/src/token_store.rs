//! Where sign-ins are kept between two runs: the keychain of the system, or a file where there is
//! none. What is in an entry, core decides.
//!
//! Everything here blocks, with a deadline; inside the executor call it through `smol::unblock`.

#[cfg(not(feature = "keychain"))]
mod absent;
#[cfg(all(feature = "keychain", unix, not(target_os = "macos")))]
mod dbus;
mod file;
#[cfg(all(feature = "keychain", any(target_os = "macos", windows, test)))]
mod go;
mod keychain;
#[cfg(all(feature = "keychain", any(target_os = "macos", windows)))]
mod native;
#[cfg(all(feature = "keychain", unix, not(target_os = "macos")))]
mod secret_service;

#[cfg(not(feature = "keychain"))]
use absent as system;
#[cfg(all(feature = "keychain", any(target_os = "macos", windows)))]
use native as system;
#[cfg(all(feature = "keychain", unix, not(target_os = "macos")))]
use secret_service as system;

pub use file::TokenFile;
pub use keychain::{Keychain, KeychainError, Prompt};
