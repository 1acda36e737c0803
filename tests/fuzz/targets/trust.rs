#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moorline_conformance::fuzz::run("trust", data));
