//! What every image of the agent answers.

use moorline_core::message::Status;

use super::Peer;

/// Asks for every command, and for what is none, and judges the answers.
pub(crate) fn answer_every_command(peer: &mut Peer<'_>) {
    let pong = peer.ask("ping", &[]);
    assert_eq!((pong.status, pong.fields.len()), (Status::Done, 0));

    let text = "héllo, \"line\"\n";
    let echo = peer.ask("echo", &[text]);
    assert_eq!(echo.fields["text"], format!("Text({text:?})"));
    let long = "x".repeat(930);
    let echo = peer.ask("echo", &[&long]);
    assert_eq!(echo.fields["text"], format!("Text({long:?})"));

    let info = peer.ask("info", &[]);
    let version = format!("Text({:?})", env!("CARGO_PKG_VERSION"));
    assert_eq!(info.fields["version"], version);
    assert_eq!(info.int("protocol"), 1);
    let peak = info.int("stack_peak_bytes");
    assert!((1_000..36_000).contains(&peak), "{peak}");
    assert!(info.int("stack_measured_bytes") > peak);
    let session = u64::from_str_radix(&peer.session(), 16).expect("a number");
    let session = format!("Bytes({:?})", session.to_be_bytes());
    assert_eq!(info.fields["session_id"], session);
    assert!(peer.ask("info", &[]).int("uptime_ms") >= info.int("uptime_ms"));

    for (argument, on) in [("on", true), ("off", false), ("on", true)] {
        let expected = format!("Bool({on})");
        assert_eq!(peer.ask("led", &[argument]).fields["on"], expected);
        assert_eq!(peer.ask("led", &[]).fields["on"], expected);
    }

    let first = peer.ask("read", &[]).int("temperature_millicelsius");
    assert!((18_000..=26_000).contains(&first), "{first}");
    // It changes every few milliseconds.
    while peer.ask("read", &[]).int("temperature_millicelsius") == first {}

    assert_eq!(peer.ask("fly", &[]).status, Status::UnknownCommand);
    for (name, arguments) in [
        ("ping", &["x"][..]),
        ("echo", &[]),
        ("echo", &["two", "words"]),
        ("led", &["maybe"]),
        ("led", &["on", "off"]),
        ("info", &["x"]),
        ("read", &["x"]),
    ] {
        let said = peer.ask(name, arguments);
        assert_eq!(said.status, Status::BadArgument, "{name} {arguments:?}");
        assert!(said.fields["usage"].contains(name), "{said:?}");
    }
}
