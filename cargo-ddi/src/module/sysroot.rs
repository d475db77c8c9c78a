//! core and alloc for the kernel target: compiled once per toolchain, kept in the user's cache, shared by all drivers.
//!
//! The directory is `cargo-ddi/KEY` below `$XDG_CACHE_HOME` or `~/.cache`. The key stands for the compiler, the target and the flags, so a directory
//! that is there is complete and never changes. A lock file in it keeps two builds from doing the same work.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::compile::clean_cargo;
use super::digest::fnv;
use super::target;
use super::toolchain::Toolchain;

/// The compiler's libraries for the kernel target.
pub struct Sysroot {
    /// The argument of `--sysroot`.
    pub dir: PathBuf,
    /// The target's description.
    pub target: PathBuf,
}

/// Returns the user's cache of this program.
///
/// # Errors
/// There is neither `$XDG_CACHE_HOME` nor a home directory.
pub fn cache() -> Result<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let dir = given.or_else(|| Some(std::env::home_dir().filter(|home| home.is_absolute())?.join(".cache")));
    Ok(dir.context("there is no home directory: set XDG_CACHE_HOME")?.join("cargo-ddi"))
}

/// Returns the libraries, built now if they are not in `cache`. Waits while another process builds them.
///
/// # Errors
/// The cache cannot be written, or the libraries do not compile.
pub fn find(toolchain: &Toolchain, cache: &Path, progress: &dyn Fn(&str)) -> Result<Sysroot> {
    let spec = target::describe(toolchain)?;
    let key = format!("{}\n{spec}\n{}", toolchain.verbose_version, flags(toolchain).join("\n"));
    let home = cache.join(format!("{:016x}", fnv(key.as_bytes())));
    let found = Sysroot { dir: home.join("sysroot"), target: home.join(format!("{}.json", target::NAME)) };
    if found.dir.is_dir() {
        return Ok(found);
    }
    let hint = || format!("cannot write {}: set XDG_CACHE_HOME to a directory of yours", home.display());
    fs::create_dir_all(&home).with_context(hint)?;
    let lock = File::create(home.join("lock")).with_context(hint)?;
    if lock.try_lock().is_err() {
        progress("waiting for another build of core and alloc");
        lock.lock().with_context(|| format!("cannot lock {}", home.join("lock").display()))?;
    }
    if !found.dir.is_dir() {
        progress("compiling core and alloc for the kernel, once for this toolchain");
        fs::write(&found.target, spec).with_context(hint)?;
        build(toolchain, &home, &found)?;
    }
    Ok(found)
}

/// Flags of the libraries: the same for everybody, so without a path of a project.
fn flags(toolchain: &Toolchain) -> Vec<String> {
    let mut flags = target::flags();
    flags.extend(
        toolchain.source_directories().map(|dir| format!("--remap-path-prefix={}=rust", dir.display())),
    );
    flags
}

/// Compiles the libraries and puts them in place by one rename.
fn build(toolchain: &Toolchain, home: &Path, wanted: &Sysroot) -> Result<()> {
    let scratch = tempfile::tempdir_in(home).with_context(|| format!("cannot write {}", home.display()))?;
    let (package, output) = (scratch.path().join("package"), scratch.path().join("target"));
    fs::create_dir_all(package.join("src"))?;
    fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"nothing\"\nedition = \"2024\"\n[workspace]\n",
    )?;
    fs::write(package.join("src/lib.rs"), "#![no_std]\n")?;
    let command = ["build", "-Zbuild-std=core,alloc,compiler_builtins"];
    let mut cargo = clean_cargo(toolchain, &command, &wanted.target, &flags(toolchain));
    cargo.arg("--manifest-path").arg(package.join("Cargo.toml")).arg("--target-dir").arg(&output);
    run(&mut cargo, toolchain)?;
    let made = scratch.path().join("sysroot");
    let libraries = made.join("lib/rustlib").join(target::NAME).join("lib");
    fs::create_dir_all(&libraries)?;
    let mut count = 0;
    for entry in fs::read_dir(output.join(target::NAME).join("release/deps"))?.flatten() {
        let name = entry.file_name();
        let library = Path::new(&name).extension() == Some(OsStr::new("rlib"));
        if library && !name.to_string_lossy().starts_with("libnothing") {
            fs::copy(entry.path(), libraries.join(&name))?;
            count += 1;
        }
    }
    if count < 3 {
        bail!(
            "{} built {count} libraries in place of core, alloc and compiler_builtins",
            toolchain.cargo.display()
        );
    }
    fs::rename(&made, &wanted.dir).with_context(|| format!("cannot make {}", wanted.dir.display()))
}

fn run(cargo: &mut Command, toolchain: &Toolchain) -> Result<()> {
    let status = cargo.status().with_context(|| format!("cannot run {}", toolchain.cargo.display()))?;
    if !status.success() {
        bail!("core and alloc do not compile for the kernel: see the messages above");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::toolchain;

    /// A toolchain that takes no time: its cargo leaves what a build leaves, and a line in `calls`.
    fn fake(dir: &Path) -> Toolchain {
        use std::os::unix::fs::PermissionsExt as _;
        let spec = r#"{"code-model": "kernel", "disable-redzone": true, "panic-strategy": "abort"}"#;
        let rustc = format!(
            "#!/bin/sh\ncase $* in *target-spec-json*) echo '{spec}' ;; *) echo 'rustc 1.99.0' ;; esac\n"
        );
        let cargo = format!(
            "#!/bin/sh\necho \"$*\" >>'{0}/calls'\nsleep 0.2\nwhile [ \"$1\" != --target-dir ]; do shift; done\n\
             mkdir -p \"$2/{1}/release/deps\"\ncd \"$2/{1}/release/deps\"\n\
             touch libcore-1.rlib liballoc-1.rlib libcompiler_builtins-1.rlib libnothing-1.rlib core.d\n",
            dir.display(),
            target::NAME
        );
        let (bin, sources) = (dir.join("bin"), dir.join("lib/rustlib/src/rust/library/core/src"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&sources).unwrap();
        fs::write(sources.join("lib.rs"), "").unwrap();
        for (name, text) in [("rustc", rustc), ("cargo", cargo)] {
            fs::write(bin.join(name), text).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        toolchain::at(dir).unwrap()
    }

    /// Two at the same time build once; a third finds what is there.
    #[test]
    fn concurrent_builds_share_one() {
        let dir = tempfile::tempdir().unwrap();
        let toolchain = fake(dir.path());
        fs::remove_file(dir.path().join("calls")).unwrap(); // of finding it
        let cache = dir.path().join("cache");
        let waited = std::sync::Mutex::new(Vec::new());
        let progress = |text: &str| waited.lock().unwrap().push(text.to_owned());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| find(&toolchain, &cache, &progress).unwrap());
            }
        });
        let found = find(&toolchain, &cache, &progress).unwrap();
        let said = waited.lock().unwrap();
        assert!(said.len() == 2 && said.iter().any(|text| text.starts_with("waiting")), "{said:?}");
        assert_eq!(fs::read_to_string(dir.path().join("calls")).unwrap().lines().count(), 1);
        let libraries = found.dir.join("lib/rustlib").join(target::NAME).join("lib");
        let mut names: Vec<_> =
            fs::read_dir(libraries).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["liballoc-1.rlib", "libcompiler_builtins-1.rlib", "libcore-1.rlib"]);
        // Nothing of the work is left beside the result.
        assert_eq!(fs::read_dir(found.dir.parent().unwrap()).unwrap().count(), 3);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let toolchain = fake(dir.path());
        let Err(error) = find(&toolchain, Path::new("/dev/null/cache"), &|_| ()) else { panic!("written") };
        assert!(format!("{error:#}").contains("set XDG_CACHE_HOME"), "{error:#}");
    }
}
