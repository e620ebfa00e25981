//! The server's own certificate in its three modes.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;

use exchange_core::http::{FetchError, FetchReply, FetchRequest, Trust};
use exchange_smol::executor;
use exchange_smol::fetch::Fetcher;
use exchange_smol::proxy::ProxySettings;
use exchange_smol::tls::{ClientOptions, ClientRoots, ClientTls, Verification};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::exchange::pem;
use crate::provider::Provider;
use crate::world::{Config, Server, mode, vector};

/// GET over TLS, trusting `ca` alone, as `--server-ca` does.
pub(crate) fn get(
    address: SocketAddr,
    host: &str,
    ca: &[u8],
    path: &str,
) -> Result<FetchReply, FetchError> {
    let options = ClientOptions { roots: ClientRoots::Only(ca), ..ClientOptions::default() };
    fetch(address, host, options, path)
}

/// GET without any check, as `curl -k`.
fn get_insecure(address: SocketAddr, path: &str) -> FetchReply {
    let verification = Verification::InsecureAcceptAnything;
    fetch(address, "127.0.0.1", ClientOptions { verification, ..ClientOptions::default() }, path)
        .unwrap()
}

fn fetch(
    address: SocketAddr,
    host: &str,
    options: ClientOptions<'_>,
    path: &str,
) -> Result<FetchReply, FetchError> {
    let client = ClientTls::new(options).unwrap();
    let fetcher = Fetcher::new(client.clone(), client, ProxySettings::none(), "test/1");
    let request = FetchRequest {
        url: format!("https://{host}:{}{path}", address.port()).parse().unwrap(),
        post: None,
        headers: Vec::new(),
        trust: Trust::Server,
        body_bytes_max: 100_000,
        timeout_millis: 20_000,
    };
    executor::run(NonZeroUsize::MIN, fetcher.fetch(request))
}

fn config(provider: &Provider) -> Config {
    Config::new(provider).unset("insecure")
}

fn data_dir(config: Config) -> Config {
    let dir = config.folder.path("data").display().to_string();
    config.set("data_dir", &dir)
}

/// Names of the certificate in a PEM file.
fn names(path: &Path) -> Vec<String> {
    let (_, der) = pem(&fs::read_to_string(path).unwrap());
    let (_, cert) = X509Certificate::from_der(&der).unwrap();
    let san = cert.subject_alternative_name().unwrap().unwrap();
    let name = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(name) = name {
            (*name).to_owned()
        } else if let GeneralName::IPAddress([a, b, c, d]) = name {
            format!("{a}.{b}.{c}.{d}")
        } else {
            format!("{name:?}")
        }
    };
    san.value.general_names.iter().map(name).collect()
}

/// Section 6.2: four files of mode 0600 under 0700, loaded again as they are; `/ca`; the log.
#[test]
fn s62_self_signed_material_is_kept_private_and_found_again() {
    let provider = Provider::start();
    let server = data_dir(config(&provider)).set("listen", "'127.0.0.1:0'").start();
    let dir = server.config.folder.path("data");
    assert_eq!(mode(&dir), 0o700);
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    for name in ["ca.crt", "ca.key", "server.crt", "server.key"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    assert!(String::from_utf8(read("server.key")).unwrap().contains("BEGIN EC PRIVATE KEY"));
    let ca = read("ca.crt");
    // The log holds the authority as plain lines, and its fingerprint.
    server.log.wait("END CERTIFICATE");
    let (_, der) = pem(std::str::from_utf8(&ca).unwrap());
    let print: String = digest(&SHA256, &der).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert!(server.log.has(&print), "{print}");
    let lines = server.log.all();
    let begin = lines.iter().position(|line| line == "-----BEGIN CERTIFICATE-----").unwrap();
    let end = lines.iter().position(|line| line == "-----END CERTIFICATE-----").unwrap();
    assert_eq!(lines[begin..=end].join("\n") + "\n", String::from_utf8(ca.clone()).unwrap());
    // First met without trust, then with what was met.
    let offered = get_insecure(server.address, "/ca");
    assert_eq!((offered.status, &*offered.body), (200, &ca));
    assert_eq!(offered.headers.get_str("content-type"), Some("application/x-pem-file"));
    let healthy = get(server.address, "127.0.0.1", &ca, "/healthz").unwrap();
    assert_eq!(&*healthy.body, b"ok");
    assert!(get(server.address, "localhost", &ca, "/healthz").is_ok());
    let before = ["ca.crt", "ca.key", "server.crt", "server.key"].map(read);
    let server = server.stop().start();
    assert_eq!(["ca.crt", "ca.key", "server.crt", "server.key"].map(read), before);
    assert!(get(server.address, "127.0.0.1", &ca, "/healthz").is_ok());
}

/// D2: every name and address a client may use, and the configured ones.
#[test]
fn d2_the_certificate_names_this_machine_and_what_is_configured() {
    let provider = Provider::start();
    let sans = "[oidc.example.com, 192.0.2.77]";
    let server = data_dir(config(&provider)).set("tls_sans", sans).set("listen", "':0'").start();
    let names = names(&server.config.folder.path("data/server.crt"));
    for name in ["localhost", "127.0.0.1", "oidc.example.com", "192.0.2.77"] {
        assert!(names.iter().any(|found| found == name), "no {name} in {names:?}");
    }
    let own = exchange_smol::names::own_addresses();
    for address in own.iter().filter(|address| address.is_ipv4()) {
        assert!(names.contains(&address.to_string()), "no {address} in {names:?}");
    }
    if let Some(host) = exchange_smol::names::host_name() {
        assert!(names.contains(&host), "no {host} in {names:?}");
    }
    // Over an address that is not loopback, verified.
    let ca = fs::read(server.config.folder.path("data/ca.crt")).unwrap();
    let local = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    for address in own.iter().filter(|address| address.is_ipv4()) {
        assert!(get(local, &address.to_string(), &ca, "/healthz").is_ok(), "{address}");
    }
}

/// D27: a new certificate under the same authority, so that clients need not fetch it again.
#[test]
fn d27_renewal_keeps_the_authority() {
    let provider = Provider::start();
    let server = data_dir(config(&provider)).start();
    let dir = server.config.folder.path("data");
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    let (ca, key, cert) = (read("ca.crt"), read("ca.key"), read("server.crt"));
    let server = server.stop().set("tls_sans", "[new.example.com]").start();
    assert_eq!((read("ca.crt"), read("ca.key")), (ca.clone(), key));
    assert_ne!(read("server.crt"), cert);
    assert!(names(&dir.join("server.crt")).contains(&"new.example.com".to_owned()));
    assert!(get(server.address, "127.0.0.1", &ca, "/healthz").is_ok());
}

/// A folder that the Go original wrote.
#[test]
fn s62_a_data_dir_of_the_original_is_read() {
    let provider = Provider::start();
    let config = data_dir(config(&provider));
    fs::create_dir(config.folder.path("data")).unwrap();
    for name in ["ca.crt", "ca.key", "server.crt", "server.key"] {
        config.folder.copy(&format!("tls/{name}"), &format!("data/{name}"));
    }
    let server = config.start();
    let ca = fs::read(vector("tls/ca.crt")).unwrap();
    assert_eq!(*get_insecure(server.address, "/ca").body, ca);
    assert!(get(server.address, "127.0.0.1", &ca, "/healthz").is_ok());
}

/// A folder that cannot be written costs the persistence and nothing else.
#[test]
fn s62_an_unwritable_data_dir_falls_back_to_memory() {
    let provider = Provider::start();
    let server = config(&provider).set("data_dir", "/proc/nowhere/data").start().ready();
    assert!(server.log.has("lives in memory only"), "{:?}", server.log.all());
    let ca = get_insecure(server.address, "/ca");
    assert_eq!(ca.status, 200);
    assert!(get(server.address, "127.0.0.1", &ca.body, "/healthz").is_ok());
}

#[test]
fn s62_damaged_material_stops_the_start() {
    let provider = Provider::start();
    let server = data_dir(config(&provider)).start();
    let config = server.stop();
    config.folder.write("data/ca.key", "damaged");
    let (status, text) = config.fails();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("self-signed certificate"), "{text}");
}

/// What is left of the four files is used where it can be, and never replaced in silence.
#[test]
fn s62_an_incomplete_set_keeps_the_authority_or_says_that_it_cannot() {
    let provider = Provider::start();
    let mut config = data_dir(config(&provider)).start().stop();
    let read =
        |config: &Config, name: &str| fs::read(config.folder.path("data").join(name)).unwrap();
    let ca = read(&config, "ca.crt");
    for lost in ["server.crt", "server.key"] {
        let before = read(&config, "server.crt");
        fs::remove_file(config.folder.path("data").join(lost)).unwrap();
        // A look changes nothing.
        let (status, _, log) = config.check();
        assert!(status.success() && log.contains("under the same authority"), "{log}");
        assert!(!config.folder.path("data").join(lost).exists());
        let server = config.start();
        assert!(server.log.has("WARNING: data_dir has the TLS authority but not"), "{lost}");
        assert!(get(server.address, "127.0.0.1", &ca, "/healthz").is_ok());
        config = server.stop();
        assert_eq!(read(&config, "ca.crt"), ca);
        assert_ne!(read(&config, "server.crt"), before);
    }
    for lost in ["ca.key", "ca.crt"] {
        let before = read(&config, "ca.crt");
        fs::remove_file(config.folder.path("data").join(lost)).unwrap();
        let server = config.start();
        let said = server.log.wait("ALL FOUR ARE MADE ANEW");
        assert!(said.contains(&format!("but not {lost}")) && said.contains("WARNING"), "{said}");
        config = server.stop();
        assert_ne!(read(&config, "ca.crt"), before);
    }
    // An authority that is not its key's is no authority.
    fs::remove_file(config.folder.path("data/server.key")).unwrap();
    config.folder.write("data/ca.crt", ca);
    let (status, text) = config.fails();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("self-signed certificate: ca.key"), "{text}");
}

/// A provided pair, and that pair exchanged while the server runs.
#[test]
fn s61_a_provided_pair_is_served_and_reloaded_when_it_changes() {
    let provider = Provider::start();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-smol/tests/fixtures");
    let config = config(&provider);
    let put = |server: &Config, cert: &str, key: &str| {
        for (from, to) in [(cert, "tls.crt"), (key, "tls.key")] {
            let bytes = fs::read(fixtures.join(from)).unwrap();
            server.folder.write(&format!("{to}.new"), bytes);
            fs::rename(server.folder.path(&format!("{to}.new")), server.folder.path(to)).unwrap();
        }
    };
    put(&config, "server.crt", "server.key");
    let (cert, key) = (config.folder.path("tls.crt"), config.folder.path("tls.key"));
    let config =
        config.set("tls_cert", cert.to_str().unwrap()).set("tls_key", key.to_str().unwrap());
    let server = config.start().ready();
    let trusted = fs::read(fixtures.join("ca.crt")).unwrap();
    assert_eq!(get(server.address, "localhost", &trusted, "/healthz").unwrap().status, 200);
    assert_eq!(get(server.address, "localhost", &trusted, "/ca").unwrap().status, 404);
    // Half a change is refused and the old pair goes on.
    server.config.folder.write("tls.key", fs::read(fixtures.join("rsa.key")).unwrap());
    server.log.wait("the new configuration is refused and the old one goes on");
    assert_eq!(get(server.address, "localhost", &trusted, "/healthz").unwrap().status, 200);
    // The other half makes it whole.
    put(&server.config, "rsa.crt", "rsa.key");
    server.log.wait("configuration reloaded");
    assert_eq!(get(server.address, "localhost", &trusted, "/healthz").unwrap().status, 200);
    assert!(server.post_tls(&trusted, &provider.body("alice", json!({}))).status == 200);
}

/// Each case of `vectors/tls` with a pair that is given, as `serve --check` judges it.
#[test]
fn s61_every_pair_of_the_vectors_is_judged_as_written() {
    let provider = Provider::start();
    let folder = vector("../tls");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("pair-") {
            continue;
        }
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let pair = case["pair"].as_object().unwrap();
        let half = |files: &str, text: &str| -> String {
            if let Some(text) = pair.get(text) {
                return text.as_str().unwrap().to_owned();
            }
            let files = pair[files].as_array().unwrap().iter();
            files.map(|file| fs::read_to_string(vector(file.as_str().unwrap())).unwrap()).collect()
        };
        let config = config(&provider);
        let cert = config.folder.write("pair.crt", half("cert", "cert_text"));
        let key = config.folder.write("pair.key", half("key", "key_text"));
        let config =
            config.set("tls_cert", cert.to_str().unwrap()).set("tls_key", key.to_str().unwrap());
        let (status, _, said) = config.check();
        match case["expect"]["error"].as_str() {
            None => assert!(status.success(), "{name}: {said}"),
            Some(code) => {
                assert!(!status.success() && said.contains(&format!("[{code}]")), "{name}: {said}");
            }
        }
        cases += 1;
    }
    assert!(cases >= 11, "{cases} cases");
}

#[test]
fn s61_a_pair_that_has_ended_is_served_with_a_warning() {
    let provider = Provider::start();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-smol/tests/fixtures");
    for (name, warned) in [("expired", true), ("server", false)] {
        let cert = fixtures.join(format!("{name}.crt"));
        let key = fixtures.join(format!("{name}.key"));
        let config = config(&provider)
            .set("tls_cert", cert.to_str().unwrap())
            .set("tls_key", key.to_str().unwrap());
        let (status, _, said) = config.check();
        assert!(status.success(), "{said}");
        let warning = "tls_cert ended at 2002-01-01T00:00:00Z";
        assert_eq!(said.contains(warning), warned, "{said}");
    }
}

/// A pair behind a link that is turned to another folder, as mounted secrets change: both files at
/// one moment, without a change of what the paths say.
#[test]
fn s61_a_pair_behind_a_turned_link_is_reloaded() {
    let provider = Provider::start();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-smol/tests/fixtures");
    let config = config(&provider);
    let path = |name: &str| config.folder.path(name);
    for (folder, from) in [("one", "server"), ("two", "rsa")] {
        fs::create_dir(path(folder)).unwrap();
        for (end, to) in [("crt", "tls.crt"), ("key", "tls.key")] {
            fs::copy(fixtures.join(format!("{from}.{end}")), path(folder).join(to)).unwrap();
        }
    }
    std::os::unix::fs::symlink("one", path("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), path(name)).unwrap();
    }
    let (cert, key) =
        (path("tls.crt").display().to_string(), path("tls.key").display().to_string());
    let server = config.set("tls_cert", &cert).set("tls_key", &key).start().ready();
    let trusted = fs::read(fixtures.join("ca.crt")).unwrap();
    let served = || {
        let address = server.address.to_string();
        let output = std::process::Command::new("openssl")
            .args(["s_client", "-connect", &address])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let body = |name: &str| {
        let text = fs::read_to_string(fixtures.join(name)).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    };
    assert!(served().contains(&body("server.crt")));
    std::os::unix::fs::symlink("two", server.config.folder.path("..new")).unwrap();
    fs::rename(server.config.folder.path("..new"), server.config.folder.path("..data")).unwrap();
    server.log.wait("configuration reloaded: changed files");
    assert!(served().contains(&body("rsa.crt")));
    assert_eq!(get(server.address, "localhost", &trusted, "/healthz").unwrap().status, 200);
    assert!(!server.log.has("refused"));
}

/// Plain HTTP to the TLS port is told so.
#[test]
fn s61_plain_http_on_the_tls_port_is_answered() {
    let provider = Provider::start();
    let server = config(&provider).start();
    let reply = server.get("/healthz");
    assert_eq!((reply.status, &*reply.code()), (400, "http.plain_on_tls_port"));
    // And the other way round.
    let plain = Config::new(&provider).start();
    let mut conn = plain.open();
    conn.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    let reply = conn.reply(false).unwrap();
    assert_eq!((reply.status, &*reply.code()), (400, "http.tls_on_plain_port"));
}

impl Server {
    fn post_tls(&self, ca: &[u8], body: &[u8]) -> FetchReply {
        let options = ClientOptions { roots: ClientRoots::Only(ca), ..ClientOptions::default() };
        let client = ClientTls::new(options).unwrap();
        let fetcher = Fetcher::new(client.clone(), client, ProxySettings::none(), "test/1");
        let request = FetchRequest {
            url: format!("https://localhost:{}/exchange", self.address.port()).parse().unwrap(),
            post: Some(("application/json", body.to_vec().into())),
            headers: Vec::new(),
            trust: Trust::Server,
            body_bytes_max: 100_000,
            timeout_millis: 20_000,
        };
        executor::run(NonZeroUsize::MIN, fetcher.fetch(request)).unwrap()
    }
}
