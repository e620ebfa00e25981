//! `http_head` for libFuzzer.
#![cfg_attr(fuzzing, no_main)]

exchange_fuzz::fuzz_program!(http_head);
