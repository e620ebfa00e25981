//! The `talosctl-oidc` command.

fn main() {}
