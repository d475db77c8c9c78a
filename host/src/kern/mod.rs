//! The kernel's own machinery behind the DDI functions: plain Rust, no C types where it can be helped.

pub mod altstack;
pub mod blocked;
pub mod callout;
pub mod conf;
pub mod drivers;
pub mod entry;
pub mod heap;
pub mod image;
pub mod interrupts;
pub mod left;
pub mod lock;
pub mod lockplaces;
pub mod nodes;
pub mod peek;
pub mod pieces;
mod preserved;
pub mod printf;
pub mod props;
pub mod stack;
pub mod suspend;
pub mod tables;
pub mod taskq;
pub mod thread;
pub mod trace;
pub mod trap;
pub mod watch;
