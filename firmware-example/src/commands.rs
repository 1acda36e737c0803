//! The commands that this device knows. To add one, add a line to `COMMANDS` and a function.

use moorline_core::channel::Route;
use moorline_core::connection::HubClock;
use moorline_core::limits::VERSION;
use moorline_core::message;
use moorline_core::message::{Reply, Status, Value};
use moorline_core::time::Instant;
use moorline_core::token::Permissions;

use crate::arguments::{Argument, Arguments, Kind, Parameter, optional, parse, required};
use crate::board::{Clock, Leds, Level, Log, MEASURED_STACK_LEN, Sensor, Stack, Watchdog};
use crate::exchange::CHANNEL_COUNT;
use crate::kept::Kept;
use crate::reports::{Reports, Start, Topic};
use crate::rotation::Rotation;
use crate::settings::{Settings, Text};

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
    /// The log.
    pub log: Log,
    /// It is fed at each turn of serving, before another key is tried, and while the device rests.
    pub watchdog: Watchdog,
    /// What commanders have set.
    pub settings: Settings,
    /// The next key.
    pub rotation: Rotation,
    /// What outlasts a reset; nothing on a board without flash.
    pub kept: Option<&'static mut Kept>,
    /// What the device says by itself.
    pub reports: &'static mut Reports<CHANNEL_COUNT>,
    /// Whether the device is to start anew, once its answer is on its way.
    pub is_reboot_due: bool,
    /// The value of a setting while it is said.
    pub text: Text,
}

/// Who asks, and in which session.
pub struct Asker<'a> {
    /// What the commander's token permits.
    pub granted: Permissions,
    /// The channel; nothing for a command that was left while the device was away.
    pub route: Option<Route>,
    /// The session with the hub.
    pub session: &'a Session,
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
    /// What it takes.
    parameters: &'static [Parameter],
    /// How it is typed, for whom typed it otherwise.
    usage: &'static str,
    /// What its commander's token must permit.
    permission: Permissions,
    /// Does it; nothing when its arguments do not go together.
    run: for<'a> fn(&'a mut Devices, &Asker<'a>, &Arguments<'a>) -> Option<Reply<'a>>,
}

/// Every command.
static COMMANDS: &[Command] = &[
    Command {
        name: "ping",
        parameters: &[],
        usage: "ping",
        permission: Permissions::AGENT_COMMAND_PING,
        run: ping,
    },
    Command {
        name: "echo",
        parameters: &[required(Kind::Text)],
        usage: "echo TEXT",
        permission: Permissions::AGENT_COMMAND_ECHO,
        run: echo,
    },
    Command {
        name: "info",
        parameters: &[],
        usage: "info",
        permission: Permissions::AGENT_COMMAND_INFO,
        run: info,
    },
    Command {
        name: "led",
        parameters: &[optional(Kind::Switch)],
        usage: "led [on|off]",
        permission: Permissions::AGENT_COMMAND_LED,
        run: led,
    },
    Command {
        name: "read",
        parameters: &[],
        usage: "read",
        permission: Permissions::AGENT_COMMAND_READ,
        run: read,
    },
    Command {
        name: "config",
        parameters: &[
            required(Kind::OneOf(&["get", "set"])),
            required(Kind::OneOf(&Settings::NAMES)),
            optional(Kind::Text),
        ],
        usage: "config get NAME | config set NAME VALUE",
        permission: Permissions::AGENT_COMMAND_CONFIG,
        run: config,
    },
    Command {
        name: "log",
        parameters: &[
            required(Kind::OneOf(&["level", "follow"])),
            optional(Kind::Text),
        ],
        usage: "log level [trace|debug|info|warn|error] | log follow all|new|NUMBER|off",
        permission: Permissions::AGENT_COMMAND_LOG,
        run: log,
    },
    Command {
        name: "watch",
        parameters: &[required(Kind::Text)],
        usage: "watch all|new|NUMBER|off",
        permission: Permissions::AGENT_WATCH,
        run: watch,
    },
    Command {
        name: "rekey",
        parameters: &[optional(Kind::OneOf(&["status"]))],
        usage: "rekey [status]",
        permission: Permissions::AGENT_COMMAND_REKEY,
        run: rekey,
    },
    Command {
        name: "reboot",
        parameters: &[],
        usage: "reboot",
        permission: Permissions::AGENT_COMMAND_REBOOT,
        run: reboot,
    },
];

/// Runs the command `asked`, if its commander may give it, and returns what there is to say about it.
///
/// A command that is not known is for those who may give every command, as the protocol has it: nobody else learns
/// which there are.
pub fn run<'a>(
    devices: &'a mut Devices,
    asked: &message::Command<'a>,
    asker: &Asker<'a>,
) -> Reply<'a> {
    let known = COMMANDS.iter().find(|command| command.name == asked.name);
    let needed = known.map_or_else(
        || Permissions::for_command(asked.name),
        |command| command.permission,
    );
    if !asker.granted.contains(needed) {
        return Reply::bare(Status::NotPermitted);
    }
    let Some(command) = known else {
        return Reply::bare(Status::UnknownCommand);
    };
    parse(command.parameters, &asked.arguments)
        .and_then(|arguments| (command.run)(devices, asker, &arguments))
        .unwrap_or_else(|| {
            Reply::bare(Status::BadArgument).with("usage", Value::Text(command.usage))
        })
}

/// Says that it is there.
fn ping<'a>(_: &'a mut Devices, _: &Asker<'a>, _: &Arguments<'a>) -> Option<Reply<'a>> {
    Some(done())
}

/// Says what it was told.
fn echo<'a>(_: &'a mut Devices, _: &Asker<'a>, arguments: &Arguments<'a>) -> Option<Reply<'a>> {
    let [Argument::Text(text)] = arguments.as_slice() else {
        return None;
    };
    Some(done().with("text", Value::Text(text)))
}

/// Says what runs here, for how long, how deep its stack went, and what time it is by the hub's clock.
fn info<'a>(devices: &'a mut Devices, asker: &Asker<'a>, _: &Arguments<'a>) -> Option<Reply<'a>> {
    let hub_clock = &asker.session.hub_clock;
    let now = hub_clock.at(Instant(devices.clock.milliseconds()));
    let reply = done()
        .with("version", Value::Text(env!("CARGO_PKG_VERSION")))
        .with("protocol", Value::Int(i64::from(VERSION)))
        .with("uptime_ms", int(devices.clock.milliseconds()))
        .with("stack_peak_bytes", size(devices.stack.high_water_len()))
        .with("stack_measured_bytes", size(MEASURED_STACK_LEN))
        .with("session_id", Value::Bytes(&asker.session.id))
        .with("hub_time_ms", int(now.0))
        .with("hub_time_error_ms", int(hub_clock.error))
        .with(
            "hub_time_quality",
            Value::Int(i64::from(hub_clock.quality.code())),
        );
    Some(reply)
}

/// Switches the LED, and says what its register holds afterwards.
fn led<'a>(
    devices: &'a mut Devices,
    _: &Asker<'a>,
    arguments: &Arguments<'a>,
) -> Option<Reply<'a>> {
    if let [Argument::Switch(on)] = arguments.as_slice() {
        devices.leds.set(LED, *on);
    }
    Some(done().with("on", Value::Bool(devices.leds.is_lit(LED))))
}

/// Says what the sensor measures.
fn read<'a>(devices: &'a mut Devices, _: &Asker<'a>, _: &Arguments<'a>) -> Option<Reply<'a>> {
    let (name, value) = measured(devices);
    Some(done().with(name, value))
}

/// Returns what the sensor measures, with its name.
fn measured(devices: &mut Devices) -> (&'static str, Value<'static>) {
    let millidegrees = i64::from(devices.sensor.millidegrees());
    ("temperature_millicelsius", Value::Int(millidegrees))
}

/// Says or changes a setting.
fn config<'a>(
    devices: &'a mut Devices,
    _: &Asker<'a>,
    arguments: &Arguments<'a>,
) -> Option<Reply<'a>> {
    let (name, value) = match arguments.as_slice() {
        [Argument::Choice("get"), Argument::Choice(name)] => (*name, None),
        [
            Argument::Choice("set"),
            Argument::Choice(name),
            Argument::Text(value),
        ] => (*name, Some(*value)),
        _ => return None,
    };
    if let Some(value) = value {
        let mut settings = devices.settings;
        settings.set(name, value).ok()?;
        let kept = devices.kept.as_mut();
        if kept.is_some_and(|kept| kept.keep_settings(&settings).is_err()) {
            return Some(Reply::bare(Status::Failed));
        }
        devices.settings = settings;
        devices.apply_settings();
    }
    devices.text = devices.settings.get(name)?;
    Some(done().with(name, Value::Text(&devices.text)))
}

/// Says or changes what is written to the log, or says the log itself.
fn log<'a>(
    devices: &'a mut Devices,
    asker: &Asker<'a>,
    arguments: &Arguments<'a>,
) -> Option<Reply<'a>> {
    match arguments.as_slice() {
        [Argument::Choice("follow"), Argument::Text(from)] => {
            follow(devices, asker, Topic::Log, from)
        }
        [Argument::Choice("level"), rest @ ..] => {
            if let [Argument::Text(level)] = rest {
                devices.log.set_level(Level::from_name(level)?);
            }
            Some(done().with("level", Value::Text(devices.log.level().name())))
        }
        _ => None,
    }
}

/// Says what the device notices.
fn watch<'a>(
    devices: &'a mut Devices,
    asker: &Asker<'a>,
    arguments: &Arguments<'a>,
) -> Option<Reply<'a>> {
    let [Argument::Text(from)] = arguments.as_slice() else {
        return None;
    };
    follow(devices, asker, Topic::Events, from)
}

fn follow<'a>(
    devices: &mut Devices,
    asker: &Asker<'a>,
    topic: Topic,
    from: &str,
) -> Option<Reply<'a>> {
    // Who is not there cannot follow.
    let Some(route) = asker.route else {
        return Some(Reply::bare(Status::Failed));
    };
    let start = match from {
        "all" => Start::Oldest,
        "new" => Start::New,
        "off" => {
            devices.reports.unfollow(&route, topic);
            return Some(done());
        }
        number => Start::Number(number.parse().ok()?),
    };
    let next = devices.reports.follow(route, topic, start, &devices.log);
    Some(next.map_or_else(
        || Reply::bare(Status::Failed),
        |next| done().with("next", int(next)),
    ))
}

/// Has the device's key followed by another, or says whether one is on its way. Who asks goes on with the key that there is.
fn rekey<'a>(
    devices: &'a mut Devices,
    _: &Asker<'a>,
    arguments: &Arguments<'a>,
) -> Option<Reply<'a>> {
    if arguments.is_empty() {
        let kept = devices.kept.as_deref_mut();
        // A key that a reset would take away is none.
        if !kept.is_some_and(|kept| devices.rotation.want(kept)) {
            return Some(Reply::bare(Status::Failed));
        }
    }
    let is_under_way = devices.rotation.is_under_way();
    Some(done().with("under_way", Value::Bool(is_under_way)))
}

/// Starts the device anew, once the answer is on its way.
fn reboot<'a>(devices: &'a mut Devices, _: &Asker<'a>, _: &Arguments<'a>) -> Option<Reply<'a>> {
    devices.is_reboot_due = true;
    Some(done())
}

impl Devices {
    /// Lets the settings take effect.
    pub fn apply_settings(&mut self) {
        self.log.set_level(self.settings.log_level);
        self.reports.restart();
    }

    /// Keeps what the sensor measures, when that is due.
    pub fn observe(&mut self) {
        let now_ms = self.clock.milliseconds();
        if self.reports.is_sample_due(now_ms, self.settings.sample_ms) {
            let (name, value) = measured(self);
            let field = message::Field { name, value };
            self.reports.observe(now_ms, "temperature", field);
        }
    }
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
