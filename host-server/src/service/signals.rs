//! What the system asks of the daemon while it serves.

use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use sd_notify::NotifyState;

use super::logs::Logs;
use super::notify;
use crate::config::Sources;
use crate::daemon::{Control, Reloaded};

/// Hears signals from the moment it is made.
#[derive(Debug)]
pub(super) struct Attendant(Signals);

impl Attendant {
    /// Catches SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    ///
    /// When they cannot be caught.
    pub(super) fn new() -> std::io::Result<Self> {
        Signals::new([Signal::Term, Signal::Int, Signal::Hup]).map(Self)
    }

    /// Closes `stop` at the first signal to end, and returns at the second. What asks for the configuration to be read
    /// again goes to `reload`; one that waits there already does for both.
    pub(super) async fn attend(
        mut self,
        stop: async_channel::Sender<()>,
        reload: async_channel::Sender<()>,
    ) {
        while let Some(signal) = self.0.next().await {
            match signal {
                Ok(Signal::Hup) if !stop.is_closed() => {
                    let _ = reload.try_send(());
                }
                Ok(Signal::Term | Signal::Int) if stop.close() => {
                    tracing::info!("stopping");
                    notify::tell(&[NotifyState::Stopping]);
                }
                Ok(Signal::Term | Signal::Int) => {
                    tracing::warn!("ending at once");
                    return;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a signal is not heard"),
            }
        }
        future::pending::<()>().await;
    }
}

/// Reads the configuration again whenever `reloads` says so.
pub(super) async fn reload_for_ever(
    reloads: async_channel::Receiver<()>,
    sources: Sources,
    control: Control,
    logs: Logs,
) {
    while reloads.recv().await.is_ok() {
        notify::tell_reloading();
        logs.reopen();
        let sources = sources.clone();
        match smol::unblock(move || sources.load()).await {
            Ok(config) => {
                logs.set_filter(&config);
                let Reloaded { waiting } = control.reload(config).await;
                for key in waiting {
                    tracing::warn!(key, "another value waits for the next start");
                }
                tracing::info!("the configuration is read again");
            }
            Err(mistakes) => {
                for mistake in mistakes.0 {
                    tracing::error!(%mistake, "the configuration stays as it is");
                }
            }
        }
        notify::tell(&[NotifyState::Ready]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_lite::future;
    use rustix::process::{Signal, getpid, kill_process};

    use super::Attendant;

    #[test]
    fn the_first_signal_stops_and_the_second_ends_and_one_in_between_reloads() {
        let attendant = Attendant::new().expect("signals");
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let (reload, reloads) = async_channel::bounded(1);
        let send = |signal| kill_process(getpid(), signal).expect("it runs");
        let sender = async {
            send(Signal::HUP);
            reloads.recv().await.expect("it is asked for");
            assert!(!stopped.is_closed());
            send(Signal::TERM);
            assert!(stopped.recv().await.is_err());
            send(Signal::HUP);
            send(Signal::INT);
            // The last one to reload was heard by a daemon that ends.
            assert!(reloads.recv().await.is_err());
        };
        let heard = async {
            future::zip(attendant.attend(stop, reload), sender).await;
            true
        };
        let late = async {
            smol::Timer::after(Duration::from_secs(20)).await;
            false
        };
        assert!(future::block_on(future::or(heard, late)));
    }
}
