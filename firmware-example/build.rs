//! Hands the memory map and the linker scripts to the linker, so that a plain `cargo build` gives a bootable image.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    fs::copy("memory.x", Path::new(&out).join("memory.x"))?;
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-changed=build.rs");
    // Without --nmagic the linker aligns segments to pages and the vector table moves away from address 0.
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    Ok(())
}
