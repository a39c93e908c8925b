//! End to end: real clients, the real gateway, a real server.

mod attacks;
mod book;
mod demo;
mod drivers;
mod killed;
mod operations;
mod secrets;
mod story;
