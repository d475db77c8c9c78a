//! `cargo ddi`: the driver author's command. See `cargo ddi help`.
//!
//! Exit status: 0 if the command did its work, 1 if what it ran or checked failed, 2 if it could not do its work. `run` ends with the program's status.

mod checkout;
mod commands;
mod project;
mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use ui::Ui;

/// Write, run, test and ship an illumos driver on devmap.
#[derive(Parser)]
#[command(name = "cargo ddi", bin_name = "cargo ddi", version, arg_required_else_help = true)]
struct Cli {
    /// Print the result as JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// Print no progress.
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a driver: a repository that builds, passes its tests and runs.
    New(commands::new::Args),
    /// Run a program that finds the driver's devices in /dev.
    Run(commands::run::Args),
    /// Run a program, and make a page of who faults, switches and waits: target/trace.html, or --trace FILE.
    Trace(commands::run::Args),
    /// Test the driver, linked in and as a module file.
    Test(commands::test::Args),
    /// Build the module file that add_drv installs.
    Module(commands::module::Args),
    /// Check that the illumos kernel loads the module and that its code may run there.
    Check(commands::check::Args),
    /// Make what illumos installs: an archive with install.sh, and an IPS manifest.
    Package(commands::package::Args),
    /// Test the driver in a virtual machine: installed by its package, and used by programs.
    Vm(commands::vm::Args),
    /// Say what this machine has and lacks, and the command that gets it.
    Doctor(commands::doctor::Args),
    /// Print a script by which a shell completes this command's words.
    Completions(commands::texts::Completions),
    /// Write the manual pages of this command.
    Man(commands::texts::Man),
}

/// Returns the command line as clap gets it: without the `ddi` that cargo puts there.
fn words() -> Vec<OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "ddi") {
        words.remove(1);
    }
    words
}

fn main() -> ExitCode {
    // A program that runs under this host has called it by the name of one of the host's commands.
    if ddi_host::cli::called().is_some() {
        std::process::exit(ddi_host::cli::main());
    }
    let mut words = words();
    // In a guest this file is /usr/sbin/ddi-host.
    if words
        .first()
        .is_some_and(|name| std::path::Path::new(name).file_name() == Some(commands::HOST.as_ref()))
    {
        std::process::exit(ddi_host::cli::main_from::<ddi_host::cli::Command>(words));
    }
    if words.get(1).is_some_and(|word| word == commands::HOST) {
        words.remove(1);
        std::process::exit(ddi_host::cli::main_from::<ddi_host::cli::Command>(words));
    }
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(said) => {
            let printed = said.print().is_ok();
            return ExitCode::from(if said.use_stderr() || !printed { 2 } else { 0 });
        }
    };
    let ui = Ui { json: cli.json, quiet: cli.quiet };
    let outcome = match &cli.command {
        Command::New(args) => commands::new::run(args, &ui),
        Command::Run(args) => commands::run::run(args, &ui),
        Command::Trace(args) => commands::run::trace(args, &ui),
        Command::Test(args) => commands::test::run(args, &ui),
        Command::Module(args) => commands::module::run(args, &ui),
        Command::Check(args) => commands::check::run(args, &ui),
        Command::Package(args) => commands::package::run(args, &ui),
        Command::Vm(args) => commands::vm::run(args, &ui),
        Command::Doctor(args) => commands::doctor::run(args, &ui),
        Command::Completions(args) => args.run(&Cli::command(), &ui),
        Command::Man(args) => args.run(&Cli::command(), &ui),
    };
    outcome.unwrap_or_else(|error| {
        ui.error(&error);
        ExitCode::from(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of options clash, or conflict with what is not there, only when clap builds the command.
    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
