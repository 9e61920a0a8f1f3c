//! Frames between a server and its workers.
