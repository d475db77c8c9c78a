//! Why a module is not loaded: everything that is wrong with it, each thing by name, all at once.

use std::fmt;

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

/// A place in the module whose relocation is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Name of the section that it changes.
    pub section: String,
    /// Offset of the field in that section, bytes.
    pub offset: u64,
    /// Function or object around the field.
    pub place: String,
    /// `R_X86_64_*` by name.
    pub kind: String,
    /// The symbol that it refers to.
    pub symbol: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Site { section, offset, place, kind, symbol, what } = self;
        write!(f, "{section}+{offset:#x} ({place}): {kind} against {symbol}: {what}")
    }
}

/// One thing that is wrong with a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file as a whole.
    #[error("{0}")]
    Header(String),
    /// A section.
    #[error("section {section}: {what}")]
    Section {
        /// Its name.
        section: String,
        /// What is wrong.
        what: String,
    },
    /// A symbol table entry.
    #[error("symbol table: {0}")]
    SymbolTable(String),
    /// The list of dependencies, or one of them.
    #[error("dependencies: {0}")]
    Depends(String),
    /// An undefined symbol.
    #[error("{0}")]
    Missing(Missing),
    /// A relocation, or the site of an SDT probe.
    #[error("{0}")]
    Relocation(Box<Site>),
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
