//! Loads kernel modules the way krtld does: the relocatable objects that add_drv installs, from whatever compiler.
//!
//! | file | what |
//! | --- | --- |
//! | `elf` | what the file says |
//! | `link` | symbols and relocations |
//! | `reloc` | what each relocation type means, and which are refused |
//! | `code` | instructions that a kernel module must not have |
//! | `image`, `low` | memory below 2 GiB |
//! | `stubs` | the way from there to the host's functions and data |
//! | `module`, `modules` | a loaded module; all of them: dependencies, `_init`, `_fini` |
//! | `missing` | what stands for a function that nobody has |
//! | `calls` | where in a driver a call of the host came from |
//! | `root`, `devlink`, `links` | a system's directory: what is installed, and its names in /dev |
//! | `system`, `perms` | what the kernel and devfsadm of that system know |
//! | `session` | the modules of one run, on the DDI of this process |
//! | `add_drv`, `rem_drv`, `update_drv`, `policy` | what is installed, and how it changes |
//! | `modctl`, `modinfo` | modload, modunload, modinfo |
//! | `getopt`, `errno`, `cli`, `help` | command lines and messages as illumos has them |
//!
//! What the kernel refuses is refused, and so is what the kernel accepts and gets wrong. Nothing here knows what language a module
//! was written in.

pub mod add_drv;
pub mod calls;
pub mod cli;
pub mod code;
pub mod devlink;
pub mod elf;
pub(crate) mod errno;
pub mod error;
pub mod getopt;
pub mod help;
pub mod image;
pub mod kernel;
pub mod link;
pub mod links;
pub mod low;
mod missing;
pub mod modctl;
pub mod modinfo;
pub mod module;
pub mod modules;
pub mod perms;
pub(crate) mod policy;
pub mod reloc;
pub mod rem_drv;
pub mod root;
pub mod session;
pub mod stubs;
pub mod system;
pub mod update_drv;

pub use error::{LoadError, Missing, Problem, Site, Why};
pub use kernel::{Export, Kernel};
pub use link::Probe;
pub use module::Module;
pub use modules::{Modules, UnloadError, module_at, symbolize, variable, with_a_name};
pub use stubs::{real_data, real_function, seen_data};
