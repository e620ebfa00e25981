//! `audit_line` for libFuzzer.
#![cfg_attr(fuzzing, no_main)]

exchange_fuzz::fuzz_program!(audit_line);
