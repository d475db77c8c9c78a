//! add_drv(8) and rem_drv(8): illumos's options, messages and exit statuses, on a directory ([`Root`]).
//!
//! A driver's module and configuration file are put in their places first, as on illumos; add_drv enters the driver in the databases and
//! attaches it once to see whether it does. Messages go to standard error, as illumos's do.

use std::io::{self, Write};

use super::root::{Database, Root};

/// What add_drv was asked to do.
#[derive(Clone, Debug, Default)]
pub struct AddOptions {
    /// `-m`: permissions, each `MINOR MODE OWNER GROUP`, separated by commas.
    pub permissions: Option<String>,
    /// `-i`: names that the driver binds to besides its own, each in double quotes, separated by blanks.
    pub aliases: Option<String>,
    /// `-c`: classes, separated by blanks.
    pub classes: Option<String>,
    /// `-p`: device policy.
    pub policy: Option<String>,
    /// `-P`: privileges.
    pub privileges: Option<String>,
    /// `-b` (another system's directory) or `-n`: enter it in the databases, do not load.
    pub no_load: bool,
    /// `-f`: go on when another driver has the device.
    pub force: bool,
    /// `-v`.
    pub verbose: bool,
}

/// Loads and attaches a driver once; an error says why it did not.
pub type Attach<'a> = &'a dyn Fn(&Root, &str) -> Result<(), String>;

const USAGE: &str = "Usage:
	add_drv [ -m '<permission> ','<...>' ]
		[ -n ]
		[ -f ]
		[ -v ]
		[ -i '<identify_name  <...>' ] 
		[ -b <basedir> ]
		[ -c <class_name> ]
		[ -p <dev_policy> ]
		<driver_module>
";

/// Tells the user, and that is the end of it.
fn say(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
}

/// add_drv(8). Returns the exit status.
pub fn add_drv(
    root: &Root,
    driver: &str,
    options: &AddOptions,
    attach: Attach<'_>,
    out: &mut dyn Write,
) -> i32 {
    if let Some((_, name)) = driver.trim_end_matches('/').rsplit_once('/') {
        say(out, &format!("Error: driver may not be specified by path ({driver})\n"));
        say(out, &format!("Error: Could not install driver ({name}).\n"));
        return 1;
    }
    let _lock = match root.lock() {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            say(out, "add_drv/rem_drv currently busy; try later\n");
            return 1;
        }
        Err(error) => {
            say(out, &format!("Failed to create lock file({}): {error}\n", root.dir().display()));
            return 1;
        }
    };
    match add(root, driver, options, attach, out) {
        Ok(status) => status,
        Err(error) => {
            say(out, &format!("Cannot update ({}): {error}\n", root.dir().display()));
            1
        }
    }
}

fn add(
    root: &Root,
    driver: &str,
    options: &AddOptions,
    attach: Attach<'_>,
    out: &mut dyn Write,
) -> io::Result<i32> {
    if let Some(Err(text)) = options.permissions.as_deref().map(check_permissions) {
        say(out, &text);
        say(out, USAGE);
        return Ok(1);
    }
    let aliases = match options.aliases.as_deref().map(split_aliases).transpose() {
        Ok(aliases) => aliases.unwrap_or_default(),
        Err(text) => {
            say(out, &text);
            return Ok(1);
        }
    };
    for alias in &aliases {
        if root.major(alias)?.is_some() {
            say(out, &format!("Alias (\"{alias}\") already in use as driver name.\n"));
            return Ok(1);
        }
        if root.aliases()?.iter().any(|(_, used)| used == alias) {
            say(out, &format!("(\"{alias}\") already in use as a driver or alias.\n"));
            return Ok(1);
        }
    }
    if root.major(driver)?.is_some() {
        say(out, &format!("Driver ({driver}) is already installed.\n"));
        return Ok(1);
    }
    if root.aliases()?.iter().any(|(_, used)| used == driver) {
        say(out, &format!("(\"{driver}\") already in use as a driver or alias.\n"));
        return Ok(1);
    }
    if !options.no_load {
        let Some(module) = root.module(driver) else {
            say(out, &format!("Cannot find module ({driver}).\n"));
            return Ok(1);
        };
        let magic = std::fs::read(&module)?;
        if !magic.starts_with(b"\x7fELF") {
            say(out, &format!("The file ({}) is not in ELF format.\n", module.display()));
            say(out, &format!("Error: Could not install driver ({driver}).\n"));
            return Ok(1);
        }
        let wide = module.parent().is_some_and(|dir| dir.ends_with("amd64"));
        if !wide {
            say(out, &format!("Place ({driver}) driver in correct location and run devfsadm -i {driver}.\n"));
        }
    }

    let major = root.free_major()?;
    root.append(Database::NameToMajor, &format!("{driver} {major}"))?;
    for permission in options.permissions.iter().flat_map(|p| p.split(',')) {
        let fields: Vec<&str> = permission.split_whitespace().collect();
        root.append(Database::MinorPerm, &format!("{driver}:{}", fields.join(" ")))?;
    }
    for alias in &aliases {
        root.append(Database::Aliases, &format!("{driver} \"{alias}\""))?;
    }
    for class in options.classes.iter().flat_map(|c| c.split_whitespace()) {
        root.append(Database::Classes, &format!("{driver}\t{class}"))?;
    }
    for privilege in options.privileges.iter().flat_map(|p| p.split(',')) {
        root.append(Database::ExtraPrivs, &format!("{driver}:{privilege}"))?;
    }
    if let Some(policy) = &options.policy {
        root.append(Database::DevicePolicy, &format!("{driver}:*\t{policy}"))?;
    }

    if options.no_load {
        say(out, "Reboot client to install driver.\n");
    } else if let Err(why) = attach(root, driver) {
        // The driver stays installed and the status is 0: whoever installs it has to look for the node.
        say(out, &format!("{}\n", why.trim_end()));
        say(out, &format!("Warning: Driver ({driver}) successfully added to system but failed to attach\n"));
    }
    if options.verbose {
        say(out, &format!("Driver ({driver}) installed.\n"));
    }
    Ok(0)
}

/// rem_drv(8). Returns the exit status.
pub fn rem_drv(root: &Root, driver: &str, out: &mut dyn Write) -> i32 {
    let lock = root.lock();
    let _lock = match lock {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            say(out, "add_drv/rem_drv currently busy; try later\n");
            return 1;
        }
        Err(error) => {
            say(out, &format!("Failed to create lock file({}): {error}\n", root.dir().display()));
            return 1;
        }
    };
    match remove(root, driver, out) {
        Ok(status) => status,
        Err(error) => {
            say(out, &format!("Cannot update ({}): {error}\n", root.dir().display()));
            1
        }
    }
}

fn remove(root: &Root, driver: &str, out: &mut dyn Write) -> io::Result<i32> {
    let Some(major) = root.major(driver)? else {
        say(out, &format!("Driver ({driver}) not installed.\n"));
        return Ok(1);
    };
    if root.busy(driver)? {
        // The entries go all the same, and the status is 0.
        say(out, &format!("Device busy\nCannot unload module: {driver}\nWill be unloaded upon reboot.\n"));
    }
    root.append(Database::RemNameToMajor, &format!("{driver} {major}"))?;
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
    Ok(0)
}

/// Each permission is a minor name, a mode, an owner and a group.
fn check_permissions(text: &str) -> Result<(), String> {
    for permission in text.split(',') {
        let fields: Vec<&str> = permission.split_whitespace().collect();
        if fields.len() < 4 {
            return Err(format!("Option (-m) : missing token: ({permission})\n"));
        }
        if fields.len() > 4 {
            return Err(format!("Option (-m) : too many arguments: ({permission})\n"));
        }
        let octal = u32::from_str_radix(fields[1], 8).is_ok_and(|mode| mode <= 0o7777);
        if !octal {
            return Err(format!("Bad mode: ({})\n", fields[1]));
        }
    }
    Ok(())
}

/// Names separated by blanks, each in double quotes or bare; a blank inside quotes is an error.
fn split_aliases(text: &str) -> Result<Vec<String>, String> {
    if text.split('"').skip(1).step_by(2).any(|quoted| quoted.contains(char::is_whitespace)) {
        return Err(format!(
            "Can't have space within double quote: {text}. Use octal escape sequence \"\\040\".\n"
        ));
    }
    Ok(text.split_whitespace().map(|alias| alias.trim_matches('"').to_owned()).collect())
}
