//! Everything the server answers besides refusals, by path and method alone.

use alloc::string::String;
use core::fmt::Write as _;

use super::audit::write_roles;
use super::metrics::Gauges;
use super::refusal::{error, guarded};
use super::{Call, Door, Server, Setup, clean_path};
use crate::http::{Method, Response};
use crate::json;
use crate::machine::Now;
use crate::pki::Issued;
use crate::types::{Rfc3339, Wiped, push_decimal};

/// How far the clock may have been set back since the start, in seconds.
const CLOCK_BACK_SECS: u64 = 300;

impl Server {
    /// Answers every path but `/exchange`. Routing sees the raw path: nothing is decoded.
    pub(super) fn route(&mut self, now: Now, call: Call) -> Response {
        if let Some(response) = clean_path::redirect(&call.head) {
            return response;
        }
        let path = call.head.path();
        let for_admin = path == "/admin" || path.starts_with("/admin/");
        if for_admin && call.door == Door::Main {
            return self.admin.answer(now, call, &self.setup);
        }
        if path == "/metrics" {
            return self.metrics_for(now, &call);
        }
        self.public(now, &call)
    }

    /// Metrics: open at their own listener, with the admin token elsewhere.
    fn metrics_for(&mut self, now: Now, call: &Call) -> Response {
        if call.door == Door::Main
            && let Err(response) = self.admin.open_to(now, call, &self.setup)
        {
            return *response;
        }
        readable(call, || {
            let keys = self.keys.status(now);
            let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            let gauges = Gauges {
                keys_age_secs: keys.age_secs,
                keys_usable: keys.usable,
                fetches_ok: keys.fetches_ok,
                fetches_failed: keys.fetches_failed,
                active_certs: count(self.admin.ledger.active(now.wall)),
                connections: call.connections,
                ca_secs_left: self.setup.ca.not_after().since(now.wall),
                waiting: count(self.for_keys.len() + self.for_signature.len()),
                audit_writable: self.health.audit_fault.is_none(),
                withheld: self.health.withheld,
            };
            self.metrics.render(&gauges, self.setup.version)
        })
    }

    fn public(&self, now: Now, call: &Call) -> Response {
        match call.head.path() {
            "/healthz" => readable(call, || Response::new(200, "text/plain; charset=utf-8", "ok")),
            "/readyz" => readable(call, || self.readiness(now)),
            "/ca" => readable(call, || served_ca(&self.setup)),
            "/.well-known/talosctl-oidc-configuration" => {
                readable(call, || client_configuration(&self.setup))
            }
            _ => guarded(Response::new(
                404,
                "text/plain; charset=utf-8",
                "404 page not found: the endpoints are /exchange, /healthz, /readyz, /ca and /admin/\n",
            )),
        }
    }

    fn readiness(&self, now: Now) -> Response {
        let keys = self.keys.status(now);
        let mut reasons: alloc::vec::Vec<&str> = alloc::vec::Vec::new();
        if !keys.usable {
            reasons.push(keys.last_error.unwrap_or("keys.unavailable"));
        }
        let ca_secs = self.setup.ca.not_after().since(now.wall);
        if ca_secs == 0 {
            reasons.push("ca.expired");
        }
        if let Some(fault) = self.health.audit_fault {
            reasons.push(fault);
        }
        // A clock that was set back revives tokens that have expired.
        let clock_sane = now.wall >= self.setup.ca.not_before()
            && now.wall.plus_secs(CLOCK_BACK_SECS) >= self.started;
        if !clock_sane {
            reasons.push("clock.behind");
        }
        let mut body = String::from("{\"ready\":");
        body.push_str(if reasons.is_empty() { "true" } else { "false" });
        body.push_str(",\"reasons\":[");
        for (n, reason) in reasons.iter().enumerate() {
            if n > 0 {
                body.push(',');
            }
            json::write_string(&mut body, reason);
        }
        // Writing to a String cannot fail.
        let _ = write!(body, "],\"ca_days_left\":{}", ca_secs / 86_400);
        if let Some(age) = keys.age_secs {
            let _ = write!(body, ",\"keys_age_seconds\":{age}");
        }
        let _ = write!(
            body,
            ",\"provider_reachable\":{},\"audit_writable\":{},\"clock_sane\":{clock_sane}",
            keys.age_secs.is_some() && keys.last_error.is_none(),
            self.health.audit_fault.is_none()
        );
        let _ = write!(body, ",\"started_at\":\"{}\"}}", Rfc3339(self.started));
        body.push('\n');
        guarded(Response::json(if reasons.is_empty() { 200 } else { 503 }, body))
    }
}

/// Answers GET and HEAD; anything else is 405.
fn readable(call: &Call, answer: impl FnOnce() -> Response) -> Response {
    match call.head.method {
        Method::Get | Method::Head => answer(),
        Method::Post | Method::Options | Method::Other(_) => {
            error(405, "method not allowed", "request.method_not_allowed", "send GET")
                .with("allow", "GET, HEAD")
        }
    }
}

fn served_ca(setup: &Setup) -> Response {
    match &setup.served_ca {
        Some(pem) => guarded(Response::new(200, "application/x-pem-file", pem.as_str())),
        None => error(
            404,
            "CA endpoint only available in self-signed TLS mode",
            "ca.not_self_signed",
            "the server uses a provided certificate: trust the authority that issued it",
        ),
    }
}

/// What a client needs to log in knowing only the server's URL.
fn client_configuration(setup: &Setup) -> Response {
    let mut body = String::from("{\"issuer\":");
    json::write_string(&mut body, setup.expect.issuer.as_str());
    body.push_str(",\"client_id\":");
    json::write_string(&mut body, setup.expect.audience.as_str());
    body.push_str(",\"scopes\":");
    write_list(&mut body, &setup.facts.scopes);
    if let Some(name) = &setup.facts.cluster_name {
        body.push_str(",\"cluster_name\":");
        json::write_string(&mut body, name);
    }
    body.push_str(",\"endpoints\":");
    write_list(&mut body, &setup.facts.endpoints);
    body.push_str(",\"nodes\":");
    write_list(&mut body, &setup.facts.nodes);
    body.push_str(",\"exchange_path\":\"/exchange\",\"csr\":");
    body.push_str(if setup.require_csr { "\"required\"" } else { "\"supported\"" });
    body.push_str("}\n");
    guarded(Response::json(200, body))
}

/// The answer to a successful exchange. The five members of the original, then ours.
pub(super) fn certificate(issued: &Issued, setup: &Setup) -> Response {
    let key = issued.key_pem().and_then(crate::types::Secret::expose_str).unwrap_or_default();
    let lists = setup.facts.endpoints.iter().chain(&setup.facts.nodes).map(String::as_str);
    let roles = issued.roles().iter().map(|role| role.as_str());
    let members = lists.chain(roles).chain([key]).map(|text| json::string_bytes_max(text) + 1);
    let from_key_on = members.sum::<usize>() + 224;
    let ca = setup.ca_for_clients.as_str();
    // As much as nearly all certificates need, and no more, as all of it is wiped.
    let lines = issued.cert_pem().len() / 32;
    let likely = ca.len() + issued.cert_pem().len() + lines + from_key_on + 32;
    let mut body = String::with_capacity(likely);
    body.push_str("{\"ca\":");
    body.push_str(ca);
    body.push_str(",\"cert\":");
    json::write_string(&mut body, issued.cert_pem());
    // From here on it must not grow: that would leave a copy of the key behind.
    body.reserve(from_key_on);
    let room = body.capacity();
    body.push_str(",\"key\":");
    json::write_string(&mut body, key);
    body.push_str(",\"endpoints\":");
    write_list(&mut body, &setup.facts.endpoints);
    body.push_str(",\"ttl_seconds\":");
    push_decimal(&mut body, issued.ttl_secs());
    // Writing to a String cannot fail.
    let _ = write!(body, ",\"expires_at\":\"{}\",\"roles\":", Rfc3339(issued.not_after()));
    write_roles(&mut body, issued.roles().as_slice());
    if !setup.facts.nodes.is_empty() {
        body.push_str(",\"nodes\":");
        write_list(&mut body, &setup.facts.nodes);
    }
    body.push_str("}\n");
    debug_assert!(body.capacity() == room, "the buffer has grown");
    let mut response = Response::json(200, String::new());
    response.body = Wiped::new(body);
    guarded(response)
}

fn write_list(out: &mut String, items: &[String]) {
    out.push('[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        json::write_string(out, item);
    }
    out.push(']');
}
