//! `demo --stay`: what to try from a second terminal.

use super::show::Show;
use super::stage::{Exchange, Stage};

/// Prints commands that can be copied as they are.
pub(crate) fn suggest(show: &mut Show, stage: &Stage, exchange: &Exchange) {
    let program = std::env::current_exe().unwrap_or_else(|_| "talosctl-oidc".into());
    let program = quoted(&program.display().to_string());
    let folder = quoted(&stage.folder.path().display().to_string());
    let ca = quoted(&exchange.ca.display().to_string());
    let audit = quoted(&exchange.audit.display().to_string());

    show.step("Log in from a second terminal: your browser opens, and you choose who to be");
    show.line(&format!("export TALOSCONFIG={folder}/talosconfig"));
    show.line(&format!(
        "{program} login {} --server-ca {ca} --token-store none --force",
        exchange.url
    ));

    show.step("Call the node with the certificate (talosctl itself wants a real node: gRPC)");
    show.line(&format!("cd {folder}"));
    show.line(
        "for part in ca crt key; do awk -v part=$part: '$1 == part {print $2}' talosconfig \\\n  \
         | base64 -d | sed 's/ED25519 PRIVATE/PRIVATE/' > $part.pem; done",
    );
    for method in ["Version", "Reboot", "EtcdSnapshot"] {
        show.line(&format!(
            "curl --cacert ca.pem --cert crt.pem --key key.pem -X POST \\\n  \
             https://{}/machine.MachineService/{method}",
            stage.node
        ));
    }

    show.step("Look at the rest");
    show.line(&format!("curl --cacert {ca} {}/healthz", exchange.url));
    show.line(&format!("tail -f {audit}"));
    show.line(&format!("less {}", quoted(&exchange.config.display().to_string())));
    show.line("\nCtrl-C ends everything and removes the folder.");
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
