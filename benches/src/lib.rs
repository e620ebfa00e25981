//! What is measured: each piece of the hot path, beside the bare cryptography it cannot do without
//! (its floor) and beside what others offer for the same job (its peers). Inputs come from
//! `vectors/`; nothing here reads a clock.

mod exchange;
mod fixed;
mod http;
mod issue;
#[cfg_attr(not(feature = "peers"), path = "no_peers.rs")]
mod peers;
mod policy;
mod tokens;

/// One closure that is timed.
pub type Run = Box<dyn FnMut()>;

/// The same job done by others, each with its name.
pub type Peers = Vec<(&'static str, Run)>;

/// One piece of the hot path.
pub struct Bench {
    /// Name, the same in the table, in divan and in the baseline.
    pub name: &'static str,
    /// Our code.
    pub ours: Run,
    /// The bare calls it cannot do without.
    pub floor: Option<Run>,
    /// The same job done by others.
    pub peers: Peers,
    /// What it is to reach.
    pub aim: Option<Aim>,
}

/// What a piece is to reach.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// At most so many times the floor.
    OfFloor(f64),
    /// At least so many times as fast as the first peer.
    FasterThanPeer(f64),
    /// At most so many nanoseconds.
    Nanos(f64),
}

/// Makes a piece ready to run.
pub type Make = fn() -> Bench;

/// Every piece by name. They are made one by one, as some of them hold much memory.
pub const BENCHES: &[(&str, Make)] = &[
    ("verify_rs256", tokens::verify_rs256),
    ("verify_es256", tokens::verify_es256),
    ("verify_eddsa", tokens::verify_eddsa),
    ("refuse_expired", tokens::refuse_expired),
    ("refuse_issuer", tokens::refuse_issuer),
    ("refuse_unsigned", tokens::refuse_unsigned),
    ("issue_ed25519", issue::ed25519),
    ("issue_p256", issue::p256),
    ("issue_rsa", issue::rsa),
    ("rbac_100_rules", policy::rbac_100_rules),
    ("allowlist_1000_cidrs", policy::allowlist_1000_cidrs),
    ("rate_limit_1m_keys", policy::rate_limit_1m_keys),
    ("rate_limit_default_caps", policy::rate_limit_default_caps),
    ("http_request", http::request),
    ("exchange_warm", exchange::warm),
    ("exchange_reject", exchange::reject),
];
