//! rem_drv(8): takes a driver out of a system's databases, and out of its kernel if it is not in use. The entries go all the same when it is.

use std::io::{self, Write};

use crate::add_drv::{Refused, Running, only_one, say, status, stays};
use crate::errno;
use crate::root::{Database, Root};

/// The letters of rem_drv(8).
pub const LETTERS: &str = "b:Cn";

/// What rem_drv says when it is called wrongly.
pub const USAGE: &str = "Usage:\n\t rem_drv [ -C ] [ -b <basedir> ] [ -n ] driver_name\n";

/// rem_drv(8). `elsewhere` says that nothing of the running system changes: another system's directory was named (`-b`), or `-n`. Returns the exit
/// status.
pub fn rem_drv(
    root: &Root,
    driver: &str,
    elsewhere: bool,
    running: &dyn Running,
    out: &mut dyn Write,
) -> i32 {
    let result = remove(root, driver, elsewhere, running, out);
    status(root, result, out)
}

fn remove(
    root: &Root,
    driver: &str,
    elsewhere: bool,
    running: &dyn Running,
    out: &mut dyn Write,
) -> io::Result<Result<i32, Refused>> {
    let _lock = match only_one(root) {
        Ok(lock) => lock,
        Err(text) => return Ok(Err(text)),
    };
    let Some(major) = root.major(driver)? else {
        return Ok(Err(format!("Driver ({driver}) not installed.\n")));
    };
    if !elsewhere {
        // The entries go all the same, and the status is 0.
        match running.unload(root, driver) {
            Err(errno) => say(out, &format!("{}\n{}", errno::text(errno), stays(driver))),
            Ok(()) => {
                if let Err(errno) = running.unbind(root, driver) {
                    let why = errno::text(errno);
                    say(out, &format!("{why}\nCannot remove major number binding for {major}\n"));
                }
            }
        }
    }
    root.append(Database::RemNameToMajor, &format!("{driver} {major}"))?;
    if !elsewhere {
        running.permissions(root, driver, false);
    }
    for database in [
        Database::NameToMajor,
        Database::MinorPerm,
        Database::Aliases,
        Database::Classes,
        Database::ExtraPrivs,
        Database::DevicePolicy,
    ] {
        root.remove(database, driver)?;
    }
    Ok(Ok(0))
}
