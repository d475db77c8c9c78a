//! `ddi-host`.
fn main() {}
