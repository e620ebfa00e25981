//! Counters in OpenMetrics text. Every label value comes from this program, never from a request,
//! so no stranger can add a series.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

use crate::http::Response;
use crate::server::Connections;
use crate::server::refusal::guarded;

/// Upper bounds of the latency histogram in milliseconds.
const BOUNDS_MILLIS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// What only others know at the moment of reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Age of the provider's keys in seconds, if any were ever seen.
    pub keys_age_secs: Option<u64>,
    /// Whether the keys may be used.
    pub keys_usable: bool,
    /// How often the keys of the provider were got.
    pub fetches_ok: u64,
    /// How often that failed.
    pub fetches_failed: u64,
    /// Certificates that have not ended.
    pub active_certs: u64,
    /// What the listener has seen.
    pub connections: Connections,
    /// Seconds until the signing CA ends.
    pub ca_secs_left: u64,
    /// Requests that wait for keys or a signature.
    pub waiting: u64,
    /// Whether the audit log can be written.
    pub audit_writable: bool,
    /// Answers that became 503 because their events could not be written.
    pub withheld: u64,
}

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// By status and code; both are from fixed sets.
    answers: BTreeMap<(u16, &'static str), u64>,
    buckets: [u64; BOUNDS_MILLIS.len()],
    count: u64,
    sum_millis: u64,
}

impl Metrics {
    /// Counts one answer of `/exchange`; `code` is `ok` or the exact code of the refusal.
    pub fn answer(&mut self, status: u16, code: &'static str, millis: u64) {
        let counter = self.answers.entry((status, code)).or_default();
        *counter = counter.saturating_add(1);
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS_MILLIS) {
            if millis <= bound {
                *bucket = bucket.saturating_add(1);
            }
        }
        self.count = self.count.saturating_add(1);
        self.sum_millis = self.sum_millis.saturating_add(millis);
    }

    /// The whole exposition.
    #[must_use]
    pub fn render(&self, gauges: &Gauges, version: &str) -> Response {
        let mut out = String::with_capacity(4096);
        family(&mut out, "exchanges", "counter", "Answers of /exchange by status and code.");
        for ((status, code), count) in &self.answers {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "talosctl_oidc_exchanges_total{{status=\"{status}\",code=\"{code}\"}} {count}"
            );
        }
        let help = "Time from the complete request to its answer.";
        family(&mut out, "exchange_seconds", "histogram", help);
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS_MILLIS) {
            let bound = seconds(bound);
            let _ =
                writeln!(out, "talosctl_oidc_exchange_seconds_bucket{{le=\"{bound}\"}} {bucket}");
        }
        let _ = writeln!(
            out,
            "talosctl_oidc_exchange_seconds_bucket{{le=\"+Inf\"}} {0}\n\
             talosctl_oidc_exchange_seconds_sum {1}\n\
             talosctl_oidc_exchange_seconds_count {0}",
            self.count,
            seconds(self.sum_millis)
        );
        if let Some(age) = gauges.keys_age_secs {
            gauge(&mut out, "keys_age_seconds", "Age of the provider's keys.", age);
        }
        let usable = u64::from(gauges.keys_usable);
        gauge(&mut out, "keys_usable", "1 while the provider's keys may be used.", usable);
        family(&mut out, "fetches", "counter", "Attempts to get the keys of the provider.");
        let _ = writeln!(
            out,
            "talosctl_oidc_fetches_total{{outcome=\"ok\"}} {}\n\
             talosctl_oidc_fetches_total{{outcome=\"failed\"}} {}",
            gauges.fetches_ok, gauges.fetches_failed
        );
        gauge(&mut out, "active_certificates", "Certificates not ended.", gauges.active_certs);
        let Connections { open, evicted, turned_away, refused, late, handshakes_failed } =
            gauges.connections;
        gauge(&mut out, "connections", "Open connections.", open);
        let help = "Connections that ended before there was a request to answer.";
        family(&mut out, "connections_ended", "counter", help);
        for (why, count) in [
            ("evicted", evicted),
            ("turned_away", turned_away),
            ("no_request", refused),
            ("late", late),
            ("handshake", handshakes_failed),
        ] {
            let _ =
                writeln!(out, "talosctl_oidc_connections_ended_total{{reason=\"{why}\"}} {count}");
        }
        gauge(
            &mut out,
            "waiting_requests",
            "Requests that wait for keys or a signature.",
            gauges.waiting,
        );
        let help = "Answers that became 503 as the audit log could not be written.";
        family(&mut out, "answers_withheld", "counter", help);
        let _ = writeln!(out, "talosctl_oidc_answers_withheld_total {}", gauges.withheld);
        let writable = u64::from(gauges.audit_writable);
        gauge(&mut out, "audit_writable", "1 while the audit log can be written.", writable);
        gauge(&mut out, "ca_seconds_left", "Time until the signing CA ends.", gauges.ca_secs_left);
        family(&mut out, "build", "info", "What this process was built from.");
        let _ = writeln!(out, "talosctl_oidc_build_info{{version=\"{version}\"}} 1");
        out.push_str("# EOF\n");
        guarded(Response::new(
            200,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            out,
        ))
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# TYPE talosctl_oidc_{name} {kind}\n# HELP talosctl_oidc_{name} {help}");
}

fn gauge(out: &mut String, name: &str, help: &str, value: u64) {
    family(out, name, "gauge", help);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "talosctl_oidc_{name} {value}");
}

/// Milliseconds as a decimal number of seconds, in the shortest form with a point, which is how
/// OpenMetrics wants bounds of buckets spelt.
fn seconds(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_ends_as_openmetrics_wants() {
        let mut metrics = Metrics::default();
        metrics.answer(200, "ok", 3);
        metrics.answer(200, "ok", 700);
        metrics.answer(401, "token.expired", 0);
        let text = metrics.render(&Gauges::default(), "dev");
        let text = core::str::from_utf8(&text.body).unwrap();
        assert!(text.contains("exchanges_total{status=\"200\",code=\"ok\"} 2\n"));
        assert!(text.contains("exchange_seconds_bucket{le=\"0.005\"} 2\n"));
        assert!(text.contains("exchange_seconds_bucket{le=\"+Inf\"} 3\n"));
        assert!(text.contains("exchange_seconds_bucket{le=\"0.01\"} 2\n"));
        assert!(text.contains("exchange_seconds_bucket{le=\"1.0\"} 3\n"));
        assert!(text.contains("exchange_seconds_sum 0.703\n"));
        assert!(text.ends_with("# EOF\n"));
    }
}
