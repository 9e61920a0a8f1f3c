//! tenon
fn main() {}
