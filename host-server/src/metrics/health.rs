//! Whether the daemon can do its work, part by part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::future;
use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};

use crate::hub::Input;
use crate::shared::Shared;

/// How long the hub's task may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// One part of the daemon, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Whether it works.
    pub works: bool,
    /// Why not, in words.
    pub reason: String,
}

/// Which listeners there are, and whether the daemon goes away.
#[derive(Debug, Default)]
pub(crate) struct Doors(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By their name, and whether they are up.
    doors: BTreeMap<&'static str, bool>,
    is_draining: bool,
}

/// A listener that is up for as long as this lives.
#[derive(Debug)]
pub(crate) struct Running(Arc<Mutex<State>>, &'static str);

impl Doors {
    /// Notes that the listener `name` is up.
    pub(crate) fn open(&self, name: &'static str) -> Running {
        lock(&self.0).doors.insert(name, true);
        Running(Arc::clone(&self.0), name)
    }

    /// Notes that the daemon goes away.
    pub(crate) fn drain(&self) {
        lock(&self.0).is_draining = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.0).doors.insert(self.1, false);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Returns what works and what does not.
    pub(crate) async fn components(&self) -> Vec<Component> {
        let config = self.config();
        let needed = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        let stores = access(&config.data_dir, needed).err();
        let stores = stores.map(|error| format!("the data directory: {error}"));
        let mut components = vec![component("stores", stores)];
        let (answer, answered) = async_channel::bounded(1);
        let asked = async {
            self.hub.tell(Input::Ping(answer)).await;
            answered.recv().await.is_ok()
        };
        let late = async {
            smol::Timer::after(PATIENCE).await;
            false
        };
        let hub = (!future::or(asked, late).await).then(|| "its task does not answer".to_owned());
        components.push(component("hub", hub));
        let state = lock(&self.doors.0);
        for (name, is_up) in &state.doors {
            let reason = (!is_up).then(|| "it takes no connections".to_owned());
            components.push(component(name, reason));
        }
        let draining = state.is_draining.then(|| "the daemon goes away".to_owned());
        components.push(component("drain", draining));
        components
    }
}

fn component(name: &str, reason: Option<String>) -> Component {
    Component {
        name: name.into(),
        works: reason.is_none(),
        reason: reason.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Doors, lock};

    #[test]
    fn a_listener_is_up_until_its_task_ends() {
        let doors = Doors::default();
        let running = doors.open("tcp");
        assert_eq!(lock(&doors.0).doors.get("tcp"), Some(&true));
        drop(running);
        assert_eq!(lock(&doors.0).doors.get("tcp"), Some(&false));
    }
}
