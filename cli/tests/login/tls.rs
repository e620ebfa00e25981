//! Whom a login trusts as its server: a real `serve` with an authority of its own.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use crate::machine::{Ended, Home, Running};
use crate::stub::Stub;

pub struct Server {
    pub url: String,
    pub ca: PathBuf,
    running: Running,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.running.child.kill();
        let _ = self.running.child.wait();
    }
}

fn serve(home: &Home, stub: &Stub) -> Server {
    serve_with(home, &stub.url, "")
}

/// A server for that provider, with more lines of configuration.
pub fn serve_with(home: &Home, issuer: &str, more: &str) -> Server {
    let config = home.file("server.yaml");
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/cert/ca/ed25519");
    let data = home.file("data");
    home.write(
        &config,
        &format!(
            "issuer_url: {}\nclient_id: cli\nca_cert: {ca}.crt\nca_key: {ca}.key\n\
             listen: 127.0.0.1:0\ndata_dir: {}\nendpoints: [10.0.0.1]\nroles: [os:reader]\n{more}",
            issuer,
            data.display()
        ),
    );
    let command = home.command(&["serve", "--config", config.to_str().unwrap()]);
    let mut running = Running::start(command);
    let line = running.wait_for(|line| line.contains("listening on https://")).unwrap();
    let url = line.split("listening on ").nth(1).unwrap().trim().to_owned();
    let ca = data.join("ca.crt");
    let until = Instant::now() + Duration::from_secs(60);
    while more.is_empty() && !ca.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    Server { url, ca, running }
}

/// SHA-256 of the first certificate in that PEM file.
fn fingerprint(path: &PathBuf) -> String {
    let pem = fs::read_to_string(path).unwrap();
    let body = pem.lines().skip_while(|line| !line.contains("BEGIN CERTIFICATE")).skip(1);
    let body: String = body.take_while(|line| !line.contains("END")).collect();
    let hash = digest(&SHA256, &STANDARD.decode(body).unwrap());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How far a login comes: to the login page, where it is interrupted, or not.
fn comes_to_the_page(home: &Home, server: &str, more: &[&str]) -> Result<(), Ended> {
    let mut args = vec!["login", server, "--skip-open-browser", "--callback-port", "0"];
    args.extend(["--token-store", "none"]);
    args.extend(more);
    let mut running = Running::start(home.command(&args));
    if running.login_url().is_none() {
        return Err(running.end());
    }
    running.signal("-INT");
    assert_eq!(running.end().code, Some(5));
    Ok(())
}

fn untrusted(result: Result<(), Ended>) {
    let ended = result.unwrap_err();
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.err.contains("not signed by a trusted authority"), "{ended:?}");
    assert!(ended.err.contains("--server-ca, or the right #sha256="), "{ended:?}");
}

#[test]
fn a_private_server_must_be_known() {
    let (home, stub) = (Home::new(), Stub::start());
    let server = serve(&home, &stub);
    let ca = server.ca.to_str().unwrap();
    untrusted(comes_to_the_page(&home, &server.url, &[]));
    comes_to_the_page(&home, &server.url, &["--server-ca", ca]).unwrap();
    comes_to_the_page(&home, &format!("{}/", server.url), &["--server-ca", ca]).unwrap();
    comes_to_the_page(&home, &server.url, &["--insecure"]).unwrap();
    // Named, an authority stands alone: also --insecure does not switch it off.
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/cert/ca/p256.crt");
    untrusted(comes_to_the_page(&home, &server.url, &["--server-ca", other]));
    untrusted(comes_to_the_page(&home, &server.url, &["--server-ca", other, "--insecure"]));
}

#[test]
fn an_authority_can_be_pinned_in_the_url() {
    let (home, stub) = (Home::new(), Stub::start());
    let server = serve(&home, &stub);
    let right = fingerprint(&server.ca);
    comes_to_the_page(&home, &format!("{}#sha256={right}", server.url), &[]).unwrap();
    let colons: Vec<&str> =
        right.as_bytes().chunks(2).map(|b| std::str::from_utf8(b).unwrap()).collect();
    let upper = colons.join(":").to_uppercase();
    comes_to_the_page(&home, &format!("{}#sha256={upper}", server.url), &[]).unwrap();
    let wrong = "0".repeat(64);
    untrusted(comes_to_the_page(&home, &format!("{}#sha256={wrong}", server.url), &[]));
}

/// For providers that register no `http` redirect URI, not even a loopback one.
#[test]
fn the_callback_server_can_speak_tls() {
    let (home, stub) = (Home::new(), Stub::start());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/cert/ca");
    let (cert, key) = (format!("{folder}/p256.crt"), home.file("callback.key"));
    fs::copy(format!("{folder}/p256.key"), &key).unwrap();
    let login = |cert: &str| {
        let pair = ["--local-server-cert", cert, "--local-server-key", "~/callback.key"];
        Running::start(home.login(&stub, &pair))
    };
    let other = login(&format!("{folder}/ed25519.crt")).end();
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.err.contains("[tls.key_mismatch]"), "{other:?}");

    let mut running = login(&cert);
    let url = running.login_url().unwrap();
    assert!(url.contains("redirect_uri=https%3A%2F%2F127.0.0.1%3A"), "{url}");
    let (status, location, _) = crate::machine::get(&url);
    let callback = location.unwrap();
    assert_eq!(status, 302);
    assert_eq!(browse_tls(&callback), 200);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The status of that page, whoever signed the certificate.
fn browse_tls(url: &str) -> u16 {
    use exchange_core::http::{FetchRequest, Trust};
    use exchange_smol::fetch::Fetcher;
    use exchange_smol::proxy::ProxySettings;
    use exchange_smol::tls::{ClientOptions, ClientTls, Verification};
    let verification = Verification::InsecureAcceptAnything;
    let options = ClientOptions { verification, ..ClientOptions::default() };
    let tls = ClientTls::new(options).unwrap();
    let fetcher = Fetcher::new(tls.clone(), tls, ProxySettings::from_env(|_| None), "browser");
    let request = FetchRequest {
        url: url.parse().unwrap(),
        post: None,
        headers: Vec::new(),
        trust: Trust::Server,
        body_bytes_max: 65_536,
        timeout_millis: 60_000,
    };
    smol::block_on(fetcher.fetch(request)).unwrap().status
}

#[test]
fn a_token_goes_to_a_trusted_server_only() {
    let (home, stub) = (Home::new(), Stub::start());
    let server = serve(&home, &stub);
    let token = stub.id_token();
    let ended = home.run(&["login", &server.url, "--id-token", &token]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    // This one is signed by nobody, which the server finds out.
    let ca = server.ca.to_str().unwrap();
    let ended = home.run(&["login", &server.url, "--server-ca", ca, "--id-token", &token]);
    assert!(ended.code == Some(3) || ended.code == Some(4), "{ended:?}");
    assert!(ended.err.contains("(HTTP "), "{ended:?}");
}
