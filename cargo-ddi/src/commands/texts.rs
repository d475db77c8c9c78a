//! `cargo ddi completions` and `cargo ddi man`: what clap makes of the command line's description.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::ui::{self, Ui};

/// The shell.
#[derive(clap::Args)]
pub struct Completions {
    /// bash, zsh, fish, elvish or powershell.
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints the script. The program is `cargo-ddi`: cargo has a completion of its own.
    pub fn run(&self, command: &clap::Command, _: &Ui) -> Result<ExitCode> {
        let mut command = command.clone().name("cargo-ddi").bin_name("cargo-ddi");
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "cargo-ddi", &mut script);
        ui::print(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The directory.
#[derive(clap::Args)]
pub struct Man {
    /// Write the pages into this directory, such as ~/.local/share/man/man1.
    dir: PathBuf,
}

impl Man {
    /// Writes a page for the command and one for each of its commands.
    pub fn run(&self, command: &clap::Command, ui: &Ui) -> Result<ExitCode> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot make {}", self.dir.display()))?;
        let command = command.clone().name("cargo-ddi").bin_name("cargo ddi").disable_help_subcommand(true);
        clap_mangen::generate_to(command, &self.dir)
            .with_context(|| format!("cannot write {}", self.dir.display()))?;
        ui.doing("Wrote", format!("the manual pages to {}", self.dir.display()));
        Ok(ExitCode::SUCCESS)
    }
}
