//! How an image is to be run.

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::bench::address_of;
use crate::error::Error;
use crate::log::{Decoder, LogLine};
use crate::running::{Outcome, Running};

/// A run of one image, described. [`Qemu::spawn`] starts it.
pub struct Qemu {
    image: PathBuf,
    machine: String,
    icount: Option<u32>,
    serial: Option<String>,
    network: Network,
    provision: Option<Vec<u8>>,
    monitor: Option<PathBuf>,
    flash: Option<PathBuf>,
    power_cut: Option<PowerCut>,
    worn_out_from: Option<u32>,
    entropy: Option<String>,
    deadline: Option<Duration>,
    on_line: Box<dyn FnMut(&LogLine) + Send>,
}

impl Qemu {
    /// Describes a run of `image` on the machine of `firmware-example`, without a serial line, on a network that leads
    /// nowhere, for a minute at most.
    pub fn new(image: impl Into<PathBuf>) -> Self {
        Self {
            image: image.into(),
            machine: MACHINE.into(),
            icount: None,
            serial: None,
            network: Network::Nowhere,
            provision: None,
            monitor: None,
            flash: None,
            power_cut: None,
            worn_out_from: None,
            entropy: None,
            deadline: Some(DEFAULT_DEADLINE),
            on_line: Box::new(|_| ()),
        }
    }

    /// Takes another machine than `mps2-an386`.
    pub fn machine(mut self, machine: impl Into<String>) -> Self {
        self.machine = machine.into();
        self
    }

    /// Lets one instruction take 2^`shift` ns of virtual time, so that times count instructions.
    pub fn icount(mut self, shift: u32) -> Self {
        self.icount = Some(shift);
        self
    }

    /// Connects the serial line to the TCP listener at `address`, `HOST:PORT`.
    ///
    /// QEMU connects again a second after the connection ends. What the device sends while there is none is lost,
    /// as on a wire that is not plugged in; this includes what it sends before the first connection stands.
    pub fn serial(mut self, address: impl Into<String>) -> Self {
        self.serial = Some(address.into());
        self
    }

    /// Puts the device on a network that leads on: [`GATEWAY`] is the loopback of this machine, and what the machine
    /// reaches the device reaches too. Nobody reaches the device.
    pub fn network(mut self) -> Self {
        self.network = Network::ThisMachine;
        self
    }

    /// Connects the device's Ethernet to the TCP listener at `address`, `HOST:PORT`: frame after frame, the length of each
    /// before it as 4 bytes, big-endian.
    pub fn ethernet(mut self, address: impl Into<String>) -> Self {
        self.network = Network::Wire(address.into());
        self
    }

    /// Puts `bytes` where the image finds what it was provisioned with.
    pub fn provision(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.provision = Some(bytes.into());
        self
    }

    /// Has the monitor listen on a socket at `path`, for [`crate::monitor::Monitor`].
    pub fn monitor(mut self, path: impl Into<PathBuf>) -> Self {
        self.monitor = Some(path.into());
        self
    }

    /// Makes the file at `path` the flash of the device. It is made, erased, when it is not there.
    pub fn flash(mut self, path: impl Into<PathBuf>) -> Self {
        self.flash = Some(path.into());
        self
    }

    /// Cuts the power at the `step`th word that is written to flash or sector that is erased, counted from one, and ends
    /// the run with [`crate::POWER_CUT`]. Which bits of that step have changed follows from `tear`.
    pub fn power_cut_after(mut self, step: u32, tear: u32) -> Self {
        self.power_cut = Some(PowerCut { step, tear });
        self
    }

    /// Lets the `step`th word that is written to flash or sector that is erased, counted from one, and all that come after
    /// it fail.
    pub fn flash_fails_from(mut self, step: u32) -> Self {
        self.worn_out_from = Some(step);
        self
    }

    /// Lets the device have random bytes `draws` times, and never again.
    pub fn entropy_ends_after(mut self, draws: u32) -> Self {
        self.entropy = Some(format!("dry={draws}"));
        self
    }

    /// Lets the device's source of random bytes give the same each time.
    pub fn entropy_repeats_itself(mut self) -> Self {
        self.entropy = Some("stuck=1".into());
        self
    }

    /// Ends the run after `deadline`, as timed out.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Lets the run go on until the image or the user ends it.
    pub fn without_deadline(mut self) -> Self {
        self.deadline = None;
        self
    }

    /// Calls `on_line` with each line as it comes, on a thread of its own.
    pub fn on_line(mut self, on_line: impl FnMut(&LogLine) + Send + 'static) -> Self {
        self.on_line = Box::new(on_line);
        self
    }

    /// Runs the image to its end.
    ///
    /// # Errors
    ///
    /// As [`Qemu::spawn`]. A run that fails is not an error here: see [`Outcome::check`].
    pub fn run(self) -> Result<Outcome, Error> {
        self.spawn()?.wait()
    }

    /// Starts the image.
    ///
    /// # Errors
    ///
    /// QEMU is not installed, the image has no table of messages or no place for what it is provisioned with, or the
    /// serial line is no `HOST:PORT`.
    pub fn spawn(self) -> Result<Running, Error> {
        let decoder = Decoder::for_image(&self.image)?;
        let provision = self.provision.as_deref().map(to_file).transpose()?;
        let mut command = Command::new(PROGRAM);
        command.arg("-machine").arg(&self.machine).args(HEADLESS);
        command.arg("-semihosting-config").arg(self.semihosting());
        command.args(["-nic", &self.network.to_option()]);
        match &self.serial {
            None => command.args(["-serial", "none"]),
            Some(address) => command.args([
                "-chardev",
                &chardev(address).ok_or(Error::SerialAddress {
                    address: address.clone(),
                })?,
                "-serial",
                "chardev:hub",
            ]),
        };
        if let Some(shift) = self.icount {
            command.args(["-icount", &format!("shift={shift}")]);
        }
        if let Some(file) = &provision {
            let path = file.path().display();
            let address = address_of(PROVISION, &self.image)?;
            command.args([
                "-device",
                &format!("loader,file={path},addr={address:#010x},force-raw=on"),
            ]);
        }
        if let Some(path) = &self.monitor {
            let path = path.display();
            command.args(["-qmp", &format!("unix:{path},server=on,wait=off")]);
        }
        command.arg("-kernel").arg(&self.image);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => Error::QemuMissing,
                _ => Error::Start {
                    program: PROGRAM.into(),
                    source,
                },
            })?;
        Running::watch(child, decoder, self.on_line, self.deadline, provision)
    }

    /// Returns the option for semihosting, by which the device writes its log and has its command line. The path comes
    /// last there: the device takes all that follows for it.
    fn semihosting(&self) -> String {
        let mut option = String::from("enable=on,target=native");
        if let Some(PowerCut { step, tear }) = self.power_cut {
            option += &format!(",arg=cut={step},arg=tear={tear}");
        }
        if let Some(step) = self.worn_out_from {
            option += &format!(",arg=fail={step}");
        }
        if let Some(fault) = &self.entropy {
            option += &format!(",arg={fault}");
        }
        if let Some(path) = &self.flash {
            // A comma would start the next option; two stand for one.
            let path = path.to_string_lossy().replace(',', ",,");
            option += &format!(",arg=flash={path}");
        }
        option
    }
}

/// When the power is cut.
#[derive(Clone, Copy)]
struct PowerCut {
    step: u32,
    tear: u32,
}

fn to_file(bytes: &[u8]) -> Result<NamedTempFile, Error> {
    let name = |source| Error::File {
        path: std::env::temp_dir(),
        source,
    };
    let mut file = NamedTempFile::new().map_err(name)?;
    file.write_all(bytes).map_err(name)?;
    Ok(file)
}

/// Says how QEMU reaches the listener. Without `nodelay` each byte waits for the acknowledgement of the last.
fn chardev(address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // A comma would start the next option.
    if host.is_empty() || host.contains(',') {
        return None;
    }
    Some(format!(
        "socket,id=hub,host={host},port={port},reconnect=1,nodelay=on"
    ))
}

pub(crate) const PROGRAM: &str = "qemu-system-arm";
const MACHINE: &str = "mps2-an386";

/// What the device's Ethernet is plugged into.
enum Network {
    /// A network with a DHCP server that leads nowhere: with none at all QEMU complains that the board's controller has no
    /// peer.
    Nowhere,
    /// One that leads to this machine and on.
    ThisMachine,
    /// A listener that takes and gives frames.
    Wire(String),
}

impl Network {
    fn to_option(&self) -> String {
        match self {
            Self::Nowhere => format!("user,id={NETWORK_NAME},restrict=on"),
            Self::ThisMachine => format!("user,id={NETWORK_NAME}"),
            Self::Wire(address) => format!("socket,id={NETWORK_NAME},connect={address}"),
        }
    }
}

/// What a device on a network has this machine's loopback at.
pub const GATEWAY: &str = "10.0.2.2";
/// What the monitor calls the network.
pub(crate) const NETWORK_NAME: &str = "lan";

/// No window, no console.
const HEADLESS: [&str; 4] = ["-display", "none", "-monitor", "none"];
/// What the images call the place of what they were provisioned with: `firmware-example/memory/`.
const PROVISION: &str = "_provision_start";
/// Enough for any image of ours on a loaded machine; those that need more say so.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flash_is_the_last_word_of_the_command_line() {
        let plain = Qemu::new("image");
        assert_eq!(plain.semihosting(), "enable=on,target=native");
        let cut = Qemu::new("image").flash("/tmp/a, b").power_cut_after(7, 9);
        assert_eq!(
            cut.semihosting(),
            "enable=on,target=native,arg=cut=7,arg=tear=9,arg=flash=/tmp/a,, b"
        );
        let worn = Qemu::new("image").flash("/tmp/a").flash_fails_from(3);
        assert_eq!(
            worn.semihosting(),
            "enable=on,target=native,arg=fail=3,arg=flash=/tmp/a"
        );
        let dry = Qemu::new("image").flash("/tmp/a").entropy_ends_after(2);
        assert_eq!(
            dry.semihosting(),
            "enable=on,target=native,arg=dry=2,arg=flash=/tmp/a"
        );
    }

    #[test]
    fn a_serial_line_is_a_host_and_a_port() {
        let wired = chardev("127.0.0.1:7878");
        assert_eq!(
            wired.as_deref(),
            Some("socket,id=hub,host=127.0.0.1,port=7878,reconnect=1,nodelay=on")
        );
        assert!(chardev("[::1]:7878").is_some_and(|option| option.contains("host=::1,")));
        for address in [
            "",
            "7878",
            "127.0.0.1",
            "127.0.0.1:",
            ":1",
            "host:99999",
            "a,server=on:1",
        ] {
            assert_eq!(chardev(address), None, "{address}");
        }
    }

    #[test]
    fn a_network_leads_nowhere_unless_it_is_asked_to() {
        let qemu = Qemu::new("image");
        assert_eq!(qemu.network.to_option(), "user,id=lan,restrict=on");
        assert_eq!(qemu.network().network.to_option(), "user,id=lan");
        let qemu = Qemu::new("image").ethernet("127.0.0.1:1");
        let option = qemu.network.to_option();
        assert_eq!(option, "socket,id=lan,connect=127.0.0.1:1");
    }
}
