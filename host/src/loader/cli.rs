//! The commands of `ddi-host` that are about module files: add_drv, rem_drv, modload and so on. Each returns the exit status.

use clap::{Args, Subcommand};

use super::add_drv::{self, AddOptions};
use super::getopt::{self, Given};
use super::modctl;
use super::root::Root;
use super::session::{DriverFile, Session};
use super::update_drv;
use crate::config;
use crate::kern::drivers;
use crate::resident::{self, Request};

/// Commands about module files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install a driver in a system's directory, as add_drv(8) does
    #[command(name = "add_drv")]
    AddDrv(Words),
    /// Remove a driver from a system's directory, as rem_drv(8) does
    #[command(name = "rem_drv")]
    RemDrv(Words),
    /// Change what is said of an installed driver, or read its configuration file anew, as update_drv(8) does
    #[command(name = "update_drv")]
    UpdateDrv(Words),
    /// Show the modules that ddi-host serve has loaded, or what a module file is or needs, as modinfo(8) does
    Modinfo(Words),
    /// Load a module into the machine that ddi-host serve keeps up, as modload(8) does
    Modload(Words),
    /// Unload a module that ddi-host serve has loaded, as modunload(8) does
    Modunload(Words),
}

/// Words that a command reads as illumos's own does.
#[derive(Args, Debug)]
pub struct Words {
    /// --root DIR, the system's directory (DIR/kernel/drv/amd64/NAME and so on), and illumos's options and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--root DIR ARGUMENT")]
    words: Vec<String>,
}

impl Words {
    /// The system's directory, and what the words say; or what is to be said of them.
    fn read(&self, command: &str, letters: &str, usage: &str) -> Result<(Root, Given), String> {
        let mut words = self.words.clone();
        if words.is_empty() {
            return Err(usage.to_owned());
        }
        let root = getopt::take_root(&mut words).map_err(|e| format!("{command}: {e}{usage}"))?;
        let given = getopt::parse(command, letters, &words).map_err(|e| e + usage)?;
        match given.argument('b').map(str::to_owned).or(root).map(Root::new) {
            Some(root) => match root.check() {
                Ok(()) => Ok((root, given)),
                Err(why) => Err(format!("{command}: {why}\n")),
            },
            None => Err(format!("{command}: which system? --root DIR says where its kernel/drv is\n")),
        }
    }
}

/// Says what is wrong with a command's words. The exit status.
fn wrong(text: &str) -> i32 {
    eprint!("{text}");
    1
}

impl Command {
    /// Does what was asked. Returns the exit status.
    pub fn run(&self) -> i32 {
        match self {
            Command::AddDrv(words) => add(words),
            Command::RemDrv(words) => remove(words),
            Command::UpdateDrv(words) => update(words),
            Command::Modinfo(words) => modctl::info(&words.words),
            Command::Modload(words) => modctl::load(&words.words),
            Command::Modunload(words) => modctl::unload(&words.words),
        }
    }
}

fn add(words: &Words) -> i32 {
    let (root, given) = match words.read("add_drv", AddOptions::LETTERS, add_drv::USAGE) {
        Ok(read) => read,
        Err(text) => return wrong(&text),
    };
    let [driver] = &given.words[..] else { return wrong(add_drv::USAGE) };
    add_drv::add_drv(&root, driver, &AddOptions::of(&given), &attach, &mut std::io::stderr())
}

/// Has the machine that is up for the system attach the driver. Without one, sees whether it attaches.
fn attach(root: &Root, name: &str) -> Result<(), String> {
    match resident::ask(root.dir(), &Request::Attach(name.to_owned())).map_err(|e| e.to_string())? {
        Some(attached) => attached.map(drop),
        None => attach_once(root, name),
    }
}

/// Loads and attaches an installed driver, and lets it go again: there are no devices between two runs.
fn attach_once(root: &Root, name: &str) -> Result<(), String> {
    let module = root.module(name).ok_or_else(|| format!("no module for driver {name}"))?;
    if let Ok(Some(major)) = root.major(name) {
        drivers::set_major(name, major);
    }
    let mut session = Session::new(Some(root));
    let attached = session.add(&DriverFile { module, conf: root.conf(name) });
    let stuck = session.end();
    let attached = attached?;
    if let Some(why) = stuck.first() {
        return Err(why.clone());
    }
    if attached == 0 { Err(format!("{name}: no instance attached")) } else { Ok(()) }
}

fn remove(words: &Words) -> i32 {
    let (root, given) = match words.read("rem_drv", "b:C", add_drv::REM_USAGE) {
        Ok(read) => read,
        Err(text) => return wrong(&text),
    };
    let [driver] = &given.words[..] else { return wrong(add_drv::REM_USAGE) };
    let elsewhere = given.has('b');
    let ask = |request| resident::ask(root.dir(), &request);
    if !elsewhere {
        // A driver that stays loaded is busy, which rem_drv says.
        let _ = ask(Request::Unload(driver.clone()));
    }
    let status = add_drv::rem_drv(&root, driver, elsewhere, &mut std::io::stderr());
    if !elsewhere {
        let _ = ask(Request::Forget(driver.clone()));
    }
    status
}

fn update(words: &Words) -> i32 {
    let (root, given) = match words.read("update_drv", update_drv::LETTERS, update_drv::USAGE) {
        Ok(read) => read,
        Err(text) => return wrong(&text),
    };
    let unload =
        |root: &Root, driver: &str| match resident::ask(root.dir(), &Request::Unload(driver.to_owned())) {
            Ok(Some(answer)) => answer.is_ok(),
            _ => !root.busy(driver).unwrap_or(false),
        };
    // Nothing is remembered of it: it is read whenever the driver is loaded.
    let reread = |root: &Root, driver: &str| match root.conf(driver) {
        Some(file) => config::read_conf(&file).map(drop).map_err(|e| e.to_string()),
        None => Ok(()),
    };
    let system = update_drv::System { attach: &attach, unload: &unload, reread: &reread };
    update_drv::update_drv(&root, &given, &system, &mut std::io::stderr())
}
