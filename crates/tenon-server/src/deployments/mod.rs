//! From files in `services/` to a numbered deployment that serves on every server.
