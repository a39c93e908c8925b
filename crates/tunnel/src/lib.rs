//! Between an agent and the gateway: one connection that the agent dials, and flows over it that the gateway opens.

pub mod websocket;
