//! The client-side login machine.
