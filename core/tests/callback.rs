//! Reads `vectors/callback`: requests at the loopback listener and the verdict about each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use exchange_core::http::{Headers, Method, RequestHead, Version};
use exchange_core::oidc::callback::{
    CallbackFailure, CallbackVerdict, ExpectedCallback, WaitReason, judge,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    form_post: bool,
    authority: Option<String>,
    expected_state: String,
    issuer: String,
    iss_required: bool,
    expect: Expect,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(untagged, deny_unknown_fields)]
enum Expect {
    Code { code: String },
    Error { error: String, provider: Option<String>, description: Option<String> },
    Wait { wait: u16, reason: String },
}

fn verdict(case: &Case) -> Expect {
    let mut headers = Headers::default();
    for (name, value) in &case.headers {
        headers.push(name, value.as_bytes());
    }
    let head = RequestHead {
        method: Method::from_token(&case.method),
        target: case.target.as_str().into(),
        version: Version::Http11,
        headers,
    };
    let issuer = case.issuer.parse().unwrap();
    let expected = ExpectedCallback {
        path: "/callback",
        port: 8900,
        authority: case.authority.as_deref(),
        state: &case.expected_state,
        issuer: &issuer,
        iss_required: case.iss_required,
        form_post: case.form_post,
    };
    match judge(&head, case.body.as_bytes(), &expected) {
        CallbackVerdict::Code(code) => Expect::Code { code: code.expose_str().unwrap().into() },
        CallbackVerdict::Fail(failure) => {
            let error = failure.code().into();
            match failure {
                CallbackFailure::Provider(said) => Expect::Error {
                    error,
                    provider: Some(said.code.name().into()),
                    description: said.description.map(Into::into),
                },
                CallbackFailure::IssMissing | CallbackFailure::IssMismatch => {
                    Expect::Error { error, provider: None, description: None }
                }
            }
        }
        CallbackVerdict::Wait { page, reason } => Expect::Wait {
            wait: page.response().status,
            reason: match reason {
                WaitReason::Path => "path",
                WaitReason::Host => "host",
                WaitReason::Method => "method",
                WaitReason::Prefetch => "prefetch",
                WaitReason::Malformed => "malformed",
                WaitReason::State => "state",
                WaitReason::UnprovenError(_) => "unproven_error",
            }
            .into(),
        },
    }
}

#[test]
fn every_case_gets_its_verdict() {
    vectors::each("callback", 60, |case: &Case| vectors::same(&verdict(case), &case.expect));
}

/// No page shows a byte of the request, whatever the request is.
#[test]
fn nothing_is_reflected() {
    for (name, case) in vectors::cases::<Case>("callback", 60) {
        let Expect::Wait { wait, .. } = case.expect else { continue };
        let mut marked = case;
        marked.target = marked.target.replace("code=", "code=REFLECTED");
        marked.target.push_str(if marked.target.contains('?') { "&" } else { "?" });
        marked.target.push_str("error_description=REFLECTED");
        let mut headers = Headers::default();
        for (name, value) in &marked.headers {
            headers.push(name, value.as_bytes());
        }
        let head = RequestHead {
            method: Method::from_token(&marked.method),
            target: marked.target.as_str().into(),
            version: Version::Http11,
            headers,
        };
        let issuer = marked.issuer.parse().unwrap();
        let expected = ExpectedCallback {
            path: "/callback",
            port: 8900,
            authority: marked.authority.as_deref(),
            state: &marked.expected_state,
            issuer: &issuer,
            iss_required: marked.iss_required,
            form_post: marked.form_post,
        };
        if let CallbackVerdict::Wait { page, .. } = judge(&head, marked.body.as_bytes(), &expected)
        {
            let response = page.response();
            assert_eq!(response.status, wait, "{name}");
            let body = String::from_utf8_lossy(&response.body).into_owned();
            assert!(!body.contains("REFLECTED"), "{name}");
            assert!(
                response.headers.iter().all(|(_, value)| !value.contains("REFLECTED")),
                "{name}"
            );
        }
    }
}
