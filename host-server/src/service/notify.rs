//! What the service manager is told, through the socket in `NOTIFY_SOCKET`, if there is one.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::daemon::Control;

/// Tells the service manager something.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager is not told");
    }
}

/// Tells the service manager that the configuration is read again; [`NotifyState::Ready`] says that it is done.
pub(super) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager is not told"),
    }
}

/// Returns how often the service manager is to hear of the daemon: twice in the time after which it would end it.
pub(super) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|time| time / 2)
}

/// Has `beat` work once a `period` for as long as the hub answers, and not while it does not.
pub(super) async fn beat(control: &Control, period: Duration, beat: impl Fn()) {
    loop {
        control.hear_hub().await;
        beat();
        smol::Timer::after(period).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::time::Duration;

    use futures_lite::future;

    use super::beat;
    use crate::config::Config;
    use crate::daemon::Daemon;

    #[test]
    fn the_heart_beats_while_the_hub_works_and_not_before() {
        let mut builder = tempfile::Builder::new();
        let private = PermissionsExt::from_mode(0o700);
        let folder = builder.permissions(private).tempdir().expect("a folder");
        let config = Config {
            data_dir: folder.path().join("."),
            listen: "127.0.0.1:0".parse().expect("an address"),
            listen_tcp: None,
            ..Config::default()
        };
        let beats = Cell::new(0);
        let (enough, had_enough) = async_channel::bounded::<()>(1);
        let count = || {
            beats.set(beats.get() + 1);
            if beats.get() == 3 {
                enough.close();
            }
        };
        future::block_on(async {
            let daemon = Daemon::start(config).await.expect("it starts");
            let control = daemon.control();
            let beating = beat(&control, Duration::from_millis(1), count);
            let mut beating = Box::pin(beating);
            // The hub's task does not run yet, as if it were stuck.
            let stuck = async {
                smol::Timer::after(Duration::from_millis(50)).await;
            };
            future::or(stuck, beating.as_mut()).await;
            assert_eq!(beats.get(), 0);
            let executor = Arc::new(smol::Executor::new());
            let stop = async {
                let _ = had_enough.recv().await;
            };
            let serving = executor.run(daemon.serve(Arc::clone(&executor), stop));
            future::or(serving, beating).await;
            assert!(beats.get() >= 3);
        });
    }
}
