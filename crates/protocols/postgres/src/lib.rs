//! The PostgreSQL protocol: clients on one side, servers on the other, commands judged between them.

pub mod wire;
