//! End to end: real clients, the real gateway, a real server.

mod attacks;
mod certificates;
mod demo;
mod drivers;
mod hostile;
mod killed;
mod operations;
mod rogue;
mod secrets;
mod story;
