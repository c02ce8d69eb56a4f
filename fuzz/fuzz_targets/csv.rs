//! Any bytes as a file: points or an error, and points that are fitted or refused, never a panic.
#![no_main]

use crossover::fit::{Scale, Settings, fit_curves};
use crossover::point::Axis;
use crossover::study::file::{Asked, format, found};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = format::table("fuzz", &bytes.to_vec().into()) else { return };
    for axis in [Axis::Params, Axis::Data] {
        if let Ok(found) = found(&table, "", &Asked::default(), Scale::Curve(axis)) {
            let settings = Settings { bootstrap: 39, threads: None, ..Settings::default() };
            let _ = fit_curves(&found.points, axis, &settings);
        }
    }
});
