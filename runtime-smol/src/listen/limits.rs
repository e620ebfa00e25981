//! Every number that bounds connections, in one place.

use exchange_core::http::Limits;

/// Caps and deadlines of a listener. Each deadline runs by itself; none is extended by progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenLimits {
    /// Open connections in all. Beyond, the one that has been waiting longest makes room.
    pub connections_max: usize,
    /// Open connections of one IPv4 address or one IPv6 /64. Beyond, its own make room.
    pub connections_per_peer_max: usize,
    /// From the first byte of a TLS handshake to its end.
    pub handshake_millis: u64,
    /// From the first byte of a request to the end of its head.
    pub head_millis: u64,
    /// From the first byte of a request to its last.
    pub request_millis: u64,
    /// For the service to answer.
    pub answer_millis: u64,
    /// For the client to take the answer.
    pub write_millis: u64,
    /// Without a byte of a next request.
    pub idle_millis: u64,
    /// For a client to notice that it was refused, its further bytes being thrown away.
    pub linger_millis: u64,
    /// How many bytes of that kind.
    pub linger_bytes_max: usize,
    /// For requests being answered when the listener stops.
    pub drain_millis: u64,
    /// Caps of one request.
    pub http: Limits,
}

impl ListenLimits {
    /// For a server in the open. At some 14 kB each, all connections together stay under 60 MB.
    pub const SERVER: Self = Self {
        connections_max: 4096,
        connections_per_peer_max: 3072,
        handshake_millis: 10_000,
        head_millis: 5_000,
        request_millis: 15_000,
        answer_millis: 30_000,
        write_millis: 15_000,
        idle_millis: 60_000,
        linger_millis: 2_000,
        linger_bytes_max: 64 * 1024 * 1024,
        drain_millis: 10_000,
        http: Limits::SERVER,
    };

    /// For the loopback listener of a login: one browser, whose page may wait for the provider.
    /// All users of the host share its address, so the room is for many times what is taken at
    /// once: who has just come must not have to go before he was heard.
    pub const CALLBACK: Self = Self {
        connections_max: 192,
        connections_per_peer_max: 192,
        head_millis: 10_000,
        request_millis: 10_000,
        answer_millis: 120_000,
        write_millis: 10_000,
        idle_millis: 10_000,
        linger_millis: 500,
        linger_bytes_max: 1024 * 1024,
        drain_millis: 2_000,
        ..Self::SERVER
    };

    /// The same with another number of connections; three quarters of them for one peer.
    #[must_use]
    pub const fn with_connections(self, max: usize) -> Self {
        let per_peer = max.saturating_sub(max / 4);
        Self { connections_max: max, connections_per_peer_max: per_peer, ..self }
    }
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self::SERVER
    }
}
