//! The program as a user meets it: one file per command.

mod bad_sweeps;
mod degenerate;
mod interrupted;
mod plan;
mod run;
mod task;
mod trunks;
mod without_libtorch;
mod workdir;
