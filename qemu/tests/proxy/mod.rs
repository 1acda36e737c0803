//! A line between a device and its hub that does harm to what goes over it. What it does follows from a seed, as far as the
//! pieces in which the bytes come allow.

mod harm;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub(crate) use harm::{Harm, Random};

/// The line. Its threads end with the process.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    harm: Harm,
    /// How many times harm was done.
    harmed: u64,
    /// How many connections were cut.
    cuts: u64,
    /// After how many bytes to the device each of the next connections is cut.
    budgets: VecDeque<usize>,
    /// Whether the next piece to the device is cut in its middle.
    is_cut_due: bool,
}

impl Proxy {
    /// Listens for a device whose hub is at `hub`, and does no harm yet.
    pub(crate) fn listen(hub: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                harm: Harm::None,
                harmed: 0,
                cuts: 0,
                budgets: VecDeque::new(),
                is_cut_due: false,
            }),
            changed: Condvar::new(),
        });
        let of_device = Arc::clone(&shared);
        thread::spawn(move || {
            let mut seeds = Random::new(seed);
            while let Ok((device, _)) = listener.accept() {
                // A hub that is not there closes the connection, as the line does then.
                let Ok(hub) = TcpStream::connect(hub) else {
                    continue;
                };
                lay(device, hub, &of_device, &mut seeds);
            }
        });
        Self { port, shared }
    }

    /// Returns the port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Does `harm` from now on; [`Harm::None`] ends it.
    pub(crate) fn set(&self, harm: Harm) {
        self.shared.lock().harm = harm;
        self.shared.changed.notify_all();
    }

    /// Cuts each of the next connections after so many bytes to the device.
    pub(crate) fn cut_after(&self, budgets: &[usize]) {
        self.shared.lock().budgets.extend(budgets);
    }

    /// Cuts the connection in the middle of the next piece to the device.
    pub(crate) fn cut_next(&self) {
        self.shared.lock().is_cut_due = true;
    }

    /// Returns how many times harm was done.
    pub(crate) fn harmed(&self) -> u64 {
        self.shared.lock().harmed
    }

    /// Returns how many connections were cut.
    pub(crate) fn cuts(&self) -> u64 {
        self.shared.lock().cuts
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is left of `piece`, and waits as long as the line keeps it.
    fn pass(&self, piece: &[u8], random: &mut Random) -> Vec<u8> {
        let mut state = self.lock();
        if state.harm == Harm::Stall {
            state.harmed += 1;
            while state.harm == Harm::Stall {
                let woken = self.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
            }
        }
        let harm = state.harm;
        if let Some(delay) = harm.delay(random) {
            state.harmed += 1;
            drop(state);
            thread::sleep(delay);
            state = self.lock();
        }
        let (left, count) = harm.apply(piece, random);
        state.harmed += count;
        left
    }

    /// Returns how much of a piece of `len` bytes goes to the device before the connection is cut; nothing when it is not.
    fn cut(&self, len: usize, budget: &mut Option<usize>) -> Option<usize> {
        let mut state = self.lock();
        let kept = if core::mem::take(&mut state.is_cut_due) {
            Some(len / 2)
        } else {
            budget.filter(|left| *left < len)
        };
        match kept {
            Some(_) => state.cuts += 1,
            None => *budget = budget.map(|left| left - len),
        }
        kept
    }
}

/// Carries bytes both ways between `device` and `hub`, until one of them is gone.
fn lay(device: TcpStream, hub: TcpStream, shared: &Arc<Shared>, seeds: &mut Random) {
    let budget = shared.lock().budgets.pop_front();
    let pairs = [
        (device.try_clone(), hub.try_clone(), None, false),
        (hub.try_clone(), device.try_clone(), budget, true),
    ];
    for (from, to, mut budget, is_to_device) in pairs {
        let (mut from, mut to) = (from.expect("a stream"), to.expect("a stream"));
        to.set_nodelay(true).expect("a stream");
        let shared = Arc::clone(shared);
        let mut random = Random::new(seeds.next());
        thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok(len @ 1..) = from.read(&mut bytes) {
                let piece = shared.pass(bytes.get(..len).unwrap_or_default(), &mut random);
                let cut = is_to_device.then(|| shared.cut(piece.len(), &mut budget));
                let kept = cut.flatten();
                let piece = piece.get(..kept.unwrap_or(piece.len()));
                if to.write_all(piece.unwrap_or_default()).is_err() || kept.is_some() {
                    break;
                }
            }
            // Either may be gone already.
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
