//! Strict YAML reading with positions.
