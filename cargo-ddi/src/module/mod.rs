//! The object that `add_drv` installs, from an unchanged driver crate.
//!
//! The crate is compiled for a kernel target and optimised as one with core and alloc (fat LTO), then linked into one
//! relocatable object: what nothing reaches goes, sections of a kind become one, and every symbol that `mapfile` does not
//! name becomes local. The same input gives the same bytes, wherever it is built.
//!
//! - [`toolchain`] finds a compiler with the library's sources
//! - [`target`] makes the kernel target from the compiler's own description of a freestanding one
//! - [`sysroot`] has core and alloc, shared by all builds
//! - [`package`] reads the driver's manifest
//! - [`compile`] compiles
//! - `mapfile` has the list of public symbols
//! - `link` links, `finish` scopes the symbols and drops what the kernel does not load

pub mod compile;
mod digest;
mod finish;
mod framework;
mod link;
mod mapfile;
pub mod package;
pub mod sysroot;
pub mod target;
pub mod toolchain;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use compile::Kernel;
pub use framework::Framework;
pub use package::Package;
use toolchain::Toolchain;

/// Options of a build, as the command line has them.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Write the module to FILE instead of target/module/NAME.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Name the module NAME instead of after its package.
    #[arg(long)]
    pub name: Option<String>,
    /// The devmap framework under the driver: the kernel's, or the module's own (default: the package's choice). Any other is appended to the
    /// file's name: target/module/NAME-own.
    #[arg(long, value_name = "WHOSE")]
    pub framework: Option<Framework>,
    /// Fail if text and data together exceed this many bytes (default: 65536; with the module's own framework 98304).
    #[arg(long, value_name = "BYTES")]
    pub limit: Option<u64>,
    /// Build the module a second time, in another directory, and fail if a byte differs.
    #[arg(long)]
    pub twice: bool,
}

/// A module that was built.
#[derive(Clone, Debug)]
pub struct Module {
    /// The file.
    pub path: PathBuf,
    /// The name under which a kernel loads it.
    pub name: String,
    /// The devmap framework under it.
    pub framework: Framework,
    /// Bytes that the loader puts into the text block.
    pub text: u64,
    /// Bytes that it puts into the data block.
    pub data: u64,
    /// Bytes of the file.
    pub size: u64,
}

/// Builds modules below a target directory.
pub struct Builder<'a> {
    /// The compiler.
    pub toolchain: &'a Toolchain,
    /// Directory for what cargo builds.
    pub work: PathBuf,
    /// Directory for the modules.
    pub modules: PathBuf,
    /// Called with what is being done.
    pub progress: &'a dyn Fn(&str),
}

impl Builder<'_> {
    /// Builds a module.
    ///
    /// # Errors
    /// It does not compile or link, or is larger than the limit.
    pub fn build(&self, package: &Package, options: &Options) -> Result<Module> {
        let name = options.name.clone().unwrap_or_else(|| package.name.clone());
        if name.is_empty() || name.len() > 31 {
            bail!("a module's name has 1 to 31 characters: {name:?}");
        }
        let framework = options.framework.unwrap_or(package.framework);
        // Before the work, so that a wrong name does not waste it.
        let path = options.output.clone().unwrap_or_else(|| {
            let suffix = if framework == package.framework { "" } else { framework.suffix() };
            self.modules.join(format!("{name}{suffix}"))
        });
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let public = mapfile::public()?;
        let build = |work: &Path| {
            let archive = self.library(package, framework, work)?;
            let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
            let linked = link::relocatable(&archive, &public, &package.depends, scratch.path())?;
            finish::finish(&linked, &public)
        };
        let built = build(&self.work)?;
        if options.twice {
            let other = tempfile::tempdir().context("cannot make a temporary directory")?;
            if build(other.path())?.bytes != built.bytes {
                bail!("{name}: a second build in {} gives other bytes", other.path().display());
            }
            (self.progress)("a second build gives the same bytes");
        }
        // By a rename: a host may have the old file mapped.
        let new = path.with_extension("new");
        fs::write(&new, &built.bytes)
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        let (total, limit) = (built.text + built.data, options.limit.unwrap_or(framework.limit()));
        if total > limit {
            bail!("{name}: {total} bytes of text and data are more than the limit of {limit}");
        }
        let (text, data, size) = (built.text, built.data, built.bytes.len() as u64);
        Ok(Module { path, name, framework, text, data, size })
    }

    /// Links a package's code into one object of which only `public` is kept, and what that needs; its path, in `dir`.
    ///
    /// # Errors
    /// It does not compile or link.
    pub fn object(
        &self,
        package: &Package,
        framework: Framework,
        public: &BTreeSet<String>,
        dir: &Path,
    ) -> Result<PathBuf> {
        link::relocatable(&self.library(package, framework, &self.work)?, public, &[], dir)
    }

    fn library(&self, package: &Package, framework: Framework, work: &Path) -> Result<PathBuf> {
        fs::create_dir_all(work).with_context(|| format!("cannot make {}", work.display()))?;
        let sysroot = sysroot::find(self.toolchain, &sysroot::cache()?, self.progress)?;
        Kernel { toolchain: self.toolchain, sysroot: &sysroot, work }.library(package, framework)
    }
}
