//! Turns the network halves of the shared sources on, builds what tch has no binding for, and hands on where libtorch is: to
//! the tests and benchmarks here, and to the package that the worker program is a part of. LD_LIBRARY_PATH still wins.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(torch)");
    println!("cargo:rustc-cfg=torch");
    if let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB") {
        let lib = std::fs::canonicalize(&lib).unwrap_or(lib.into());
        shim(&lib);
        println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{}", lib.display());
        println!("cargo:libtorch={}", lib.display());
    }
}

/// The few lines of C++ under `shim`, against the headers of the libtorch that is linked, as torch-sys builds its own.
fn shim(lib: &Path) {
    println!("cargo:rerun-if-changed=shim");
    ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"].iter().for_each(|name| println!("cargo:rerun-if-env-changed={name}"));
    let home = lib.parent().unwrap_or(lib).to_path_buf();
    let include = env::var_os("LIBTORCH_INCLUDE").map_or(home, PathBuf::from).join("include");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    cc::Build::new()
        .cpp(true)
        .flag("-std=c++17")
        .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
        .flag("-isystem")
        .flag(include.as_os_str())
        .files(["shim/node.cpp", "shim/tf32.cpp"])
        .compile("crossover_shim");
}
