//! `demo --stay`: what to try from a second terminal.

use std::path::Path;

use super::show::Show;
use super::stage::{Exchange, Stage};

/// Prints commands that can be copied as they are.
pub(crate) fn suggest(show: &mut Show, stage: &Stage, exchange: &Exchange) {
    let program = std::env::current_exe().unwrap_or_else(|_| "talosctl-oidc".into());
    let program = quoted(&program.display().to_string());
    let folder = quoted(&stage.folder.path().display().to_string());
    let ca = within(&exchange.ca, stage);

    show.step("Log in from a second terminal: your browser opens, and you choose who to be");
    show.line(&format!("cd {folder}"));
    show.line("export TALOSCONFIG=$PWD/talosconfig");
    show.line(&format!("{program} login \\"));
    show.line(&format!("  {} --server-ca {ca} --token-store none --force", exchange.url));

    show.step(
        "Call the node with the certificate (it speaks HTTP; talosctl wants a real node's gRPC)",
    );
    show.line("for part in ca crt key; do");
    show.line("  awk -v part=$part: '$1 == part {print $2}' talosconfig | base64 -d \\");
    show.line("    | sed 's/ED25519 PRIVATE/PRIVATE/' > $part.pem");
    show.line("done");
    show.line("call() { curl -sS --cacert ca.pem --cert crt.pem --key key.pem -X POST \\");
    show.line(&format!("  https://{}/machine.MachineService/$1; echo; }}", stage.node));
    show.line("call Version; call Reboot; call EtcdSnapshot");

    show.step("Look at the rest");
    show.line(&format!("curl --cacert {ca} {}/healthz", exchange.url));
    show.line(&format!("tail -f {}", within(&exchange.audit, stage)));
    show.line(&format!("less {}", within(&exchange.config, stage)));
    show.line("\nCtrl-C ends everything and removes the folder.");
}

/// The path from the folder on.
fn within(path: &Path, stage: &Stage) -> String {
    quoted(&path.strip_prefix(stage.folder.path()).unwrap_or(path).display().to_string())
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["/tmp/a-b_c.d", "/tmp/with blank", "it's", "$HOME", "a\"b", ""] {
            let script = format!("printf %s {}", quoted(text));
            let output = std::process::Command::new("sh").args(["-c", &script]).output();
            let output = output.expect("only systems with a shell have a demo");
            assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        }
    }
}
