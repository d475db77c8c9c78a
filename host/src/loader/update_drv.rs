//! update_drv(8): reads a driver's configuration anew, or adds and removes permissions, aliases, privileges and policies of an installed driver.

use std::io::{self, Write};

use super::add_drv::{
    Attach, Refused, check_permissions, check_token, load, no_blank_inside_quotes, only_one, privileges, say,
    split_aliases, status,
};
use super::getopt::Given;
use super::policy;
use super::root::{Database, Root};

/// The letters that [`super::getopt`] is to know.
pub const LETTERS: &str = "m:i:b:p:adlfuvP:";

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

/// What the command needs of the running system.
pub struct System<'a> {
    /// Loads and attaches a driver.
    pub attach: Attach<'a>,
    /// Unloads a driver's module if it is loaded; false when it is in use.
    pub unload: &'a dyn Fn(&Root, &str) -> bool,
    /// Has it read a driver's configuration file again; an error when that cannot be read.
    pub reread: &'a dyn Fn(&Root, &str) -> Result<(), String>,
}

/// update_drv(8). Returns the exit status.
pub fn update_drv(root: &Root, given: &Given, system: &System<'_>, out: &mut dyn Write) -> i32 {
    let result = update(root, given, system, out);
    status(root, result, out)
}

fn update(
    root: &Root,
    given: &Given,
    system: &System<'_>,
    out: &mut dyn Write,
) -> io::Result<Result<(), Refused>> {
    let (adds, deletes) = (given.has('a'), given.has('d'));
    if let Some(Err(text)) = given.argument('i').map(no_blank_inside_quotes) {
        return Ok(Err(text));
    }
    let what = "miPp".chars().any(|letter| given.has(letter));
    let [driver] = &given.words[..] else { return Ok(Err(USAGE.into())) };
    if adds && deletes || (adds || deletes) != what {
        return Ok(Err(USAGE.into()));
    }
    if given.has('l') {
        for line in root.lines_of(Database::MinorPerm, driver)? {
            println!("{line}");
        }
        return Ok(Ok(()));
    }
    let _lock = match only_one(root) {
        Ok(lock) => lock,
        Err(text) => return Ok(Err(text)),
    };
    if adds {
        return add(root, driver, given, system, out);
    }
    if deletes {
        return delete(root, driver, given, system, out);
    }
    if root.major(driver)?.is_none() {
        return Ok(Err(format!("Failed to update {driver}.conf for driver.\n")));
    }
    if given.has('b') {
        return Ok(Ok(()));
    }
    if let Err(text) = unload(root, driver, given, system, out) {
        return Ok(Err(text));
    }
    if let Err(why) = (system.reread)(root, driver) {
        return Ok(Err(format!("{}\nFailed to update {driver}.conf for driver.\n", why.trim_end())));
    }
    if given.has('v') {
        say(out, &format!("{driver}.conf updated in the kernel.\n"));
    }
    load(root, driver, system.attach, out);
    Ok(Ok(()))
}

/// Unloads the driver, or says that it cannot be; goes on all the same when forced.
fn unload(
    root: &Root,
    driver: &str,
    given: &Given,
    system: &System<'_>,
    out: &mut dyn Write,
) -> Result<(), Refused> {
    if (system.unload)(root, driver) {
        return Ok(());
    }
    let mut text = format!("Cannot unload module: {driver}\nWill be unloaded upon reboot.\n");
    if given.has('f') {
        say(out, &format!("{text}Forcing update of {driver}.conf.\n"));
        return Ok(());
    }
    if given.has('v') {
        text.push_str(&format!("{driver}.conf not updated in the kernel\n"));
    }
    Err(text)
}

fn add(
    root: &Root,
    driver: &str,
    given: &Given,
    system: &System<'_>,
    out: &mut dyn Write,
) -> io::Result<Result<(), Refused>> {
    let own = privileges(root, given.argument('P'))?;
    let policy = given.argument('p').map(|text| policy::check(text, driver, false, &own)).transpose();
    let policy = match policy {
        Ok(lines) => lines.unwrap_or_default(),
        Err(text) => return Ok(Err(text)),
    };
    if let Some(permissions) = given.argument('m') {
        match check_permissions(permissions) {
            // One permission: what there is for its minor name is replaced.
            Ok(()) => root.set_permission(driver, permissions.trim())?,
            Err(text) if given.has('f') => say(out, &text),
            Err(text) => return Ok(Err(text)),
        }
    }
    for privilege in given.argument('P').iter().flat_map(|p| p.split(',')) {
        root.append(Database::ExtraPrivs, &format!("{driver}:{}", privilege.trim()))?;
    }
    for line in &policy {
        root.set_line(Database::DevicePolicy, line)?;
    }
    if let Some(aliases) = given.argument('i') {
        if root.major(driver)?.is_none() {
            return Ok(Err(format!("Driver ({driver}) not installed.\n")));
        }
        let mut new = Vec::new();
        for alias in split_aliases(aliases) {
            let all = root.aliases()?;
            let others =
                |(owner, used): &(String, String)| *owner == alias || *used == alias && owner != driver;
            if all.iter().any(others) {
                return Ok(Err(format!("(\"{alias}\") already in use as a driver or alias.\n")));
            }
            if let Err(text) = check_token(&alias) {
                return Ok(Err(text));
            }
            // What the driver has already is no error: scripts need not look first.
            if !all.contains(&(driver.to_owned(), alias.clone())) {
                new.push(alias);
            }
        }
        for alias in new {
            root.append(Database::Aliases, &format!("{driver} \"{alias}\""))?;
        }
    }
    if !given.has('b') && (given.has('i') || given.has('p')) {
        load(root, driver, system.attach, out);
    }
    Ok(Ok(()))
}

fn no_entry(root: &Root, driver: &str, database: Database) -> Refused {
    format!("No entry found for driver ({driver}) in file ({}).\n", root.file(database).display())
}

fn delete(
    root: &Root,
    driver: &str,
    given: &Given,
    system: &System<'_>,
    out: &mut dyn Write,
) -> io::Result<Result<(), Refused>> {
    let policy = given.argument('p').map(|text| policy::check(text, driver, true, &|_| false)).transpose();
    let policy = match policy {
        Ok(entries) => entries.unwrap_or_default(),
        Err(text) => return Ok(Err(text)),
    };
    for entry in &policy {
        if !root.remove_line(Database::DevicePolicy, entry)? {
            say(out, &no_entry(root, driver, Database::DevicePolicy));
        }
    }
    // A permission that is not there is an error; of the others it is only said.
    let mut refused = None;
    for (letter, database) in
        [('m', Database::MinorPerm), ('i', Database::Aliases), ('P', Database::ExtraPrivs)]
    {
        let Some(entry) = given.argument(letter) else { continue };
        if entry.trim().is_empty() || !root.remove_entry(database, driver, entry.trim())? {
            let text = no_entry(root, driver, database);
            match letter {
                'm' => refused = Some(text),
                _ => say(out, &text),
            }
        }
    }
    if let Some(text) = refused {
        return Ok(Err(text));
    }
    if !given.has('b')
        && (given.has('i') || given.has('m'))
        && let Err(text) = unload(root, driver, given, system, out)
    {
        return Ok(Err(text));
    }
    if !given.has('b') && given.has('p') {
        load(root, driver, system.attach, out);
    }
    Ok(Ok(()))
}
