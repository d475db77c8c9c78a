//! `cargo xtask vm`: ctxdev and the suite in a virtual machine, by [`ddi_vm`]. docs/vm.md is the guide.
//!
//! `cargo ddi vm test -p ctxdev` does the same as `test` here, which takes finished files instead of building them. What only this repository needs is the
//! self-test of the harness and the suite for illumos.

pub mod artifacts;
pub mod selftest;
pub mod test;
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
    /// Boot a guest, install ctxdev, run the suite, remove ctxdev.
    Test(test::Args),
    /// Break the Linux guest in every way that the harness claims to notice, and check that it does.
    Selftest(selftest::Args),
    /// Build the test program for an illumos guest, and check what it needs.
    Tests,
}

/// Runs the command. Exit status: 0 all well, 1 cases failed, 2 on our side, 3 the guest's, 130 interrupted.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Test(args) => test::run(args),
        Command::Selftest(args) => selftest::run(args),
        Command::Tests => {
            println!("{}", artifacts::illumos_tests()?.display());
            Ok(ExitCode::SUCCESS)
        }
    }
}
