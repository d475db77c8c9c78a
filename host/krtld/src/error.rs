//! Why a module is not loaded: everything that is wrong with it, each thing by name, all at once.

use std::fmt;

use crate::finding::Finding;

/// A name that no dependency and not the kernel defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The undefined symbol.
    pub name: String,
    /// What is known of it.
    pub why: Why,
    /// The module's functions (or data) that refer to it, in order of their names.
    pub users: Vec<String>,
}

/// What is known of a missing name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// illumos has it, this host has not.
    NotProvided,
    /// Not among the names of illumos's kernel that are known here: a misspelling, another system's, or another module's.
    Unknown,
    /// One of the single-processor interfaces that krtld reports as unsafe.
    MtUnsafe,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "undefined symbol {}: {}", self.name, self.why)?;
        if !self.users.is_empty() {
            write!(f, "; needed by {}", self.users.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::NotProvided => "illumos has it, the host has not",
            Why::Unknown => "the host has it not, nor has a dependency; it is none of the illumos kernel's names that are known here",
            Why::MtUnsafe => "MT-unsafe: gone from multithreaded kernels",
        })
    }
}

/// One thing that is wrong with a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something in the file.
    #[error("{0}")]
    Finding(Finding),
    /// A dependency that is not there or does not load.
    #[error("dependencies: {0}")]
    Depends(String),
    /// An undefined symbol.
    #[error("{0}")]
    Missing(Missing),
    /// Something outside the file: no memory below 2 GiB, unreadable file.
    #[error("{0}")]
    System(String),
}

/// A module that cannot be loaded: `EINVAL` on illumos, "cannot load module".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The module's name.
    pub module: String,
    /// Everything that was found wrong; never empty.
    pub problems: Vec<Problem>,
}

impl LoadError {
    /// An error of these problems.
    pub fn new(module: &str, problems: Vec<Problem>) -> LoadError {
        LoadError { module: module.to_owned(), problems }
    }

    /// The undefined symbols among the problems.
    pub fn missing(&self) -> impl Iterator<Item = &Missing> {
        self.problems.iter().filter_map(|p| match p {
            Problem::Missing(missing) => Some(missing),
            _ => None,
        })
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot load module '{}'", self.module)?;
        if let [only] = &self.problems[..] {
            return write!(f, ": {only}");
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}
