//! `cargo xtask vm`: the suite in a virtual machine. docs/vm.md is the guide.
//!
//! ```text
//! guest      a description (TOML): how it starts, what its console says, which commands it takes
//! image      a disk image, found and verified         linux_image   or a kernel and initramfs from Debian's packages
//! seed       the volume that gives the guest its ssh key
//! qemu       the process; console, qmp: what it says  monitor       the one place where all that is noticed
//! clock      limits in time that the guest has had
//! transport  commands over ssh                        session       waits with limits, and what is wrong when one passes
//! steps      the run                                  report        its results       verified   docs/verified.md
//! ```
//!
//! One thread does everything; reader threads only turn pipes into events.

pub mod accel;
pub mod artifacts;
pub mod clock;
pub mod console;
pub mod cpio;
pub mod debian;
pub mod events;
pub mod failure;
mod guest;
pub mod image;
pub mod linux_image;
pub mod monitor;
pub mod omnios;
pub mod payload;
pub mod process;
pub mod progress;
pub mod qemu;
pub mod qmp;
pub mod report;
pub mod seed;
pub mod selftest;
pub mod session;
pub mod steps;
pub mod test;
#[cfg(test)]
mod tests;
pub mod transport;
pub mod verified;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// The suite in a virtual machine.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Boot a guest, install the driver, run the suite, remove the driver.
    Test(test::Args),
    /// Break the Linux guest in every way that the harness claims to notice, and check that it does.
    Selftest(selftest::Args),
    /// Build the test program for an illumos guest, and check what it needs.
    Tests,
    /// List the guests.
    Guests,
}

/// Runs the command. Exit status: 0 all well, 1 cases failed, 2 on our side, 3 the guest's, 130 interrupted.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Test(args) => test::run(args),
        Command::Selftest(args) => selftest::run(args),
        Command::Tests => {
            println!("{}", omnios::tests()?.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Guests => {
            let dir = artifacts::guests_dir();
            for name in guest::names(&dir) {
                println!("{name:10} {}", guest::Guest::load(&dir, &name)?.about);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
