//! The models of `tests/model/`: every state of a key update, and what ProVerif proves where it is installed.

use std::path::Path;
use std::process::Command;

#[test]
fn every_model_comes_out_as_expected_and_every_control_fails() {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/run");
    let output = Command::new("python3").arg(run).output();
    let output = output.expect("python3 runs; on Debian and Ubuntu: sudo apt-get install python3");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{text}");
    // The states of the key update and its two controls are always among them.
    for variant in ["base", "no_tie_break", "switch_early"] {
        let line = format!("ok   rekey_states:{variant} ");
        assert!(text.contains(&line), "{variant}");
    }
    let closing = text.lines().last().unwrap_or_default();
    assert!(closing.contains(" as expected, 0 not, "), "{closing}");
}
