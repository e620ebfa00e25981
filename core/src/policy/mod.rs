//! Who may: allowlist, client address, rate limit, claims to roles.
