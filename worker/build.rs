//! Turns the network halves of the shared sources on, and hands on where libtorch is: to the tests and benchmarks here,
//! and to the package that the worker program is a part of. LD_LIBRARY_PATH still wins.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(torch)");
    println!("cargo:rustc-cfg=torch");
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        let lib = std::fs::canonicalize(&lib).unwrap_or(lib.into());
        println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{}", lib.display());
        println!("cargo:libtorch={}", lib.display());
    }
}
