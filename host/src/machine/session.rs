//! The drivers of a run that come from module files: loaded, given their nodes, attached; at the end detached and unloaded, in reverse.
//!
//! Locking: a session belongs to the thread that runs the command; what it calls has its own locks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ddi_krtld::{Export, Fired, Kernel, Linkage, Modules, Nowhere, UnloadError, Why};
use ddi_system::errno::{EBUSY, EINVAL, EIO, ENOENT, ENXIO};
use ddi_system::root::{Lock, Root, Unreadable};

use crate::machine::config::{self, Config, ConfigError};
use ddi_kernel::board::{log, report};
use ddi_kernel::ddi;
use ddi_kernel::kern::symbols;
use ddi_kernel::kern::thread::{self, Context};
use ddi_kernel::kern::{drivers, entry, left, nodes, probes, tables, trap};
use ddi_kernel::pci;
use ddi_kernel::vm::client;

static ALLOW_MISSING: AtomicBool = AtomicBool::new(false);

/// Allows modules with undefined symbols to be loaded; the first call of such a function ends the run.
pub fn allow_missing() {
    ALLOW_MISSING.store(true, Ordering::Relaxed);
}

/// The DDI of this process, as modules are linked against it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

impl Kernel for Host {
    fn lookup(&self, name: &str) -> Option<Export> {
        ddi_extra::add();
        let symbol = symbols::find(name)?;
        let address = symbol.address.0 as usize;
        Some(if symbol.size > 0 {
            Export::Data { address, size: symbol.size }
        } else {
            Export::Function(address)
        })
    }

    fn call(&self, what: &str, f: &mut dyn FnMut()) {
        // A module's symbols are bound before anything of it is called.
        ddi::data::settle();
        if client::current().is_none() {
            thread::set_process(None);
        }
        thread::in_context(Context::Kernel, || {
            let _ = entry::prompt(|| entry::call(|| what.to_owned(), f));
        });
    }

    fn detach_all(&self, module: &str) -> Result<(), i32> {
        let Some(driver) = drivers::find(module) else { return Ok(()) };
        if driver.opens.load(std::sync::atomic::Ordering::SeqCst) != 0 {
            return Err(EBUSY);
        }
        driver.detach_all().map_err(|why| {
            log::line(log::To::Both, &format!("WARNING: {why}"));
            EBUSY
        })
    }

    fn linkage(&self, module: &str, address: usize) -> Result<Linkage, Nowhere> {
        tables::linkage(module, address).map_err(Nowhere::new)
    }

    fn missing(&self) -> Option<fn(&str, Why) -> !> {
        ALLOW_MISSING.load(Ordering::Relaxed).then_some(|name, why| {
            report::leftover(name, &format!("the function is called, and {why}"), "Intro(9F)");
            report::stop()
        })
    }

    fn probe(&self, name: &str, imports: &dyn Fn(&str) -> bool) -> Option<Fired> {
        probes::bind(name, imports)
    }

    fn message(&self, text: &str) {
        log::line(log::To::Both, text);
    }
}

/// A driver to load: `FILE[,conf=FILE][,name=NAME][,device=FILE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverFile {
    /// The module.
    pub module: PathBuf,
    /// The name under which it is loaded, if not that of the file.
    pub name: Option<String>,
    /// The configuration file, if one was named.
    pub conf: Option<PathBuf>,
    /// Simulated PCI devices of its own.
    pub devices: Vec<PathBuf>,
}

/// An error in the argument that names a driver.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// It is empty.
    #[error("it names neither a driver nor a module file")]
    Empty,
    /// A part is none of those that there are.
    #[error("{0}: expected conf=FILE, name=NAME or device=FILE")]
    Part(String),
}

impl std::str::FromStr for DriverFile {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<DriverFile, ArgumentError> {
        let mut parts = text.split(',');
        let module = parts.next().filter(|m| !m.is_empty()).ok_or(ArgumentError::Empty)?;
        let (mut conf, mut name, mut devices) = (None, None, Vec::new());
        for part in parts {
            match part.split_once('=') {
                Some(("conf", file)) => conf = Some(PathBuf::from(file)),
                Some(("device", file)) => devices.push(PathBuf::from(file)),
                Some(("name", driver)) if !driver.is_empty() => name = Some(driver.to_owned()),
                _ => return Err(ArgumentError::Part(part.to_owned())),
            }
        }
        Ok(DriverFile { module: module.into(), name, conf, devices })
    }
}

impl DriverFile {
    /// The configuration file: the one that was named, or NAME.conf beside the module or (for a module in `amd64`) one level up.
    pub fn conf(&self) -> Option<PathBuf> {
        if self.conf.is_some() {
            return self.conf.clone();
        }
        let name = format!("{}.conf", self.module.file_name()?.to_string_lossy());
        let dir = self.module.parent()?;
        let up = dir.file_name().filter(|d| *d == "amd64").and(dir.parent());
        [Some(dir), up].into_iter().flatten().map(|d| d.join(&name)).find(|f| f.is_file())
    }
}

/// Why a driver's module is not loaded, or still is.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The module cannot be loaded.
    #[error(transparent)]
    Load(#[from] ddi_krtld::LoadError),
    /// `_init` failed.
    #[error("cannot load module '{name}': {error}")]
    Install {
        /// The module.
        name: String,
        /// Why.
        error: ddi_krtld::modules::InstallError,
    },
    /// The driver is not bound.
    #[error("{0} has no major number")]
    NoMajor(String),
    /// The driver has no module file.
    #[error("no module for driver {0}")]
    NoModule(String),
    /// A database cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The nodes of the driver cannot be made.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The module cannot be unloaded.
    #[error("{name}: {error}")]
    Unload {
        /// The module.
        name: String,
        /// Why.
        error: UnloadError,
    },
}

/// Module files that were loaded for a run.
#[derive(Debug)]
pub struct Session {
    modules: Modules,
    names: Vec<String>,
    /// Those that modload(8) has loaded: they go when they are named, not with all that are not in use.
    kept: Vec<String>,
    holds: Vec<(String, Lock)>,
}

impl Session {
    /// Nothing loaded yet. `root` is where dependencies are searched.
    pub fn new(root: Option<&Root>) -> Session {
        // Loading a module runs its code. A thread starts with the %gs base of its creator, so all threads have one from here on.
        thread::kthread();
        trap::install();
        ddi_extra::add();
        let path = root.map(Root::module_path).unwrap_or_default();
        let modules = Modules::new(Arc::new(Host), path);
        Session { modules, names: Vec::new(), kept: Vec::new(), holds: Vec::new() }
    }

    /// The loaded modules.
    pub fn modules(&self) -> &Modules {
        &self.modules
    }

    /// Loads a driver, installs it and attaches its nodes. Returns the number of instances attached.
    ///
    /// # Errors
    /// See [`DriverError`]. The module is not loaded then.
    pub fn add(&mut self, module: &Path) -> Result<usize, DriverError> {
        self.add_as(module, None)
    }

    /// The same, under another name than the file's.
    ///
    /// # Errors
    /// As [`Session::add`].
    pub fn add_as(&mut self, module: &Path, name: Option<&str>) -> Result<usize, DriverError> {
        let module = self.modules.load_as(module, name)?;
        let name = module.name().to_owned();
        let failed = |error| DriverError::Install { name: name.clone(), error };
        self.modules.install(&module).map_err(failed)?;
        self.names.push(name.clone());
        Ok(attach(&name))
    }

    /// modload(8): loads a module and installs it; a driver is attached when its device is opened. The module's number.
    ///
    /// # Errors
    /// illumos's errno, and the reason for the console.
    pub fn load(&mut self, root: &Root, file: &Path) -> Result<usize, (i32, String)> {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !file.is_file() {
            let errno = if file.is_dir() { EINVAL } else { ENOENT };
            return Err((errno, format!("{}: there is no such file", file.display())));
        }
        let told = |e: std::io::Error| (EIO, format!("{}: {e}", root.dir().display()));
        let bound = drivers::major_of(&name).is_some();
        let module = self.modules.load(file).map_err(|e| (EINVAL, e.to_string()))?;
        self.modules.install(&module).map_err(|e| (e.errno(), e.to_string()))?;
        if drivers::find(&name).is_some() {
            if !bound {
                let _ = self.modules.unload(&name);
                // Registering it has given it one.
                drivers::forget_major(&name);
                return Err((ENXIO, format!("mod_installdrv: no major number for {name}")));
            }
            make_nodes(root, &name)
                .unwrap_or_else(|why| log::line(log::To::Both, &format!("WARNING: {why}")));
            if !self.names.contains(&name) {
                let hold = root.hold(&name).map_err(told)?;
                self.holds.extend(hold.map(|hold| (name.clone(), hold)));
            }
        }
        if !self.names.contains(&name) {
            self.names.push(name.clone());
        }
        if !self.kept.contains(&name) {
            self.kept.push(name);
        }
        Ok(module.id())
    }

    /// Unloads every unused module, as `modunload -i 0` does; those that modload has loaded stay.
    pub fn unload_unused(&mut self) {
        loop {
            let loaded = self.modules.list();
            let names = loaded.iter().rev().map(|m| m.name().to_owned());
            let names: Vec<String> = names.filter(|name| !self.kept.contains(name)).collect();
            drop(loaded);
            // One that goes may have been the last that needed another.
            let gone = names.iter().filter(|name| self.unload(name).is_ok()).count();
            if gone == 0 {
                return;
            }
        }
    }

    /// Loads every driver that is installed below a root and has a node. A driver that does not load is reported and left out, as at boot.
    ///
    /// # Errors
    /// The databases cannot be read.
    pub fn add_installed(&mut self, root: &Root) -> Result<(), DriverError> {
        let installed = root.installed().map_err(|error| root.unreadable(error))?;
        pci::rebind(bound_by(root)?);
        for driver in installed {
            let added = make_nodes(root, &driver.name).and_then(|()| {
                let idle = nodes::of_driver(&driver.name).is_empty();
                if idle { Ok(0) } else { self.load_from(root, &driver.name) }
            });
            if let Err(why) = added {
                log::line(log::To::Both, &format!("WARNING: {why}"));
            }
        }
        Ok(())
    }

    /// Loads and attaches one driver that is installed below a root and bound. Returns the number of instances attached.
    ///
    /// # Errors
    /// As [`add`](Session::add), or the driver is not installed there or has no major number.
    pub fn add_from(&mut self, root: &Root, name: &str) -> Result<usize, DriverError> {
        if drivers::major_of(name).is_none() {
            return Err(DriverError::NoMajor(name.to_owned()));
        }
        pci::rebind(bound_by(root)?);
        make_nodes(root, name)?;
        self.load_from(root, name)
    }

    fn load_from(&mut self, root: &Root, name: &str) -> Result<usize, DriverError> {
        if self.names.iter().any(|loaded| loaded == name) {
            return Ok(attach(name));
        }
        let module = root.module(name).ok_or_else(|| DriverError::NoModule(name.to_owned()))?;
        let hold = root.hold(name).map_err(|error| root.unreadable(error))?;
        let attached = self.add(&module)?;
        self.holds.extend(hold.map(|hold| (name.to_owned(), hold)));
        Ok(attached)
    }

    /// Unloads one driver: detaches its instances, asks `_fini`.
    ///
    /// # Errors
    /// Why it stays.
    pub fn remove(&mut self, name: &str) -> Result<(), DriverError> {
        self.unload(name).map_err(|error| DriverError::Unload { name: name.to_owned(), error })
    }

    /// The same, with illumos's errno.
    ///
    /// # Errors
    /// Why it stays.
    pub fn unload(&mut self, name: &str) -> Result<(), UnloadError> {
        let module = self.modules.find(name);
        self.modules.unload(name)?;
        if let Some(module) = module {
            // Its memory is unmapped when this is dropped; anything that would still call into it is reported before.
            left::report(|code| module.contains(code));
        }
        self.names.retain(|n| n != name);
        self.kept.retain(|n| n != name);
        self.holds.retain(|(n, _)| n != name);
        Ok(())
    }

    /// Unloads all of them, the last one first; what does not go is said.
    pub fn end(mut self) -> Vec<String> {
        let names: Vec<String> = self.names.iter().rev().cloned().collect();
        let stuck: Vec<String> =
            names.iter().filter_map(|name| self.remove(name).err()).map(|why| why.to_string()).collect();
        // Modules that only others needed.
        for module in self.modules.list().into_iter().rev() {
            let name = module.name().to_owned();
            drop(module);
            if !names.contains(&name) {
                let _ = self.modules.unload(&name);
            }
        }
        if !stuck.is_empty() {
            // Timeouts and threads of a driver that stays may still run its code.
            std::mem::forget(self);
        }
        stuck
    }
}

/// Attaches a driver's nodes. Returns the number attached.
fn attach(name: &str) -> usize {
    let attached = drivers::find(name).map_or(0, |driver| driver.attach_all());
    nodes::changed();
    attached
}

/// Makes the nodes that an installed driver's configuration file names. Those that there are stay.
fn make_nodes(root: &Root, name: &str) -> Result<(), DriverError> {
    let conf = root.conf(name).map(|path| config::read_conf(&path)).transpose()?;
    let bound_by = bound_by(root)?;
    let bound = |node: &str| bound_by(node).as_deref() == Some(name);
    Ok(Config::default().make_nodes(name, conf.as_ref(), Some(&bound))?)
}

/// Which driver a system's databases bind to a name: an alias, or the name of a driver.
///
/// # Errors
/// They cannot be read.
pub fn bound_by(root: &Root) -> Result<impl Fn(&str) -> Option<String>, Unreadable> {
    let at_root = |error| root.unreadable(error);
    let aliases = root.aliases().map_err(at_root)?;
    let drivers: Vec<String> = root.installed().map_err(at_root)?.into_iter().map(|d| d.name).collect();
    Ok(move |name: &str| {
        let alias = aliases.iter().find(|(_, alias)| alias == name).map(|(driver, _)| driver);
        alias.or_else(|| drivers.iter().find(|driver| *driver == name)).cloned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_named_with_its_configuration_file() {
        let dir = tempfile::tempdir().unwrap();
        let amd64 = dir.path().join("drv/amd64");
        std::fs::create_dir_all(&amd64).unwrap();
        let module = amd64.join("soft");
        let file: DriverFile = module.to_str().unwrap().parse().unwrap();
        assert_eq!(file.conf(), None);
        let up = dir.path().join("drv/soft.conf");
        std::fs::write(&up, "").unwrap();
        assert_eq!(file.conf(), Some(up));
        let beside = amd64.join("soft.conf");
        std::fs::write(&beside, "").unwrap();
        assert_eq!(file.conf(), Some(beside));
        let file: DriverFile = "a/soft,conf=b/c.conf".parse().unwrap();
        assert_eq!(file.conf(), Some("b/c.conf".into()));
        assert!("a/soft,c=b".parse::<DriverFile>().is_err());
        assert!("".parse::<DriverFile>().is_err());
    }
}
