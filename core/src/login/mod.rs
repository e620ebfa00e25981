//! The client-side login machine.

pub mod cache;
pub mod tokens_file;
