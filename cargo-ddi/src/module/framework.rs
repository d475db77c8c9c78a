//! The two devmap frameworks that there may be under a driver.

/// The devmap framework under a module's driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Framework {
    /// The kernel's.
    #[default]
    Kernel,
    /// The module's own: segdev-illumos, linked into it.
    Own,
}

impl Framework {
    /// Returns that of a name, as `--framework` and `[package.metadata.module]` take it.
    pub fn named(name: &str) -> Option<Framework> {
        <Framework as clap::ValueEnum>::from_str(name, false).ok()
    }

    /// Returns its name, as the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Framework::Kernel => "kernel",
            Framework::Own => "own",
        }
    }

    /// Returns the suffix of the file's name if the framework is not the package's choice.
    pub fn suffix(self) -> &'static str {
        match self {
            Framework::Kernel => "-kernel",
            Framework::Own => "-own",
        }
    }

    /// Returns how many bytes of text and data are enough for a driver.
    pub fn limit(self) -> u64 {
        match self {
            Framework::Kernel => 64 * 1024,
            Framework::Own => 96 * 1024,
        }
    }
}
