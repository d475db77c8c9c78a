//! A loaded module: its memory, its symbols, its entry points.
//!
//! Locking: the hold count and the state are atomic; the rest does not change after loading.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use object::elf::STT_OBJECT;

use crate::elf::{Binding, Object};
use crate::image::Image;
use crate::kernel::{Kernel, Linkage, Nowhere};
use crate::link::{self, Linked, Probe};
use crate::modules;
use crate::published::Published;

/// `MODREV_1`: the linkage revision that the kernel takes.
const MODREV_1: c_int = 1;
const MI_INFO_LINKAGE: c_int = 8;

/// `struct modinfo`, as far as `_info` needs it: 432 bytes, `mi_info` first, `mi_base` at 16.
#[repr(C, align(8))]
struct ModInfoRequest {
    info: c_int,
    state: c_int,
    id: c_int,
    next_id: c_int,
    base: *const c_void,
    rest: [u8; 408],
}

const _: () = assert!(size_of::<ModInfoRequest>() == 432);

/// A module that does not say properly what it is.
#[derive(Debug, thiserror::Error)]
#[error("{module}: {why}")]
pub struct InfoError {
    /// Name of the module.
    pub module: String,
    /// The reason.
    pub why: WrongInfo,
}

/// Reason why a module's `_info` or its linkage is refused.
#[derive(Debug, thiserror::Error)]
pub enum WrongInfo {
    /// There is no `_info`, or it is not inside the module.
    #[error("_info() not defined properly")]
    NoInfo,
    /// `_info` did not call mod_info(9F) with a linkage of the module.
    #[error("mod_info() got no linkage of the module")]
    NoLinkage,
    /// A pointer in the linkage leads nowhere.
    #[error(transparent)]
    Nowhere(Nowhere),
    /// `ml_rev`.
    #[error("linkage revision {0} instead of {MODREV_1}")]
    Revision(i32),
    /// An element of the linkage is not in the module.
    #[error("a linkage element outside the module")]
    Outside,
}

/// A module in memory.
#[derive(Debug)]
pub struct Module {
    name: String,
    path: PathBuf,
    id: usize,
    object: Object,
    /// Goes before the image.
    _published: Published,
    image: Image,
    values: Vec<Option<i64>>,
    symbols: Symbols,
    probes: Vec<Probe>,
    depends: Vec<Arc<Module>>,
    /// Modules that depend on this one, and whoever else holds it.
    pub(crate) holds: AtomicUsize,
    pub(crate) installed: AtomicBool,
}

impl Module {
    pub(crate) fn new(
        name: &str,
        path: &Path,
        id: usize,
        mut object: Object,
        linked: Linked,
        depends: Vec<Arc<Module>>,
    ) -> Module {
        let symbols = Symbols {
            module: name.to_owned(),
            memory: linked.image.memory(),
            functions: link::functions(&object, &linked.values),
        };
        object.data = Vec::new();
        object.relocations = Vec::new();
        for module in &depends {
            module.holds.fetch_add(1, Ordering::Relaxed);
        }
        Module {
            name: name.to_owned(),
            path: path.to_owned(),
            id,
            object,
            _published: Published::new(name, &linked.image.text(), linked.image.memory().end),
            image: linked.image,
            values: linked.values,
            symbols,
            probes: linked.probes,
            depends,
            holds: AtomicUsize::new(0),
            installed: AtomicBool::new(false),
        }
    }

    /// Its name: the file's.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Its number, as in modinfo(8).
    pub fn id(&self) -> usize {
        self.id
    }
    /// Where its text starts.
    pub fn base(&self) -> usize {
        self.image.base()
    }
    /// Bytes of text and data together, as modinfo(8) counts them.
    pub fn size(&self) -> usize {
        let (text, data) = self.image.sizes();
        text + data
    }
    /// Bytes of text (with read-only data) and of data (with common symbols).
    pub fn sizes(&self) -> (usize, usize) {
        self.image.sizes()
    }
    /// Its probe sites, in the order of its relocations.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }
    /// The modules that it depends on, in order.
    pub fn depends(&self) -> &[Arc<Module>] {
        &self.depends
    }
    /// Has `_init` succeeded.
    pub fn is_installed(&self) -> bool {
        self.installed.load(Ordering::Acquire)
    }
    /// Is the address inside its memory.
    pub fn contains(&self, address: usize) -> bool {
        self.image.contains(address)
    }

    /// Is the address inside its instructions.
    pub fn is_text(&self, address: usize) -> bool {
        self.image.is_text(address)
    }

    /// Address of the first symbol of that name that the module defines, local or global.
    pub fn symbol(&self, name: &str) -> Option<usize> {
        let value = self.values[self.object.own(name)?]?;
        usize::try_from(value).ok()
    }

    /// Names the variable at an address: "ctxdev`states".
    pub(super) fn variable(&self, address: usize) -> Option<String> {
        let variables = self.object.symbols.iter().zip(&self.values).filter(|(s, _)| s.kind == STT_OBJECT);
        let (name, offset) = variables.into_iter().find_map(|(s, value)| {
            let offset = address.checked_sub(usize::try_from((*value)?).ok()?)?;
            ((offset as u64) < s.size.max(1)).then_some((&s.name, offset))
        })?;
        let offset = if offset == 0 { String::new() } else { format!("+{offset:#x}") };
        Some(format!("{}`{name}{offset}", self.name))
    }

    /// Address of a symbol that other modules may use: defined here, not local.
    pub fn exported(&self, name: &str) -> Option<usize> {
        self.object
            .symbols
            .iter()
            .zip(&self.values)
            .find(|(s, v)| s.name == name && !s.undefined() && s.external() && v.is_some())
            .and_then(|(_, value)| usize::try_from((*value)?).ok())
    }

    pub(crate) fn exports_globally(&self, name: &str) -> bool {
        self.object.symbols.iter().any(|s| s.name == name && !s.undefined() && s.binding == Binding::Global)
    }

    /// The names of its functions.
    pub(crate) fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// An entry point: looked up in the module's own table, must lie inside its memory.
    pub(crate) fn entry(&self, name: &str) -> Option<usize> {
        self.symbol(name).filter(|&address| self.contains(address))
    }

    /// Calls `_init` or `_fini`, whose address was looked up.
    pub(crate) fn call(&self, kernel: &dyn Kernel, what: &str, address: usize) -> c_int {
        let mut result = 0;
        kernel.call(&format!("{}: {what}(9E)", self.name), &mut || {
            // SAFETY: an entry point inside the module's sealed text (or, for a broken module, its data, which does not execute);
            // every module that loads declares `int _init(void)`, `int _fini(void)`.
            let entry: extern "C-unwind" fn() -> c_int = unsafe { std::mem::transmute(address) };
            result = entry();
        });
        result
    }

    /// Asks the module's `_info` for its linkage and reads the descriptions of its elements ("ctxdev: context switching device").
    /// Empty when the module answers 0 or has no `_info`; the kernel tolerates that.
    ///
    /// # Errors
    /// Whatever is wrong with `_info` or the linkage.
    pub fn info(&self, kernel: &dyn Kernel) -> Result<Vec<String>, InfoError> {
        let wrong = |why| InfoError { module: self.name.clone(), why };
        let Some(address) = self.entry("_info") else {
            return Err(wrong(WrongInfo::NoInfo));
        };
        let mut request = ModInfoRequest {
            info: MI_INFO_LINKAGE,
            state: 0,
            id: self.id as c_int,
            next_id: 0,
            base: std::ptr::null(),
            rest: [0; 408],
        };
        let mut result = 0;
        kernel.call(&format!("{}: _info(9E)", self.name), &mut || {
            // SAFETY: the module's `int _info(struct modinfo *)`, inside its memory.
            let entry: extern "C-unwind" fn(*mut ModInfoRequest) -> c_int =
                unsafe { std::mem::transmute(address) };
            result = entry(&mut request);
        });
        if result == 0 {
            return Ok(Vec::new());
        }
        if !self.contains(request.base as usize) {
            return Err(wrong(WrongInfo::NoLinkage));
        }
        let Linkage { rev, elements } = kernel
            .linkage(&self.name, request.base as usize)
            .map_err(|why| wrong(WrongInfo::Nowhere(why)))?;
        if rev != MODREV_1 {
            return Err(wrong(WrongInfo::Revision(rev)));
        }
        if elements.iter().any(|element| !self.contains(element.address)) {
            return Err(wrong(WrongInfo::Outside));
        }
        Ok(elements
            .iter()
            .map(|element| String::from_utf8_lossy(&element.description).into_owned())
            .collect())
    }
}

/// The names of a module's functions, in order of their addresses.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    module: String,
    memory: Range<usize>,
    functions: Vec<(usize, usize, String)>,
}

impl Symbols {
    /// Names an address of the module's.
    pub(crate) fn name(&self, address: usize) -> Option<String> {
        if !self.memory.contains(&address) {
            return None;
        }
        let after = self.functions.partition_point(|&(start, ..)| start <= address);
        let function = after.checked_sub(1).and_then(|before| self.functions.get(before));
        let covers = |&&(start, size, _): &&(usize, usize, String)| size == 0 || address - start <= size;
        Some(match function.filter(covers) {
            Some((start, _, name)) => format!("{}`{name}+{:#x}", self.module, address - start),
            None => format!("{}+{:#x}", self.module, address - self.memory.start),
        })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        modules::remember(std::mem::take(&mut self.symbols));
        for module in &self.depends {
            module.holds.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
