//! What can panic: nothing in core's code for bytes from outside, as far as the linker can tell.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use moorline_qemu::Error;
use moorline_qemu::image::{Profile, build_image, build_nopanic};
use object::{Object, ObjectSection, ObjectSymbol};

/// Files of core with a panic in the agent's image, and why each is no matter of bytes from outside.
const EXCEPTIONS: [&str; 1] = [
    // It reads its own constants.
    "core/src/crypto/self_test.rs",
];

/// What `firmware-example/src/bin/nopanic.rs` links.
const AREAS: [&str; 14] = [
    "handshake_messages",
    "refusals",
    "datagram_links",
    "frame_headers",
    "tokens",
    "compact_tokens",
    "envelopes",
    "control",
    "commands",
    "link_messages",
    "websocket",
    "counters",
    "replay_window",
    "storage",
];

#[test]
fn what_parses_bytes_from_outside_is_linked_without_a_panic() -> Result<(), Error> {
    let image = build_nopanic(false)?;
    assert_eq!(panics(&image), BTreeSet::new());
    let symbols = symbols(&image);
    for area in AREAS {
        let is_linked = symbols
            .iter()
            .any(|name| name.contains("nopanic") && name.contains(area));
        assert!(is_linked, "{area}");
    }
    Ok(())
}

#[test]
fn the_check_finds_a_panic_that_can_be_reached() -> Result<(), Error> {
    let found = panics(&build_nopanic(true)?);
    assert!(!found.is_empty(), "the control");
    Ok(())
}

#[test]
fn no_panic_of_the_agent_has_its_place_in_core() -> Result<(), Error> {
    // An image that panics on purpose names its own file: the search finds what is there.
    let faulty = source_files(&build_image("faulty", Profile::Device)?);
    assert!(
        faulty.contains("firmware-example/src/bin/faulty.rs"),
        "{faulty:?}"
    );
    let files = source_files(&build_image("agent", Profile::Device)?);
    assert!(!files.is_empty());
    let of_core: Vec<_> = files
        .iter()
        .filter(|file| file.starts_with("core/src/"))
        .collect();
    assert_eq!(of_core, EXCEPTIONS);
    Ok(())
}

/// Returns the functions of `image` that a panic leads to.
fn panics(image: &Path) -> BTreeSet<String> {
    symbols(image)
        .into_iter()
        .filter(|name| name.contains("panicking") || name.contains("begin_unwind"))
        .collect()
}

fn symbols(image: &Path) -> BTreeSet<String> {
    let bytes = fs::read(image).expect("the image is there");
    let elf = object::File::parse(bytes.as_slice()).expect("the image is an ELF file");
    elf.symbols()
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .collect()
}

/// Returns the source files that the constants of `image` name: the places of its panics, which its report prints.
fn source_files(image: &Path) -> BTreeSet<String> {
    let bytes = fs::read(image).expect("the image is there");
    let elf = object::File::parse(bytes.as_slice()).expect("the image is an ELF file");
    let constants = elf
        .sections()
        .filter(|section| section.name() == Ok(".rodata"))
        .filter_map(|section| section.data().ok());
    let is_of_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    let mut files = BTreeSet::new();
    for constants in constants {
        for text in constants.split(|byte| !is_of_path(byte)) {
            let text = String::from_utf8_lossy(text);
            // Constants follow each other without a gap.
            let mut rest = &*text;
            while let Some((file, after)) = rest.split_once(".rs") {
                files.insert(format!("{file}.rs"));
                rest = after;
            }
        }
    }
    files
}
