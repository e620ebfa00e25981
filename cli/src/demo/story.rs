//! The story: who logs in, what for, what is refused, and what the audit log says of it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use exchange_core::http::form::{Form, encode_form};
use exchange_core::json::{self, Object, Value};
use exchange_core::pki::ClientCertificate;
use exchange_core::server::audit_verify::{Finding, Summary, Verifier, VerifierKey};
use exchange_core::types::Url;
use exchange_smol::tls::{ClientOptions, ClientRoots, ClientTls};
use exchange_smol::{clock, files};
use ring::digest::{SHA256, digest};

use super::ca::{Authority, Order, Purpose};
use super::node::{Access, Outcome, call};
use super::provider::{CLIENT_ID, USERS, User};
use super::show::Show;
use super::stage::{Exchange, Stage};
use super::wire::{Trouble, request};
use super::{browser, wire};

const SERVICE: &str = "/machine.MachineService/";
/// Exit code of a login that the server refused.
const REFUSED: i32 = 3;
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time for the next checkpoint to be written.
const CHECKPOINT_MILLIS: u64 = 4_000;

/// What a user gets and may do.
struct Part {
    /// Who.
    name: &'static str,
    /// The one role of the certificate.
    role: &'static str,
    /// Methods to call, and whether each is allowed.
    calls: [(&'static str, bool); 4],
}

const PARTS: [Part; 3] = [
    Part {
        name: "alice",
        role: "os:admin",
        calls: [("Version", true), ("Reboot", true), ("Kubeconfig", true), ("EtcdSnapshot", true)],
    },
    Part {
        name: "bob",
        role: "os:reader",
        calls: [("Version", true), ("Logs", true), ("Reboot", false), ("Kubeconfig", false)],
    },
    Part {
        name: "carol",
        role: "os:etcd:backup",
        calls: [
            ("EtcdSnapshot", true),
            ("EtcdStatus", true),
            ("Version", false),
            ("Reboot", false),
        ],
    },
];

/// Says what runs where.
pub(crate) fn introduce(show: &mut Show, stage: &Stage, exchange: &Exchange) {
    show.step("Everything runs on this machine, with nothing installed");
    show.fact("provider", &format!("{}  OpenID Connect, for development only", stage.issuer));
    show.fact("Talos CA", "O=talos, Ed25519, as `talosctl gen secrets` makes it");
    show.fact("server", &format!("{}  talosctl-oidc serve, TLS", exchange.url));
    show.fact(
        "node",
        &format!("https://{}  a stand-in: rules of Talos, HTTP for gRPC", stage.node),
    );
    show.fact("rules", "platform-admins: os:admin, developers: os:reader,");
    show.fact("", "backup-operators: os:etcd:backup, anybody else: nothing");
    show.fact("folder", &stage.folder.path().display().to_string());
    show.fact("\u{2713}", "as it must be, which for many a call is a refusal");
}

/// Tells it all.
pub(crate) async fn tell(
    show: &mut Show,
    stage: &Stage,
    exchange: &Exchange,
) -> Result<(), Trouble> {
    for part in PARTS {
        log_in(show, stage, exchange, &part).await?;
    }
    nobody(show, stage, exchange).await?;
    again(show, stage, exchange).await?;
    wrong_tokens(show, stage, exchange).await?;
    wrong_certificates(show, stage).await?;
    the_end(show, stage).await?;
    audit(show, exchange).await
}

fn user(name: &str) -> Result<User, Trouble> {
    let found = USERS.into_iter().find(|user| user.name == name);
    found.ok_or_else(|| format!("the provider has no {name}"))
}

fn access(stage: &Stage, context: &str) -> Result<Access, Trouble> {
    stage.access(context)?.ok_or_else(|| format!("the talosconfig has no context {context}"))
}

/// The user logs in and calls the node.
async fn log_in(
    show: &mut Show,
    stage: &Stage,
    exchange: &Exchange,
    Part { name, role, calls }: &Part,
) -> Result<(), Trouble> {
    let user = user(name)?;
    show.step(&format!("{name} logs in ({}, group {})", user.about, user.groups.join(", ")));
    // Only alice's tokens are kept, for a renewal without a browser.
    let store = if *name == "alice" { "file" } else { "none" };
    let login = stage.login(exchange, name, name, &["--token-store", store]).await?;
    let told =
        if login.code == Some(0) { "browser, code, token, certificate" } else { &login.last_words };
    show.check("login", login.code == Some(0) && login.browser, told);
    if login.code != Some(0) {
        return Ok(());
    }
    let access = access(stage, name)?;
    let cert = ClientCertificate::parse(&access.cert).map_err(|error| error.to_string())?;
    let told = format!(
        "{} for {}, {} s",
        cert.roles().join(", "),
        cert.common_name().unwrap_or("nobody"),
        cert.remaining_secs(clock::wall())
    );
    let right = cert.roles() == [*role]
        && cert.common_name() == Some(user.email)
        && cert.is_client_auth_only()
        && cert.is_issued_by(&stage.authority.pair.cert);
    show.check("certificate in the talosconfig", right, &told);
    for (method, allowed) in calls {
        try_call(show, &access, method, *allowed).await;
    }
    Ok(())
}

/// Calls the node and checks whether it is allowed.
async fn try_call(show: &mut Show, access: &Access, method: &str, allowed: bool) {
    let outcome = call(access, &format!("{SERVICE}{method}"), &[]).await;
    let as_expected = match outcome {
        Outcome::Done => allowed,
        Outcome::Denied { .. } => !allowed && outcome.is_permission_denied(),
        Outcome::NoAnswer(_) => false,
    };
    show.check(&format!("node: {method}"), as_expected, &outcome.told());
}

/// A user without a role gets no certificate.
async fn nobody(show: &mut Show, stage: &Stage, exchange: &Exchange) -> Result<(), Trouble> {
    let user = user("mallory")?;
    show.step(&format!("{} tries ({}, group {})", user.name, user.about, user.groups.join(", ")));
    let login = stage.login(exchange, user.name, user.name, &["--token-store", "none"]).await?;
    show.check("login is refused", login.code == Some(REFUSED) && login.browser, &login.last_words);
    let absent = stage.access(user.name)?.is_none();
    show.check(
        "no context in the talosconfig",
        absent,
        if absent { "none" } else { "there is one" },
    );
    Ok(())
}

/// A certificate is renewed by the refresh token.
async fn again(show: &mut Show, stage: &Stage, exchange: &Exchange) -> Result<(), Trouble> {
    show.step("alice needs a new certificate: the refresh token does it, without a browser");
    let serial = |stage: &Stage| -> Result<String, Trouble> {
        let cert = access(stage, "alice")?.cert;
        let cert = ClientCertificate::parse(&cert).map_err(|error| error.to_string())?;
        Ok(cert.serial_hex().to_owned())
    };
    let before = serial(stage)?;
    let more = ["--token-store", "file", "--force"];
    let login = stage.login(exchange, "alice", "alice", &more).await?;
    let told = match (login.code, login.browser) {
        (Some(0), false) => "renewed, no browser",
        (Some(0), true) => "it wanted a browser",
        _ => &login.last_words,
    };
    show.check("login --force", login.code == Some(0) && !login.browser, told);
    let after = serial(stage)?;
    show.check("another serial number", before != after, &after);
    try_call(show, &access(stage, "alice")?, "Version", true).await;
    Ok(())
}

/// Tokens that somebody tampered with.
async fn wrong_tokens(show: &mut Show, stage: &Stage, exchange: &Exchange) -> Result<(), Trouble> {
    show.step("bob edits his ID token to say that he is a platform engineer");
    let token = id_token(stage, "bob").await?;
    let forged = forge(&token).ok_or_else(|| "the token has no payload".to_owned())?;
    let ca = files::read(&exchange.ca, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let roots = ClientRoots::Only(&ca);
    let tls = ClientTls::new(ClientOptions { roots, ..ClientOptions::default() });
    let tls = tls.map_err(|error| error.to_string())?;
    let url = url(&format!("{}/exchange", exchange.url))?;
    for (what, token, expected) in
        [("the edited token", &forged, 401), ("his own token", &token, 200)]
    {
        let body = format!("{{\"id_token\":\"{token}\"}}");
        let reply = request(&url, Some(("application/json", &body)), &[], Some(&tls)).await?;
        let limits = json::Limits { bytes_max: FILE_BYTES_MAX, depth_max: 4 };
        let answer = json::parse_object(&reply.body, limits).unwrap_or_default();
        let told = match answer.get_str("error") {
            Some(error) => format!("{}: {error}", reply.status),
            None => format!("{}: a certificate", reply.status),
        };
        show.check(&format!("POST /exchange with {what}"), reply.status == expected, &told);
    }
    Ok(())
}

/// Logs in as `user` at the provider alone.
async fn id_token(stage: &Stage, user: &str) -> Result<String, Trouble> {
    let verifier = B64.encode(digest(&SHA256, stage.issuer.as_bytes()));
    let challenge = B64.encode(digest(&SHA256, verifier.as_bytes()));
    // Nobody listens there: the code is taken from the way back.
    let redirect = "http://127.0.0.1:1/callback";
    let query = encode_form([
        ("client_id", CLIENT_ID),
        ("response_type", "code"),
        ("redirect_uri", redirect),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("scope", "openid email"),
    ]);
    let page = url(&format!("{}/authorize?{}", stage.issuer, *query))?;
    let back = browser::choose(&page, user).await?;
    let (_, query) = back.as_str().split_once('?').unwrap_or_default();
    let form = Form::parse(query).unwrap_or_default();
    let body = encode_form([
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("code", form.get("code").ok().flatten().unwrap_or_default()),
        ("code_verifier", &verifier),
        ("redirect_uri", redirect),
    ]);
    let token = url(&format!("{}/token", stage.issuer))?;
    let kind = "application/x-www-form-urlencoded";
    let reply = wire::request(&token, Some((kind, &body)), &[], None).await?;
    let limits = json::Limits { bytes_max: 65_536, depth_max: 4 };
    let answer = json::parse_object(&reply.body, limits).map_err(|error| error.to_string())?;
    answer.get_str("id_token").map(str::to_owned).ok_or_else(|| "no ID token".to_owned())
}

/// The token with another group in it and the old signature.
fn forge(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = String::from_utf8(B64.decode(payload).ok()?).ok()?;
    let forged = claims.replace("developers", "platform-admins");
    (forged != claims).then(|| format!("{header}.{}.{signature}", B64.encode(forged)))
}

/// Certificates that did not come from the exchange server as they are.
async fn wrong_certificates(show: &mut Show, stage: &Stage) -> Result<(), Trouble> {
    show.step("Certificates that a node refuses, whatever they say about roles");
    let randomness = || "the system gives no randomness".to_owned();
    let now = clock::wall();
    let other = Authority::new(now, &stage.rng).ok_or_else(randomness)?;
    let both = [Purpose::Server, Purpose::Client];
    let cases: [(&str, &Authority, &[Purpose], bool); 3] = [
        ("os:admin of another CA with the same name", &other, &[Purpose::Client], true),
        ("os:admin for servers", &stage.authority, &[Purpose::Server], true),
        ("os:admin for clients and servers", &stage.authority, &both, false),
    ];
    for (what, authority, purposes, in_handshake) in cases {
        let order = Order {
            organizations: &["os:admin"],
            common_name: "mallory",
            purposes,
            loopback: false,
            validity: (now, now.plus_secs(300)),
        };
        let pair = authority.issue(&order, &stage.rng).ok_or_else(randomness)?;
        let ca = stage.authority.pair.cert.clone();
        let access = Access { endpoint: stage.node.clone(), ca, cert: pair.cert, key: pair.key };
        let outcome = call(&access, &format!("{SERVICE}Version"), &[]).await;
        let refused = match &outcome {
            Outcome::Done => false,
            Outcome::Denied { .. } => !in_handshake && !outcome.is_permission_denied(),
            Outcome::NoAnswer(_) => in_handshake,
        };
        show.check(what, refused, &outcome.told());
    }
    let bob = access(stage, "bob")?;
    let outcome = call(&bob, &format!("{SERVICE}Reboot"), &["os:admin"]).await;
    let refused = outcome.is_permission_denied();
    show.check("bob, asking for os:admin in a header", refused, &outcome.told());
    Ok(())
}

/// A certificate ends by itself.
async fn the_end(show: &mut Show, stage: &Stage) -> Result<(), Trouble> {
    show.step("A certificate ends by itself: another server, with cert_ttl: 3s");
    let exchange = stage.exchange("short", "3s").await?;
    let login = stage.login(&exchange, "bob", "short", &["--token-store", "none"]).await?;
    show.check(
        "login as bob",
        login.code == Some(0),
        if login.code == Some(0) { "3 s" } else { &login.last_words },
    );
    if login.code != Some(0) {
        return Ok(());
    }
    let access = access(stage, "short")?;
    try_call(show, &access, "Version", true).await;
    let cert = ClientCertificate::parse(&access.cert).map_err(|error| error.to_string())?;
    while cert.check_dates(clock::wall()).is_ok() {
        clock::sleep(50).await;
    }
    let outcome = call(&access, &format!("{SERVICE}Version"), &[]).await;
    let refused = matches!(&outcome, Outcome::NoAnswer(why) if why.contains("Expired"));
    show.check("node: Version, after its end", refused, &outcome.told());
    Ok(())
}

/// What the server recorded, and whether it still fits together.
async fn audit(show: &mut Show, exchange: &Exchange) -> Result<(), Trouble> {
    show.step("The audit log of the server says");
    let text = log_with_checkpoint(exchange).await?;
    let lines: Vec<Object> = text.lines().filter_map(read_line).collect();
    for line in lines.iter().filter(|line| line.get_str("type") != Some("checkpoint")) {
        show.line(&format!("   {}", summary(line)));
    }
    let count = |kind: &str, email: Option<&str>| {
        let of_kind = lines.iter().filter(|line| line.get_str("type") == Some(kind));
        of_kind.filter(|line| line.get_str("email") == email || email.is_none()).count()
    };
    let issued = count("cert_issued", None);
    show.check("certificates issued", issued == 5, &issued.to_string());
    let denied = count("access_denied", Some("mallory@example.com"));
    show.check("mallory was denied", denied == 1, &denied.to_string());
    let failed = count("auth_failure", None);
    show.check("tokens refused", failed == 1, &failed.to_string());
    let (right, told) = match verified(&text, &exchange.verifier) {
        Ok(found) => (
            found.lines > 0 && found.checkpoints_proven > 0,
            format!("{} lines, vouched for up to line {}", found.lines, found.proven_to),
        ),
        Err(finding) => (false, format!("line {}: {:?}", finding.line, finding.fault)),
    };
    show.check("every line fits the one before", right, &told);
    let edited = text.replacen("os:reader", "os:admin", 1);
    let (right, told) = match verified(&edited, &exchange.verifier) {
        Ok(_) => (false, "nobody would notice".to_owned()),
        Err(finding) => (edited != text, format!("found in line {}", finding.line)),
    };
    show.check("a copy with one role edited", right, &told);
    Ok(())
}

/// The log's complete lines once a checkpoint stands behind the last event.
async fn log_with_checkpoint(exchange: &Exchange) -> Result<String, Trouble> {
    let until = clock::mono().plus_millis(CHECKPOINT_MILLIS);
    loop {
        let bytes = files::read(&exchange.audit, FILE_BYTES_MAX);
        let bytes = bytes.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rfind('\n').map_or("", |end| text.get(..=end).unwrap_or_default());
        let last = whole.lines().next_back().and_then(read_line);
        let vouched = last.is_some_and(|line| line.get_str("type") == Some("checkpoint"));
        if vouched || until.since(clock::mono()) == 0 {
            return Ok(whole.to_owned());
        }
        clock::sleep(50).await;
    }
}

fn read_line(line: &str) -> Option<Object> {
    let limits = json::Limits { bytes_max: 65_536, depth_max: 8 };
    json::parse_object(line.as_bytes(), limits).ok()
}

/// Time, event, person, and roles or reason.
fn summary(line: &Object) -> String {
    let text = |name: &str| line.get_str(name).unwrap_or_default();
    let time = text("timestamp").split_once('T').map_or("", |(_, time)| time);
    let roles = line.get("roles").and_then(Value::as_array).unwrap_or_default();
    let mut rest: Vec<&str> = roles.iter().filter_map(Value::as_str).collect();
    rest.extend(["cert_ttl", "code"].map(text).into_iter().filter(|text| !text.is_empty()));
    let person = if text("email").is_empty() { "-" } else { text("email") };
    let line = format!("{time:<10} {:<14} {person:<20} {}", text("type"), rest.join(" "));
    line.trim_end().to_owned()
}

fn verified(text: &str, key: &str) -> Result<Summary, Finding> {
    let mut verifier = Verifier::new(key.parse::<VerifierKey>().ok());
    for line in text.lines() {
        verifier.line(line.as_bytes())?;
    }
    Ok(verifier.finish())
}

fn url(text: &str) -> Result<Url, Trouble> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_token_differs_in_its_payload_only() {
        let payload = B64.encode("{\"groups\":[\"developers\"]}");
        let forged = forge(&format!("header.{payload}.signature")).expect("a forgery");
        let parts: Vec<&str> = forged.split('.').collect();
        let claims = B64.decode(parts.get(1).copied().unwrap_or_default()).expect("base64");
        assert_eq!(claims, b"{\"groups\":[\"platform-admins\"]}");
        assert_eq!((parts.first(), parts.get(2)), (Some(&"header"), Some(&"signature")));
        // Without the group there would be nothing to refuse.
        assert!(forge(&format!("header.{}.signature", B64.encode("{}"))).is_none());
    }
}
