//! wip
use anyhow::{Result, bail};
use std::path::PathBuf;
/// wip
pub fn tests() -> Result<PathBuf> {
    bail!("wip")
}
