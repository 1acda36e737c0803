//! Hands the memory map of the board and the linker scripts to the linker, so that a plain `cargo build` gives a
//! bootable image.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    let board = match env::var_os("CARGO_FEATURE_LM3S6965EVB") {
        Some(_) => "lm3s6965evb",
        None => "mps2-an386",
    };
    let map = format!("memory/{board}.x");
    // The linker script of cortex-m-rt asks for it by this name.
    fs::copy(&map, Path::new(&out).join("memory.x"))?;
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rerun-if-changed={map}");
    println!("cargo:rerun-if-changed=build.rs");
    // Without --nmagic the linker aligns segments to pages and the vector table moves away from address 0.
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    Ok(())
}
