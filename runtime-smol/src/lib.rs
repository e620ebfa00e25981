//! Runs the machines of `exchange-core` over smol: sockets, TLS, files, clocks and signals.
