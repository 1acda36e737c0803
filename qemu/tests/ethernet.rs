//! The device on the emulated Ethernet: the driver, an address by DHCP, and a TCP connection to this machine.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use lan::{Asked, HOST, Lan};
use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::monitor::Monitor;
use moorline_qemu::{Error, GATEWAY, Outcome, Qemu, Running};

mod lan;

static IMAGE: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("ethernet", Profile::Device).expect("the image builds"));

#[test]
fn bytes_travel_both_ways_in_pieces_of_every_size() -> Result<(), Error> {
    let host = Host::listen();
    let mut device = host.boot(|qemu| qemu)?;
    device.wait_for("words checked")?;
    device.wait_for("address 10.0.2.15/24")?;
    let mut line = host.accept();
    let mut total = 1;
    // A byte, less than a word, around the longest segment of a frame, and many of them.
    for len in [1, 3, 4, 1459, 1460, 1461, 2920, 5_000, 100_003] {
        line.carry(len);
        total += len;
    }
    line.finish();
    device.wait_for(&format!("echoed {total} bytes"))?;
    let outcome = device.wait()?.check()?;
    let counters = said(&outcome, "Counters");
    for none in ["refused: 0", "unsent: 0", "restarts: 0"] {
        assert!(counters.contains(none), "{counters}");
    }
    // It does not look for frames unasked.
    assert!(!counters.contains("interrupts: 0"), "{counters}");
    Ok(())
}

#[test]
fn a_connection_outlives_a_plug_that_is_out_for_a_moment() -> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("monitor");
    let host = Host::listen();
    let mut device = host.boot(|qemu| qemu.monitor(&socket))?;
    let mut monitor = Monitor::connect(&socket)?;
    let mut line = host.accept();
    line.carry(1_000);
    monitor.set_link(false)?;
    device.wait_for("ethernet link false")?;
    line.say(&[7; 100]);
    // Nothing comes through.
    line.wait(Duration::from_millis(500));
    assert_eq!(line.hear_error(), ErrorKind::WouldBlock);
    monitor.set_link(true)?;
    device.wait_for("ethernet link true")?;
    line.wait(PATIENCE);
    assert_eq!(line.hear(100), [!7; 100]);
    // The address is asked for again.
    device.wait_for("address 10.0.2.15/24")?;
    line.carry(3_000);
    line.finish();
    device.wait()?.check()?;
    Ok(())
}

#[test]
fn an_address_that_no_server_confirms_after_the_plug_was_out_is_given_up() -> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("monitor");
    let lan = Lan::listen();
    let mut device = boot_on(&lan, &format!("{HOST}:7443"), |qemu| {
        qemu.monitor(&socket).deadline(Duration::from_secs(120))
    })?;
    let mut monitor = Monitor::connect(&socket)?;
    let mut wire = lan.plug();
    wire.serve_until(&Asked::Connection(7443));
    device.wait_for("no connection: Refused")?;
    monitor.set_link(false)?;
    device.wait_for("ethernet link false")?;
    monitor.set_link(true)?;
    device.wait_for("ethernet link true")?;
    // Nobody answers.
    device.wait_for("the address is over")?;
    device.wait_for("no connection: NoAddress")?;
    wire.serve_until(&Asked::Connection(7443));
    device.wait_for("no connection: Refused")?;
    device.stop()?;
    Ok(())
}

#[test]
fn a_device_that_is_plugged_out_for_long_gives_the_connection_up_and_comes_back()
-> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("monitor");
    let host = Host::listen();
    let mut device = host.boot(|qemu| qemu.monitor(&socket))?;
    let mut monitor = Monitor::connect(&socket)?;
    let mut line = host.accept();
    line.carry(10);
    // What is on its way meets a wire without an end, and is acknowledged by nobody.
    line.say(&[1; 10]);
    monitor.set_link(false)?;
    device.wait_for("lost after ")?;
    device.wait_for("no connection: NoWire")?;
    monitor.set_link(true)?;
    let mut line = host.accept();
    line.carry(10);
    line.finish();
    device.wait()?.check()?;
    Ok(())
}

#[test]
fn a_controller_that_reports_a_fault_is_restarted_and_the_connection_goes_on() -> Result<(), Error>
{
    let host = Host::listen();
    let mut device = host.boot(|qemu| qemu)?;
    let mut line = host.accept();
    for _ in 0..3 {
        line.say(&[0xFF; 2_000]);
        device.wait_for("ethernet restarted, true")?;
        assert_eq!(line.hear(2_000), [0; 2_000]);
        line.carry(5_000);
    }
    line.finish();
    let outcome = device.wait()?.check()?;
    let counters = said(&outcome, "Counters");
    assert!(!counters.contains("restarts: 0"), "{counters}");
    Ok(())
}

#[test]
fn every_end_of_a_connection_has_its_name() -> Result<(), Error> {
    let host = Host::listen();
    let mut device = host.boot(|qemu| qemu)?;
    let mut line = host.accept();
    line.carry(5);
    drop(line);
    device.wait_for("closed after 5 bytes")?;
    let port = host.address.port();
    drop(host.accept());
    drop(host);
    device.wait_for("no connection: Refused")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
    let mut line = Line::of(listener.accept().expect("the device connects").0);
    line.finish();
    device.wait()?.check()?;
    Ok(())
}

#[test]
fn a_name_is_resolved_by_the_server_that_the_lease_names() -> Result<(), Error> {
    let lan = Lan::listen();
    let mut device = boot_on(&lan, &format!("{HOST}:7443"), |qemu| qemu)?;
    let mut wire = lan.plug();
    wire.serve_until(&Asked::Name(HOST.into()));
    wire.serve_until(&Asked::Connection(7443));
    device.wait_for("address 192.0.2.10/24")?;
    device.wait_for("no connection: Refused")?;
    // It asks for the name each time, for the host may have moved.
    wire.serve_until(&Asked::Name(HOST.into()));
    device.stop()?;
    Ok(())
}

#[test]
fn a_name_that_is_none_and_one_that_nobody_knows_are_reported() -> Result<(), Error> {
    let lan = Lan::listen();
    let mut device = boot_on(&lan, "two..dots:80", |qemu| qemu)?;
    let mut wire = lan.plug();
    wire.serve_until(&Asked::Lease);
    wire.serve_until(&Asked::Lease);
    device.wait_for("no connection: BadName")?;
    device.stop()?;

    let lan = Lan::listen();
    let mut device = boot_on(&lan, "elsewhere.example:80", |qemu| qemu)?;
    let mut wire = lan.plug();
    wire.serve_until(&Asked::Name("elsewhere.example".into()));
    device.wait_for("no connection: NoSuchHost")?;
    device.stop()?;
    Ok(())
}

#[test]
fn a_flood_of_frames_and_garbage_do_no_harm() -> Result<(), Error> {
    let lan = Lan::listen();
    let mut device = boot_on(&lan, &format!("{HOST}:7443"), |qemu| qemu)?;
    let mut wire = lan.plug();
    wire.serve_until(&Asked::Connection(7443));
    for round in 0..50_u8 {
        for len in [14, 15, 60, 61, 1514, 1515, 2000] {
            // To everybody, of every type: some of them look like IPv4 and ARP.
            let mut frame = vec![round; len];
            frame[..6].fill(0xFF);
            frame[12..14]
                .copy_from_slice(&[[8, 0], [8, 6], [round, len.to_be_bytes()[7]]][len % 3]);
            wire.say(&frame);
        }
    }
    wire.serve_until(&Asked::Connection(7443));
    wire.serve_until(&Asked::Connection(7443));
    device.wait_for("no connection: Refused")?;
    let outcome = device.stop()?;
    assert!(!outcome.timed_out, "{outcome}");
    let counters = said(&outcome, "Counters");
    assert!(!counters.contains("refused: 0"), "{counters}");
    Ok(())
}

#[test]
fn who_gets_no_address_says_so_and_goes_on_asking() -> Result<(), Error> {
    let lan = Lan::listen();
    let mut device = boot_on(&lan, &format!("{HOST}:7443"), |qemu| qemu)?;
    let mut wire = lan.plug();
    // Nobody answers.
    device.wait_for("no connection: NoAddress")?;
    wire.serve_until(&Asked::Connection(7443));
    device.wait_for("no connection: Refused")?;
    device.stop()?;
    Ok(())
}

#[test]
fn without_a_network_the_device_reaches_nobody() -> Result<(), Error> {
    let host = Host::listen();
    // The emulator's network is there, and leads nowhere.
    let mut device = Qemu::new(&*IMAGE).provision(host.provision()).spawn()?;
    device.wait_for("address 10.0.2.15/24")?;
    device.wait_for("no connection: ")?;
    host.listener.set_nonblocking(true).expect("a listener");
    let nobody = host.listener.accept().map(|_| ());
    assert_eq!(
        nobody.map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock)
    );
    device.stop()?;
    Ok(())
}

/// This machine, as the device reaches it.
struct Host {
    listener: TcpListener,
    address: SocketAddr,
}

impl Host {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        Self { listener, address }
    }

    fn provision(&self) -> String {
        format!("{GATEWAY}:{}\0", self.address.port())
    }

    fn boot(&self, with: impl FnOnce(Qemu) -> Qemu) -> Result<Running, Error> {
        let qemu = Qemu::new(&*IMAGE)
            .provision(self.provision())
            .network()
            .on_line(|line| println!("device: {line}"));
        with(qemu).spawn()
    }

    fn accept(&self) -> Line {
        Line::of(self.listener.accept().expect("the device connects").0)
    }
}

/// Boots the device on `lan`; it is to connect to `host`.
fn boot_on(lan: &Lan, host: &str, with: impl FnOnce(Qemu) -> Qemu) -> Result<Running, Error> {
    let qemu = Qemu::new(&*IMAGE)
        .provision(format!("{host}\0"))
        .ethernet(lan.address())
        .on_line(|line| println!("device: {line}"));
    with(qemu).spawn()
}

/// A connection of the device.
struct Line(TcpStream);

impl Line {
    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a connection");
        let line = Self(stream);
        line.wait(PATIENCE);
        line
    }

    fn wait(&self, patience: Duration) {
        self.0.set_read_timeout(Some(patience)).expect("a timeout");
    }

    fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the line is there");
    }

    fn hear(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).expect("as many come back");
        bytes
    }

    fn hear_error(&mut self) -> ErrorKind {
        self.0
            .read(&mut [0])
            .expect_err("nothing comes back")
            .kind()
    }

    /// Sends `len` bytes, none of them zero or 0xFF, and hears them come back with their bits flipped.
    fn carry(&mut self, len: usize) {
        let sent: Vec<u8> = (1..u8::MAX).cycle().take(len).collect();
        let mut writer = self.0.try_clone().expect("a second handle");
        let to_send = sent.clone();
        // More than the buffers between the two take would wait for the reader.
        let sender = std::thread::spawn(move || writer.write_all(&to_send));
        let echoed = self.hear(len);
        sender.join().expect("it ends").expect("all is sent");
        assert!(
            sent.iter()
                .zip(&echoed)
                .all(|(sent, echoed)| *echoed == !*sent)
        );
    }

    /// Ends the run.
    fn finish(&mut self) {
        self.say(&[0]);
        assert_eq!(self.hear(1), [0xFF]);
    }
}

fn said(outcome: &Outcome, word: &str) -> String {
    let mut lines = outcome.lines.iter().rev();
    let line = lines.find(|line| line.message.contains(word));
    line.map(|line| line.message.clone())
        .unwrap_or_else(|| panic!("it says {word}: {outcome}"))
}

/// Any wait of a test.
const PATIENCE: Duration = Duration::from_secs(30);
