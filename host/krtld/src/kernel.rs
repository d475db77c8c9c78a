//! What the loader asks of the kernel it loads into: its symbols, the context that driver code runs in, and when a driver may go.
//!
//! Locking: the loader calls these without any lock of its own held, but for its list of modules being marked as busy.

use std::sync::OnceLock;

use crate::error::Why;
use crate::probes::Fired;

/// A symbol of the kernel that modules may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// A function at this address, anywhere in the process.
    Function(usize),
    /// A variable: its address and its size in bytes. Modules see a copy, made once.
    Data {
        /// Address of the original.
        address: usize,
        /// Bytes.
        size: usize,
    },
}

/// An element of a linkage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its address.
    pub address: usize,
    /// Its `mod_ops`, by which the kinds of elements are told apart.
    pub ops: usize,
    /// Its description, as far as it is looked at.
    pub description: Vec<u8>,
}

/// A module's linkage: modlinkage(9S).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linkage {
    /// `ml_rev`.
    pub rev: i32,
    /// `ml_linkage`, up to its end.
    pub elements: Vec<Element>,
}

/// Why a linkage cannot be read: a pointer in it leads nowhere. The kernel's own error.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Nowhere(Box<dyn std::error::Error + Send + Sync>);

impl Nowhere {
    /// An error of the kernel's.
    pub fn new(why: impl std::error::Error + Send + Sync + 'static) -> Nowhere {
        Nowhere(Box::new(why))
    }
}

/// The kernel around the modules.
pub trait Kernel: Send + Sync {
    /// A global symbol of the kernel.
    fn lookup(&self, name: &str) -> Option<Export>;

    /// Calls driver code in the context of a kernel thread (`_init`, `_fini`, `_info`); `what` names it for messages. The thread has its `cpu`
    /// ([`CALL_SP`](crate::stubs::CALL_SP)) meanwhile.
    fn call(&self, what: &str, f: &mut dyn FnMut());

    /// Reads the modlinkage(9S) that a module's `_info` has named.
    ///
    /// # Errors
    /// A pointer in it leads nowhere.
    fn linkage(&self, module: &str, address: usize) -> Result<Linkage, Nowhere>;

    /// Before `_fini`: detaches all instances of the module's driver. An illumos errno (`EBUSY`) when one is open, mapped or refuses.
    ///
    /// # Errors
    /// The errno with which the unload fails.
    fn detach_all(&self, module: &str) -> Result<(), i32> {
        let _ = module;
        Ok(())
    }

    /// What is called instead of a function that nobody has; `None`: a module that needs one is not loaded.
    fn missing(&self) -> Option<fn(name: &str, why: Why) -> !> {
        None
    }

    /// Returns the function to call for a static probe of a module, by its name as DTrace shows it; `None`: its sites become nops. `imports` says whether the module has an
    /// undefined symbol of a name.
    fn probe(&self, name: &str, imports: &dyn Fn(&str) -> bool) -> Option<Fired> {
        let _ = (name, imports);
        None
    }

    /// A console message of the loader ("multiply defined", a dependency that was not found).
    fn message(&self, text: &str) {
        eprintln!("ddi-host: {text}");
    }
}

/// Does illumos's kernel (unix, genunix and what they are booted with) define this name.
pub fn illumos_has(name: &str) -> bool {
    static NAMES: OnceLock<Vec<&str>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let named = include_str!("../data/kernel-symbols.txt").lines();
        let by_compilers = include_str!("../data/kernel-symbols-compiler.txt").lines();
        let stubs = include_str!("../data/kernel-symbols-stubs.txt").lines();
        let mut names: Vec<&str> = named.chain(by_compilers).chain(stubs).collect();
        names.sort_unstable();
        names
    });
    names.binary_search(&name).is_ok()
}

/// Names that krtld reports as "MT-unsafe" when they are undefined.
pub fn mt_unsafe(name: &str) -> bool {
    matches!(name, "sleep" | "unsleep" | "wakeup" | "unsafe_driver" | "bsd_compat_ioctl")
        || name.starts_with("spl")
        || name.starts_with("i_ddi_spl")
}

/// Names that a module may define although the kernel does, without a message.
pub fn may_redefine(name: &str) -> bool {
    matches!(
        name,
        "memcpy"
            | "memset"
            | "memmove"
            | "memcmp"
            | "memchr"
            | "strstr"
            | "strncat"
            | "strlcat"
            | "strlcpy"
            | "strspn"
            | "__udivdi3"
            | "__divdi3"
            | "__umoddi3"
            | "__moddi3"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_names_is_there() {
        assert!(illumos_has("ddi_soft_state_init"));
        assert!(illumos_has("_pagesize"));
        assert!(!illumos_has("printk"));
    }
}
