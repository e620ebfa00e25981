//! `/exchange`: the words on the wire, tokens, certificates, roles, limits.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::client::Reply;
use crate::provider::Provider;
use crate::token::{self, Key, now};
use crate::world::{Config, Server, chmod, vector};

/// The one block of a PEM text: its label and bytes.
pub(crate) fn pem(text: &str) -> (String, Vec<u8>) {
    assert_eq!(text.matches("-----BEGIN ").count(), 1, "{text}");
    let label = text.split("-----BEGIN ").nth(1).unwrap().split("-----").next().unwrap();
    let inner = text.split("-----\n").nth(1).unwrap().split("-----END").next().unwrap();
    (label.to_owned(), BASE64_STANDARD.decode(inner.replace('\n', "")).unwrap())
}

fn certificate_der(reply: &Reply) -> Vec<u8> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let (label, der) = pem(reply.json()["cert"].as_str().unwrap());
    assert_eq!(label, "CERTIFICATE");
    der
}

fn organizations(der: &[u8]) -> Vec<String> {
    let (_, cert) = X509Certificate::from_der(der).unwrap();
    let names = cert.subject().iter_organization();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn roles_of(reply: &Reply) -> Vec<String> {
    organizations(&certificate_der(reply))
}

#[test]
fn s21_the_answer_has_the_members_of_the_original() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    // Whatever the operator keeps around the block goes to clients as it is.
    let ca = std::fs::read_to_string(vector("ca/ed25519.crt")).unwrap();
    let ca = format!("# the Talos API CA\r\n{ca}\n# end\n");
    config.folder.write("ca.crt", &ca);
    let server = config.set("cert_ttl", "1h30m").start().ready();
    let reply = server.post(&provider.body("alice", json!({})));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert!(reply.text().ends_with("}\n"));
    let answer = reply.json();
    assert_eq!(answer["ca"], ca);
    assert_eq!(answer["endpoints"], json!(["10.0.0.2", "10.0.0.1"]));
    assert_eq!(answer["ttl_seconds"], 5400);
    let (label, key) = pem(answer["key"].as_str().unwrap());
    assert_eq!(label, "ED25519 PRIVATE KEY");
    // PKCS#8 version 1 of an Ed25519 key (RFC 8410): what Go and OpenSSL read.
    assert_eq!(key.len(), 48);
    assert!(key.starts_with(b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"));
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&key[16..]).unwrap();
    let der = certificate_der(&reply);
    let (_, cert) = X509Certificate::from_der(&der).unwrap();
    let public = ring::signature::KeyPair::public_key(&pair);
    assert_eq!(&*cert.public_key().subject_public_key.data, public.as_ref());
}

/// Everything but a POST with a good token, and in which order it is looked at.
#[test]
fn s21_refusals_have_the_status_and_text_of_the_original() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let reply = server.open().request(method, "/exchange", &[], b"");
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method}");
        if method != "HEAD" {
            assert_eq!(reply.error(), "method not allowed");
        }
    }
    let long = format!("{{\"id_token\":\"x\",\"pad\":\"{}\"}}", "p".repeat(70_000));
    let unknown_key = token::claims(&provider.issuer(), "eve", json!({}));
    let unknown_key = json!({"id_token": Key::ed25519("k9", 9).sign(&unknown_key)}).to_string();
    let no_token = "id_token is required";
    let cases: [(&str, u16, &str); 16] = [
        ("", 400, "invalid JSON"),
        ("hello", 400, "invalid JSON"),
        ("{\"id_token\":", 400, "invalid JSON"),
        ("[]", 400, "invalid JSON"),
        ("\"id_token\"", 400, "invalid JSON"),
        ("{\"id_token\":7}", 400, "invalid JSON"),
        ("{\"id_token\":[\"a\"]}", 400, "invalid JSON"),
        ("{\"id_token\":\"a\"} {}", 400, "invalid JSON"),
        ("{\"id_token\":\"a\",\"id_token\":\"b\"}", 400, "invalid JSON"),
        ("{}", 400, no_token),
        ("{\"id_token\":\"\"}", 400, no_token),
        ("{\"id_token\":null}", 400, no_token),
        ("{\"other\":{\"id_token\":\"a\"}}", 400, no_token),
        ("{\"id_token\":\"a.b.c\"}", 401, "invalid token"),
        (&unknown_key, 401, "invalid token"),
        (&long, 413, "request body too large or unreadable"),
    ];
    for (body, status, error) in cases {
        let reply = server.post(body.as_bytes());
        let start: String = body.chars().take(60).collect();
        assert_eq!((reply.status, &*reply.error()), (status, error), "{start}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{start}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{start}");
        assert!(reply.text().ends_with("}\n"), "{start}");
        assert!(reply.json()["hint"].is_string(), "{start}: {}", reply.text());
    }
}

#[test]
fn s21_foreign_members_and_any_content_type_are_accepted() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let body = json!({"z": [1, {"a": null}], "id_token": provider.token("a", json!({})), "b": 1.5});
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"] {
        let body = body.to_string();
        let headers = [("content-type", kind)];
        let reply = server.open().request("POST", "/exchange", &headers, body.as_bytes());
        assert_eq!(reply.status, 200, "{kind}");
    }
    let no_type = server.open().request("POST", "/exchange", &[], body.to_string().as_bytes());
    assert_eq!(no_type.status, 200);
    // The decoder of the original takes its name in any case.
    let upper = json!({"ID_TOKEN": provider.token("a", json!({}))}).to_string();
    assert_eq!(server.post(upper.as_bytes()).status, 200);
}

/// D21: 64 KiB are read, more is 413, announced or not; never a cut body. Each is on record.
#[test]
fn d21_an_oversize_body_is_413_and_never_cut() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let body_of = |length: usize| {
        let token = provider.token("alice", json!({}));
        let empty = json!({"id_token": token, "pad": ""}).to_string().len();
        json!({"id_token": token, "pad": "p".repeat(length - empty)}).to_string().into_bytes()
    };
    assert_eq!(server.post(&body_of(65_536)).status, 200);
    for chunked in [false, true] {
        let body = body_of(65_537);
        let mut conn = server.open();
        let reply = if chunked {
            let head = "POST /exchange HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
            conn.send(head.as_bytes());
            conn.send(format!("{:x}\r\n", body.len()).as_bytes());
            conn.send(&body);
            conn.send(b"\r\n0\r\n\r\n");
            conn.reply(false).unwrap()
        } else {
            conn.request("POST", "/exchange", &[], &body)
        };
        assert_eq!((reply.status, &*reply.code()), (413, "http.body_too_large"));
        assert_eq!(reply.error(), "request body too large or unreadable");
        assert_eq!(reply.header("connection"), Some("close"));
        let event = server.last_event();
        assert_eq!(
            (&event["type"], &event["code"]),
            (&json!("request_refused"), &json!("http.body_too_large"))
        );
    }
}

/// Section 2.1: limit, allowlist and method come before a body that will not be read, however it
/// fails; only the body's own refusal speaks of it.
#[test]
fn s21_a_body_that_cannot_be_read_is_judged_last() {
    let too_large = "content-length: 70000\r\n\r\n";
    let malformed = "transfer-encoding: chunked\r\n\r\nxyz\r\n";
    let cut = "content-length: 10\r\n\r\n{}";
    let provider = Provider::start();
    let ask = |server: &Server, method: &str, rest: &str| {
        let mut conn = server.open();
        conn.send(format!("{method} /exchange HTTP/1.1\r\nhost: a\r\n{rest}").as_bytes());
        if rest == cut {
            conn.stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let reply = conn.reply(false).unwrap();
        assert_eq!(reply.header("connection"), Some("close"), "{rest}");
        assert_eq!(server.last_event()["code"], reply.code(), "{rest}");
        (reply.status, reply.code(), reply.error())
    };
    let is = |status: u16, code: &str, error: &str| (status, code.to_owned(), error.to_owned());
    let unread = "failed to read request body";
    let server = Config::new(&provider).set("rate_limit_requests", "6").start().ready();
    let large = "request body too large or unreadable";
    assert_eq!(ask(&server, "POST", too_large), is(413, "http.body_too_large", large));
    assert_eq!(ask(&server, "POST", malformed), is(400, "http.chunk", unread));
    assert_eq!(ask(&server, "POST", cut), is(400, "http.incomplete", unread));
    let method = is(405, "request.method_not_allowed", "method not allowed");
    for rest in [too_large, malformed, cut] {
        assert_eq!(ask(&server, "GET", rest), method);
    }
    let limited = is(429, "admit.rate_limited", "rate limit exceeded");
    for rest in [too_large, malformed, cut] {
        assert_eq!(ask(&server, "POST", rest), limited);
    }
    drop(server);
    let server = Config::new(&provider).set("ip_allowlist", "[192.0.2.0/24]").start().ready();
    for rest in [too_large, malformed, cut] {
        assert_eq!(ask(&server, "POST", rest), is(403, "admit.ip_not_allowed", "IP not allowed"));
    }
}

/// All that the README of the original names: RS256, ES256, EdDSA, and HS256 with the client secret.
#[test]
fn s31_the_promised_algorithms_are_accepted() {
    let provider = Provider::start();
    provider.state().keys = vec![Key::ed25519("a", 1), Key::es256("b"), Key::rs256("c")];
    let secret = "a client secret of over thirty-two bytes";
    let server = Config::new(&provider).set("client_secret", secret).start().ready();
    let claims = token::claims(&provider.issuer(), "alice", json!({}));
    let state = provider.state();
    let hmac = Key::hmac("HS256", secret.as_bytes());
    for key in state.keys.iter().chain([&hmac]) {
        let body = json!({"id_token": key.sign(&claims)}).to_string();
        assert_eq!(server.post(body.as_bytes()).status, 200);
    }
}

/// D8: what a token says about its algorithm decides nothing; HS256 works where it is configured.
#[test]
fn d8_the_server_decides_the_algorithm() {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
    let provider = Provider::start();
    provider.state().keys = vec![Key::rs256("r")];
    let claims = token::claims(&provider.issuer(), "mallory", json!({}));
    let status = |server: &Server, token: &str| {
        let reply = server.post(json!({ "id_token": token }).to_string().as_bytes());
        if reply.status != 200 {
            assert_eq!((reply.status, &*reply.error()), (401, "invalid token"));
        }
        reply.status
    };
    let secret = "a client secret of over thirty-two bytes";
    let hmac = |secret: &[u8]| Key::hmac("HS256", secret).sign(&claims);
    {
        let server = Config::new(&provider).start().ready();
        // No secret configured: no HMAC at all, whatever it is keyed with.
        let jwk = provider.state().keys[0].jwk().to_string();
        for key in [jwk.as_bytes(), b"", secret.as_bytes()] {
            assert_eq!(status(&server, &hmac(key)), 401);
        }
        for alg in ["none", "None", "NONE", ""] {
            let header = B64.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
            let unsigned = format!("{header}.{}.", B64.encode(claims.to_string()));
            assert_eq!(status(&server, &unsigned), 401, "{alg}");
        }
        // An RSA key does not become another algorithm's because the header says so.
        let signed = provider.state().keys[0]
            .sign_with_header(&json!({"alg": "ES256", "kid": "r"}), &claims);
        assert_eq!(status(&server, &signed), 401);
    }
    {
        let server = Config::new(&provider).set("client_secret", secret).start().ready();
        assert_eq!(status(&server, &hmac(secret.as_bytes())), 200);
        assert_eq!(status(&server, &hmac(b"another secret of thirty-two bytes!!!!")), 401);
        assert!(server.log.has("tokens signed with HS256 are accepted"));
    }
    let only_rsa =
        Config::new(&provider).set("client_secret", secret).set("allowed_algs", "[RS256]");
    let server = only_rsa.start().ready();
    assert_eq!(status(&server, &hmac(secret.as_bytes())), 401);
    assert_eq!(server.last_event()["code"], "token.alg_not_allowed");
    let signed = provider.state().keys[0].sign(&claims);
    assert_eq!(status(&server, &signed), 200);
}

/// 401 says no more than that the token is bad, or out of time; the audit log has the cause.
#[test]
fn s33_a_401_does_not_tell_which_check_failed() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let foreign = Key::ed25519("k1", 8);
    let sign = |more: Value| {
        let claims = token::claims(&provider.issuer(), "eve", more);
        provider.state().keys[0].sign(&claims)
    };
    let forged = foreign.sign(&token::claims(&provider.issuer(), "eve", json!({})));
    let unknown =
        Key::ed25519("nobody", 8).sign(&token::claims(&provider.issuer(), "e", json!({})));
    let cases = [
        (forged, "token.bad_signature", "token.invalid"),
        (unknown, "token.unknown_key", "token.invalid"),
        (sign(json!({"iss": "https://other.example"})), "token.issuer_mismatch", "token.invalid"),
        (sign(json!({"iss": null})), "token.issuer_missing", "token.invalid"),
        (sign(json!({"aud": "other"})), "token.audience_mismatch", "token.invalid"),
        (sign(json!({"aud": null})), "token.audience_missing", "token.invalid"),
        (sign(json!({"exp": null})), "token.exp_missing", "token.invalid"),
        (sign(json!({"sub": null})), "token.subject_missing", "token.invalid"),
        (sign(json!({"exp": now() - 61})), "token.expired", "token.expired"),
        (sign(json!({"nbf": now() + 120})), "token.not_yet_valid", "token.not_yet_valid"),
        ("a.b".into(), "token.not_three_parts", "token.invalid"),
    ];
    let mut invalid: Option<String> = None;
    for (token, code, public) in cases {
        let reply = server.post(json!({ "id_token": token }).to_string().as_bytes());
        assert_eq!((reply.status, &*reply.error()), (401, "invalid token"), "{code}");
        assert_eq!(reply.code(), public, "{code}");
        if public == "token.invalid" {
            // Byte for byte the same, so nothing can be learnt from it.
            let text = reply.text();
            assert_eq!(invalid.get_or_insert_with(|| text.clone()), &text, "{code}");
        }
        let event = server.last_event();
        assert_eq!((&event["type"], &event["code"]), (&json!("auth_failure"), &json!(code)));
        assert!(event["error"].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!(event.get("subject"), None, "{event}");
    }
    // 60 seconds of clock skew either way.
    for more in [json!({"exp": now() - 30}), json!({"nbf": now() + 30})] {
        let token = sign(more);
        assert_eq!(server.post(json!({ "id_token": token }).to_string().as_bytes()).status, 200);
    }
    // Several audiences need azp.
    let several = sign(json!({"aud": ["talosctl", "other"], "azp": "talosctl"}));
    assert_eq!(server.post(json!({ "id_token": several }).to_string().as_bytes()).status, 200);
}

/// A difference by one slash names both spellings and the exact line to configure.
#[test]
fn s31_a_trailing_slash_is_explained_in_the_audit_log() {
    let provider = Provider::start();
    let with_slash = json!({"iss": format!("{}/", provider.issuer())});
    let strict = Config::new(&provider).start().ready();
    assert_eq!(strict.post(&provider.body("a", with_slash.clone())).status, 401);
    let error = strict.last_event()["error"].as_str().unwrap().to_owned();
    assert!(error.contains(&format!("set issuer_url to {}/", provider.issuer())), "{error}");
    let tolerant = Config::new(&provider).set("issuer_trailing_slash", "ignore").start().ready();
    assert_eq!(tolerant.post(&provider.body("a", with_slash.clone())).status, 200);
    // Both lines name the issuer that the token names.
    for line in tolerant.audit() {
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["issuer"], with_slash["iss"], "{event}");
    }
}

/// D22 (begins before now), D23 (says who), and the rest of what Talos looks at.
#[test]
fn d22_d23_s42_the_certificate_is_what_talos_wants() {
    let provider = Provider::start();
    let roles = "[os:operator, os:admin, os:operator, custom:x]";
    let server = Config::new(&provider).set("roles", roles).set("cert_ttl", "10m").start().ready();
    let before = now();
    let reply = server.post(&provider.body("id-of-alice", json!({"email": "alice@example.com"})));
    let der = certificate_der(&reply);
    let (rest, cert) = X509Certificate::from_der(&der).unwrap();
    assert!(rest.is_empty());
    assert_eq!(cert.version().0, 2);
    // O: each role once, in the order of the configuration.
    assert_eq!(organizations(&der), ["os:operator", "os:admin", "custom:x"]);
    let name = cert.subject().iter_common_name().map(|cn| cn.as_str().unwrap());
    assert_eq!(name.collect::<Vec<_>>(), ["alice@example.com"]);
    let (begin, end) =
        (cert.validity().not_before.timestamp(), cert.validity().not_after.timestamp());
    let before = i64::try_from(before).unwrap();
    assert!((before - 600..=before - 30).contains(&begin), "begins at {begin}, now is {before}");
    assert!((before + 600..=before + 602).contains(&end), "ends at {end}, now is {before}");
    let serial = cert.raw_serial();
    assert!(serial.len() == 16 && serial[0] & 0x80 == 0, "{serial:?}");
    let usage = cert.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.flags == 1, "{usage:?}");
    let extended = cert.extended_key_usage().unwrap().unwrap().value;
    assert!(
        extended.client_auth && !extended.server_auth && !extended.any && extended.other.is_empty()
    );
    assert!(cert.basic_constraints().unwrap().is_none());
    assert!(cert.subject_alternative_name().unwrap().is_none());
    // Signed by the CA, issuer and key identifier copied from it.
    let (_, ca) = pem(&std::fs::read_to_string(vector("ca/ed25519.crt")).unwrap());
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    assert_eq!(cert.issuer().as_raw(), ca.subject().as_raw());
    let key_id = |cert: &X509Certificate<'_>, oid| {
        let found = cert.extensions().iter().find(|ext| ext.oid == oid);
        found.map(|ext| ext.value.to_vec())
    };
    let ours =
        key_id(&cert, x509_parser::oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER).unwrap();
    let theirs =
        key_id(&ca, x509_parser::oid_registry::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER).unwrap();
    assert_eq!(&ours[4..], &theirs[2..]);
    UnparsedPublicKey::new(&ED25519, &*ca.public_key().subject_public_key.data)
        .verify(cert.tbs_certificate.as_ref(), &cert.signature_value.data)
        .unwrap();
    // Another request, another key and serial.
    let again = certificate_der(&server.post(&provider.body("x", json!({}))));
    let (_, again) = X509Certificate::from_der(&again).unwrap();
    assert_ne!(again.raw_serial(), cert.raw_serial());
    assert_ne!(again.public_key().raw, cert.public_key().raw);
    // Without an e-mail the subject is the name.
    let name = again.subject().iter_common_name().map(|cn| cn.as_str().unwrap());
    assert_eq!(name.collect::<Vec<_>>(), ["x"]);
    // So it is where anybody may have claimed the address.
    let claimed = json!({"email": "alice@example.com", "email_verified": false});
    let claimed = certificate_der(&server.post(&provider.body("mallory", claimed)));
    let (_, claimed) = X509Certificate::from_der(&claimed).unwrap();
    let name = claimed.subject().iter_common_name().map(|cn| cn.as_str().unwrap());
    assert_eq!(name.collect::<Vec<_>>(), ["mallory"]);
    // The audit line is about this very certificate.
    let line = server
        .audit()
        .iter()
        .find(|line| line.contains("id-of-alice") && line.contains("cert_issued"))
        .unwrap()
        .clone();
    let event: Value = serde_json::from_str(&line).unwrap();
    let print: String = digest(&SHA256, &der).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(event["cert_fingerprint"], print);
    assert_eq!(event["roles"], json!(["os:operator", "os:admin", "custom:x"]));
    assert_eq!(reply.json()["roles"], event["roles"]);
}

/// D4: short lifetimes work, and what is said about them is what the certificate holds.
#[test]
fn d4_the_lifetime_is_never_clamped_and_never_misreported() {
    let provider = Provider::start();
    for (ttl, secs, shown) in [("30s", 30, "30s"), ("1m", 60, "1m0s"), ("24h", 86_400, "24h0m0s")] {
        let server = Config::new(&provider).set("cert_ttl", ttl).start().ready();
        let reply = server.post(&provider.body("alice", json!({})));
        let der = certificate_der(&reply);
        let (_, cert) = X509Certificate::from_der(&der).unwrap();
        let left = cert.validity().not_after.timestamp() - i64::try_from(now()).unwrap();
        assert!((secs - 2..=secs).contains(&left), "{ttl}: {left}");
        assert_eq!(reply.json()["ttl_seconds"], secs);
        let event = server.last_event();
        assert_eq!(event["cert_ttl"], shown);
        let end = cert.validity().not_after.to_datetime();
        let end = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            end.year(),
            u8::from(end.month()),
            end.day(),
            end.hour(),
            end.minute(),
            end.second()
        );
        assert_eq!(event["cert_expiry"], end);
    }
}

/// D17: every form a CA key comes in.
#[test]
fn d17_every_form_of_ca_key_signs() {
    let provider = Provider::start();
    let pairs = [
        ("ca/p256.crt", "ca/p256.key"),
        ("ca/p256.crt", "ca/p256.sec1.key"),
        ("ca/p384.crt", "ca/p384.key"),
        ("ca/rsa2048.crt", "ca/rsa2048.key"),
        ("ca/rsa2048.crt", "ca/rsa2048.pkcs1.key"),
    ];
    for (cert, key) in pairs {
        let config = Config::new(&provider);
        config.folder.copy(cert, "ca.crt");
        config.folder.copy(key, "ca.key");
        let server = config.start().ready();
        assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200, "{key}");
    }
}

/// The certificate in a file and its key in the environment, where another key file is named too.
#[test]
fn s41_each_half_of_the_ca_may_come_from_its_own_source() {
    let provider = Provider::start();
    let read = |name| std::fs::read_to_string(vector(name)).unwrap();
    let body = provider.body("alice", json!({}));
    let config = Config::new(&provider).env("TALOSCTL_OIDC_CA_KEY_DATA", &read("ca/ed25519.key"));
    let server = config.set("ca_key", "/nowhere/ca.key").start().ready();
    assert_eq!(server.post(&body).status, 200);
    let config = Config::new(&provider).env("TALOSCTL_OIDC_CA_CERT_DATA", &read("ca/ed25519.crt"));
    let server = config.unset("ca_cert").start().ready();
    assert_eq!(server.post(&body).status, 200);
}

/// D18: a mounted key of mode 0444 warns and works.
#[test]
fn d18_a_readable_ca_key_only_warns() {
    let provider = Provider::start();
    for (mode, warns) in [(0o444, true), (0o644, true), (0o440, false), (0o400, false)] {
        let config = Config::new(&provider);
        chmod(&config.folder.path("ca.key"), mode);
        let server = config.start();
        assert_eq!(server.log.has("readable by everybody"), warns, "{mode:o}");
    }
}

const RULES: &str = "
  rules:
    - { claim: groups, value: developers, roles: [os:reader, os:etcd:backup] }
    - { claim: groups, value: authentik Admins, roles: [os:admin] }
    - { claim: groups, value: platform-admins, roles: [os:operator, os:reader] }
    - { claim: department, value: platform-admins, roles: [os:admin] }
    - { claim: email, value: boss@example.com, roles: [os:admin] }
    - { claim: realm_access.roles, value: dotted, roles: [os:operator] }
    - { claim: /realm_access/roles, value: nested, roles: [os:meta:writer] }
    - { claim: groups, value: banned, deny: true }";

/// Section 8: all matching rules add up in their order; the fallback only where none matches.
#[test]
fn s8_rules_add_up_in_order_and_match_as_documented() {
    let provider = Provider::start();
    let config = Config::new(&provider).set("rbac", RULES).set("roles", "[os:image:verifier]");
    let server = config.start().ready();
    let cases: [(Value, &[&str]); 17] = [
        (json!({"groups": ["developers"]}), &["os:reader", "os:etcd:backup"]),
        (
            json!({"groups": ["platform-admins", "developers"]}),
            &["os:reader", "os:etcd:backup", "os:operator"],
        ),
        (json!({"groups": "developers"}), &["os:reader", "os:etcd:backup"]),
        (json!({"groups": "developers other"}), &["os:reader", "os:etcd:backup"]),
        (json!({"groups": ["authentik Admins"]}), &["os:admin"]),
        (json!({"groups": "authentik Admins"}), &["os:admin"]),
        (json!({"groups": ["x developers"]}), &["os:image:verifier"]),
        (json!({"groups": ["Developers"]}), &["os:image:verifier"]),
        (json!({"groups": [["developers"]]}), &["os:image:verifier"]),
        (json!({"groups": {"developers": true}}), &["os:image:verifier"]),
        (json!({}), &["os:image:verifier"]),
        (json!({"department": "x platform-admins"}), &["os:image:verifier"]),
        (json!({"department": "platform-admins"}), &["os:admin"]),
        (json!({"email": "boss@example.com", "email_verified": true}), &["os:admin"]),
        (json!({"realm_access.roles": ["dotted"]}), &["os:operator"]),
        (json!({"realm_access": {"roles": ["nested"]}}), &["os:meta:writer"]),
        (json!({"email": "boss@example.com", "email_verified": false}), &["os:image:verifier"]),
    ];
    for (claims, roles) in cases {
        let reply = server.post(&provider.body("alice", claims.clone()));
        assert_eq!(roles_of(&reply), roles, "{claims}");
        assert_eq!(server.last_event()["roles"], json!(roles), "{claims}");
    }
    let text = "no roles assigned - user does not match any RBAC rules";
    let reply = server.post(&provider.body("bad", json!({"groups": ["developers", "banned"]})));
    assert_eq!((reply.status, &*reply.error(), &*reply.code()), (403, text, "rbac.denied"));
    // Entra leaves the groups out where there are too many: the way out is another one.
    let many = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}});
    let reply = server.post(&provider.body("many", many));
    assert_eq!((reply.status, &*reply.error()), (403, text));
    assert_eq!(reply.code(), "rbac.membership_unknown");
    let hint = reply.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("limit the groups sent"), "{hint}");
}

/// D7: a free text that the user may set is one text, not a list of groups.
#[test]
fn d7_free_text_does_not_split_into_groups() {
    let provider = Provider::start();
    let rules = "\n  rules:\n    - { claim: name, value: platform-admins, roles: [os:admin] }\n    \
                 - { claim: nickname, value: platform-admins, roles: [os:admin], split: true }";
    let server = Config::new(&provider).set("rbac", rules).set("roles", "[]").start().ready();
    let status = |claims: Value| server.post(&provider.body("mallory", claims)).status;
    assert_eq!(status(json!({"name": "x platform-admins"})), 403);
    assert_eq!(status(json!({"name": "platform-admins"})), 200);
    assert_eq!(status(json!({"nickname": "x platform-admins"})), 200);
}

/// D5 and D6: an empty list denies, and the denial is on record with subject and reason.
#[test]
fn d5_d6_an_empty_list_denies_and_denials_are_audited() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("roles", "[]").start().ready();
    let reply = server.post(&provider.body("alice", json!({"email": "alice@example.com"})));
    assert_eq!(reply.status, 403);
    assert_eq!(reply.error(), "no roles assigned - user does not match any RBAC rules");
    let events: Vec<Value> =
        server.audit().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["auth_success", "access_denied"]);
    assert_eq!(events[1]["subject"], "alice");
    assert_eq!(events[1]["email"], "alice@example.com");
    assert_eq!(events[1]["code"], "rbac.no_role");
    drop(server);
    // Absent means os:admin, as ever, and says so loudly; with rules it means nobody.
    let server = Config::new(&provider).unset("roles").start().ready();
    assert!(server.log.has("EVERY user of the provider gets os:admin"));
    assert_eq!(roles_of(&server.post(&provider.body("a", json!({})))), ["os:admin"]);
    drop(server);
    let server = Config::new(&provider).unset("roles").set("rbac", RULES).start().ready();
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 403);
}

/// Section 7.1: exactly so many in a window, the rest with the exact wait; the limit comes first.
#[test]
fn s71_the_limit_is_exact_and_comes_before_everything_else() {
    let provider = Provider::start();
    let config =
        Config::new(&provider).set("rate_limit_requests", "5").set("rate_limit_window", "10s");
    let server = config.start().ready();
    let started = std::time::Instant::now();
    // Requests that are refused later use up the budget as well.
    let mut conn = server.open();
    assert_eq!(conn.request("GET", "/exchange", &[], b"").status, 405);
    assert_eq!(conn.request("POST", "/exchange", &[], b"x").status, 400);
    let good = provider.body("alice", json!({}));
    for _ in 0..3 {
        assert_eq!(conn.request("POST", "/exchange", &[], &good).status, 200);
    }
    for _ in 0..20 {
        let reply = conn.request("GET", "/exchange", &[], b"");
        assert_eq!((reply.status, &*reply.error()), (429, "rate limit exceeded"));
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=10).contains(&wait), "{wait}");
    }
    assert_eq!(server.last_event()["type"], "request_refused");
    assert_eq!(server.last_event()["code"], "admit.rate_limited");
    // Other paths have no limit.
    assert_eq!(server.get("/healthz").status, 200);
    let reply = conn.request("POST", "/exchange", &[], &good);
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(wait));
    // Knocking did not prolong the block: after the time named, one passes.
    assert_eq!(
        conn.request("POST", "/exchange", &[], &good).status,
        200,
        "{:?}",
        started.elapsed()
    );
}

/// Section 7.2: networks of both families; refused before the method is looked at, and audited.
#[test]
fn s72_the_allowlist_refuses_and_audits() {
    let provider = Provider::start();
    let config = Config::new(&provider).set("ip_allowlist", "[10.0.0.0/8, '::1', 192.0.2.7]");
    let server = config.start().ready();
    let reply = server.open().request("DELETE", "/exchange", &[], b"");
    assert_eq!((reply.status, &*reply.error()), (403, "IP not allowed"));
    let event = server.last_event();
    assert_eq!(
        (&event["type"], &event["code"]),
        (&json!("request_refused"), &json!("admit.ip_not_allowed"))
    );
    assert!(event["client_ip"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(server.get("/healthz").status, 200);
    drop(server);
    let server = Config::new(&provider).set("ip_allowlist", "[127.0.0.0/8]").start().ready();
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
}

/// Section 9: an IPv4 client of the default listener, which is for both families, has its IPv4
/// address in the log, and matches IPv4 networks.
#[test]
fn s9_s72_an_ipv4_client_of_a_dual_socket_has_its_own_address() {
    let provider = Provider::start();
    let config = Config::new(&provider).set("listen", "':0'").set("ip_allowlist", "[127.0.0.1/32]");
    let server = config.start().ready();
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    let event = server.last_event();
    assert!(event["client_ip"].as_str().unwrap().starts_with("127.0.0.1:"), "{event}");
    assert_eq!(event.get("client_address"), None, "{event}");
}

/// Every answer says when it was given (RFC 9110 section 6.6.1), refusals of the codec included.
#[test]
fn s2_every_answer_has_a_date() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let broken = {
        let mut conn = server.open();
        conn.send(b"GET / HTTP/1.1\r\n\r\n");
        conn.reply(false).unwrap()
    };
    let good = server.post(&provider.body("alice", json!({})));
    for reply in
        [broken, good, server.get("/healthz"), server.get("/nothing"), server.get("/admin/")]
    {
        let date = reply.header("date").unwrap();
        // `Sun, 06 Nov 1994 08:49:37 GMT`, and of this minute or the last.
        assert_eq!((date.len(), &date[25..]), (29, " GMT"), "{date}");
        let minute = |secs: u64| format!("{:02}:{:02}:", secs / 3600 % 24, secs / 60 % 60);
        let near = [minute(now()), minute(now() - 60)];
        assert!(near.iter().any(|minute| date.contains(minute)), "{date} {near:?}");
        assert_eq!(reply.headers.iter().filter(|(name, _)| name == "date").count(), 1);
    }
}

/// D1: `X-Forwarded-For` counts only from a listed proxy, and is read from the right.
#[test]
fn d1_forwarded_for_counts_only_from_trusted_proxies() {
    let provider = Provider::start();
    let good = provider.body("alice", json!({}));
    let status = |server: &Server, forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded), ("x-real-ip", "10.1.1.1")];
        server.open().request("POST", "/exchange", &headers, &good).status
    };
    {
        // From anybody: ignored by allowlist and limiter alike.
        let config = Config::new(&provider).set("ip_allowlist", "[10.0.0.0/8]");
        assert_eq!(status(&config.start().ready(), "10.1.1.1"), 403);
        let config = Config::new(&provider).set("rate_limit_requests", "2");
        let server = config.start().ready();
        let answers: Vec<u16> = (1..=4).map(|n| status(&server, &format!("10.0.0.{n}"))).collect();
        assert_eq!(answers, [200, 200, 429, 429]);
    }
    let config = Config::new(&provider)
        .set("ip_allowlist", "[10.0.0.0/8]")
        .set("trusted_proxies", "[127.0.0.1, 172.16.0.0/12]")
        .set("rate_limit_requests", "2");
    let server = config.start().ready();
    assert_eq!(status(&server, "10.1.1.1"), 200);
    let event = server.last_event();
    assert!(event["client_ip"].as_str().unwrap().starts_with("127.0.0.1:"), "{event}");
    assert_eq!(event["client_address"], "10.1.1.1");
    // What stands left of the first untrusted address was written by a stranger.
    assert_eq!(status(&server, "10.1.1.1, 203.0.113.5"), 403);
    assert_eq!(status(&server, "203.0.113.5, 10.1.1.2, 172.16.3.3"), 200);
    // Each client behind the proxy has a budget of its own.
    assert_eq!(status(&server, "10.1.1.1"), 200);
    assert_eq!(status(&server, "10.1.1.1"), 429);
    assert_eq!(status(&server, "10.1.1.3"), 200);
}

/// Section 7.1: how an address may be written in the header, what counts as one client, and that
/// what is no address is not skipped.
#[test]
fn d1_s71_addresses_in_the_header_are_normalised() {
    let provider = Provider::start();
    let config = Config::new(&provider)
        .set("trusted_proxies", "[127.0.0.1, 10.0.0.0/8]")
        .set("rate_limit_requests", "1")
        .set("rate_limit_window", "1h");
    let server = config.start().ready();
    let body = provider.body("alice", json!({}));
    let ask = |fields: &[&str]| {
        let headers: Vec<_> = fields.iter().map(|value| ("x-forwarded-for", *value)).collect();
        let status = server.open().request("POST", "/exchange", &headers, &body).status;
        let client = server.last_event().get("client_address").cloned();
        (status, client.map(|client| client.as_str().unwrap().to_owned()))
    };
    for (fields, status, client) in [
        (&["203.0.113.1"][..], 200, Some("203.0.113.1")),
        (&["203.0.113.1:4711"], 429, Some("203.0.113.1")),
        (&["::ffff:203.0.113.1"], 429, Some("203.0.113.1")),
        (&["[2001:db8::1]:4711"], 200, Some("2001:db8::1")),
        // A /64 is one client.
        (&["2001:db8::ffff:1"], 429, Some("2001:db8::ffff:1")),
        (&["2001:db8:0:1::1"], 200, Some("2001:db8:0:1::1")),
        // Several fields are one list; from the right, proxies of ours are passed over.
        (&["198.51.100.1", "203.0.113.2, 10.0.0.1"], 200, Some("203.0.113.2")),
        (&["garbage, 203.0.113.3"], 200, Some("203.0.113.3")),
        // What is no address ends the walk: the last proxy that is known.
        (&["203.0.113.4, garbage"], 200, None),
        (&["203.0.113.5, 203.0.113.010"], 429, None),
    ] {
        assert_eq!(ask(fields), (status, client.map(String::from)), "{fields:?}");
    }
}

/// Section 8: a claim is found by its whole name, by a JSON Pointer or by a list of names.
#[test]
fn s8_claims_are_addressed_in_three_ways() {
    let provider = Provider::start();
    let rules = "
  rules:
    - { claim: 'https://ns.example/groups', value: a, roles: [os:reader] }
    - { claim: '/resource_access/my~1app/roles', value: b, roles: [os:operator] }
    - { claim_path: ['https://ns.example', x.y], value: c, roles: [os:etcd:backup] }
    - { claim: title, value: d, roles: [os:meta:writer] }";
    let server = Config::new(&provider).set("rbac", rules).set("roles", "[]").start().ready();
    for (claims, roles) in [
        (json!({"https://ns.example/groups": ["a"]}), "os:reader"),
        (json!({"resource_access": {"my/app": {"roles": ["b"]}}}), "os:operator"),
        (json!({"https://ns.example": {"x.y": "c"}}), "os:etcd:backup"),
        (json!({"title": "d"}), "os:meta:writer"),
    ] {
        let reply = server.post(&provider.body("alice", claims));
        assert_eq!(roles_of(&reply), [roles]);
    }
    for claims in [
        json!({"https://ns": {"example/groups": ["a"]}}),
        json!({"resource_access": {"my~1app": {"roles": ["b"]}}}),
        json!({"https://ns.example": {"x": {"y": "c"}}}),
        json!({"title": "D"}),
    ] {
        assert_eq!(server.post(&provider.body("alice", claims)).status, 403);
    }
}

/// A key of the client's own: the certificate is for it, and no key travels.
#[test]
fn s21_a_request_with_its_own_key_gets_no_key_back() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let csr = std::fs::read_to_string(vector("csr/ed25519.csr")).unwrap();
    let token = provider.token("alice", json!({}));
    let reply = server.post(json!({"id_token": token, "csr": csr}).to_string().as_bytes());
    assert_eq!(reply.json()["key"], "");
    let der = certificate_der(&reply);
    let (_, cert) = X509Certificate::from_der(&der).unwrap();
    let (_, request) = pem(&csr);
    let key = &*cert.public_key().subject_public_key.data;
    assert!(request.windows(key.len()).any(|window| window == key));
    let reply = server.post(json!({"id_token": token, "csr": "x"}).to_string().as_bytes());
    assert_eq!((reply.status, &*reply.error()), (400, "invalid csr"));
    let strict = Config::new(&provider).set("require_csr", "true").start().ready();
    let reply = strict.post(json!({ "id_token": token }).to_string().as_bytes());
    assert_eq!((reply.status, &*reply.code()), (400, "request.csr_required"));
}

/// Section 2: what every path answers.
#[test]
fn s2_paths_and_methods() {
    let provider = Provider::start();
    let config = Config::new(&provider).set("cluster_name", "prod").set("nodes", "[10.0.0.9]");
    let server = config.start().ready();
    let healthy = server.get("/healthz");
    assert_eq!((healthy.status, healthy.text().as_str()), (200, "ok"));
    assert_eq!(healthy.header("content-type"), Some("text/plain; charset=utf-8"));
    let head = server.open().request("HEAD", "/healthz", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("2")));
    for path in ["/healthz", "/ca", "/readyz", "/.well-known/talosctl-oidc-configuration"] {
        let reply = server.open().request("POST", path, &[], b"");
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{path}");
        assert_eq!(reply.error(), "method not allowed");
    }
    let no_ca = server.get("/ca");
    assert_eq!(
        (no_ca.status, &*no_ca.error()),
        (404, "CA endpoint only available in self-signed TLS mode")
    );
    for path in
        ["/", "/nothing", "/exchange/", "//nothing", "/Exchange", "/healthz/", "/%65xchange"]
    {
        let reply = server.open().request("POST", path, &[], b"");
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"), "{path}");
    }
    // A detour is sent the straight way, with its method and body, and never out of the server.
    for (path, place) in [
        ("//exchange", Some("/exchange")),
        ("/./exchange?a=1", Some("/exchange?a=1")),
        ("/admin/../healthz", Some("/healthz")),
        ("//admin/stats", Some("/admin/stats")),
        ("//other.example/admin", None),
        ("/./\\other.example", None),
    ] {
        let reply = server.open().request("POST", path, &[], b"{}");
        let status = if place.is_some() { 307 } else { 404 };
        assert_eq!((reply.status, reply.header("location")), (status, place), "{path}");
    }
    let facts = server.get("/.well-known/talosctl-oidc-configuration").json();
    assert_eq!(facts["issuer"], provider.issuer());
    assert_eq!(facts["client_id"], "talosctl");
    assert_eq!(facts["cluster_name"], "prod");
    assert_eq!(facts["endpoints"], json!(["10.0.0.2", "10.0.0.1"]));
    assert_eq!(facts["nodes"], json!(["10.0.0.9"]));
    assert_eq!(facts["scopes"], json!(["openid", "profile", "email", "offline_access"]));
    let ready = server.get("/readyz");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
    // A query does not change the place.
    assert_eq!(server.get("/healthz?x=1").status, 200);
}

/// What clients are to trust may be more than the signing CA, while CAs rotate.
#[test]
fn s21_clients_get_the_configured_bundle() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    let read = |name| std::fs::read_to_string(vector(name)).unwrap();
    let bundle = read("ca/ed25519.crt") + &read("ca/ed25519-next.crt");
    let path = config.folder.write("bundle.pem", &bundle);
    let server = config.set("talos_ca", path.to_str().unwrap()).start().ready();
    assert_eq!(server.post(&provider.body("alice", json!({}))).json()["ca"], bundle);
}

/// The file wins over the other key, and its line end does not count.
#[test]
fn s52_the_client_secret_may_stand_in_a_file() {
    let provider = Provider::start();
    let config =
        Config::new(&provider).set("client_secret", "another-secret-of-some-forty-characters!");
    let secret = "the-client-secret-of-thirty-two-bytes";
    let path = config.folder.write("secret", format!("{secret}\n"));
    let server = config.set("client_secret_file", path.to_str().unwrap()).start().ready();
    let claims = token::claims(&provider.issuer(), "alice", json!({}));
    let signed = Key::hmac("HS256", secret.as_bytes()).sign(&claims);
    assert_eq!(server.post(json!({ "id_token": signed }).to_string().as_bytes()).status, 200);
    // Too short for the hash: refused at the start, as everybody could guess it.
    let short = Config::new(&provider).set("client_secret", "short").set("allowed_algs", "[HS256]");
    assert_eq!(short.fails().0.code(), Some(1));
}

/// The limit of one user counts certificates of whatever address.
#[test]
fn s71_a_user_has_a_limit_too() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("rate_limit_subject_requests", "2").start().ready();
    let status = |name: &str| server.post(&provider.body(name, json!({}))).status;
    assert_eq!([status("alice"), status("alice"), status("alice")], [200, 200, 429]);
    assert_eq!(status("bob"), 200);
    let event = server.audit().into_iter().rfind(|line| line.contains("rate_limited")).unwrap();
    assert!(event.contains("\"subject\":\"alice\""), "{event}");
}
