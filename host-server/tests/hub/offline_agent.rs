//! An agent that takes offline commands, on core's blocking driver over bare TCP. Its memory outlives its links.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use moorline_core::connection::{Event, Settings};
use moorline_core::crypto::{EphemeralKey, Suite};
use moorline_core::driver::Buffers;
use moorline_core::driver::blocking::{Link, Machine};
use moorline_core::framing::Delimited;
use moorline_core::handshake::{Initiator, Offer, Shown, SingleUse, Ticket, Wanted};
use moorline_core::message::{Alert, AlertCode, Command, FromHub, Reply, Status, Value};
use moorline_core::offline::{
    CounterEntry, Delivery, Inbox, OfflineAgent, OfflineContext, OfflineShell, Post, StoreError,
};
use moorline_core::time::{Now, UnixMillis};
use moorline_core::token::{AgentId, Claims, MAX_UNPACKED_LEN, Permissions};
use moorline_core::trust::NoKeeper;
use moorline_core::wire::{Form, SuiteList};
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;

use crate::agent::Stream;
use crate::world::Peer;

/// What an agent keeps from one link to the next.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) inbox: Inbox,
    pub(crate) post: Post,
    ticket: Option<Ticket>,
    /// The text of every command that ran.
    pub(crate) ran: Vec<String>,
}

/// An agent on one link.
pub(crate) struct AwayAgent {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    events: Receiver<Told>,
}

/// What an agent tells its test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has published its prekey and asked for commands.
    Ready { resumed: bool },
    /// It has answered a command.
    Answered,
    /// It has dealt with a command without an answer.
    Silent,
    /// The hub refuses something.
    Refused,
}

impl AwayAgent {
    /// Opens a link as `peer` with what is in `memory`.
    pub(crate) fn start(peer: &Arc<Peer>, memory: &Arc<Mutex<Memory>>, hub: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, events) = channel();
        let (peer, memory, stopped) = (Arc::clone(peer), Arc::clone(memory), Arc::clone(&stop));
        let thread = std::thread::spawn(move || live(&peer, &memory, hub, &stopped, &tell));
        Self {
            stop,
            thread: Some(thread),
            events,
        }
    }

    /// Waits for the next thing that the agent tells.
    pub(crate) fn told(&self) -> Told {
        let told = self.events.recv_timeout(Duration::from_secs(20));
        told.expect("the agent says something")
    }

    /// Returns whether the agent has nothing to tell for a while.
    pub(crate) fn tells_no_more(&self) -> bool {
        self.events
            .recv_timeout(Duration::from_millis(300))
            .is_err()
    }

    /// Has the agent close its link and waits for that.
    pub(crate) fn leave(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is joined once");
        thread.join().expect("the agent does not panic");
    }
}

fn live(
    peer: &Peer,
    memory: &Mutex<Memory>,
    hub: SocketAddr,
    stop: &AtomicBool,
    tell: &Sender<Told>,
) {
    let stream = TcpStream::connect(hub).expect("the hub listens");
    let wait = Some(Duration::from_millis(20));
    stream.set_read_timeout(wait).expect("a socket option");
    let (mut clock_source, mut entropy) = (clock::now, SystemEntropy);
    let mut machine = Machine {
        clock: &mut clock_source,
        entropy: &mut entropy,
        keeper: &mut NoKeeper,
    };
    let trust = peer.trust();
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let initiator = Initiator {
        key: &peer.key,
        shows: Shown::Token(peer.token(&mut buffer)),
        wanted: Wanted::Hub(&trust, Form::Stream),
        offer: Offer {
            suites: SuiteList::AES_FIRST,
            wants_ticket: true,
            mtu: 1500,
            max_payload_len: 1024,
            no_clock: true,
        },
    };
    let mut memory = memory.lock().expect("one link at a time");
    let single_use = SingleUse {
        ephemeral: EphemeralKey::generate(&mut SystemEntropy).expect("random bytes"),
        ticket: memory.ticket.take(),
    };
    let mut incoming = vec![0; 2048];
    let (mut input, mut message, mut wire) = ([0; 256], [0; 1100], [0; 1200]);
    let mut link = Link::connect(
        Stream(stream),
        Delimited::new(&mut *incoming),
        initiator,
        single_use,
        Settings::default(),
        Buffers {
            input: &mut input,
            message: &mut message,
            wire: &mut wire,
        },
        &mut machine,
    )
    .expect("the link opens");
    let resumed = link.connection().facts().is_some_and(|facts| facts.resumed);
    let hub_clock = *link
        .connection()
        .clock()
        .expect("the handshake told the time");
    let anchors = peer.anchors();
    let agent = OfflineAgent {
        id: AgentId::of(&peer.credential.hub, &peer.credential.name),
        key: &peer.key,
        anchors: &anchors,
        audience: &peer.credential.hub,
        group: peer.credential.group.as_deref(),
        allows: Permissions::from_pattern("agent.command.*").expect("a pattern"),
    };
    memory.post.begin();
    let mut is_new = true;
    loop {
        let Memory {
            inbox,
            post,
            ticket,
            ran,
        } = &mut *memory;
        if let Some(new) = link.take_ticket() {
            *ticket = Some(new);
        }
        let instant = clock::instant();
        let now = Now {
            instant,
            unix: hub_clock.at(instant),
            quality: hub_clock.quality,
        };
        if inbox.prekeys.is_due(&now) {
            let suite = Suite::Aes256Gcm;
            let prekey = inbox
                .prekeys
                .rotate(suite, agent.id, agent.key, &now, &mut SystemEntropy);
            post.publish(prekey.expect("the time is known"));
        }
        let mut out = [0; 1024];
        while let Some(asked) = post.next(instant, 900) {
            let bytes = asked.encode(&mut out).expect("it fits");
            let sent = link.send_application(bytes, &mut SystemEntropy);
            sent.expect("the hub is there");
        }
        if std::mem::take(&mut is_new) {
            let _ = tell.send(Told::Ready { resumed });
        }
        if stop.load(Ordering::Relaxed) {
            let _ = link.close(Alert::new(AlertCode::Close), &mut SystemEntropy);
            return;
        }
        let heard = link.poll(&mut machine, |event| match event {
            Event::Application(message) => Some(message.to_vec()),
            _ => None,
        });
        // A hub that goes away ends the link and nothing else.
        let Ok(heard) = heard else { return };
        let Some(mut heard) = heard.flatten() else {
            continue;
        };
        if let Ok(FromHub::OfflineRefused { .. }) = FromHub::decode(&heard) {
            let _ = tell.send(Told::Refused);
        }
        let mut shell = Shell { ran };
        let mut context = OfflineContext {
            now,
            floor: UnixMillis(0),
            entropy: &mut SystemEntropy,
            shell: &mut shell,
        };
        let mut scratch = [0; 1000];
        let delivery = post.handle(
            &mut heard,
            inbox,
            &agent,
            &mut context,
            &mut scratch,
            &mut out,
        );
        match delivery {
            Delivery::Answered { message, .. } => {
                let sent = link.send_application(message, &mut SystemEntropy);
                sent.expect("the hub is there");
                let _ = tell.send(Told::Answered);
            }
            Delivery::Silent(_) => {
                let _ = tell.send(Told::Silent);
            }
            Delivery::Other => {}
        }
    }
}

/// Runs commands: it notes them, and says their arguments back.
struct Shell<'r> {
    ran: &'r mut Vec<String>,
}

impl OfflineShell for Shell<'_> {
    fn is_revoked(&self, _: &Claims) -> bool {
        false
    }

    fn store(&mut self, _: usize, _: &CounterEntry) -> Result<(), StoreError> {
        Ok(())
    }

    fn run<'a>(&'a mut self, command: &'a Command<'a>, _: Permissions) -> Reply<'a> {
        let mut text = vec![command.name];
        text.extend(command.arguments.iter().copied());
        self.ran.push(text.join(" "));
        let text = self.ran.last().map_or("", String::as_str);
        Reply::bare(Status::Done).with("text", Value::Text(text))
    }
}
