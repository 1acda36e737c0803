//! Device images in QEMU, as the runner sees them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

use moorline_qemu::conformance::Verdict;
use moorline_qemu::image::{Profile, Provider, build_image, build_program};
use moorline_qemu::{Error, Level, Outcome, Qemu, Running, conformance};

/// The image that does what its first provisioning byte says.
static FAULTY: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("faulty", Profile::Device).expect("faulty builds"));

#[test]
fn a_passing_image_gives_success() -> Result<(), Error> {
    let outcome = ordered(b"N\0").run()?.check()?;
    let line = outcome.lines.first().expect("the image says something");
    assert_eq!(
        (line.level, line.message.as_str()),
        (Some(Level::Info), "nothing to do")
    );
    let location = line
        .location
        .as_ref()
        .expect("the image has debug information");
    assert_eq!(
        location.file.to_str(),
        Some("firmware-example/src/bin/faulty.rs")
    );
    assert_eq!(outcome.complaint, "");
    Ok(())
}

#[test]
fn the_status_of_the_image_is_the_status_of_the_run() -> Result<(), Error> {
    let outcome = ordered(&[b'X', 42]).run()?;
    assert_eq!(outcome.status, Some(42));
    assert!(matches!(outcome.check(), Err(Error::Failed { end }) if end.contains("status 42")));
    Ok(())
}

#[test]
fn a_panic_is_reported_with_its_place_and_fails() -> Result<(), Error> {
    let outcome = ordered(&[b'P', 7]).run()?;
    let report = last_error(&outcome);
    assert!(
        report.starts_with("panicked at firmware-example/src/bin/faulty.rs:"),
        "{report}"
    );
    assert!(
        report.ends_with("this image panics, as asked with 7"),
        "{report}"
    );
    assert_eq!(outcome.status, Some(101));
    Ok(())
}

#[test]
fn a_hard_fault_is_reported_with_its_registers_and_fails() -> Result<(), Error> {
    let outcome = ordered(b"F\0").run()?;
    assert!(
        outcome
            .lines
            .iter()
            .any(|line| line.message.starts_with("hard fault at pc 0x"))
    );
    // UFSR.UNDEFINSTR, escalated.
    assert!(last_error(&outcome).starts_with("cfsr 0x00010000 hfsr 0x40000000"));
    assert_eq!(outcome.status, Some(102));
    Ok(())
}

#[test]
fn a_device_that_makes_no_progress_starts_anew() -> Result<(), Error> {
    let mut device = ordered(b"W\0").spawn()?;
    // Longer than the watchdog waits.
    device.wait_for("fed for 6")?;
    device.wait_for("no progress for 200 ms, starting anew")?;
    device.wait_for("fed for 6")?;
    device.stop()?;
    Ok(())
}

#[test]
fn an_image_that_hangs_is_killed_at_the_deadline() -> Result<(), Error> {
    let start = Instant::now();
    let outcome = ordered(b"H\0").deadline(Duration::from_secs(2)).run()?;
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(outcome.timed_out && outcome.status.is_none());
    assert_eq!(outcome.lines.len(), 1, "what it said before is kept");
    assert!(matches!(outcome.check(), Err(Error::Failed { end }) if end.contains("deadline")));
    Ok(())
}

#[test]
fn dropping_a_run_ends_its_process() -> Result<(), Error> {
    let (running, mut line) = connected(b"H\0")?;
    drop(running);
    // The socket closes with the process that held it.
    assert_eq!(line.read(&mut [0]).expect("the end of the stream"), 0);
    Ok(())
}

#[test]
fn the_serial_line_carries_bytes_both_ways() -> Result<(), Error> {
    let (running, mut line) = connected(b"E\0")?;
    // More than the ring of the device holds, so that it must make the sender wait and lose nothing.
    let sent: Vec<u8> = (1..=u8::MAX).cycle().take(50_000).chain([0]).collect();
    let mut writer = line.try_clone().expect("a second handle");
    let to_send = sent.clone();
    let sender = std::thread::spawn(move || writer.write_all(&to_send));
    let mut echoed = vec![0; sent.len()];
    line.read_exact(&mut echoed)
        .expect("as many bytes come back");
    sender
        .join()
        .expect("the sender ends")
        .expect("all is sent");
    assert!(
        sent.iter()
            .zip(&echoed)
            .all(|(sent, echoed)| *echoed == !*sent)
    );
    let outcome = running.wait()?.check()?;
    assert!(
        outcome
            .lines
            .iter()
            .any(|line| line.message == "echoed 50001 bytes, 0 overruns"),
        "{outcome}"
    );
    Ok(())
}

#[test]
fn the_serial_line_comes_back_when_its_listener_does() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let running = ordered(b"E\0").serial(address.to_string()).spawn()?;
    for round in 0..2 {
        let (mut line, _) = listener.accept().expect("the device connects");
        line.write_all(&[1]).expect("a byte goes out");
        let mut echoed = [0];
        line.read_exact(&mut echoed).expect("a byte comes back");
        assert_eq!(echoed, [!1], "round {round}");
    }
    let outcome = running.stop()?;
    assert!(!outcome.timed_out);
    Ok(())
}

#[test]
fn a_device_that_boots_before_its_listener_finds_it_later() -> Result<(), Error> {
    // An address that no other test listens on, so that nobody takes the port meanwhile.
    let address = TcpListener::bind("127.0.0.2:0").and_then(|listener| listener.local_addr());
    let address = address.expect("a free port");
    let mut running = ordered(b"T\0").serial(address.to_string()).spawn()?;
    running.wait_for("hanging")?;
    let listener = TcpListener::bind(address).expect("the port is free again");
    let (_line, _) = listener.accept().expect("the device connects");
    Ok(())
}

#[test]
fn the_device_has_the_bytes_that_it_was_provisioned_with() -> Result<(), Error> {
    let outcome = ordered(&[b'B', 4, 0xDE, 0xAD, 0, 0xFF, 9]).run()?.check()?;
    let expected = "provisioned [de, ad, 00, ff] of 1048576";
    assert!(
        outcome.lines.iter().any(|line| line.message == expected),
        "{outcome}"
    );
    Ok(())
}

#[test]
fn the_clock_of_the_device_keeps_time_and_a_sleeper_wakes() -> Result<(), Error> {
    let outcome = ordered(b"S\0").icount(5).run()?.check()?;
    // At the first tick of 5 ms after the deadline.
    let slept = [
        "slept 250 ms",
        "slept 251 ms",
        "slept 252 ms",
        "slept 253 ms",
        "slept 254 ms",
        "slept 255 ms",
    ];
    assert!(
        outcome
            .lines
            .iter()
            .any(|line| slept.contains(&line.message.as_str())),
        "{outcome}"
    );
    Ok(())
}

#[test]
fn lines_are_handed_on_as_they_come() -> Result<(), Error> {
    let (sender, lines) = mpsc::channel();
    let mut running = ordered(b"H\0")
        .on_line(move |line| drop(sender.send(line.message.clone())))
        .spawn()?;
    assert_eq!(lines.recv().as_deref(), Ok("hanging"));
    assert_eq!(running.wait_for("hang")?.level, Some(Level::Warn));
    let outcome = running.stop()?;
    assert!(!outcome.timed_out && outcome.status.is_none());
    Ok(())
}

#[test]
fn waiting_for_a_line_that_never_comes_shows_what_came() -> Result<(), Error> {
    let mut running = ordered(b"N\0").spawn()?;
    let refusal = running
        .wait_for("something else")
        .expect_err("it is never said");
    assert!(refusal.to_string().contains("nothing to do"), "{refusal}");
    Ok(())
}

#[test]
fn an_image_without_a_table_of_messages_is_refused() {
    let itself = std::env::current_exe().expect("this test is a file");
    let refusal = Qemu::new(itself)
        .spawn()
        .err()
        .expect("a host program is no image");
    assert!(matches!(refusal, Error::NoTable { .. }), "{refusal}");
}

#[test]
fn an_image_that_does_not_exist_is_not_built() {
    let refusal = build_image("nonesuch", Profile::Device).expect_err("there is no such binary");
    assert!(
        matches!(&refusal, Error::Build { output, .. } if output.contains("nonesuch")),
        "{refusal}"
    );
}

#[test]
fn the_runner_passes_on_the_log_and_the_status() {
    let output = Command::new(env!("CARGO_BIN_EXE_qemu-run"))
        .arg(&*FAULTY)
        .args(["--deadline", "60"])
        .output()
        .expect("the runner starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("nothing to do"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("serial line to nothing"));
}

#[test]
fn without_qemu_the_runner_says_what_to_type() {
    let output = Command::new(env!("CARGO_BIN_EXE_qemu-run"))
        .arg(&*FAULTY)
        .env("PATH", "")
        .output()
        .expect("the runner starts");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.contains("apt-get install qemu-system-arm"),
        "{complaint}"
    );
}

#[test]
fn without_a_tool_chain_the_set_up_says_what_to_type() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .env("PATH", "")
        .env_remove("RUSTC")
        .output()
        .expect("the demo starts");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.contains("rustup target add thumbv7em-none-eabihf"),
        "{complaint}"
    );
}

#[test]
fn a_program_for_this_machine_is_built_and_found() -> Result<(), Error> {
    let program = build_program("moorline-qemu", "qemu-run")?;
    assert!(program.is_file());
    Ok(())
}

#[test]
fn every_conformance_case_passes_on_the_device() -> Result<(), Error> {
    let report = conformance::run(Provider::Default, |line| println!("{}", line.message))?;
    for case in report
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Missing)
    {
        println!("{case}");
    }
    for discrepancy in &report.discrepancies {
        println!("{discrepancy}");
    }
    assert_eq!(report.failed_count(), 0, "the cases that failed are above");
    Ok(())
}

fn ordered(order: &[u8]) -> Qemu {
    Qemu::new(&*FAULTY).provision(order)
}

/// Runs the image with its serial line connected, and says that it has begun.
fn connected(order: &[u8]) -> Result<(Running, TcpStream), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let running = ordered(order).serial(address.to_string()).spawn()?;
    let (line, _) = listener.accept().expect("the device connects");
    Ok((running, line))
}

fn last_error(outcome: &Outcome) -> &str {
    let mut lines = outcome.lines.iter().rev();
    let error = lines.find(|line| line.level == Some(Level::Error));
    error.map_or("", |line| line.message.as_str())
}
