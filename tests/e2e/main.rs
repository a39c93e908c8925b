//! End to end: real clients, the real gateway, a real server.

mod agents;
mod attacks;
mod book;
mod certificates;
mod channels;
mod copying;
mod credentials;
mod cursors;
mod demo;
mod drivers;
mod ephemeral;
mod faults;
mod functions;
mod hostile;
mod hosts;
mod killed;
mod names;
mod old_strings;
mod operations;
mod prepared;
mod replication;
mod rogue;
mod secrets;
mod ssh;
mod story;
mod streaming;
