//! Where other servers read a case of `vectors/http` otherwise, why, and who is right.

/// Whose reading the standard asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Ours.
    Ours,
    /// The standard leaves the choice; ours is the stricter one, or a limit of ours.
    Both,
    /// The peer's, by the letter. `why` says why ours differs on purpose.
    Peer,
}

/// Cases that differ for one reason. Names are those of the files without `server-`.
pub struct Difference {
    /// Who is right; read with `why`.
    #[allow(dead_code, reason = "for whoever reads the list")]
    pub right: Right,
    /// The reason.
    pub why: &'static str,
    /// The cases.
    pub cases: &'static [&'static str],
}

/// hyper 1 with default settings. It leaves to the application what we decide in the codec.
pub const HYPER: &[Difference] = &[
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 3.2: without exactly one valid Host the answer is 400; hyper leaves Host to the application",
        cases: &[
            "host-list",
            "host-missing",
            "host-path",
            "host-port-letters",
            "host-twice",
            "host-twice-same",
            "host-user",
            "host-utf8",
            "host-v6-bad",
            "host-v6-bare",
            "host-v6-open",
            "http10-host-twice",
            "pipelined-refused",
        ],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9112 section 3.2 has an empty Host for targets without authority; http URLs always have one",
        cases: &["host-empty"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 3.2: not a target that this method may have, or characters that no target has",
        cases: &["asterisk-get", "fragment", "relative-target", "target-utf8"],
    },
    Difference {
        right: Right::Peer,
        why: "RFC 9112 section 3.2.2 wants absolute form accepted; only proxies are sent it, and its host may contradict Host, so it is refused on purpose",
        cases: &["absolute-form", "absolute-form-other-host"],
    },
    Difference {
        right: Right::Both,
        why: "CONNECT is for proxies (RFC 9110 section 9.3.6), and this is none",
        cases: &["authority-form"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 6.1: chunked once and last, any other coding 501; hyper hands the coded bytes on as the body",
        cases: &["coding-gzip-chunked", "coding-twice"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 7.1.1: a blank behind a chunk size only before an extension",
        cases: &["chunk-blank-behind"],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9112 section 6.3 item 3 lets a server refuse both framings or take the coding: two readers may differ, so we refuse",
        cases: &["chunked-and-length", "length-and-chunked"],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9112 section 6.3 item 5 lets equal lengths be folded into one; 5 and 05 are not equal to every reader",
        cases: &["length-twice-same-number"],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9112 section 2.2 lets a line end in LF alone; readers that differ on it are a hole (see the request that hyper finds in bare-lf-head-end)",
        cases: &["bare-lf-field", "bare-lf-head-end", "bare-lf-request-line", "chunk-bare-lf-end"],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9112 section 2.2 asks for at least one empty line to be forgiven: we forgive one",
        cases: &["empty-lines-two"],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9110 section 10.1.1: 417 may answer an expectation that cannot be met",
        cases: &["expect-other", "expect-twice", "expect-twice-other-first"],
    },
    Difference {
        right: Right::Both,
        why: "limits of ours: head 16 KiB while it is read, 64 fields, body 64 KiB, chunk size of 8 digits, method of 32 bytes",
        cases: &[
            "chunk-65537",
            "chunk-huge",
            "chunk-nine-digits",
            "expect-continue-too-large",
            "field-without-end",
            "fields-65",
            "head-16385",
            "length-65537",
            "length-65537-get",
            "length-65537-head",
            "length-65537-then-request",
            "line-without-end",
            "method-33",
        ],
    },
];

/// async-h1 2.3 with default settings.
pub const ASYNC_H1: &[Difference] = &[
    Difference {
        right: Right::Ours,
        why: "a header value in UTF-8 beyond ASCII panics async-h1",
        cases: &["host-utf8", "length-other-digits"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 6.1: anything but exactly chunked is taken for no body, and the body's bytes for the next request",
        cases: &[
            "coding-chunked-gzip",
            "coding-comma",
            "coding-empty",
            "coding-gzip-chunked",
            "coding-hidden-in-second",
            "coding-identity",
            "coding-parameter",
            "coding-quoted",
            "coding-twice",
            "coding-unknown",
        ],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 6.3 item 5: of different lengths the last one wins, and a sign passes for a digit",
        cases: &["length-plus", "length-thrice-differ", "length-twice-differ"],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9112 section 6.3 item 5 lets equal lengths be folded into one; 5 and 05 are not equal to every reader",
        cases: &["length-twice-same-number"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 8: a body that ends too early is taken for a whole one",
        cases: &["body-incomplete", "expect-continue"],
    },
    Difference {
        right: Right::Ours,
        why: "an early end of the bytes is no error of the peer yet; async-h1 says so where a chunk is cut",
        cases: &["chunked-incomplete"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 9.3.2: what shares a read with a request is lost",
        cases: &[
            "empty-line-between",
            "empty-line-each",
            "get-with-body",
            "pipelined-body",
            "pipelined-chunked",
            "pipelined-many",
            "pipelined-refused",
            "pipelined-two",
        ],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 7.1.1: a recipient must skip extensions it does not know",
        cases: &["chunked-extension", "chunked-extension-blank"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9112 section 3.2: a Host that is not one host; here it even chooses the path",
        cases: &["host-path", "host-twice", "host-twice-same", "host-user"],
    },
    Difference {
        right: Right::Ours,
        why: "the target is rewritten before anybody sees it: dot segments removed, characters encoded, fragments cut",
        cases: &["dot-segments", "fragment", "target-utf8"],
    },
    Difference {
        right: Right::Peer,
        why: "RFC 9112 section 3.2.2 wants absolute form accepted; only proxies are sent it, and its host may contradict Host, so it is refused on purpose",
        cases: &["absolute-form", "absolute-form-other-host"],
    },
    Difference {
        right: Right::Both,
        why: "CONNECT is for proxies (RFC 9110 section 9.3.6), and this is none",
        cases: &["authority-form"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9110 section 9.1: methods are case-sensitive, any token is one; RFC 9112 section 3.2.4: `*` is a target of OPTIONS",
        cases: &["asterisk-options", "lower-case-method", "method-32", "unknown-method"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9110 section 2.5: HTTP/1.0 peers, such as simple health checks, are answered",
        cases: &["expect-continue-http10", "http10", "http10-keep-alive", "http10-second-request"],
    },
    Difference {
        right: Right::Ours,
        why: "RFC 9110 section 5.5: bytes beyond ASCII are legal in values",
        cases: &["obs-text-in-value"],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9112 section 2.2 lets a line end in LF alone; readers that differ on it are a hole",
        cases: &["bare-lf-field", "bare-lf-head-end", "bare-lf-request-line", "chunk-bare-lf-end"],
    },
    Difference {
        right: Right::Both,
        why: "RFC 9110 section 10.1.1: 417 may answer an expectation that cannot be met",
        cases: &["expect-other", "expect-twice", "expect-twice-other-first"],
    },
    Difference {
        right: Right::Both,
        why: "limits: ours are head 16 KiB, 64 fields, body 64 KiB, chunk size of 8 digits; theirs is a head of 8 KiB",
        cases: &[
            "chunk-nine-digits",
            "expect-continue-too-large",
            "fields-65",
            "head-16384",
            "length-65537",
            "length-65537-get",
            "length-65537-head",
            "length-65537-then-request",
        ],
    },
    Difference {
        right: Right::Ours,
        why: "somebody who speaks TLS to the plain port is told so at once instead of being left waiting",
        cases: &["tls-hello"],
    },
];
