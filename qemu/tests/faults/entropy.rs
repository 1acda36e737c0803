//! A source of random bytes that gives none, or none any more, or always the same.

use moorline_qemu::site::{Road, Site};
use moorline_qemu::{Error, Qemu};

use crate::hub::Hub;
use crate::{AGENT, DEADLINE, at_once};

#[test]
fn a_device_without_entropy_does_not_start() -> Result<(), Error> {
    let hub = Hub::listen();
    let device = || Qemu::new(&*AGENT).provision(hub.provision());
    for (device, reason) in [
        (device().entropy_ends_after(0), "Short"),
        (device().entropy_ends_after(1), "Short"),
        (device().entropy_repeats_itself(), "Stuck"),
    ] {
        let outcome = hub.lay(device).run()?;
        assert_eq!(outcome.status, Some(1), "{outcome}");
        let last = outcome.lines.last().map(|line| line.message.as_str());
        let wanted = format!("cannot start: there is no entropy ({reason}), so there are no keys");
        assert_eq!(last, Some(&*wanted), "{outcome}");
    }
    Ok(())
}

/// Whatever it draws for last, it neither hangs nor goes on with bytes that are not random.
#[test]
fn a_device_whose_entropy_ends_opens_no_link_any_more() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let image = site.provision_agent("boiler-1", &hub, Road::Network)?;
    let device = |draws| {
        let device = Qemu::new(&*AGENT).provision(image.clone());
        let device = device.deadline(DEADLINE).entropy_ends_after(draws);
        Road::Network.lay(device, &hub)
    };
    // For the connection, the upgrade, the key share, in the middle of the handshake, and for what is said on the link.
    at_once([3, 5, 7, 8, LINK_DRAWS], |draws| {
        let mut device = device(draws).spawn()?;
        for _ in 0..2 {
            let lost = device.wait_for("link lost: ")?.message;
            assert!(lost.contains("Entropy"), "{draws}: {lost}");
            device.wait_for("retry in ")?;
        }
        let has_opened = device.has_said("link open session");
        assert_eq!(has_opened, draws == LINK_DRAWS, "{draws}");
        let outcome = device.stop()?;
        assert_eq!(outcome.status, None, "{draws}: {outcome}");
        Ok(())
    })
}

/// Draws up to an open link: two of the check, and what the network, the upgrade and the handshake take.
const LINK_DRAWS: u32 = 9;
