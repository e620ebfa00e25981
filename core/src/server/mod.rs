//! The server-side exchange machine.
