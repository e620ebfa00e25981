use super::*;
use crate::http::Headers;
use crate::http::form::Form;
use proptest::prelude::*;

fn client<'a>(id: &'a ClientId, secret: Option<&'a Secret>, auth: ClientAuth) -> Client<'a> {
    Client { id, secret, auth }
}

fn body(request: &FetchRequest) -> Vec<(String, String)> {
    let (kind, body) = request.post.as_ref().unwrap();
    assert_eq!(*kind, "application/x-www-form-urlencoded");
    let form = Form::parse_bytes(body).unwrap();
    form.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn header<'a>(request: &'a FetchRequest, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
}

fn endpoint() -> Url {
    "https://idp.example/token".parse().unwrap()
}

#[test]
fn a_public_client_names_itself_in_the_body() {
    let id = "cli".parse().unwrap();
    let code = Secret::new(*b"c+1");
    let request = client(&id, None, ClientAuth::Basic).redeem(
        &endpoint(),
        Grant::AuthorizationCode {
            code: &code,
            redirect_uri: "http://127.0.0.1:1/callback",
            verifier: "v",
        },
    );
    assert_eq!(
        body(&request),
        pairs(&[
            ("grant_type", "authorization_code"),
            ("code", "c+1"),
            ("redirect_uri", "http://127.0.0.1:1/callback"),
            ("code_verifier", "v"),
            ("client_id", "cli"),
        ])
    );
    assert_eq!(header(&request, "authorization"), None);
    assert_eq!(request.trust, Trust::Provider);
}

/// RFC 6749 section 2.3.1 and appendix B; the second case is computed by the same rule.
#[test]
fn basic_credentials_are_form_encoded_first() {
    let token = Secret::new(*b"r");
    for (id, secret, expected) in [
        ("s6BhdRkqt3", "gX1fBat3bV", "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
        (
            "my client:id",
            "p@ss+w%rd/=\u{e9}",
            "Basic bXkrY2xpZW50JTNBaWQ6cCU0MHNzJTJCdyUyNXJkJTJGJTNEJUMzJUE5",
        ),
    ] {
        let (id, secret) = (id.parse().unwrap(), Secret::new(secret.as_bytes()));
        let request = client(&id, Some(&secret), ClientAuth::Basic)
            .redeem(&endpoint(), Grant::RefreshToken(&token));
        assert_eq!(header(&request, "authorization"), Some(expected));
        // Never both ways at once.
        assert_eq!(
            body(&request),
            pairs(&[("grant_type", "refresh_token"), ("refresh_token", "r")])
        );
    }
}

#[test]
fn the_secret_in_the_body_when_the_provider_wants_it_there() {
    let (id, secret, code) = ("cli".parse().unwrap(), Secret::new(*b"s"), Secret::new(*b"d"));
    let request =
        client(&id, Some(&secret), ClientAuth::Post).redeem(&endpoint(), Grant::DeviceCode(&code));
    assert_eq!(
        body(&request),
        pairs(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", "d"),
            ("client_id", "cli"),
            ("client_secret", "s"),
        ])
    );
    assert_eq!(header(&request, "authorization"), None);
}

#[test]
fn the_method_follows_the_metadata_unless_told() {
    let listed = |names: &[&str]| names.iter().map(|n| Box::from(*n)).collect::<Vec<Box<str>>>();
    let both = listed(&["client_secret_post", "client_secret_basic"]);
    let post = listed(&["private_key_jwt", "client_secret_post"]);
    assert_eq!(ClientAuth::Auto.settled(None), ClientAuth::Basic);
    assert_eq!(ClientAuth::Auto.settled(Some(&both)), ClientAuth::Basic);
    assert_eq!(ClientAuth::Auto.settled(Some(&post)), ClientAuth::Post);
    assert_eq!(ClientAuth::Basic.settled(Some(&post)), ClientAuth::Basic);
    assert_eq!(ClientAuth::Post.settled(None), ClientAuth::Post);
}

fn reply(status: u16, content_type: &str, body: &[u8]) -> FetchReply {
    let mut headers = Headers::default();
    headers.push("content-type", content_type.as_bytes());
    FetchReply { status, headers, body: Zeroizing::new(body.to_vec()) }
}

fn error(status: u16, content_type: &str, body: &str) -> AnswerError {
    read_answer(&reply(status, content_type, body.as_bytes())).unwrap_err()
}

#[test]
fn reads_tokens() {
    let answer = read_answer(&reply(
        200,
        "application/json",
        br#"{"access_token":"a","token_type":"bEARER","expires_in":"3600","id_token":"x.y.z","scope":"","extra":[1]}"#,
    ))
    .unwrap();
    assert_eq!(answer.id_token.unwrap().expose(), b"x.y.z");
    assert_eq!(answer.access_token.expose(), b"a");
    assert!(answer.refresh_token.is_none());
}

#[test]
fn refusals_and_nonsense_are_told_apart() {
    let json = "application/json";
    let oauth = |code: &str| AnswerError::OAuth(OAuthError::new(code, None));
    assert_eq!(error(400, json, r#"{"error":"invalid_grant"}"#), oauth("invalid_grant"));
    // Some providers send errors with 200.
    assert_eq!(error(200, json, r#"{"error":"invalid_client"}"#), oauth("invalid_client"));
    assert_eq!(
        error(200, json, r#"{"error":"x","access_token":"a","token_type":"bearer"}"#),
        oauth("x")
    );
    assert_eq!(error(307, json, "{}"), AnswerError::Redirect { status: 307 });
    assert_eq!(error(503, "text/html", "<h1>"), AnswerError::Unavailable { status: 503 });
    assert_eq!(error(500, json, "{}"), AnswerError::Unavailable { status: 500 });
    assert_eq!(
        error(200, "text/html\u{1b}[2J", "<h1>"),
        AnswerError::NotJson { status: 200, content_type: "text/html [2J".into() }
    );
    assert_eq!(
        error(200, json, r#"{"access_token":"a","token_type":"mac"}"#),
        AnswerError::TokenType
    );
    assert_eq!(
        error(200, json, r#"{"access_token":"a"}"#),
        AnswerError::Member { name: "token_type" }
    );
    assert_eq!(
        error(200, json, r#"{"token_type":"Bearer","id_token":"x"}"#),
        AnswerError::Member { name: "access_token" }
    );
    assert_eq!(
        error(200, json, r#"{"access_token":"a","access_token":"b","token_type":"bearer"}"#),
        AnswerError::NotJson { status: 200, content_type: json.into() }
    );
    // It does not say that JSON is no JSON.
    let text = error(200, json, "[]").to_string();
    assert!(text.contains("damaged or no object") && !text.contains("instead of"), "{text}");
    assert_eq!(error(404, json, "{}"), AnswerError::Member { name: "error" });
}

#[test]
fn only_trouble_that_passes_by_itself_is_retried() {
    assert!(error(503, "text/html", "").is_passing());
    assert!(error(400, "a", r#"{"error":"temporarily_unavailable"}"#).is_passing());
    assert!(!error(400, "a", r#"{"error":"invalid_grant"}"#).is_passing());
    assert!(!error(200, "a", "<html>").is_passing());
}

#[test]
fn a_long_description_is_cut_and_no_token_is_shown() {
    let body = alloc::format!(r#"{{"error":"e","error_description":"{}"}}"#, "d".repeat(2000));
    let text = error(400, "application/json", &body).to_string();
    assert!(text.chars().count() < 700);
    let text = error(200, "text/plain", "access_token=secret").to_string();
    assert!(!text.contains("secret"));
}

proptest! {
    #[test]
    fn no_answer_panics(status in 100u16..600, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_answer(&reply(status, "application/json", &bytes));
        let _ = crate::oidc::device::read_grant(&reply(status, "application/json", &bytes));
    }
}
