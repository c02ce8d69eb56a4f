//! `cfg(torch)` is for the worker's library, which is made from the same sources (`worker/Cargo.toml`). Here the worker
//! program learns where libtorch is: beside it, or where it was built against. What `make dist` packs (CROSSOVER_DIST)
//! knows no path of the machine that it was built on.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CROSSOVER_DIST");
    println!("cargo:rustc-check-cfg=cfg(torch)");
    // Set where the feature `worker` is on.
    let Ok(libtorch) = env::var("DEP_CROSSOVER_WORKER_LIBTORCH") else { return };
    let mut places = vec!["$ORIGIN/libtorch/lib", "$ORIGIN/../libtorch/lib"];
    if env::var_os("CROSSOVER_DIST").is_none() {
        println!("cargo:rustc-env=CROSSOVER_LIBTORCH_LIB={libtorch}");
        places.insert(0, &libtorch);
    }
    let places = places.join(":");
    println!("cargo:rustc-link-arg-bin=crossover-worker=-Wl,--enable-new-dtags,-rpath,{places}");
}
