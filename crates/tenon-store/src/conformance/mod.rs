//! The behaviours that every engine must have.
