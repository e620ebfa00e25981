//! Certificates: CA loading, the client profile, encoding, signing in memory, re-parsing.
