//! The Ethernet driver and the network on it: what `qemu/tests/ethernet.rs` plays with.
//!
//! It holds the driver's arithmetic against known words; then it connects to the host that its provisioned bytes name,
//! `HOST:PORT` and a zero, and echoes what it hears with its bits flipped, connection after connection. A zero byte
//! ends the run; the byte 0xFF makes the controller report a fault first.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embedded_io::{Error as _, ErrorKind, Read, Write};
use moorline_firmware::board::ethernet::words::{
    FRAME_LEN, Received, hardware_address, is_full_duplex, is_station, is_unsent, pack,
    transmit_commands, unpack,
};
use moorline_firmware::board::{Board, FAILURE, SUCCESS, exit};
use moorline_firmware::net::{Net, TcpStream};

#[entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else {
        exit(FAILURE)
    };
    check_words();
    let Some((host, port)) = wanted(board.provision) else {
        defmt::error!("no HOST:PORT was provisioned");
        exit(FAILURE)
    };
    let net = match Net::start(board.ethernet, board.clock, &mut board.entropy) {
        Ok(net) => net,
        Err(error) => {
            defmt::error!("no network: {}", error);
            exit(FAILURE)
        }
    };
    loop {
        let is_over = match net.connect(host, port, &mut board.entropy) {
            Ok(stream) => echo(stream),
            Err(error) => {
                defmt::warn!("no connection: {}", error);
                false
            }
        };
        defmt::info!("{}", net.counters());
        if is_over {
            exit(SUCCESS)
        }
        net.rest_until(board.clock.milliseconds() + PAUSE_MS);
    }
}

/// Echoes until the connection ends; says whether the run does too.
fn echo(mut stream: TcpStream<'_>) -> bool {
    defmt::info!("connected");
    let mut bytes = [0; 3000];
    let mut total: usize = 0;
    loop {
        let arrived = match stream.read(&mut bytes) {
            Ok(0) => {
                defmt::info!("closed after {=usize} bytes", total);
                return false;
            }
            Ok(len) => bytes.get_mut(..len).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::TimedOut => continue,
            Err(error) => {
                defmt::warn!("lost after {=usize} bytes: {}", total, error);
                return false;
            }
        };
        total += arrived.len();
        let is_over = arrived.contains(&0);
        if arrived.contains(&0xFF) {
            stream.provoke_fault();
        }
        for byte in arrived.iter_mut() {
            *byte = !*byte;
        }
        if let Err(error) = stream.write_all(arrived).and_then(|()| stream.flush()) {
            defmt::warn!("lost after {=usize} bytes: {}", total, error);
            return false;
        }
        if is_over {
            defmt::info!("echoed {=usize} bytes", total);
            return true;
        }
    }
}

/// Reads `HOST:PORT` up to a zero.
fn wanted(provision: &'static [u8]) -> Option<(&'static str, u16)> {
    let text = provision.split(|byte| *byte == 0).next()?;
    let (host, port) = str::from_utf8(text).ok()?.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

/// Panics where the driver's arithmetic is wrong.
fn check_words() {
    // A frame of 60 bytes with its check sequence, good; then damaged, too short, too long, and none.
    let good = Received {
        word_count: 16,
        len: Some(60),
    };
    assert_eq!(Received::decode(64 << 16), good);
    assert_eq!(Received::decode((64 << 16) | (1 << 13) | (1 << 10)), good);
    for (status, word_count) in [
        ((64 << 16) | (1 << 15), 16),
        (17 << 16, 5),
        (1519 << 16, 380),
        (0x3FFF << 16, 4096),
        (3 << 16, 1),
        (0, 0),
    ] {
        let refused = Received {
            word_count,
            len: None,
        };
        assert_eq!(Received::decode(status), refused);
    }
    assert_eq!(Received::decode(18 << 16).len, Some(14));
    assert_eq!(Received::decode(1518 << 16).len, Some(FRAME_LEN));
    // The filter's verdict, above the length, is none of its bits.
    assert_eq!(Received::decode((1 << 30) | (64 << 16)), good);

    assert_eq!(transmit_commands(60), [0x3000 | 60, 60]);
    assert_eq!(transmit_commands(9999), [0x3000 | 1514, 1514]);
    assert!(is_unsent(0x1234_8000) && !is_unsent(0x1234_7FFF));

    let frame = [1, 2, 3, 4, 5, 6, 7];
    assert!(pack(&frame).eq([0x0403_0201, 0x0007_0605]));
    assert!(pack(&frame[..4]).eq([0x0403_0201]));
    assert!(pack(&[]).eq([]));
    for len in 0..=frame.len() {
        let mut words = pack(&frame[..len]);
        let mut back = [0xEE; 7];
        unpack(&mut back[..len], || words.next().unwrap_or(0));
        assert_eq!(back[..len], frame[..len]);
        assert!(back[len..].iter().all(|byte| *byte == 0xEE));
        assert!(words.next().is_none());
    }

    let address = hardware_address(0x1200_5452, 0xFFFF_5634);
    assert_eq!(address, [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    assert!(is_station(&address));
    assert!(!is_station(&[0; 6]) && !is_station(&[0xFF; 6]) && !is_station(&[1, 0, 0x5E, 0, 0, 1]));

    for (own, partner, is_full) in [
        (0x01E1, 0x41E1, true),
        (0x01E1, 0x0081, false),
        (0x01E1, 0x0041, true),
        (0x01E1, 0x00C1, false),
        (0x01E1, 0x0021, false),
        (0x0041, 0x0101, false),
    ] {
        assert_eq!(is_full_duplex(own, partner), is_full);
    }
    defmt::info!("words checked");
}

/// Between two connections.
const PAUSE_MS: u64 = 200;
