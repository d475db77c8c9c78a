//! add_drv(8): illumos's options, checks, messages and exit statuses, on a directory ([`Root`]).
//!
//! A driver's module and configuration file are put in their places first, as on illumos; add_drv enters the driver in the databases and has the
//! running system attach it. Messages go to standard error, as illumos's do.

use std::io::{self, Write};
use std::path::Path;

use crate::getopt::{self, Given};
use crate::policy;
use crate::root::{Database, Lock, Root};

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
    /// The letters that [`crate::getopt`] is to know.
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

/// What came of attaching a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// An instance is attached.
    pub any: bool,
    /// What devfsadm has to say, a line each.
    pub said: String,
}

/// The running system, as the commands need it. What it refuses, it refuses with an illumos errno.
pub trait Running {
    /// Gives a driver the major number and the aliases that the databases say.
    fn bind(&self, root: &Root, driver: &str);
    /// Takes them away; the driver's nodes go.
    ///
    /// # Errors
    /// It has none.
    fn unbind(&self, root: &Root, driver: &str) -> Result<(), i32>;
    /// Loads and attaches a driver, and makes its links, as `devfsadm -i` does.
    fn attach(&self, root: &Root, driver: &str) -> Attached;
    /// Unloads a driver's module, if it is loaded.
    ///
    /// # Errors
    /// It stays.
    fn unload(&self, root: &Root, driver: &str) -> Result<(), i32>;
    /// Forgets what a driver's configuration file said; it is read again when the driver is attached.
    ///
    /// # Errors
    /// The driver has no major number.
    fn reread(&self, root: &Root, driver: &str) -> Result<(), i32>;
    /// Takes over what etc/minor_perm says of a driver; if not `add`, forgets that.
    fn permissions(&self, root: &Root, driver: &str, add: bool);
}

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

/// Why a command ends with status 1: what it says.
pub(crate) type Refused = String;

/// Tells the user, and that is the end of it.
pub(crate) fn say(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
}

/// The lock that one of the commands has at a time.
pub(crate) fn only_one(root: &Root) -> Result<Lock, Refused> {
    match root.lock() {
        Ok(Some(lock)) => match root.readable() {
            Ok(()) => Ok(lock),
            Err(error) => Err(format!("Cannot update ({}): {error}\n", root.dir().display())),
        },
        Ok(None) => Err("add_drv/rem_drv currently busy; try later\n".into()),
        Err(error) => {
            let why = error.to_string();
            let why = why.split(" (os error").next().unwrap_or_default();
            Err(format!("Failed to create lock file({}): {why}\n", root.lock_file().display()))
        }
    }
}

/// The exit status of a command that came to its end, was refused, or could not read or write the databases.
pub(crate) fn status(root: &Root, result: io::Result<Result<i32, Refused>>, out: &mut dyn Write) -> i32 {
    match result {
        Ok(Ok(status)) => status,
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
    running: &dyn Running,
    out: &mut dyn Write,
) -> i32 {
    let result = add(root, driver, options, running, out);
    status(root, result, out)
}

fn add(
    root: &Root,
    driver: &str,
    options: &AddOptions,
    running: &dyn Running,
    out: &mut dyn Write,
) -> io::Result<Result<i32, Refused>> {
    if let Some(Err(text)) = options.aliases.as_deref().map(no_blank_inside_quotes) {
        return Ok(Err(text));
    }
    // As a path is cleaned: no doubled slashes, none at the end.
    let start = if driver.starts_with('/') { "/" } else { "" };
    let parts: Vec<&str> = driver.split('/').filter(|part| !part.is_empty()).collect();
    let driver = format!("{start}{}", parts.join("/"));
    if let Some((_, name)) = driver.rsplit_once('/') {
        return Ok(Err(format!(
            "Error: driver may not be specified by path ({driver})\nError: Could not install driver ({name}).\n"
        )));
    }
    let driver = &driver;
    let _lock = match only_one(root) {
        Ok(lock) => lock,
        Err(text) => return Ok(Err(text)),
    };
    if let Some(Err(text)) = options.permissions.as_deref().map(check_permissions) {
        return Ok(Err(text + USAGE));
    }
    let aliases = options.aliases.as_deref().map(|list| entries(list, ' ', true)).unwrap_or_default();
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
    if !options.no_load
        && let Some(Err(text)) = options.privileges.as_deref().map(check_privileges)
    {
        return Ok(Err(text));
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

    // illumos writes it down, and cannot read what it has written.
    let no_name = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '#' | '"');
    if driver.is_empty() || driver.contains(no_name) {
        return Ok(Err(format!(
            "Error: ({}) is no driver's name: it is empty, or has a blank, ':', '#' or '\"'\n",
            driver.escape_debug()
        )));
    }
    let major = match root.old_major(driver)? {
        Some(old) => old,
        None => root.free_major()?,
    };
    root.remove(Database::RemNameToMajor, driver)?;
    root.append(Database::NameToMajor, &format!("{driver} {major}"))?;
    for permission in options.permissions.iter().flat_map(|list| permission_entries(list)) {
        root.append(Database::MinorPerm, &format!("{driver}:{permission}"))?;
    }
    for alias in &aliases {
        root.append(Database::Aliases, &format!("{driver} \"{alias}\""))?;
    }
    for class in options.classes.iter().flat_map(|list| entries(list, ' ', false)) {
        root.append(Database::Classes, &format!("{driver}\t{class}"))?;
    }
    for privilege in options.privileges.iter().flat_map(|list| entries(list, ',', false)) {
        root.append(Database::ExtraPrivs, &format!("{driver}:{privilege}"))?;
    }
    for line in &policy {
        root.append(Database::DevicePolicy, line)?;
    }

    if no_load {
        say(out, "Reboot client to install driver.\n");
    } else {
        configure(root, driver, options.aliases.as_deref(), running, options.verbose);
        if options.permissions.is_some() {
            running.permissions(root, driver, true);
        }
        load(root, driver, running, out);
    }
    if options.verbose {
        say(out, &format!("Driver ({driver}) installed.\n"));
    }
    Ok(Ok(0))
}

/// Has the kernel bind a driver, as `devfsadm -b` does for each of its aliases: with an empty list of them for none, so nothing is bound.
pub(crate) fn configure(
    root: &Root,
    driver: &str,
    aliases: Option<&str>,
    running: &dyn Running,
    verbose: bool,
) {
    if aliases == Some("") {
        return;
    }
    running.bind(root, driver);
    if verbose {
        println!("exit status = 0");
    }
}

/// Attaches a driver; one that does not stays installed, and the status is 0: whoever installs it has to look for the node.
pub(crate) fn load(root: &Root, driver: &str, running: &dyn Running, out: &mut dyn Write) {
    let attached = running.attach(root, driver);
    say(out, &attached.said);
    if !attached.any {
        say(out, &format!("devfsadm: driver failed to attach: {driver}\n"));
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

/// What is said of a module that cannot be unloaded.
pub(crate) fn stays(driver: &str) -> String {
    format!("Cannot unload module: {driver}\nWill be unloaded upon reboot.\n")
}

/// Each permission is a minor name, a mode, an owner and a group. Everything that is wrong is said.
///
/// # Errors
/// The messages, which may be none (nothing was given).
pub(crate) fn check_permissions(text: &str) -> Result<(), Refused> {
    let mut wrong = String::new();
    // The mode of one that has none is that of the one before.
    let mut mode = String::new();
    for permission in permission_entries(text) {
        let fields: Vec<&str> = permission.split_whitespace().collect();
        if fields.len() < 4 {
            wrong.push_str(&format!("Option (-m) : missing token: ({permission})\n"));
        }
        if let Some(given) = fields.get(1) {
            mode = (*given).to_owned();
        }
        if !(0..=4777).contains(&getopt::number(&mode).unwrap_or(0)) {
            wrong.push_str(&format!("Bad mode: ({mode})\n"));
        }
    }
    if wrong.is_empty() && !text.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The permissions of a list: each ends at its fourth field's blank, or at a comma behind its first field, which may hold commas itself. Blanks between
/// fields become one.
fn permission_entries(list: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = list.trim_start();
    while !rest.is_empty() {
        let mut entry = String::new();
        let mut fields = 0;
        while let Some(c) = rest.chars().next() {
            if c == ',' && fields > 0 {
                break;
            }
            entry.push(if c.is_whitespace() { ' ' } else { c });
            rest = &rest[c.len_utf8()..];
            if c.is_whitespace() {
                rest = rest.trim_start();
                fields += 1;
                if fields == 4 {
                    break;
                }
            }
        }
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        all.push(entry);
    }
    all
}

/// The entries of a list with blanks, or `separator`, between them, without the quotes if `unquote`. An empty list has one, which is empty.
pub(crate) fn entries(list: &str, separator: char, unquote: bool) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = list.trim_start();
    loop {
        let quoted = unquote && rest.starts_with('"');
        rest = if quoted { &rest[1..] } else { rest };
        let ends = |c: char| c == separator || c.is_whitespace() || quoted && c == '"';
        let end = rest.find(ends).unwrap_or(rest.len());
        all.push(rest[..end].to_owned());
        rest = &rest[end..];
        rest = rest.strip_prefix(separator).unwrap_or(rest);
        rest = if quoted { rest.strip_prefix('"').unwrap_or(rest) } else { rest }.trim_start();
        if rest.is_empty() {
            return all;
        }
    }
}

/// The privileges that drivers have brought to the system, and those that a command's `-P` brings.
pub(crate) fn privileges(root: &Root, new: Option<&str>) -> io::Result<impl Fn(&str) -> bool + use<>> {
    let lines = root.lines(Database::ExtraPrivs)?;
    let old = lines.iter().filter_map(|line| line.split_once(':')).map(|(_, name)| name);
    let all = old.chain(new.iter().flat_map(|list| list.split(',')));
    let all: Vec<String> = all.map(|name| name.trim().to_ascii_lowercase()).collect();
    Ok(move |name: &str| all.iter().any(|own| own == name))
}

/// Privileges that the kernel would make: letters, digits and `_`, at most 31.
pub(crate) fn check_privileges(list: &str) -> Result<(), Refused> {
    for name in list.split(',').filter(|name| !name.is_empty()) {
        let why = if name.len() > 31 {
            "File name too long"
        } else if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        } else {
            "Invalid argument"
        };
        return Err(format!("Cannot allocate privilege ``{name}'': {why}\n"));
    }
    Ok(())
}

/// A blank inside double quotes is an error.
pub(crate) fn no_blank_inside_quotes(text: &str) -> Result<(), Refused> {
    if text.split('"').skip(1).step_by(2).any(|quoted| quoted.contains(' ')) {
        return Err(format!(
            "Can't have space within double quote: {text}. Use octal escape sequence \"\\040\".\n"
        ));
    }
    Ok(())
}

/// A name that the databases can hold.
pub(crate) fn check_token(alias: &str) -> Result<(), Refused> {
    if alias.contains(|c: char| c == '#' || c.is_control()) {
        return Err(format!("Option (-i) : bad token: ({alias})\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart_as_illumos_takes_them() {
        let perms = |list| permission_entries(list);
        assert_eq!(perms("* 0666 root sys,a 0600 root sys"), ["* 0666 root sys", "a 0600 root sys"]);
        assert_eq!(perms("* 0666 root sys, a  0600 root sys"), ["* 0666 root sys", "a 0600 root sys"]);
        assert_eq!(perms(" * 0666 root sys extra"), ["* 0666 root sys ", "extra"]);
        assert_eq!(perms(",* 0666 root sys"), [",* 0666 root sys"]);
        assert_eq!(perms("*\t0666\nroot\n sys\n"), ["* 0666 root sys "]);
        assert!(perms("").is_empty());
        let names = |list| entries(list, ' ', true);
        assert_eq!(names("\"x1\" \"x2\" x3"), ["x1", "x2", "x3"]);
        assert_eq!(names("\"half"), ["half"]);
        assert_eq!(names(""), [""]);
        assert_eq!(entries("a, b,c", ',', false), ["a", "b", "c"]);
    }

    #[test]
    fn the_mode_is_that_of_the_permission_before_when_there_is_none() {
        let said = check_permissions("* 9999 root sys extra").unwrap_err();
        assert_eq!(said, "Bad mode: (9999)\nOption (-m) : missing token: (extra)\nBad mode: (9999)\n");
        assert_eq!(check_permissions("").unwrap_err(), "");
        assert!(check_permissions("* rw root sys").is_ok());
    }
}
