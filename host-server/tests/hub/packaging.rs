//! What a package of the hub brings with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use moorline_server::config::Config;

use crate::programs::stderr;
use crate::world::private_folder;

/// What the unit may be exposed to at most, in tenths, as `systemd-analyze security` counts it: 100 is everything.
const MOST_EXPOSED: &str = "12";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect(name)
}

/// Returns what `key` is set to in the unit; the last one holds.
fn unit_value<'u>(unit: &'u str, key: &str) -> &'u str {
    let prefix = format!("{key}=");
    let value = unit
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(&prefix));
    value.unwrap_or_else(|| panic!("{key} is not set"))
}

/// Runs `systemd-analyze`; nothing where there is none.
fn analyze(arguments: &[&str]) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: systemd-analyze {arguments:?}: {error}");
            None
        }
    }
}

#[test]
fn the_unit_shuts_the_hub_in_and_knows_how_it_lives() {
    let unit = read("moorlined.service");
    for (key, value) in [
        ("Type", "notify"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("RestartPreventExitStatus", "2"),
        ("User", "moorline"),
        ("StateDirectory", "moorline"),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
        ("RestrictNamespaces", "yes"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallFilter", "~@privileged @resources"),
    ] {
        assert_eq!(unit_value(&unit, key), value, "{key}");
    }
    assert!(unit.contains("SystemCallFilter=@system-service\n"));
    let number = |key| unit_value(&unit, key).parse::<u64>().expect(key);
    // Longer than a daemon may be told to wait, and room for as many connections as it may be told to take.
    let mut longest = Config::default();
    longest.drain.patience_millis = 60_000;
    longest.limits.connections = 100_000;
    assert!(longest.mistakes().is_empty());
    longest.drain.patience_millis += 1;
    longest.limits.connections += 1;
    assert_eq!(longest.mistakes().len(), 2);
    assert!(number("TimeoutStopSec") > 60);
    assert!(number("LimitNOFILE") > 100_000);
    assert!(number("WatchdogSec") >= 10);
}

#[test]
fn what_the_unit_starts_is_a_command_line_that_the_daemon_takes() {
    let unit = read("moorlined.service");
    let mut words = unit_value(&unit, "ExecStart").split(' ');
    assert_eq!(words.next(), Some("/usr/bin/moorlined"));
    let config = path("moorlined.toml").display().to_string();
    let words = words.map(|word| match word {
        "/etc/moorline/moorlined.toml" => &config,
        word => word,
    });
    let checked = Command::new(env!("CARGO_BIN_EXE_moorlined"))
        .args(words)
        .arg("check-config")
        .output()
        .expect("the program runs");
    assert!(checked.status.success(), "{}", stderr(&checked));
}

#[test]
fn the_unit_passes_what_the_service_manager_checks() {
    let unit = path("moorlined.service").display().to_string();
    let threshold = format!("--threshold={MOST_EXPOSED}");
    let arguments = ["security", "--offline=true", &threshold, &unit];
    if let Some(output) = analyze(&arguments) {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", stderr(&output));
    }
    // Where it is to be installed there may be nothing yet.
    let folder = private_folder();
    let copy = folder.path().join("moorlined.service");
    let text = read("moorlined.service");
    let text = text.replace("/usr/bin/moorlined", env!("CARGO_BIN_EXE_moorlined"));
    std::fs::write(&copy, text).expect("a file");
    let copy = copy.display().to_string();
    if let Some(output) = analyze(&["verify", "--man=no", &copy]) {
        assert!(output.status.success(), "{}", stderr(&output));
        // Older ones do not know how to wait ever longer before they start it again.
        let unknown = stderr(&output);
        let unknown = unknown.lines().filter(|line| line.contains("Unknown"));
        for line in unknown {
            assert!(
                line.contains("'RestartSteps'") || line.contains("'RestartMaxDelaySec'"),
                "{line}"
            );
        }
    }
}

#[test]
fn the_packaged_configuration_shows_the_defaults_and_changes_none() {
    let packaged = Config::load(Some(&path("moorlined.toml"))).expect("valid");
    assert_eq!(packaged, Config::default());
    let shown: Vec<String> = read("moorlined.toml")
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .map(String::from)
        .collect();
    assert!(shown.len() > 8, "{shown:?}");
    let folder = private_folder();
    let all = folder.path().join("all.toml");
    std::fs::write(&all, shown.join("\n")).expect("a file");
    let config = Config::load(Some(&all)).expect("valid");
    assert_eq!(config, Config::default());
}
