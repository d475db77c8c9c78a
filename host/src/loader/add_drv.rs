//! add_drv(8) and rem_drv(8): illumos's options, checks, messages and exit statuses, on a directory ([`Root`]).
//!
//! A driver's module and configuration file are put in their places first, as on illumos; add_drv enters the driver in the databases and
//! attaches it once to see whether it does. Messages go to standard error, as illumos's do.

use std::io::{self, Write};
use std::path::Path;

use super::getopt::{self, Given};
use super::policy;
use super::root::{Database, Lock, Root};

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

impl AddOptions {
    /// The letters that [`super::getopt`] is to know.
    pub const LETTERS: &str = "vfm:ni:b:c:p:P:";

    /// What the command line says.
    pub fn of(given: &Given) -> AddOptions {
        let text = |letter| given.argument(letter).map(str::to_owned);
        AddOptions {
            permissions: text('m'),
            aliases: text('i'),
            classes: text('c'),
            policy: text('p'),
            privileges: text('P'),
            no_load: given.has('n') || given.has('b'),
            force: given.has('f'),
            verbose: given.has('v'),
        }
    }
}

/// Loads and attaches a driver once; an error says why it did not.
pub type Attach<'a> = &'a dyn Fn(&Root, &str) -> Result<(), String>;

/// What add_drv says when it is called wrongly.
pub const USAGE: &str = "Usage:
	add_drv [ -m '<permission> ','<...>' ]
		[ -n ]
		[ -f ]
		[ -v ]
		[ -i '<identify_name  <...>' ] 
		[ -b <basedir> ]
		[ -c <class_name> ]
		[ -p <dev_policy> ]
		<driver_module>
Example:
	add_drv -m '* 0666 bin bin' -i 'acme,sd new,sd' sd 
	Add 'sd' drive with identify names: acme,sd and new,sd.
	Every minor node will have the permission 0666,
	and be owned by bin with group bin.
";

/// What rem_drv says when it is called wrongly.
pub const REM_USAGE: &str = "Usage:\n\t rem_drv [ -C ] [ -b <basedir> ] [ -n ] driver_name\n";

/// Why a command ends with status 1: what it says.
pub(super) type Refused = String;

/// Tells the user, and that is the end of it.
pub(super) fn say(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
}

/// The lock that one of the commands has at a time.
pub(super) fn only_one(root: &Root) -> Result<Lock, Refused> {
    match root.lock() {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err("add_drv/rem_drv currently busy; try later\n".into()),
        Err(error) => Err(format!("Failed to create lock file({}): {error}\n", root.dir().display())),
    }
}

/// The exit status of a command that came to its end, was refused, or could not read or write the databases.
pub(super) fn status(root: &Root, result: io::Result<Result<(), Refused>>, out: &mut dyn Write) -> i32 {
    match result {
        Ok(Ok(())) => 0,
        Ok(Err(text)) => {
            say(out, &text);
            1
        }
        Err(error) => {
            say(out, &format!("Cannot update ({}): {error}\n", root.dir().display()));
            1
        }
    }
}

/// add_drv(8). Returns the exit status.
pub fn add_drv(
    root: &Root,
    driver: &str,
    options: &AddOptions,
    attach: Attach<'_>,
    out: &mut dyn Write,
) -> i32 {
    let result = add(root, driver, options, attach, out);
    status(root, result, out)
}

fn add(
    root: &Root,
    driver: &str,
    options: &AddOptions,
    attach: Attach<'_>,
    out: &mut dyn Write,
) -> io::Result<Result<(), Refused>> {
    if let Some(Err(text)) = options.aliases.as_deref().map(no_blank_inside_quotes) {
        return Ok(Err(text));
    }
    // As a path is cleaned: no doubled slashes, none at the end.
    let driver = driver.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    if let Some((_, name)) = driver.rsplit_once('/') {
        return Ok(Err(format!(
            "Error: driver may not be specified by path ({driver})\nError: Could not install driver ({name}).\n"
        )));
    }
    let driver = &driver;
    if driver.is_empty() {
        return Ok(Err(USAGE.into()));
    }
    let _lock = match only_one(root) {
        Ok(lock) => lock,
        Err(text) => return Ok(Err(text)),
    };
    if let Some(Err(text)) = options.permissions.as_deref().map(check_permissions) {
        return Ok(Err(text + USAGE));
    }
    let aliases = options.aliases.as_deref().map(split_aliases).unwrap_or_default();
    for alias in &aliases {
        if let Err(text) =
            free_name(root, alias, &format!("Alias (\"{alias}\") already in use as driver name.\n"))?
        {
            return Ok(Err(text));
        }
        if let Err(text) = check_token(alias) {
            return Ok(Err(text));
        }
    }
    let own = privileges(root, options.privileges.as_deref())?;
    let policy = options.policy.as_deref().map(|text| policy::check(text, driver, false, &own)).transpose();
    let policy = match policy {
        Ok(lines) => lines.unwrap_or_default(),
        Err(text) => return Ok(Err(text)),
    };
    if let Err(text) = free_name(root, driver, &format!("Driver ({driver}) is already installed.\n"))? {
        return Ok(Err(text));
    }
    let mut no_load = options.no_load;
    if !no_load {
        let Some(module) = root.module(driver) else {
            return Ok(Err(format!("Cannot find module ({driver}).\n")));
        };
        match look_at(root, driver, &module)? {
            Ok(None) => {}
            Ok(Some(warning)) => {
                say(out, &warning);
                no_load = true;
            }
            Err(text) => return Ok(Err(text)),
        }
    }

    let major = match root.old_major(driver)? {
        Some(old) => old,
        None => root.free_major()?,
    };
    root.remove(Database::RemNameToMajor, driver)?;
    root.append(Database::NameToMajor, &format!("{driver} {major}"))?;
    for permission in options.permissions.iter().flat_map(|p| p.split(',')) {
        root.append(Database::MinorPerm, &format!("{driver}:{}", permission.trim()))?;
    }
    for alias in &aliases {
        root.append(Database::Aliases, &format!("{driver} \"{alias}\""))?;
    }
    for class in options.classes.iter().flat_map(|c| c.split_whitespace()) {
        root.append(Database::Classes, &format!("{driver}\t{class}"))?;
    }
    for privilege in options.privileges.iter().flat_map(|p| p.split(',')) {
        root.append(Database::ExtraPrivs, &format!("{driver}:{}", privilege.trim()))?;
    }
    for line in &policy {
        root.append(Database::DevicePolicy, line)?;
    }

    if no_load {
        say(out, "Reboot client to install driver.\n");
    } else {
        load(root, driver, attach, out);
    }
    if options.verbose {
        say(out, &format!("Driver ({driver}) installed.\n"));
    }
    Ok(Ok(()))
}

/// Attaches a driver; one that does not stays installed, and the status is 0: whoever installs it has to look for the node.
pub(super) fn load(root: &Root, driver: &str, attach: Attach<'_>, out: &mut dyn Write) {
    if let Err(why) = attach(root, driver) {
        say(out, &format!("{}\n", why.trim_end()));
        say(out, &format!("Warning: Driver ({driver}) successfully added to system but failed to attach\n"));
    }
}

/// Looks at the module file as add_drv does: is it ELF, is it of this kernel's kind and in the place for that. A text: it is not, and the driver is
/// entered but not loaded.
fn look_at(root: &Root, driver: &str, module: &Path) -> io::Result<Result<Option<String>, Refused>> {
    let data = std::fs::read(module)?;
    let shown = module.display();
    if data.len() < 5 || !data.starts_with(b"\x7fELF") {
        return Ok(Err(format!(
            "The file ({shown}) is not in ELF format.\nError: Could not install driver ({driver}).\n"
        )));
    }
    let bits = match data[4] {
        1 => "32",
        2 => "64",
        _ => "none",
    };
    let below = module.strip_prefix(root.dir()).unwrap_or(module);
    let wide_place = below.parent().is_some_and(|dir| dir.ends_with("drv/amd64"));
    let not_loadable = format!("{bits}-bit driver ({driver}) not loadable on 64-bit kernel.\n");
    let misplaced = format!("Warning: {bits}-bit version of driver found at {shown}.\n");
    Ok(Ok(match (wide_place, bits) {
        (true, "64") => None,
        (false, "32") => Some(format!(
            "No 64-bit version of ({driver}) found; 32-bit version of this driver exists.\n{not_loadable}"
        )),
        (_, "64") => Some(format!(
            "{misplaced}Place ({driver}) driver in correct location and run devfsadm -i {driver}.\n"
        )),
        _ => Some(misplaced + &not_loadable),
    }))
}

/// Is this neither a driver's name nor an alias? `taken` is what is said of a driver's name.
fn free_name(root: &Root, name: &str, taken: &str) -> io::Result<Result<(), Refused>> {
    if root.aliases()?.iter().any(|(driver, alias)| driver == name || alias == name) {
        return Ok(Err(format!("(\"{name}\") already in use as a driver or alias.\n")));
    }
    if root.major(name)?.is_some() {
        return Ok(Err(taken.to_owned()));
    }
    Ok(Ok(()))
}

/// rem_drv(8). `elsewhere` says that another system's directory was named (`-b`): nothing is unloaded then. Returns the exit status.
pub fn rem_drv(root: &Root, driver: &str, elsewhere: bool, out: &mut dyn Write) -> i32 {
    let result = remove(root, driver, elsewhere, out);
    status(root, result, out)
}

fn remove(
    root: &Root,
    driver: &str,
    elsewhere: bool,
    out: &mut dyn Write,
) -> io::Result<Result<(), Refused>> {
    let _lock = match only_one(root) {
        Ok(lock) => lock,
        Err(text) => return Ok(Err(text)),
    };
    let Some(major) = root.major(driver)? else {
        return Ok(Err(format!("Driver ({driver}) not installed.\n")));
    };
    if !elsewhere && root.busy(driver)? {
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
    Ok(Ok(()))
}

/// Each permission is a minor name, a mode, an owner and a group. Everything that is wrong is said.
///
/// # Errors
/// The messages, which may be none (nothing was given).
pub(super) fn check_permissions(text: &str) -> Result<(), Refused> {
    let mut wrong = String::new();
    for permission in text.split(',') {
        let permission = permission.trim();
        let fields: Vec<&str> = permission.split_whitespace().collect();
        match fields.len() {
            0..4 => wrong.push_str(&format!("Option (-m) : missing token: ({permission})\n")),
            4 => {}
            _ => wrong.push_str(&format!("Option (-m) : too many arguments: ({permission})\n")),
        }
        if let Some(shown) =
            fields.get(1).filter(|mode| !(0..=4777).contains(&getopt::number(mode).unwrap_or(0)))
        {
            wrong.push_str(&format!("Bad mode: ({shown})\n"));
        }
    }
    if wrong.is_empty() && !text.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The privileges that drivers have brought to the system, and those that a command's `-P` brings.
pub(super) fn privileges(root: &Root, new: Option<&str>) -> io::Result<impl Fn(&str) -> bool + use<>> {
    let lines = root.lines(Database::ExtraPrivs)?;
    let old = lines.iter().filter_map(|line| line.split_once(':')).map(|(_, name)| name);
    let all = old.chain(new.iter().flat_map(|list| list.split(',')));
    let all: Vec<String> = all.map(|name| name.trim().to_ascii_lowercase()).collect();
    Ok(move |name: &str| all.iter().any(|own| own == name))
}

/// A blank inside double quotes is an error.
pub(super) fn no_blank_inside_quotes(text: &str) -> Result<(), Refused> {
    if text.split('"').skip(1).step_by(2).any(|quoted| quoted.contains(' ')) {
        return Err(format!(
            "Can't have space within double quote: {text}. Use octal escape sequence \"\\040\".\n"
        ));
    }
    Ok(())
}

/// Names separated by blanks, each in double quotes or bare.
pub(super) fn split_aliases(text: &str) -> Vec<String> {
    text.split_whitespace().map(|alias| alias.trim_matches('"').to_owned()).collect()
}

/// A name that the databases can hold.
pub(super) fn check_token(alias: &str) -> Result<(), Refused> {
    if alias.contains(|c: char| c == '#' || c.is_control()) {
        return Err(format!("Option (-i) : bad token: ({alias})\n"));
    }
    Ok(())
}
