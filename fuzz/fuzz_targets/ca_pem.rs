//! `ca_pem` for libFuzzer.
#![cfg_attr(fuzzing, no_main)]

exchange_fuzz::fuzz_program!(ca_pem);
