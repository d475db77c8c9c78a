//! update_drv(8): reads a driver's configuration anew, or adds and removes permissions, aliases, privileges and policies of an installed driver.

use std::io::{self, Write};

use crate::add_drv::{
    Refused, Running, check_permissions, check_privileges, check_token, configure, entries, load,
    no_blank_inside_quotes, only_one, privileges, say, status, stays,
};
use crate::getopt::Given;
use crate::policy;
use crate::root::{Database, Root};

/// The letters that [`crate::getopt`] is to know. `u` is one of them, and of no use.
pub const LETTERS: &str = "m:ni:b:p:adlfuvP:";

/// The exit status of a wrong argument, and of what else is wrong when it is not the command line.
const ERROR: i32 = 255;
/// The exit status of a permission that is not there.
const NONE_FOUND: i32 = 252;

/// What update_drv says when it is called wrongly.
pub const USAGE: &str = "Usage:	update_drv [ -f | -v ] <driver_module>
	update_drv [ -b basedir ] [ -f | -v | -n ] -a
		[-m 'permission'] [-i 'identify_name']
		[-P privilege] [-p 'policy']  <driver_module>
	update_drv [ -b basedir ] [ -f | -v | -n ] -d
		[-m 'permission'] [-i 'identify_name']
		[-P privilege] [-p 'policy']  <driver_module>

NOTE: at least one of m/i/P/p must be specified with -a and -d.
";

/// One call of the command.
struct Update<'a> {
    root: &'a Root,
    driver: &'a str,
    given: &'a Given,
    running: &'a dyn Running,
    /// Whether the running system is to follow: neither `-b` nor `-n`.
    live: bool,
}

/// update_drv(8). Returns the exit status.
pub fn update_drv(root: &Root, given: &Given, running: &dyn Running, out: &mut dyn Write) -> i32 {
    let result = update(root, given, running, out);
    status(root, result, out)
}

fn update(
    root: &Root,
    given: &Given,
    running: &dyn Running,
    out: &mut dyn Write,
) -> io::Result<Result<i32, Refused>> {
    let (adds, deletes) = (given.has('a'), given.has('d'));
    if let Some(Err(text)) = given.argument('i').map(no_blank_inside_quotes) {
        return Ok(Err(text));
    }
    let what = "miPp".chars().any(|letter| given.has(letter));
    let [driver] = &given.words[..] else { return Ok(Err(USAGE.into())) };
    if given.has('u') || adds && deletes || (adds || deletes) != what {
        return Ok(Err(USAGE.into()));
    }
    if given.has('l') {
        for line in root.lines_of(Database::MinorPerm, driver)? {
            println!("{line}");
        }
        return Ok(Ok(0));
    }
    let _lock = match only_one(root) {
        Ok(lock) => lock,
        Err(text) => return Ok(Err(text)),
    };
    let live = !given.has('b') && !given.has('n');
    let update = Update { root, driver, given, running, live };
    if live
        && adds
        && let Some(Err(text)) = given.argument('P').map(check_privileges)
    {
        return Ok(Err(text));
    }
    let own = privileges(root, given.argument('P').filter(|_| adds))?;
    let policy = given.argument('p').map(|text| policy::check(text, driver, deletes, &own)).transpose();
    let policy = match policy {
        Ok(lines) => lines.unwrap_or_default(),
        Err(text) => return Ok(Err(text)),
    };
    if adds {
        return update.add(&policy, out);
    }
    if deletes {
        return update.delete(&policy, out);
    }
    if !live {
        return Ok(Ok(0));
    }
    if let Err(text) = update.unload(out) {
        return Ok(Err(text));
    }
    if running.reread(root, driver).is_err() {
        return Ok(Err(format!("Failed to update {driver}.conf for driver.\n")));
    }
    if given.has('v') {
        say(out, &format!("{driver}.conf updated in the kernel.\n"));
    }
    load(root, driver, running, out);
    Ok(Ok(0))
}

impl Update<'_> {
    /// Unloads the driver, or says that it cannot be; goes on all the same when forced.
    fn unload(&self, out: &mut dyn Write) -> Result<(), Refused> {
        let driver = self.driver;
        if self.running.unload(self.root, driver).is_ok() {
            return Ok(());
        }
        let mut text = stays(driver);
        if self.given.has('f') {
            say(out, &format!("{text}Forcing update of {driver}.conf.\n"));
            return Ok(());
        }
        if self.given.has('v') {
            text.push_str(&format!("{driver}.conf not updated in the kernel\n"));
        }
        Err(text)
    }

    fn add(&self, policy: &[String], out: &mut dyn Write) -> io::Result<Result<i32, Refused>> {
        let Update { root, driver, given, running, live } = *self;
        if let Some(permissions) = given.argument('m') {
            match check_permissions(permissions) {
                // One permission: what there is for its minor name is replaced.
                Ok(()) => root.set_permission(driver, permissions)?,
                Err(text) => {
                    say(out, &text);
                    if !given.has('f') {
                        return Ok(Ok(ERROR));
                    }
                }
            }
            if live {
                running.permissions(root, driver, true);
            }
        }
        for privilege in given.argument('P').iter().flat_map(|list| entries(list, ',', false)) {
            root.append(Database::ExtraPrivs, &format!("{driver}:{privilege}"))?;
        }
        for line in policy {
            let word = line.split_whitespace().next().unwrap_or_default();
            root.remove_line(Database::DevicePolicy, word)?;
            root.append(Database::DevicePolicy, line)?;
        }
        if let Some(aliases) = given.argument('i') {
            if root.major(driver)?.is_none() {
                return Ok(Err(format!("Driver ({driver}) not installed.\n")));
            }
            let mut new = Vec::new();
            for alias in entries(aliases, ' ', true) {
                let all = root.aliases()?;
                let others =
                    |(owner, used): &(String, String)| *owner == alias || *used == alias && owner != driver;
                let wrong = match all.iter().any(others) {
                    true => Err(format!("(\"{alias}\") already in use as a driver or alias.\n")),
                    false => check_token(&alias),
                };
                if let Err(text) = wrong {
                    say(out, &text);
                    return Ok(Ok(ERROR));
                }
                // What the driver has already is no error: scripts need not look first.
                if !all.contains(&(driver.to_owned(), alias.clone())) {
                    new.push(alias);
                }
            }
            for alias in &new {
                root.append(Database::Aliases, &format!("{driver} \"{alias}\""))?;
            }
            if live && !new.is_empty() {
                configure(root, driver, Some(&new.join(" ")), running, given.has('v'));
            }
        }
        if live && (given.has('i') || given.has('p')) {
            load(root, driver, running, out);
        }
        Ok(Ok(0))
    }

    fn no_entry(&self, database: Database, out: &mut dyn Write) {
        let file = self.root.file(database);
        say(out, &format!("No entry found for driver ({}) in file ({}).\n", self.driver, file.display()));
    }

    fn delete(&self, policy: &[String], out: &mut dyn Write) -> io::Result<Result<i32, Refused>> {
        let Update { root, driver, given, running, live } = *self;
        // Only what is wrong with the permission decides about the status.
        let mut status = 0;
        if let Some(permission) = given.argument('m') {
            if live {
                running.permissions(root, driver, false);
            }
            status = self.delete_entry(Database::MinorPerm, permission, out)?;
            if live {
                running.permissions(root, driver, true);
            }
        }
        if let Some(aliases) = given.argument('i') {
            if root.major(driver)?.is_none() {
                return Ok(Err(format!("Driver ({driver}) not installed.\n")));
            }
            let all = root.aliases()?;
            let there = |alias: &String| all.iter().any(|(owner, used)| owner == alias || used == alias);
            let mut gone = true;
            if entries(aliases, ' ', true).iter().all(there) {
                gone = match given.has('f') {
                    true => self.delete_entry(Database::Aliases, aliases, &mut io::sink())? == 0,
                    false => self.delete_entry(Database::Aliases, aliases, out)? == 0,
                };
            } else if !given.has('f') {
                say(out, &format!("Alias not bound to driver {driver}.\n"));
            }
            if gone && live {
                configure(root, driver, Some(aliases), running, given.has('v'));
            }
        }
        if let Some(privilege) = given.argument('P') {
            self.delete_entry(Database::ExtraPrivs, privilege, out)?;
        }
        for entry in policy {
            root.remove_line(Database::DevicePolicy, entry)?;
        }
        if status == 0 && live {
            if (given.has('i') || given.has('m'))
                && let Err(text) = self.unload(out)
            {
                return Ok(Err(text));
            }
            if given.has('p') {
                load(root, driver, running, out);
            }
        }
        Ok(Ok(status))
    }

    /// Deletes one entry; the status when there is none.
    fn delete_entry(&self, database: Database, entry: &str, out: &mut dyn Write) -> io::Result<i32> {
        let entry = entry.trim();
        let status = if entry.is_empty() {
            say(out, &format!("Internal error updating ({}).\n", self.root.file(database).display()));
            ERROR
        } else if self.root.remove_entry(database, self.driver, entry)? {
            return Ok(0);
        } else {
            NONE_FOUND
        };
        self.no_entry(database, out);
        Ok(status)
    }
}
