//! Any text as a sweep file: a sweep or an error, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = crossover::spec::parse(text, "fuzz.toml");
});
