//! The commands of `ddi-host` that are about module files: add_drv, rem_drv, modinfo. Each returns the exit status.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::add_drv::{self, AddOptions};
use super::getopt::{self, Given};
use super::kernel::Kernel;
use super::modinfo;
use super::root::Root;
use super::session::{DriverFile, Host, Session};
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
    Modinfo(Modinfo),
    /// Unload a module that ddi-host serve has loaded, as modunload(8) does
    Modunload(Modunload),
}

/// Words that a command reads as illumos's own does.
#[derive(Args, Debug)]
pub struct Words {
    /// --root DIR, the system's directory (DIR/kernel/drv/amd64/NAME and so on), and illumos's options and arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "--root DIR ARGUMENT"
    )]
    words: Vec<String>,
}

impl Words {
    /// The system's directory, and what the words say; or what is wrong with them.
    fn read(&self, command: &str, letters: &str) -> Result<(Root, Given), String> {
        let mut words = self.words.clone();
        let root = getopt::take_root(&mut words).map_err(|e| format!("{command}: {e}"))?;
        let given = getopt::parse(command, letters, &words)?;
        match given.argument('b').map(str::to_owned).or(root) {
            Some(dir) => Ok((Root::new(dir), given)),
            None => Err(format!("{command}: which system? --root DIR says where its kernel/drv is\n")),
        }
    }
}

/// Says what is wrong with a command's words. The exit status.
fn wrong(text: &str, usage: &str) -> i32 {
    eprint!("{text}{usage}");
    1
}

/// Arguments of modinfo.
#[derive(Args, Debug)]
pub struct Modinfo {
    /// Do not cut long descriptions
    #[arg(short = 'w')]
    wide: bool,
    /// Show the names that the module leaves to others, who has them, and which functions need them; loads nothing
    #[arg(short = 'u', long)]
    undefined: bool,
    /// Only the module with this number
    #[arg(short = 'i', value_name = "ID", conflicts_with = "module")]
    id: Option<usize>,
    /// The system's directory: whose modules are shown; for a file, where dependencies are searched
    #[arg(long, value_name = "DIR", required_unless_present = "module")]
    root: Option<PathBuf>,
    /// The module file
    #[arg(value_name = "FILE")]
    module: Option<PathBuf>,
}

/// Arguments of modunload.
#[derive(Args, Debug)]
pub struct Modunload {
    /// The system's directory
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The module's number, as modinfo shows it; 0: all that are not in use
    #[arg(short = 'i', value_name = "ID")]
    id: usize,
}

impl Command {
    /// Does what was asked. Returns the exit status.
    pub fn run(&self) -> i32 {
        match self {
            Command::AddDrv(words) => add(words),
            Command::RemDrv(words) => remove(words),
            Command::UpdateDrv(words) => update(words),
            Command::Modinfo(args) => args.run(),
            Command::Modunload(args) => args.run(),
        }
    }
}

fn add(words: &Words) -> i32 {
    let (root, given) = match words.read("add_drv", AddOptions::LETTERS) {
        Ok(read) => read,
        Err(text) => return wrong(&text, add_drv::USAGE),
    };
    let [driver] = &given.words[..] else { return wrong("", add_drv::USAGE) };
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
    let (root, given) = match words.read("rem_drv", "b:C") {
        Ok(read) => read,
        Err(text) => return wrong(&text, add_drv::REM_USAGE),
    };
    let [driver] = &given.words[..] else { return wrong("", add_drv::REM_USAGE) };
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
    let (root, given) = match words.read("update_drv", update_drv::LETTERS) {
        Ok(read) => read,
        Err(text) => return wrong(&text, update_drv::USAGE),
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

impl Modinfo {
    fn run(&self) -> i32 {
        match self.text() {
            Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("ddi-host modinfo: cannot print: {error}");
                    1
                }
            },
            Err(why) => {
                eprintln!("ddi-host modinfo: {why}");
                1
            }
        }
    }

    fn text(&self) -> Result<String, String> {
        let Some(file) = &self.module else { return self.loaded() };
        if self.undefined {
            return modinfo::undefined(file, &Host as &dyn Kernel);
        }
        let root = self.root.as_ref().map(Root::new);
        let session = Session::new(root.as_ref());
        let module = session.modules().load(file).map_err(|e| e.to_string())?;
        let major = match &root {
            Some(root) => root.major(module.name()).map_err(|e| e.to_string())?,
            None => None,
        };
        Ok(modinfo::HEADER.to_owned() + &modinfo::lines(&module, &Host, major, self.wide)?)
    }

    /// What is loaded into the machine that is up for the system; nothing without one.
    fn loaded(&self) -> Result<String, String> {
        let root = self.root.as_deref().unwrap_or(Path::new("/"));
        let answer = resident::ask(root, &Request::Modules(self.id, self.wide)).map_err(|e| e.to_string())?;
        answer.unwrap_or_else(|| Ok(String::new()))
    }
}

impl Modunload {
    fn run(&self) -> i32 {
        let why = match resident::ask(&self.root, &Request::UnloadId(self.id)) {
            Ok(Some(Ok(_))) => return 0,
            Ok(Some(Err(why))) => why,
            Ok(None) => "Invalid argument".to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("can't unload the module: {why}");
        1
    }
}
