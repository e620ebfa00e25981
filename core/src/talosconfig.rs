//! Surgical edits of a talosconfig: text in, text out.
//!
//! The file belongs to its user. Of one context four keys are ours (`endpoints`, `ca`, `crt`,
//! `key`), and the top-level `context` when asked; every other byte stays as it is: comments,
//! order, unknown keys, other contexts, line ends, further documents. After each edit the result
//! is read again and compared with the original; a text that would say anything else is never
//! given back. A file that does not read is refused, not replaced.
//!
//! Like Talos, only the first document counts, `nodes` belongs to the user, and a name without a
//! body is never written (Talos crashes on it).

mod check;
mod edit;
mod error;
mod layout;
mod own;
mod patch;
mod read;
mod wanted;

pub use edit::{MakeCurrent, NewContext, Nodes, remove_context, set_context};
pub use error::TalosconfigError;
pub use read::{Context, Talosconfig};

#[cfg(test)]
mod tests;
