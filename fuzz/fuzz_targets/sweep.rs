//! Any text as a sweep file: a plan or an error, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(sweep) = crossover::spec::parse(text, "fuzz.toml") {
        let _ = crossover::plan::plan(&sweep, &crossover::script::describe::Nowhere);
    }
});
