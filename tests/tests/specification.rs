//! The specification, the code and the cases name each other rightly.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use moorline_conformance::cases;

/// What a citation of the specification begins with.
const CITATION: &str = "PROTOCOL.md §";

#[test]
fn every_clause_that_a_case_cites_is_in_the_specification() {
    let headings = headings();
    for case in cases() {
        for clause in cited(case.clause) {
            assert!(headings.contains(&clause), "{}: {}", case.name, case.clause);
        }
    }
}

#[test]
fn every_clause_that_the_code_cites_is_in_the_specification() {
    let headings = headings();
    for folder in ["../core/src", "src"] {
        for file in files(&root().join(folder)) {
            let text = fs::read_to_string(&file).expect("a source file is text");
            for clause in cited(&text) {
                assert!(headings.contains(&clause), "{}: §{clause}", file.display());
            }
        }
    }
}

#[test]
fn every_clause_of_messages_keys_credentials_frames_transports_and_offline_commands_has_a_case() {
    let held: BTreeSet<String> = cases().flat_map(|case| cited(case.clause)).collect();
    let sections = ["2", "3", "4", "5", "9", "10", "12"];
    for heading in headings() {
        let (section, is_leaf) = match heading.split_once('.') {
            Some((section, _)) => (section, true),
            None => (heading.as_str(), heading == "4"),
        };
        if is_leaf && sections.contains(&section) {
            assert!(held.contains(&heading), "§{heading} has no case");
        }
    }
}

#[test]
fn every_table_that_the_specification_names_exists() {
    let text = specification();
    let mut count = 0;
    for line in text.lines().filter(|line| line.starts_with("Held by ")) {
        for name in line.split('`').skip(1).step_by(2) {
            let path = root().join("src").join(name.replace("::", "/"));
            let exists = path.with_extension("rs").exists() || path.join("mod.rs").exists();
            assert!(exists, "{name}");
            count += 1;
        }
    }
    assert!(count > 30, "{count} tables are named");
}

#[test]
fn every_numbered_clause_says_which_tables_hold_it() {
    let text = specification();
    let sections = text.split("\n### ").skip(1);
    // Newest wins is the shell's: a connection knows no other.
    for section in sections.filter(|section| !section.starts_with("6.2 ")) {
        let own = section.split("\n## ").next().unwrap_or_default();
        let heading = own.lines().next().unwrap_or_default();
        assert!(own.contains("\nHeld by "), "{heading}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn specification() -> String {
    fs::read_to_string(root().join("../core/PROTOCOL.md")).expect("the specification is there")
}

/// Returns the numbers of all headings.
fn headings() -> BTreeSet<String> {
    let text = specification();
    let numbers = text
        .lines()
        .filter(|line| line.starts_with("##"))
        .filter_map(|line| line.trim_start_matches('#').split_whitespace().next())
        .map(|number| number.trim_end_matches('.').to_owned());
    numbers.collect()
}

/// Returns the clauses that `text` cites, also those joined by commas after the first.
fn cited(text: &str) -> Vec<String> {
    let mut clauses = Vec::new();
    for rest in text.split(CITATION).skip(1) {
        for part in rest.split(", §") {
            let digits = |character: &char| character.is_ascii_digit() || *character == '.';
            let number: String = part.chars().take_while(digits).collect();
            // What stands between two citations ends the list; `§n` stands for any of them.
            let is_whole = part.len() == number.len();
            if !number.is_empty() {
                clauses.push(number.trim_end_matches('.').to_owned());
            }
            if !is_whole {
                break;
            }
        }
    }
    clauses
}

/// Returns every Rust file under `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
