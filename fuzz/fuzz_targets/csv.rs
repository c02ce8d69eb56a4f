//! Any bytes as a CSV file: points or an error, and points that are fitted or refused, never a panic.
#![no_main]

use crossover::fit::{Settings, csv, fit_curves};
use crossover::point::Axis;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(points) = csv::parse("fuzz.csv", bytes, &csv::Columns::default()) {
        let settings = Settings { bootstrap: 39, threads: None, ..Settings::default() };
        for axis in [Axis::Params, Axis::Data] {
            let _ = fit_curves(&points, axis, &settings);
        }
    }
});
