//! The Moorline hub: a thin shell of smol tasks around `moorline-core`.
//!
//! ```text
//! config      what an operator sets
//! connections what each connection does, for operators
//! metrics     what is counted of the whole daemon, and whether it can do its work
//! store       what survives a restart: keys and the registry of peers
//! keyring     the hub's keys while it runs: which are in use, and when others follow
//! standing    whether a token, and a session that rests on it, still counts
//! issuer      makes tokens for peers that are enrolled
//! door        how peers come in: HTTP with a WebSocket at /ws, and bare TCP
//! session     one task a peer; the only module that knows both a connection and a transport
//! line        one end of a link, over a stream or over datagrams
//! shared      what every session has in common
//! guard       how often each address connects and fails, and what follows from it
//! access      who may do what: roles, what tokens say, and the one place where it is decided
//! accounts    logging in: challenges, API keys, and the tokens and cookies that come of it
//! gate        what is stored and allowed, asked in each handshake
//! renewals    newer tokens for the peer of a session
//! hub         the one task that owns the routing table
//! offline     sealed commands for agents that are away, and the replies to them
//! admin       the operator's socket: enrolment
//! witness     takes in what happens, for the audit log and the watch
//! audit       the audit log: a chain of records, and signed heads of it
//! watch       counts what goes wrong, and raises alerts
//! backup      the data directory in one file, and back
//! daemon      starts all of it and ends it
//! client      a commander's side, for programs
//! cli         a commander's side, for people
//! service     the daemon as a program: its command line, signals, logs, and who watches over it
//! manual      manual pages and completions of both programs
//! ```
//!
//! Only `clock` reads a clock, only `session` sees both the protocol and a socket, and only `hub` touches routes.

#![forbid(unsafe_code)]

pub mod access;
pub mod accounts;
pub mod admin;
pub mod audit;
pub mod backup;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod connections;
pub mod daemon;
mod door;
pub mod entropy;
mod gate;
mod guard;
mod hub;
mod issuer;
pub mod keyring;
mod line;
mod manual;
pub mod metrics;
mod offline;
pub mod outside;
mod renewals;
pub mod service;
mod session;
mod shared;
mod standing;
pub mod store;
pub mod tls;
mod transport;
pub mod watch;
mod witness;
