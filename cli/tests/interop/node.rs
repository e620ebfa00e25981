//! Servers that judge a client certificate as a Talos node does: OpenSSL's and Go's.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::parts::{Ca, Credential, SOON, openssl};
use super::process::{Folder, Process, clean, done, go, run, text};

/// Certificate of a node by the same CA.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

fn node_pair(folder: &Folder, ca: &Ca) -> Pair {
    let (cert, key) = (folder.file("node.crt"), folder.file("node.key"));
    if cert.exists() {
        return Pair { cert, key };
    }
    done(openssl(folder).args(["genpkey", "-quiet", "-algorithm", "ed25519", "-out"]).arg(&key));
    let request = folder.file("node.csr");
    let mut ask = openssl(folder);
    ask.args(["req", "-new", "-subj", "/CN=node", "-key"]).arg(&key).arg("-out").arg(&request);
    done(&mut ask);
    let extensions = folder.write(
        "node.ext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n\
         keyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n",
    );
    let mut sign = openssl(folder);
    sign.args(["x509", "-req", "-days", "2", "-in"]).arg(&request).arg("-CA").arg(&ca.cert);
    sign.arg("-CAkey").arg(&ca.key).arg("-extfile").arg(extensions).arg("-out").arg(&cert);
    done(&mut sign);
    Pair { cert, key }
}

/// `openssl s_server` that insists on a client certificate, TLS 1.3 alone.
pub(crate) struct OpenSslNode {
    port: String,
    pub(crate) process: Process,
}

impl OpenSslNode {
    pub(crate) fn start(folder: &Folder, ca: &Ca) -> Self {
        let pair = node_pair(folder, ca);
        let mut server = openssl(folder);
        server.args(["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-www", "-cert"]);
        server.arg(pair.cert).arg("-key").arg(pair.key).arg("-CAfile").arg(&ca.cert);
        server.args(["-Verify", "1", "-verify_return_error", "-purpose", "sslclient"]);
        let process = Process::start("openssl s_server", &mut server);
        let line = process.line_with("ACCEPT 127.0.0.1:", SOON);
        Self { port: line.rsplit_once(':').unwrap().1.trim().to_owned(), process }
    }

    /// A request with the certificate: the page that says what the server saw, or curl's reason.
    pub(crate) fn greets(
        &self,
        folder: &Folder,
        credential: &Credential,
    ) -> Result<String, String> {
        let mut curl = clean("curl", folder);
        curl.args(["-sSf", "--max-time", "20", "--http1.1", "--tlsv1.3", "--cacert"]);
        curl.arg(&credential.ca).arg("--cert").arg(&credential.cert).arg("--key");
        curl.arg(openssl_key(folder, credential)).arg(format!("https://127.0.0.1:{}/", self.port));
        outcome(&mut curl)
    }
}

/// The Go server: crypto/tls set up as apid does it.
pub(crate) struct GoNode {
    port: String,
    pub(crate) process: Process,
}

impl GoNode {
    pub(crate) fn start(folder: &Folder, ca: &Ca) -> Self {
        let pair = node_pair(folder, ca);
        let mut server = clean(go().unwrap(), folder);
        server.arg("serve").arg("-ca").arg(&ca.cert).arg("-cert").arg(pair.cert);
        let process = Process::start("go serve", server.arg("-key").arg(pair.key));
        let line: Value = serde_json::from_str(&process.line_with("listening", SOON)).unwrap();
        Self { port: line["port"].to_string(), process }
    }

    /// A Go client with the certificate: the identity the server read, or why not.
    pub(crate) fn greets(&self, folder: &Folder, credential: &Credential) -> Result<Value, String> {
        let mut dial = clean(go().unwrap(), folder);
        dial.arg("dial").arg("-ca").arg(&credential.ca).arg("-cert").arg(&credential.cert);
        dial.arg("-key").arg(&credential.key).args(["-addr", &format!("127.0.0.1:{}", self.port)]);
        let said: Value = serde_json::from_str(&outcome(&mut dial)?).unwrap();
        assert_eq!(said["tls"], true, "TLS 1.3");
        Ok(said["answer"].clone())
    }

    /// Why the server refused the `n`th client it refused.
    pub(crate) fn refusal(&self, n: usize) -> String {
        self.process.nth_line_with("refused", n, Duration::from_secs(10))
    }
}

/// What Go's crypto/x509 says of the certificate.
pub(crate) fn go_verifies(folder: &Folder, credential: &Credential) -> Result<Value, String> {
    let mut verify = clean(go().unwrap(), folder);
    verify.arg("verify").arg("-ca").arg(&credential.ca).arg("-cert").arg(&credential.cert);
    Ok(serde_json::from_str(&outcome(&mut verify)?).unwrap())
}

/// Talos labels Ed25519 keys in its own way, which Go's library reads and OpenSSL's does not.
fn openssl_key(folder: &Folder, credential: &Credential) -> PathBuf {
    let pem = fs::read_to_string(&credential.key).unwrap();
    assert!(pem.starts_with("-----BEGIN ED25519 PRIVATE KEY-----\n"));
    folder.write("for-openssl.key", pem.replace("ED25519 PRIVATE", "PRIVATE"))
}

fn outcome(command: &mut Command) -> Result<String, String> {
    let output = run(command);
    let (said, trouble) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(said + &trouble) }
}
