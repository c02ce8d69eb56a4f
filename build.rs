//! Lets the worker find libtorch where it was built against, wherever the checkout moves. LD_LIBRARY_PATH still wins.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Functions of the libtorch bindings that libtorch also has would stay exported, and so linked, even where nothing
    // calls them; hidden, the linker drops them and with them libtorch from the program that does not train.
    println!("cargo:rustc-link-arg-bin=crossover=-Wl,--exclude-libs,ALL");
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        let lib = std::fs::canonicalize(&lib).unwrap_or(lib.into());
        println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{}", lib.display());
    }
}
