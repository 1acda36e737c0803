//! The commands that this device knows. To add one, add a line to `COMMANDS` and a function.

use moorline_core::connection::HubClock;
use moorline_core::limits::VERSION;
use moorline_core::message;
use moorline_core::message::{Reply, Status, Value};
use moorline_core::time::Instant;

use crate::board::{Clock, Leds, MEASURED_STACK_LEN, Sensor, Stack};

/// What commands act on.
pub struct Devices {
    /// The clock.
    pub clock: Clock,
    /// The LEDs.
    pub leds: Leds,
    /// The sensor.
    pub sensor: Sensor,
    /// The measure of the stack.
    pub stack: Stack,
}

/// What a command is given.
struct Asked<'a> {
    arguments: &'a [&'a str],
    session: &'a Session,
}

/// What commands know of the session that they came in.
pub struct Session {
    /// What both ends call it.
    pub id: [u8; 8],
    /// The hub's clock, authenticated by the handshake.
    pub hub_clock: HubClock,
}

/// One command.
struct Command {
    /// What it is called by.
    name: &'static str,
    /// How it is typed, for whom typed it otherwise.
    usage: &'static str,
    /// Takes its arguments apart and does it; nothing when they are not the ones it takes.
    run: for<'a> fn(&mut Devices, &Asked<'a>) -> Option<Reply<'a>>,
}

/// Every command, by name.
static COMMANDS: &[Command] = &[
    command("ping", "ping", ping),
    command("echo", "echo TEXT", echo),
    command("info", "info", info),
    command("led", "led [on|off]", led),
    command("read", "read", read),
];

const fn command(
    name: &'static str,
    usage: &'static str,
    run: for<'a> fn(&mut Devices, &Asked<'a>) -> Option<Reply<'a>>,
) -> Command {
    Command { name, usage, run }
}

/// Runs the command `asked` and returns what there is to say about it.
pub fn run<'a>(
    devices: &mut Devices,
    asked: &'a message::Command<'a>,
    session: &'a Session,
) -> Reply<'a> {
    let known = COMMANDS.iter().find(|command| command.name == asked.name);
    let asked = Asked {
        arguments: &asked.arguments,
        session,
    };
    let Some(command) = known else {
        return Reply::bare(Status::UnknownCommand);
    };
    (command.run)(devices, &asked).unwrap_or_else(|| {
        Reply::bare(Status::BadArgument).with("usage", Value::Text(command.usage))
    })
}

/// Says that it is there.
fn ping<'a>(_: &mut Devices, asked: &Asked<'a>) -> Option<Reply<'a>> {
    match asked.arguments {
        [] => Some(Reply::bare(Status::Done)),
        _ => None,
    }
}

/// Says what it was told.
fn echo<'a>(_: &mut Devices, asked: &Asked<'a>) -> Option<Reply<'a>> {
    match asked.arguments {
        [text] => Some(done().with("text", Value::Text(text))),
        _ => None,
    }
}

/// Says what runs here, for how long, how deep its stack went, and what time it is by the hub's clock.
fn info<'a>(devices: &mut Devices, asked: &Asked<'a>) -> Option<Reply<'a>> {
    let [] = asked.arguments else { return None };
    let hub_clock = &asked.session.hub_clock;
    let now = hub_clock.at(Instant(devices.clock.milliseconds()));
    let reply = done()
        .with("version", Value::Text(env!("CARGO_PKG_VERSION")))
        .with("protocol", Value::Int(i64::from(VERSION)))
        .with("uptime_ms", int(devices.clock.milliseconds()))
        .with("stack_peak_bytes", size(devices.stack.high_water_len()))
        .with("stack_measured_bytes", size(MEASURED_STACK_LEN))
        .with("session_id", Value::Bytes(&asked.session.id))
        .with("hub_time_ms", int(now.0))
        .with("hub_time_error_ms", int(hub_clock.error))
        .with(
            "hub_time_quality",
            Value::Int(i64::from(hub_clock.quality.code())),
        );
    Some(reply)
}

/// Switches the LED, and says what its register holds afterwards.
fn led<'a>(devices: &mut Devices, asked: &Asked<'a>) -> Option<Reply<'a>> {
    match asked.arguments {
        [] => {}
        ["on"] => devices.leds.set(LED, true),
        ["off"] => devices.leds.set(LED, false),
        _ => return None,
    }
    Some(done().with("on", Value::Bool(devices.leds.is_lit(LED))))
}

/// Says what the sensor measures.
fn read<'a>(devices: &mut Devices, asked: &Asked<'a>) -> Option<Reply<'a>> {
    let [] = asked.arguments else { return None };
    let millidegrees = i64::from(devices.sensor.millidegrees());
    Some(done().with("temperature_millicelsius", Value::Int(millidegrees)))
}

fn done<'a>() -> Reply<'a> {
    Reply::bare(Status::Done)
}

fn int(number: u64) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn size(number: usize) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The LED that is switched.
const LED: u32 = 0;
