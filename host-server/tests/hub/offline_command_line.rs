//! Commands for who is away, as a person leaves them.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::offline_agent::{AwayAgent, Memory, Told};
use crate::programs::{enrolled, json, moorline, stderr};
use crate::world::World;

#[test]
fn a_person_leaves_commands_for_an_agent_that_is_away_and_fetches_the_replies() {
    let world = World::start();
    let agent = Arc::new(world.agent("boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let failed = |arguments: &[&str], code: i32, why: &str| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    };
    failed(&["send", "boiler", "ping"], 5, "--offline");
    let offline = ["send", "boiler", "echo", "one", "--offline"];
    failed(&offline, 5, "no prekey");
    failed(&["send", "boiler", "echo", "--wait", "1"], 2, "--offline");
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: false });
    at_work.leave();

    let nothing = run(&["replies"]);
    let nothing = String::from_utf8_lossy(&nothing.stdout).into_owned();
    assert_eq!(nothing, "no commands are open\n");
    let kept = run(&offline);
    let text = String::from_utf8_lossy(&kept.stdout).into_owned();
    assert!(kept.status.success(), "{}", stderr(&kept));
    // The number of the attempt without a prekey was not used.
    assert!(
        text.starts_with("kept for boiler as number 1, for "),
        "{text}"
    );
    let more = ["--valid", "30m", "--signed-reply", "--json"];
    let kept = json(&run(&[
        &["send", "boiler", "echo", "two", "--offline"][..],
        &more,
    ]
    .concat()));
    assert_eq!((&kept["kept"], &kept["number"]), (&true.into(), &2.into()));
    let beyond = ["--valid", "3h"];
    failed(
        &[&offline[..], &beyond].concat(),
        2,
        "until the token's end",
    );
    failed(
        &[&offline[..], &["--wait", "1"]].concat(),
        6,
        "no reply within",
    );
    let waiting = json(&run(&["replies", "--json"]));
    assert_eq!(waiting.as_array().map(Vec::len), Some(3));
    assert_eq!(waiting[0]["outcome"], "waits");
    let ledger = home.path().join("offline");
    let mode = std::fs::metadata(&ledger).expect("a folder").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);

    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: true });
    for _ in 0..3 {
        assert_eq!(at_work.told(), Told::Answered);
    }
    // It is there now, and the same way works, with the reply at once.
    let last = [
        "send",
        "boiler",
        "echo",
        "four",
        "--offline",
        "--short",
        "--wait",
        "20",
    ];
    let reply = run(&last);
    let text = String::from_utf8_lossy(&reply.stdout).into_owned();
    assert_eq!(text, "text  echo four\n", "{}", stderr(&reply));
    let replies = run(&["replies", "boiler"]);
    let text = String::from_utf8_lossy(&replies.stdout).into_owned();
    let expected = "boiler echo one (number 1):\ntext  echo one\n\
                    boiler echo two (number 2):\ntext  echo two\n\
                    boiler echo one (number 3):\ntext  echo one\n";
    assert_eq!(text, expected, "{}", stderr(&replies));
    assert_eq!(json(&run(&["replies", "--json"])), Value::Array(Vec::new()));
    at_work.leave();
    assert_eq!(memory.lock().expect("it is idle").ran.len(), 4);
}
