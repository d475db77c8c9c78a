//! Fuzz targets: for each reader of files or messages a function that takes any bytes, and panics if an assertion about the reader fails.
//!
//! | target | reads |
//! | --- | --- |
//! | [`conf`] | driver.conf(5) |
//! | [`databases`] | etc/name_to_major, driver_aliases, minor_perm and their like, and what add_drv(8) writes to them |
//! | [`devlink`] | etc/devlink.tab |
//! | [`module`] | module files: the loader, and the check |
//! | [`wire`] | messages between a program's process and the host, in both directions |
//! | [`ring`] | recordings, and the formats that are made of them |
//! | [`dtrace`] | what docs/dtrace/events.d prints |
//! | [`recorded`] | traces of the suite |
//!
//! `cargo fuzz run TARGET` feeds a target from libFuzzer. The test of this crate feeds each with its corpus and with mutants of it, the same ones each
//! time. docs/fuzzing.md is the guide. No target changes anything outside of its own temporary directory.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod mutate;
mod scratch;

pub mod conf;
pub mod databases;
pub mod devlink;
pub mod dtrace;
pub mod module;
pub mod recorded;
pub mod ring;
pub mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

/// Defines the entry of a target's program.
#[macro_export]
macro_rules! entry {
    ($target:ident) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$target::target(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay($crate::$target::target)
        }
    };
}

/// Gives a target the files that are named on the command line, one by one: how a failure of libFuzzer's is repeated without it.
pub fn replay(target: fn(&[u8])) -> ExitCode {
    for file in std::env::args_os().skip(1).map(PathBuf::from) {
        match std::fs::read(&file) {
            Ok(data) => target(&data),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::from(2);
            }
        }
        println!("{}: holds", file.display());
    }
    ExitCode::SUCCESS
}
