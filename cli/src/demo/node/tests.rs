use std::num::NonZeroUsize;

use exchange_core::machine::UnixTime;
use exchange_smol::{clock, executor};
use ring::rand::SystemRandom;
use smol::net::TcpStream;

use super::*;
use crate::demo::ca::{Authority, Order, Purpose};
use crate::demo::wire;

const VERSION: &str = "/machine.MachineService/Version";
const REBOOT: &str = "/machine.MachineService/Reboot";
const SNAPSHOT: &str = "/machine.MachineService/EtcdSnapshot";
const KUBECONFIG: &str = "/machine.MachineService/Kubeconfig";

struct Stage {
    authority: Authority,
    rng: SystemRandom,
    endpoint: String,
    now: UnixTime,
}

impl Stage {
    /// Access with a certificate of `signer` for those roles.
    fn access(
        &self,
        signer: &Authority,
        roles: &[&str],
        purposes: &[Purpose],
        until: u64,
    ) -> Access {
        let order = Order {
            organizations: roles,
            common_name: "someone",
            purposes,
            loopback: false,
            validity: (UnixTime::from_secs(0), self.now.minus_secs(100).plus_secs(until)),
        };
        let pair = signer.issue(&order, &self.rng).expect("a certificate");
        Access {
            endpoint: self.endpoint.clone(),
            ca: self.authority.pair.cert.clone(),
            cert: pair.cert,
            key: pair.key,
        }
    }

    fn client(&self, roles: &[&str]) -> Access {
        self.access(&self.authority, roles, &[Purpose::Client], 1000)
    }
}

/// Runs `test` against a node on a real socket.
fn with_node(test: impl AsyncFnOnce(Stage)) {
    let one = NonZeroUsize::MIN;
    executor::run(one, async {
        let (rng, now) = (SystemRandom::new(), clock::wall());
        let authority = Authority::new(now, &rng).expect("randomness");
        let order = Order {
            organizations: &[],
            common_name: "node",
            purposes: &[Purpose::Server],
            loopback: true,
            validity: (now, now.plus_secs(60)),
        };
        let own = authority.issue(&order, &rng).expect("a certificate");
        let tls = Node::tls(&own, &authority.pair.cert).expect("TLS");
        let listener = wire::listen(0).await.expect("a port");
        let endpoint = listener.local_addr().expect("an address").to_string();
        let _serving = executor::spawn(wire::serve(listener, Some(tls), Arc::new(Node)));
        test(Stage { authority, rng, endpoint, now }).await;
    });
}

fn denied() -> Outcome {
    Outcome::Denied { code: PERMISSION_DENIED, message: "not authorized".to_owned() }
}

#[test]
fn roles_decide_about_methods() {
    with_node(async |stage| {
        let table = [
            ("os:admin", [true, true, true, true]),
            ("os:operator", [true, true, true, false]),
            ("os:reader", [true, false, false, false]),
            ("os:etcd:backup", [false, false, true, false]),
            ("os:made:up", [false; 4]),
        ];
        for (role, allowed) in table {
            let access = stage.client(&[role]);
            for (method, allowed) in [VERSION, REBOOT, SNAPSHOT, KUBECONFIG].iter().zip(allowed) {
                let expected = if allowed { Outcome::Done } else { denied() };
                assert_eq!(call(&access, method, &[]).await, expected, "{role} {method}");
            }
        }
        let both = stage.client(&["os:etcd:backup", "os:reader"]);
        assert_eq!(call(&both, VERSION, &[]).await, Outcome::Done);
        assert_eq!(call(&both, "/made.Up/Method", &[]).await, denied());
    });
}

#[test]
fn only_an_impersonator_chooses_its_roles() {
    with_node(async |stage| {
        let reader = stage.client(&["os:reader"]);
        assert_eq!(call(&reader, REBOOT, &["os:admin"]).await, denied());
        let impersonator = stage.client(&["os:impersonator"]);
        assert_eq!(call(&impersonator, REBOOT, &[]).await, denied());
        assert_eq!(call(&impersonator, REBOOT, &["os:reader"]).await, denied());
        assert_eq!(call(&impersonator, REBOOT, &["os:reader", "os:admin"]).await, Outcome::Done);
    });
}

#[test]
fn a_wrong_certificate_gets_no_call_through() {
    with_node(async |stage| {
        let other = Authority::new(stage.now, &stage.rng).expect("randomness");
        let (admin, client) = (["os:admin"], [Purpose::Client]);
        let foreign = stage.access(&other, &admin, &client, 1000);
        let ended = stage.access(&stage.authority, &admin, &client, 50);
        let server = stage.access(&stage.authority, &admin, &[Purpose::Server], 1000);
        for (access, alert) in [
            (foreign, "DecryptError"),
            (ended, "CertificateExpired"),
            (server, "UnsupportedCertificate"),
        ] {
            let outcome = call(&access, VERSION, &[]).await;
            let told = format!("{outcome:?}");
            assert!(matches!(outcome, Outcome::NoAnswer(_)) && told.contains(alert), "{told}");
        }
        let both = [Purpose::Server, Purpose::Client];
        let both = stage.access(&stage.authority, &admin, &both, 1000);
        let outcome = call(&both, VERSION, &[]).await;
        assert!(matches!(outcome, Outcome::Denied { code: UNAUTHENTICATED, .. }), "{outcome:?}");
    });
}

#[test]
fn without_a_certificate_nobody_comes_in() {
    with_node(async |stage| {
        let options = ClientOptions {
            roots: ClientRoots::Only(stage.authority.pair.cert.as_bytes()),
            ..ClientOptions::default()
        };
        let tls = ClientTls::new(options).expect("TLS");
        let url: Url = format!("https://{}{VERSION}", stage.endpoint).parse().expect("a URL");
        let trouble = request(&url, Some(("application/json", "{}")), &[], Some(&tls)).await;
        let trouble = trouble.expect_err("a node that lets anybody in");
        assert!(trouble.contains("CertificateRequired"), "{trouble}");
        // Plain HTTP on the TLS port is no request either.
        let tcp = TcpStream::connect(&stage.endpoint).await.expect("a connection");
        drop(tcp);
        let plain: Url = format!("http://{}{VERSION}", stage.endpoint).parse().expect("a URL");
        request(&plain, None, &[], None).await.expect_err("a node that speaks plain HTTP");
    });
}
