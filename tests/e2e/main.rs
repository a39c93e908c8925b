//! End to end: real clients, the real gateway, a real server.

mod attacks;
mod book;
mod channels;
mod copying;
mod cursors;
mod demo;
mod drivers;
mod functions;
mod killed;
mod operations;
mod prepared;
mod secrets;
mod story;
mod streaming;
