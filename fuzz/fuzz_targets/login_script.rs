//! `login_script` for libFuzzer.
#![cfg_attr(fuzzing, no_main)]

exchange_fuzz::fuzz_program!(login_script);
