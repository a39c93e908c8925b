//! What fuzz targets share: edits to a file; and a script, a target that behaves and the gate's part for the PostgreSQL
//! conversation.

pub mod edits;
pub mod play;
pub mod script;
pub mod server;
