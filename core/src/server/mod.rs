//! The server-side exchange machine.

pub mod audit;
pub mod audit_chain;
pub mod audit_verify;
