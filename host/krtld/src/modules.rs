//! All loaded modules: found along the search path, loaded with their dependencies, installed, uninstalled, unloaded.
//!
//! Locking: one mutex around the list, a leaf, not held while a module's code runs; `busy` serialises loading and unloading, as the kernel's
//! per-module busy flag does.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use crate::check::registers;
use crate::elf::{MODULE_NAME_MAX, Object};
use crate::error::{LoadError, Problem};
use crate::kernel::Kernel;
use crate::link;
use crate::module::{Module, Symbols};

/// The same numbers on illumos and on Linux.
const EFAULT: i32 = libc::EFAULT;
const EBUSY: i32 = libc::EBUSY;

/// Ids start behind those that the modules of a small illumos have.
static NEXT_ID: AtomicUsize = AtomicUsize::new(200);
/// Every loaded module of the process, for looking up addresses.
static ALL: RwLock<Vec<Weak<Module>>> = RwLock::new(Vec::new());

/// Why a module stays: an illumos errno and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnloadError {
    /// illumos errno; `EBUSY` unless `_fini` said otherwise.
    pub errno: i32,
    /// What holds it.
    pub reason: String,
}

impl fmt::Display for UnloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't unload the module: {} (errno {})", self.reason, self.errno)
    }
}

impl std::error::Error for UnloadError {}

/// Why a module that was loaded did not install.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// It has no usable `_init`: `EFAULT`.
    #[error("{0}: _init() not defined properly")]
    NoInit(String),
    /// `_init` returned this illumos errno.
    #[error("{0}: _init() failed with errno {1}")]
    Failed(String, i32),
}

impl InstallError {
    /// The illumos errno.
    pub fn errno(&self) -> i32 {
        match self {
            InstallError::NoInit(_) => EFAULT,
            InstallError::Failed(_, errno) => *errno,
        }
    }
}

/// The modules that are loaded into one kernel.
pub struct Modules {
    kernel: Arc<dyn Kernel>,
    path: Vec<PathBuf>,
    list: Mutex<Vec<Arc<Module>>>,
    /// Every module that was ever loaded, by number.
    known: Mutex<Vec<Known>>,
    busy: Mutex<()>,
}

/// A module that has been loaded, and may be still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its number, the same each time.
    pub id: usize,
    /// How often it was loaded.
    pub loads: usize,
}

impl fmt::Debug for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Modules").field("path", &self.path).field("list", &self.list).finish_non_exhaustive()
    }
}

impl Modules {
    /// No modules yet. `path` holds the directories in which modules are searched (`ROOT/kernel`, `ROOT/usr/kernel`).
    pub fn new(kernel: Arc<dyn Kernel>, path: Vec<PathBuf>) -> Modules {
        Modules { kernel, path, list: Mutex::default(), known: Mutex::default(), busy: Mutex::default() }
    }

    /// All loaded modules, in order of loading.
    pub fn list(&self) -> Vec<Arc<Module>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every module that was ever loaded, by number.
    pub fn known(&self) -> Vec<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a load; the module's number.
    fn count(&self, name: &str) -> usize {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.iter_mut().find(|k| k.name == name) {
            found.loads += 1;
            return found.id;
        }
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        known.push(Known { name: name.to_owned(), id, loads: 1 });
        id
    }

    /// A loaded module by name.
    pub fn find(&self, name: &str) -> Option<Arc<Module>> {
        self.list().into_iter().find(|m| m.name() == name)
    }

    /// The file of a module named relative to the module path ("drv/ctxdev", "misc/agpmaster"): first below `amd64` in every directory of the
    /// path, then without.
    pub fn search(&self, name: &str) -> Option<PathBuf> {
        let (kind, base) = name.split_once('/').unwrap_or(("drv", name));
        let wide = self.path.iter().map(|dir| dir.join(kind).join("amd64").join(base));
        let plain = self.path.iter().map(|dir| dir.join(kind).join(base));
        wide.chain(plain).find(|file| file.is_file())
    }

    /// The file of a module as modload(8) finds it with `-p`: below every directory of the module path, there first in `amd64`.
    pub fn along_path(&self, name: &str) -> Option<PathBuf> {
        let name = name.trim_start_matches('/');
        let (kind, base) = name.rsplit_once('/').unwrap_or(("", name));
        let dirs = self.path.iter().map(|dir| dir.join(kind));
        let mut files = dirs.flat_map(|dir| [dir.join("amd64").join(base), dir.join(base)]);
        files.find(|file| file.is_file())
    }

    /// Loads a module file, with what it depends on. No code of it runs but `_info`. A module that is loaded already is returned as it is.
    ///
    /// # Errors
    /// What is wrong with the file, all at once.
    pub fn load(&self, file: &Path) -> Result<Arc<Module>, LoadError> {
        self.load_as(file, None)
    }

    /// The same, under another name than the file's.
    ///
    /// # Errors
    /// As [`Modules::load`].
    pub fn load_as(&self, file: &Path, name: Option<&str>) -> Result<Arc<Module>, LoadError> {
        let _busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        self.load_file(file, name, &mut Vec::new())
    }

    fn load_file(
        &self,
        file: &Path,
        name: Option<&str>,
        chain: &mut Vec<String>,
    ) -> Result<Arc<Module>, LoadError> {
        let of_file = || file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.map_or_else(of_file, str::to_owned);
        let fail = |problem| LoadError::new(&name, vec![problem]);
        if name.is_empty() || name.len() > MODULE_NAME_MAX {
            return Err(fail(Problem::System(format!(
                "module names have 1 to {MODULE_NAME_MAX} characters, this one has {}",
                name.len()
            ))));
        }
        if let Some(module) = self.find(&name) {
            return Ok(module);
        }
        if chain.contains(&name) {
            return Err(fail(Problem::Depends(format!(
                "{name} depends on itself by way of {}",
                chain.join(", ")
            ))));
        }
        let data =
            std::fs::read(file).map_err(|e| fail(Problem::System(format!("{}: {e}", file.display()))))?;
        let object = Object::parse(&name, data)?;
        let uses = registers::warnings(&object);
        chain.push(name.clone());
        let mut depends: Vec<Arc<Module>> = Vec::new();
        let mut absent = Vec::new();
        for wanted in &object.depends {
            let Some(found) = self.search(wanted).or_else(|| near(file, wanted)) else {
                absent.push(wanted.clone());
                continue;
            };
            match self.load_file(&found, None, chain) {
                Ok(module) => depends.push(module),
                Err(error) => return Err(fail(Problem::Depends(format!("{wanted}: {error}")))),
            }
        }
        chain.pop();
        let linked = link::link(&object, &depends, &*self.kernel).map_err(|mut problems| {
            let undefined = problems.iter().any(|p| matches!(p, Problem::Missing(_)));
            if undefined {
                for wanted in absent.iter().rev() {
                    let text = format!("{wanted} was not found along the module path");
                    problems.insert(0, Problem::Depends(text));
                }
            }
            LoadError::new(&name, problems)
        })?;
        for text in uses.iter().chain(&linked.warnings) {
            self.kernel.message(&format!("WARNING: {name}: {text}"));
        }
        for wanted in absent {
            self.kernel.message(&format!("WARNING: {name}: cannot find dependency '{wanted}'"));
        }
        let id = self.count(&name);
        let module = Arc::new(Module::new(&name, file, id, object, linked, depends));
        let mut all = ALL.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|m| m.strong_count() != 0);
        all.push(Arc::downgrade(&module));
        drop(all);
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(module.clone());
        if let Err(text) = module.info(&*self.kernel) {
            self.kernel.message(&format!("WARNING: {text}"));
        }
        Ok(module)
    }

    /// Installs a loaded module: first what it depends on, then its `_init`. Nothing happens when it is installed already.
    ///
    /// # Errors
    /// No `_init`, or what `_init` returned; the module is then unloaded.
    pub fn install(&self, module: &Arc<Module>) -> Result<(), InstallError> {
        let _busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        self.install_one(module)
    }

    fn install_one(&self, module: &Arc<Module>) -> Result<(), InstallError> {
        if module.is_installed() {
            return Ok(());
        }
        let mut result = Ok(());
        for needed in module.depends() {
            result = result.and_then(|()| self.install_one(needed));
        }
        result = result.and_then(|()| {
            let init = module.entry("_init").ok_or_else(|| InstallError::NoInit(module.name().to_owned()))?;
            match module.call(&*self.kernel, "_init", init) {
                0 => Ok(()),
                errno => Err(InstallError::Failed(module.name().to_owned(), errno)),
            }
        });
        match result {
            Ok(()) => {
                module.installed.store(true, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                self.forget(module);
                Err(error)
            }
        }
    }

    /// Unloads a module: its instances are detached, `_fini` is asked, its memory goes.
    ///
    /// # Errors
    /// `EBUSY` when another module depends on it, an instance is open, mapped or will not detach, or there is no `_fini`; else what `_fini`
    /// returned. The module stays.
    pub fn unload(&self, name: &str) -> Result<(), UnloadError> {
        let _busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(module) = self.find(name) else {
            return Err(UnloadError { errno: 2, reason: format!("{name} is not loaded") });
        };
        let busy = |reason: String| UnloadError { errno: EBUSY, reason };
        if module.holds.load(Ordering::Relaxed) != 0 {
            let holders: Vec<String> = self
                .list()
                .iter()
                .filter(|m| m.depends().iter().any(|d| Arc::ptr_eq(d, &module)))
                .map(|m| m.name().to_owned())
                .collect();
            return Err(busy(format!("{} depends on {name}", holders.join(", "))));
        }
        if module.is_installed() {
            let Some(fini) = module.entry("_fini") else {
                return Err(busy(format!("{name} has no _fini()")));
            };
            self.kernel.detach_all(name).map_err(|errno| UnloadError {
                errno,
                reason: format!("an instance of {name} is open, mapped or does not detach"),
            })?;
            match module.call(&*self.kernel, "_fini", fini) {
                0 => module.installed.store(false, Ordering::Release),
                errno => return Err(UnloadError { errno, reason: format!("_fini() of {name} refused") }),
            }
        }
        self.forget(&module);
        Ok(())
    }

    fn forget(&self, module: &Arc<Module>) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).retain(|m| !Arc::ptr_eq(m, module));
    }
}

/// A dependency near the module that names it, for modules that are loaded from outside the module path: in the tree that the module lies in
/// (`TREE/drv/amd64/foo` finds `TREE/misc/amd64/bar`), else beside it.
fn near(file: &Path, wanted: &str) -> Option<PathBuf> {
    let (kind, base) = wanted.split_once('/').unwrap_or(("drv", wanted));
    let dir = file.parent()?;
    let kinds = if dir.file_name().is_some_and(|d| d == "amd64") { dir.parent()? } else { dir };
    let tree = kinds.parent().map(|tree| tree.join(kind));
    let in_tree = tree.iter().flat_map(|dir| [dir.join("amd64").join(base), dir.join(base)]);
    in_tree.chain([dir.join(base)]).find(|found| found.is_file())
}

/// The loaded module that an address belongs to.
pub fn module_at(address: usize) -> Option<Arc<Module>> {
    let all = ALL.read().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(Weak::upgrade).find(|m| m.contains(address))
}

/// Names the variable of a module that lies at an address: "ctxdev`states"; with an offset, if it lies inside one.
pub fn variable(address: usize) -> Option<String> {
    module_at(address)?.variable(address)
}

/// What is remembered of modules that are not loaded any more, for the stacks of what they have left: the last one first.
static GONE: Mutex<VecDeque<Symbols>> = Mutex::new(VecDeque::new());
const REMEMBERED: usize = 64;

/// Remembers a module that goes.
pub(crate) fn remember(symbols: Symbols) {
    let mut gone = GONE.lock().unwrap_or_else(PoisonError::into_inner);
    gone.push_front(symbols);
    gone.truncate(REMEMBERED);
}

/// An address inside a module as "module`function+0x12", the way illumos writes it. The module may have been unloaded.
pub fn symbolize(address: usize) -> Option<String> {
    if let Some(module) = module_at(address) {
        return module.symbols().name(address);
    }
    let gone = GONE.lock().unwrap_or_else(PoisonError::into_inner);
    gone.iter().find_map(|symbols| symbols.name(address))
}
