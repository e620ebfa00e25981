//! A client certificate: key made, encoded, signed, parsed again and compared, written as PEM.

use std::hint::black_box;

use exchange_core::machine::Entropy;
use exchange_core::pki::{CommonName, Draft, LeafKey, SignerTrust};
use exchange_core::types::{Role, RoleSet, Ttl};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::Ed25519KeyPair;

use crate::fixed::{Ca, NOW, ca, ed25519_ca};
use crate::{Aim, Bench, Run, peers};

pub const ROLES: [&str; 2] = ["os:admin", "os:reader"];
pub const NAME: &str = "alice@example.com";

pub fn random<const N: usize>(rng: &SystemRandom) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill(&mut bytes).expect("the system has randomness");
    bytes
}

fn ours(ca: Ca) -> Run {
    let rng = SystemRandom::new();
    let roles = RoleSet::new(ROLES.map(|role| role.parse::<Role>().expect("a role")));
    let (roles, name) = (roles.expect("roles"), CommonName::from_identity(NAME).expect("a name"));
    Box::new(move || {
        let leaf = LeafKey::from_seed(Entropy::new(random(&rng))).expect("a key");
        let serial = Entropy::new(random(&rng));
        let draft = Draft::new(&ca.cert, &roles, Some(&name), Ttl::DEFAULT, NOW, leaf, serial)
            .expect("a draft");
        let signature = ca.key.sign(&rng, draft.tbs()).expect("a signature");
        let issued = draft.finish(&signature, &ca.cert, SignerTrust::InProcess);
        black_box(issued.expect("a certificate"));
    })
}

/// Randomness, key of the leaf, signature: nothing else.
fn floor(ca: Ca) -> Run {
    let rng = SystemRandom::new();
    let tbs = [0x30; 330];
    Box::new(move || {
        let seed: [u8; 32] = random(&rng);
        black_box(random::<16>(&rng));
        black_box(Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key"));
        black_box(ca.key.sign(&rng, black_box(&tbs)).expect("a signature"));
    })
}

fn bench(name: &'static str, load: fn() -> Ca, aim: Option<Aim>) -> Bench {
    Bench {
        name,
        ours: ours(load()),
        floor: Some(floor(load())),
        peers: peers::issue(&load()),
        aim,
    }
}

pub fn ed25519() -> Bench {
    bench("issue_ed25519", ed25519_ca, Some(Aim::FasterThanPeer(1.3)))
}

pub fn p256() -> Bench {
    let load = || {
        ca(
            include_str!("../../vectors/cert/ca/p256.crt"),
            include_str!("../../vectors/cert/ca/p256.key"),
        )
    };
    bench("issue_p256", load, None)
}

pub fn rsa() -> Bench {
    let load = || {
        ca(
            include_str!("../../vectors/cert/ca/rsa2048.crt"),
            include_str!("../../vectors/cert/ca/rsa2048.key"),
        )
    };
    bench("issue_rsa", load, None)
}
