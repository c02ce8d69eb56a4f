//! The program as a user meets it: one file per command.

// Tests may: clippy allows it by itself only within #[test].
#![allow(clippy::unwrap_used)]

mod asked;
mod bad_sweeps;
mod batches;
mod cluster;
mod compare;
mod degenerate;
mod faults;
mod files;
mod formats;
mod gpu;
mod images;
mod import;
mod interrupted;
mod json;
mod ladder;
mod large;
mod list;
mod living;
mod names;
mod next;
mod older;
mod output;
mod pilots;
mod plan;
mod power;
mod predict;
mod rooms;
mod run;
mod scripts;
mod simulate;
mod slots;
mod slurm;
mod stores;
mod study;
mod task;
mod torture;
mod trained;
mod trunks;
mod without_libtorch;
mod workdir;
