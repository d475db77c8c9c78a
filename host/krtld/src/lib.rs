//! Loads kernel modules the way krtld does: the relocatable objects that add_drv installs, from whatever compiler.
//!
//! | file | what |
//! | --- | --- |
//! | `elf` | what the file says |
//! | `link` | symbols and relocations |
//! | `reloc` | what each relocation type means, and which are refused |
//! | `check` | what is wrong with a file: the loader's rules, and those of code in a kernel |
//! | `finding` | one thing that is wrong |
//! | `image`, `low` | memory below 2 GiB |
//! | `stubs` | the way from there to the kernel's functions and data |
//! | `module`, `modules` | a loaded module; all of them: dependencies, `_init`, `_fini` |
//! | `published` | which addresses are modules', for signal handlers |
//! | `probes` | static probes that reach the kernel |
//! | `missing` | what stands for a function that nobody has |
//! | `kernel` | what is asked of the kernel around the modules |
//!
//! What the kernel refuses is refused, and so is what the kernel accepts and gets wrong. Nothing here knows what language a module
//! was written in, what a driver is, or which functions the kernel has: whoever loads modules says so by a [`Kernel`].

pub mod check;
pub mod elf;
pub mod error;
pub mod finding;
pub mod image;
pub mod kernel;
pub mod link;
pub mod low;
mod missing;
pub mod module;
pub mod modules;
pub mod probes;
mod published;
pub mod reloc;
pub mod stubs;

pub use error::{LoadError, Missing, Problem, Why};
pub use finding::{Finding, Rule, Severity};
pub use kernel::{Element, Export, Kernel, Linkage, Nowhere};
pub use link::Probe;
pub use module::{InfoError, Module};
pub use modules::{Modules, UnloadError, module_at, symbolize, variable};
pub use probes::Fired;
pub use published::{Region, holds, last_loaded, region};
pub use stubs::{real_data, real_function, seen_data};
