//! The hub in process, on loopback, against real clients and agents. Nothing sleeps: everything waits for an event.

mod agent;
mod comeback;
mod command_line;
mod documents;
mod door;
mod floods;
mod keys;
mod life;
mod limits;
mod memory;
mod offline;
mod offline_agent;
mod packaging;
mod patience;
mod refusals;
mod renewal;
mod revocation;
mod rotation;
mod routing;
mod service;
mod tickets;
mod udp;
mod udp_link;
mod udp_lossy;
mod udp_strangers;
mod world;
