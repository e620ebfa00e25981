//! Every number that bounds a message, in one place.

/// Caps of one side of a connection. All count bytes or fields of a single message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest head, from the first byte of the start line to the empty line. Also the size of the
    /// read buffer, and the cap on what a chunked body spends on extensions and trailers.
    pub head_bytes_max: usize,
    /// Most fields of a head, at most [`Limits::FIELDS_MAX`].
    pub fields_max: usize,
    /// Largest body, after the chunks have been joined.
    pub body_bytes_max: usize,
    /// Most hexadecimal digits of a chunk size, at most 15 (leading zeros count).
    pub chunk_digits_max: u32,
    /// Longest method name.
    pub method_bytes_max: usize,
    /// Most interim (1xx) answers a client skips before it gives up.
    pub interim_max: u32,
}

impl Limits {
    /// What `fields_max` cannot exceed: the parser's table lies on the stack.
    pub const FIELDS_MAX: usize = 128;

    /// Caps for requests of strangers: head 16 KiB, 64 fields, body 64 KiB.
    pub const SERVER: Self = Self {
        head_bytes_max: 16 * 1024,
        fields_max: 64,
        body_bytes_max: 64 * 1024,
        chunk_digits_max: 8,
        method_bytes_max: 32,
        interim_max: 0,
    };

    /// Caps for answers: head 32 KiB and 128 fields, as identity providers send long policies.
    #[must_use]
    pub const fn client(body_bytes_max: usize) -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            fields_max: Self::FIELDS_MAX,
            body_bytes_max,
            chunk_digits_max: 8,
            method_bytes_max: 32,
            interim_max: 8,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::SERVER
    }
}
