//! Another configuration for a daemon that serves.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_lite::future;

use crate::config::Config;
use crate::hub::Input;
use crate::shared::Shared;
use crate::store::LoginLimits;

/// What changes a daemon while it serves.
#[derive(Debug, Clone)]
pub struct Control(pub(super) Arc<Shared>);

/// What became of another configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Reloaded {
    /// The keys whose new values wait for the next start.
    pub waiting: Vec<&'static str>,
}

impl Control {
    /// Returns when the hub's task has answered; a hub that is stuck, or gone, never does.
    pub async fn hear_hub(&self) {
        let (answer, answered) = async_channel::bounded(1);
        self.0.hub.tell(Input::Ping(answer)).await;
        if answered.recv().await.is_err() {
            future::pending::<()>().await;
        }
    }

    /// Has `config`, which is valid, hold from now on. No session ends: who is here keeps the limits it came with. What
    /// is settled at the start stays, and is named.
    pub async fn reload(&self, mut config: Config) -> Reloaded {
        let shared = &self.0;
        let waiting = keep_settled(&shared.config(), &mut config);
        shared.budget.set_limits(config.limits.clone());
        shared.tickets().set_max(config.limits.tickets);
        shared
            .logins()
            .set_limits(LoginLimits::of(&config.accounts));
        shared.offline.set_limits(config.offline.clone()).await;
        let limits = Box::new(config.limits.clone());
        // What is wrong with a certificate is said now.
        let _ = shared.certificates.now(&config.tls);
        let outside = shared.outside.now().read_again(&config.outside);
        shared.outside.replace(outside);
        shared.config.replace(config);
        match shared.take_up_keys().await {
            Ok(acts) => shared.record(acts).await,
            Err(error) => tracing::error!(%error, "the keys on the disk are not taken up"),
        }
        shared.hub.tell(Input::Limits(limits)).await;
        Reloaded { waiting }
    }
}

/// Puts what is settled at the start back as it is in `old`; returns the keys that `new` says something else of.
fn keep_settled(old: &Config, new: &mut Config) -> Vec<&'static str> {
    // A port that was left to the system is the one that came out.
    if new.listen.port() == 0 && new.listen.ip() == old.listen.ip() {
        new.listen = old.listen;
    }
    keep_port(old.listen_tcp, &mut new.listen_tcp);
    keep_port(old.listen_udp, &mut new.listen_udp);
    keep_port(old.metrics.listen, &mut new.metrics.listen);
    keep_port(old.tls.listen, &mut new.tls.listen);
    let mut waiting = Vec::new();
    keep("name", &old.name, &mut new.name, &mut waiting);
    keep("data_dir", &old.data_dir, &mut new.data_dir, &mut waiting);
    keep("listen", &old.listen, &mut new.listen, &mut waiting);
    keep(
        "listen_tcp",
        &old.listen_tcp,
        &mut new.listen_tcp,
        &mut waiting,
    );
    keep(
        "listen_udp",
        &old.listen_udp,
        &mut new.listen_udp,
        &mut waiting,
    );
    keep(
        "metrics.listen",
        &old.metrics.listen,
        &mut new.metrics.listen,
        &mut waiting,
    );
    keep(
        "tls.listen",
        &old.tls.listen,
        &mut new.tls.listen,
        &mut waiting,
    );
    keep("log_file", &old.log_file, &mut new.log_file, &mut waiting);
    keep(
        "log_format",
        &old.log_format,
        &mut new.log_format,
        &mut waiting,
    );
    keep("pid_file", &old.pid_file, &mut new.pid_file, &mut waiting);
    keep("audit", &old.audit, &mut new.audit, &mut waiting);
    keep("watch", &old.watch, &mut new.watch, &mut waiting);
    let (old, new) = (&old.keys, &mut new.keys);
    keep(
        "keys.secret_file",
        &old.secret_file,
        &mut new.secret_file,
        &mut waiting,
    );
    keep(
        "keys.passphrase_file",
        &old.passphrase_file,
        &mut new.passphrase_file,
        &mut waiting,
    );
    keep(
        "keys.lock_memory",
        &old.lock_memory,
        &mut new.lock_memory,
        &mut waiting,
    );
    waiting
}

fn keep_port(old: Option<SocketAddr>, new: &mut Option<SocketAddr>) {
    if let (Some(old), Some(new)) = (old, new)
        && new.port() == 0
        && new.ip() == old.ip()
    {
        *new = old;
    }
}

fn keep<T: Clone + PartialEq>(
    key: &'static str,
    old: &T,
    new: &mut T,
    waiting: &mut Vec<&'static str>,
) {
    if old != new {
        new.clone_from(old);
        waiting.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::{SocketAddr, keep_settled};
    use crate::config::{Config, Limits};

    #[test]
    fn what_is_settled_stays_and_is_named_and_the_rest_is_new() {
        let old = Config::default();
        let mut new = Config {
            name: "other".into(),
            data_dir: "/nowhere".into(),
            listen_tcp: None,
            limits: Limits {
                handshakes: 5,
                ..Limits::default()
            },
            ..Config::default()
        };
        let expected = Config {
            limits: new.limits.clone(),
            ..old.clone()
        };
        assert_eq!(
            keep_settled(&old, &mut new),
            ["name", "data_dir", "listen_tcp"]
        );
        assert_eq!(new, expected);
    }

    #[test]
    fn a_port_that_the_system_chose_is_no_other_one() {
        let old = Config::default();
        let mut new = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..Config::default()
        };
        assert_eq!(keep_settled(&old, &mut new), [""; 0]);
        assert_eq!(new, old);
    }
}
