//! The hub in process, on loopback, against real clients and agents. Nothing sleeps: everything waits for an event.

mod agent;
mod audit;
mod audit_command_line;
mod comeback;
mod command_line;
mod documents;
mod door;
mod floods;
mod kill;
mod life;
mod memory;
mod offline;
mod offline_agent;
mod patience;
mod refusals;
mod renewal;
mod revocation;
mod rotation;
mod routing;
mod tickets;
mod udp;
mod udp_link;
mod udp_lossy;
mod udp_strangers;
mod watch;
mod world;
