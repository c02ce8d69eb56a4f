//! `cfg(torch)` is for the worker, which is made from the same sources (`worker/Cargo.toml`).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(torch)");
}
