//! Surgical edits of a talosconfig: text in, text out.
