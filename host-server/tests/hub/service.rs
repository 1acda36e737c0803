//! The daemon as a program that a system runs and watches over.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use moorline_server::clock;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use crate::programs::{Program, json, moorline, moorlined, stderr};
use crate::world::private_folder;

/// How long the daemon may take to say something: much longer than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a configuration, and the socket of a service manager.
struct Place {
    folder: TempDir,
    manager: UnixDatagram,
}

impl Place {
    fn new(config: &str) -> Self {
        let folder = private_folder();
        let manager = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("a time");
        let place = Self { folder, manager };
        place.configure(config);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration: `more`, and ports that the system chooses.
    fn configure(&self, more: &str) {
        let text = format!(
            "data_dir = {:?}\nlisten = \"127.0.0.1:0\"\nlisten_tcp = \"off\"\n{more}\n",
            self.path("hub")
        );
        std::fs::write(self.path("hub.toml"), text).expect("a file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = moorlined(arguments);
        command
            .env("MOORLINED_CONFIG", self.path("hub.toml"))
            .env_remove("RUST_LOG")
            .stderr(std::process::Stdio::inherit());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.stderr(std::process::Stdio::piped());
        command.output().expect("the program runs")
    }

    /// Starts the daemon under the service manager, and waits until it is ready.
    fn start(&self, arguments: &[&str]) -> Program {
        let mut command = self.command(arguments);
        command.env("NOTIFY_SOCKET", self.path("notify"));
        let program = Program(command.spawn().expect("the program runs"));
        assert_eq!(self.told(), "READY=1\n");
        program
    }

    /// Returns the next thing that the service manager is told.
    fn told(&self) -> String {
        let mut message = [0; 256];
        let len = self.manager.recv(&mut message).expect("something is told");
        String::from_utf8_lossy(&message[..len]).into_owned()
    }

    /// Has the daemon read its configuration again, and waits until it has.
    fn reload(&self, program: &Program) {
        signal(program, Signal::HUP);
        let told = self.told();
        assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
        assert_eq!(self.told(), "READY=1\n");
    }

    /// Returns for how many seconds the token of a commander that is enrolled now is good.
    fn token_seconds(&self, name: &str) -> u64 {
        let home = private_folder();
        let data_dir = self.path("hub");
        let made = moorline(home.path(), &data_dir, &["keygen"]);
        assert!(made.status.success());
        let arguments = ["--json", "enroll", "commander", name, "--agent", "boiler"];
        let credential = json(&moorline(home.path(), &data_dir, &arguments));
        let ends = credential["expires_at"].as_u64().expect("a time");
        ends - clock::now().unix.secs()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name)
    }
}

fn signal(program: &Program, signal: Signal) {
    kill_process(Pid::from_child(&program.0), signal).expect("it runs");
}

#[test]
fn a_service_manager_hears_of_start_work_reload_and_end() {
    let place = Place::new("");
    let mut command = place.command(&[]);
    command
        .env("NOTIFY_SOCKET", place.path("notify"))
        .env("WATCHDOG_USEC", "200000");
    let mut program = Program(command.spawn().expect("the program runs"));
    assert_eq!(place.told(), "READY=1\n");
    assert_eq!(place.told(), "WATCHDOG=1\n");
    assert_eq!(place.told(), "WATCHDOG=1\n");
    let next = || loop {
        let told = place.told();
        if told != "WATCHDOG=1\n" {
            return told;
        }
    };
    signal(&program, Signal::HUP);
    assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next(), "READY=1\n");
    signal(&program, Signal::TERM);
    assert_eq!(next(), "STOPPING=1\n");
    assert!(program.0.wait().expect("it ends").success());
}

#[test]
fn what_is_watched_by_another_process_does_not_beat() {
    let place = Place::new("");
    let mut command = place.command(&[]);
    command
        .env("NOTIFY_SOCKET", place.path("notify"))
        .env("WATCHDOG_PID", "1")
        .env("WATCHDOG_USEC", "1000");
    let program = Program(command.spawn().expect("the program runs"));
    assert_eq!(place.told(), "READY=1\n");
    place.reload(&program);
}

#[test]
fn a_reload_takes_what_is_valid_and_nothing_of_what_is_not() {
    let place = Place::new("log_filter = \"warn\"");
    let log = place.path("log");
    let log = log.to_str().expect("a path");
    let program = place.start(&["--log-file", log]);
    assert!(place.token_seconds("alice") > 3_000);
    assert!(!place.text("log").contains("INFO"));

    place.configure("name = \"a b\"\n[limits]\ncommander_token_seconds = 120");
    place.reload(&program);
    assert!(place.token_seconds("bob") > 3_000);
    let told = place.text("log");
    assert!(
        told.contains("ERROR") && told.contains("name: must be"),
        "{told}"
    );

    let more = "name = \"site-7\"\nlog_filter = \"info\"\nlog_file = \"elsewhere\"";
    place.configure(&format!("{more}\n[limits]\ncommander_token_seconds = 120"));
    place.reload(&program);
    assert!(place.token_seconds("carol") <= 120);
    let told = place.text("log");
    assert!(told.contains("key=\"name\""), "{told}");
    // The command line is the last layer after a reload too.
    assert!(!told.contains("key=\"log_file\""), "{told}");
    assert!(
        told.contains("INFO") && told.contains("is read again"),
        "{told}"
    );
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew() {
    let place = Place::new("log_format = \"json\"");
    let log = place.path("log");
    let program = place.start(&["--log-file", log.to_str().expect("a path")]);
    assert!(place.text("log").contains("\"message\":\"ready\""));
    let mode = std::fs::metadata(&log)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::rename(&log, place.path("log.1")).expect("own file");
    place.reload(&program);
    let (old, new) = (place.text("log.1"), place.text("log"));
    assert!(!old.contains("is read again") && new.contains("is read again"));
    // What is there already is added to.
    drop(program);
    let _program = place.start(&["--log-file", log.to_str().expect("a path")]);
    assert!(place.text("log").contains("is read again"));
}

#[test]
fn the_pid_file_names_the_process_that_serves() {
    let place = Place::new("");
    let path = place.path("moorlined.pid");
    std::fs::write(&path, "1\n").expect("a stale file");
    let mut program = place.start(&["--pid-file", path.to_str().expect("a path")]);
    assert_eq!(place.text("moorlined.pid"), format!("{}\n", program.0.id()));
    // Another daemon does not get as far.
    let second = place.output(&["--pid-file", path.to_str().expect("a path")]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("another moorlined"));
    assert_eq!(place.text("moorlined.pid"), format!("{}\n", program.0.id()));
    signal(&program, Signal::TERM);
    assert!(program.0.wait().expect("it ends").success());
    assert!(!path.exists());
}

/// Ends the daemon that a pid file names.
struct InBackground(Pid);

impl InBackground {
    fn of(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("it serves");
        let pid = text.trim().parse().expect("a number");
        Self(Pid::from_raw(pid).expect("a process"))
    }
}

impl Drop for InBackground {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn in_the_background_it_serves_when_the_command_returns() {
    let place = Place::new("");
    let (log, pid) = (place.path("log"), place.path("pid"));
    let arguments = [
        "--background",
        "--log-file",
        log.to_str().expect("a path"),
        "--pid-file",
        pid.to_str().expect("a path"),
    ];
    let started = place.output(&arguments);
    assert!(started.status.success(), "{}", stderr(&started));
    let daemon = InBackground::of(&pid);
    test_kill_process(daemon.0).expect("it runs");
    assert!(place.token_seconds("alice") > 3_000);
    let left = std::fs::read_dir(place.path("hub")).expect("a folder");
    let left = left.filter_map(Result::ok).map(|entry| entry.file_name());
    assert!(
        left.into_iter()
            .all(|name| !name.to_string_lossy().starts_with("start-"))
    );

    // What keeps it from serving is said, with the exit code that it has.
    let second = place.output(&arguments);
    assert_eq!(second.status.code(), Some(1), "{}", stderr(&second));
    assert_eq!(stderr(&second).matches("moorlined: ").count(), 1);
    assert!(stderr(&second).contains("another moorlined"));
    assert!(pid.exists(), "it is the first one's");

    kill_process(daemon.0, Signal::TERM).expect("it runs");
    let gone = clock::instant().plus(30_000);
    while pid.exists() {
        assert!(clock::instant() < gone, "{}", place.text("log"));
        std::thread::yield_now();
    }
}

#[test]
fn the_background_needs_a_log_and_a_valid_configuration() {
    let place = Place::new("");
    let no_log = place.output(&["--background"]);
    assert_eq!(no_log.status.code(), Some(2));
    assert!(stderr(&no_log).contains("log_file"), "{}", stderr(&no_log));
    place.configure("[limit]");
    let invalid = place.output(&["--background", "--log-file", "/dev/null"]);
    assert_eq!(invalid.status.code(), Some(2));
    assert!(stderr(&invalid).contains("line 4"), "{}", stderr(&invalid));
    assert!(!place.path("hub").exists());
}

#[test]
fn check_config_says_what_is_wrong_and_print_config_what_holds() {
    let place = Place::new("name = \"site-7\"\n[limits]\nconnections = 9");
    let good = place.output(&["check-config"]);
    assert!(good.status.success(), "{}", stderr(&good));
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert_eq!(said, "the configuration is valid\n");
    let printed = place.output(&["print-config"]);
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(text.contains("name = \"site-7\"") && text.contains("connections = 9"));
    // What is printed is a configuration, and the same one.
    std::fs::write(place.path("hub.toml"), &text).expect("a file");
    let again = place.output(&["print-config"]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), text);

    place.configure("name = \"\"\n[limits]\nconnections = 0\noutbox = 0");
    for command in ["check-config", "print-config", "run"] {
        let bad = place.output(&[command]);
        assert_eq!(bad.status.code(), Some(2), "{command}");
        assert!(bad.stdout.is_empty());
        for key in ["name: ", "limits.connections: ", "limits.outbox: "] {
            let line = format!("moorlined: {key}must be");
            assert!(stderr(&bad).contains(&line), "{}", stderr(&bad));
        }
        assert!(stderr(&bad).contains("hub.toml)"), "{}", stderr(&bad));
    }
    place.configure("\n[limits]\nconnection = 9");
    let bad = place.output(&["check-config"]);
    assert!(
        stderr(&bad).contains("`connection`") && stderr(&bad).contains("line 6"),
        "{}",
        stderr(&bad)
    );
}

#[test]
fn environment_variables_and_overlays_reach_the_daemon() {
    let place = Place::new("");
    let print = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = place.command(arguments);
        command.arg("print-config").envs(variables.iter().copied());
        command.stderr(std::process::Stdio::piped());
        command.output().expect("the program runs")
    };
    std::fs::write(place.path("hub.west.toml"), "name = \"west\"").expect("a file");
    std::fs::write(place.path("over.toml"), "name = \"over\"").expect("a file");
    let over = place.path("over.toml");
    let over = over.to_str().expect("a path");
    let printed = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = print(arguments, variables);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.parse::<toml::Table>().expect("it is TOML")
    };
    let west = printed(&[], &[("MOORLINED_ENVIRONMENT", "west")]);
    assert_eq!(west["name"].as_str(), Some("west"));
    let both = printed(&["--environment", "west", "--overlay", over], &[]);
    assert_eq!(both["name"].as_str(), Some("over"));
    let limits = printed(
        &["--overlay", over, "--listen", "127.0.0.1:9"],
        &[
            ("MOORLINED_LIMITS__CONNECTIONS", "10"),
            ("MOORLINED_NAME", "variable"),
            ("MOORLINED_LISTEN", "127.0.0.1:8"),
        ],
    );
    assert_eq!(limits["limits"]["connections"].as_integer(), Some(10));
    assert_eq!(limits["name"].as_str(), Some("variable"));
    assert_eq!(limits["listen"].as_str(), Some("127.0.0.1:9"));

    let unknown = print(&[], &[("MOORLINED_LIMITS__CONNECTION", "10")]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("MOORLINED_LIMITS__CONNECTION: "));
    let absent = print(&["--environment", "east"], &[]);
    assert_eq!(absent.status.code(), Some(2));
    assert!(stderr(&absent).contains("hub.east.toml"));
}

#[test]
fn both_programs_have_manual_pages_and_completions_of_every_command() {
    for (program, path) in [
        ("moorline", env!("CARGO_BIN_EXE_moorline")),
        ("moorlined", env!("CARGO_BIN_EXE_moorlined")),
    ] {
        let run = |arguments: &[&str]| {
            let output = Command::new(path).args(arguments).output();
            let output = output.expect("the program runs");
            assert!(output.status.success(), "{}", stderr(&output));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let help = run(&["--help"]);
        let commands = help.split("Commands:\n").nth(1).expect("there are some");
        let commands = commands.lines().take_while(|line| !line.is_empty());
        let commands: Vec<&str> = commands
            .filter_map(|line| line.split_whitespace().next())
            .filter(|command| *command != "help")
            .collect();
        assert!(commands.len() >= 4, "{commands:?}");
        for shell in ["bash", "zsh", "fish"] {
            let text = run(&["completions", shell]);
            for command in &commands {
                assert!(text.contains(command), "{shell}: {command}");
            }
        }
        let folder = private_folder();
        let pages = folder.path().join("man");
        run(&["man", pages.to_str().expect("a path")]);
        let page = |name: &str| {
            let text = std::fs::read_to_string(pages.join(format!("{name}.1")));
            text.expect(name).replace("\\-", "-")
        };
        let whole = page(program);
        for command in &commands {
            assert!(whole.contains(&format!("{program}-{command}")), "{command}");
            let own = page(&format!("{program}-{command}"));
            assert!(own.contains(".SH NAME") && own.contains(command));
        }
    }
}
