//! The commands of `ddi-host` that are about module files: add_drv, rem_drv, modinfo. Each returns the exit status.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::add_drv::{self, AddOptions};
use super::kernel::Kernel;
use super::modinfo;
use super::root::Root;
use super::session::{DriverFile, Host, Session};
use crate::kern::drivers;
use crate::resident::{self, Request};

/// Commands about module files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install a driver in a system's directory, as add_drv(8) does
    #[command(name = "add_drv")]
    AddDrv(AddDrv),
    /// Remove a driver from a system's directory, as rem_drv(8) does
    #[command(name = "rem_drv")]
    RemDrv(RemDrv),
    /// Show the modules that ddi-host serve has loaded, or what a module file is or needs, as modinfo(8) does
    Modinfo(Modinfo),
    /// Unload a module that ddi-host serve has loaded, as modunload(8) does
    Modunload(Modunload),
}

/// Arguments of add_drv.
#[derive(Args, Debug)]
pub struct AddDrv {
    /// The system's directory: DIR/kernel/drv/amd64/NAME and so on
    #[arg(long, value_name = "DIR", required_unless_present = "basedir")]
    root: Option<PathBuf>,
    /// Permissions of minor nodes: 'MINOR MODE OWNER GROUP','...'
    #[arg(short = 'm', value_name = "PERMISSION")]
    permissions: Option<String>,
    /// Names to bind to besides the driver's own: '"NAME" ...'
    #[arg(short = 'i', value_name = "NAMES", allow_hyphen_values = true)]
    aliases: Option<String>,
    /// Another system's directory: enter the driver there, do not load it
    #[arg(short = 'b', value_name = "DIR")]
    basedir: Option<PathBuf>,
    /// Classes
    #[arg(short = 'c', value_name = "CLASSES")]
    classes: Option<String>,
    /// Device policy
    #[arg(short = 'p', value_name = "POLICY")]
    policy: Option<String>,
    /// Privileges
    #[arg(short = 'P', value_name = "PRIVILEGES")]
    privileges: Option<String>,
    /// Do not load and attach the driver
    #[arg(short = 'n')]
    no_load: bool,
    /// Go on when another driver has the device
    #[arg(short = 'f')]
    force: bool,
    /// Say what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// The driver's name
    driver: String,
}

/// Arguments of rem_drv.
#[derive(Args, Debug)]
pub struct RemDrv {
    /// The system's directory
    #[arg(long, value_name = "DIR", required_unless_present = "basedir")]
    root: Option<PathBuf>,
    /// The same, as rem_drv(8) has it
    #[arg(short = 'b', value_name = "DIR")]
    basedir: Option<PathBuf>,
    /// Also forget permissions that were changed by hand (there are none here)
    #[arg(short = 'C')]
    cleanup: bool,
    /// The driver's name
    driver: String,
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
            Command::AddDrv(args) => args.run(),
            Command::RemDrv(args) => args.run(),
            Command::Modinfo(args) => args.run(),
            Command::Modunload(args) => args.run(),
        }
    }
}

impl AddDrv {
    fn run(&self) -> i32 {
        let root = Root::new(self.basedir.as_ref().or(self.root.as_ref()).cloned().unwrap_or_default());
        let options = AddOptions {
            permissions: self.permissions.clone(),
            aliases: self.aliases.clone(),
            classes: self.classes.clone(),
            policy: self.policy.clone(),
            privileges: self.privileges.clone(),
            no_load: self.no_load || self.basedir.is_some(),
            force: self.force,
            verbose: self.verbose,
        };
        add_drv::add_drv(&root, &self.driver, &options, &attach, &mut std::io::stderr())
    }
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

impl RemDrv {
    fn run(&self) -> i32 {
        let root = Root::new(self.basedir.as_ref().or(self.root.as_ref()).cloned().unwrap_or_default());
        let _ = self.cleanup;
        let ask = |request| resident::ask(root.dir(), &request);
        // A driver that stays loaded is busy, which rem_drv says.
        let _ = ask(Request::Unload(self.driver.clone()));
        let status = add_drv::rem_drv(&root, &self.driver, &mut std::io::stderr());
        let _ = ask(Request::Forget(self.driver.clone()));
        status
    }
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
