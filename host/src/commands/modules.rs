//! The commands of `ddi-host` that are about module files: add_drv, rem_drv, modload and so on. Each returns the exit status.

use clap::{ArgAction, Args, Subcommand};
use ddi_system::add_drv::{self, AddOptions, Attached, Running};
use ddi_system::errno::EBUSY;
use ddi_system::getopt::{self, Given};
use ddi_system::rem_drv;
use ddi_system::root::{NoSystem, Root};
use ddi_system::update_drv;

use super::help;
use super::modctl;
use crate::machine::resident::{self, Refusal, Reply, Request};
use crate::machine::session::{DriverError, Session};
use ddi_kernel::board::log;
use ddi_kernel::calls::system;

/// Commands about module files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install a driver in a system's directory, as add_drv(8) does
    #[command(name = "add_drv", disable_help_flag = true, after_help = help::ADD_DRV)]
    AddDrv(Words),
    /// Remove a driver from a system's directory, as rem_drv(8) does
    #[command(name = "rem_drv", disable_help_flag = true, after_help = help::REM_DRV)]
    RemDrv(Words),
    /// Change an installed driver's permissions, aliases and policy, or reread its driver.conf, as update_drv(8) does
    #[command(name = "update_drv", disable_help_flag = true, after_help = help::UPDATE_DRV)]
    UpdateDrv(Words),
    /// Show the modules that ddi-host serve has loaded, as modinfo(8) does, or describe a module file
    #[command(disable_help_flag = true, after_help = help::MODINFO)]
    Modinfo(Words),
    /// Load a module into the machine that ddi-host serve keeps up, as modload(8) does
    #[command(disable_help_flag = true, after_help = help::MODLOAD)]
    Modload(Words),
    /// Unload a module that ddi-host serve has loaded, as modunload(8) does
    #[command(disable_help_flag = true, after_help = help::MODUNLOAD)]
    Modunload(Words),
}

/// Arguments of a command that reads them as illumos's own command does.
#[derive(Args, Debug)]
pub struct Words {
    /// Print help
    #[arg(long, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// --root DIR, the system's directory, and illumos's options and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--root DIR ARGUMENT")]
    pub words: Vec<String>,
}

/// An error in a command's words.
#[derive(Debug, thiserror::Error)]
enum WrongWords {
    /// `--root` has no directory.
    #[error("{command}: {why}{usage}")]
    Root { command: &'static str, why: getopt::NoRoot, usage: &'static str },
    /// There are none, or not as many as there must be.
    #[error("{0}")]
    Usage(&'static str),
    #[error("{why}{usage}")]
    Option { why: getopt::Wrong, usage: &'static str },
    /// `--root` leads to no system.
    #[error("{command}: {why}\n")]
    NoSystem { command: &'static str, why: NoSystem },
    /// No system is named.
    #[error("{0}: --root DIR is missing: it names the system's directory, which has kernel/drv\n")]
    Which(&'static str),
}

impl Words {
    /// Returns the system's directory and the parsed options.
    ///
    /// # Errors
    /// The text to print.
    fn read(
        &self,
        command: &'static str,
        letters: &str,
        usage: &'static str,
    ) -> Result<(Root, Given), WrongWords> {
        let mut words = self.words.clone();
        let root = getopt::take_root(&mut words).map_err(|why| WrongWords::Root { command, why, usage })?;
        if words.is_empty() {
            return Err(WrongWords::Usage(usage));
        }
        let given =
            getopt::parse(command, letters, &words).map_err(|why| WrongWords::Option { why, usage })?;
        if let Some(dir) = given.argument('b') {
            // Errors of another system's directory are found when it is locked.
            return Ok((Root::new(dir), given));
        }
        match root.map(Root::new) {
            Some(root) => match root.check() {
                Ok(()) => Ok((root, given)),
                Err(why) => Err(WrongWords::NoSystem { command, why }),
            },
            None => Err(WrongWords::Which(command)),
        }
    }
}

/// Prints an error in a command's arguments. Returns the exit status.
fn wrong(text: &str) -> i32 {
    eprint!("{text}");
    1
}

impl Command {
    /// Runs the command. Returns the exit status.
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
        Err(why) => return wrong(&why.to_string()),
    };
    let [driver] = &given.words[..] else { return wrong(add_drv::USAGE) };
    add_drv::add_drv(&root, driver, &AddOptions::of(&given), &Machine, &mut std::io::stderr())
}

fn remove(words: &Words) -> i32 {
    let (root, given) = match words.read("rem_drv", rem_drv::LETTERS, rem_drv::USAGE) {
        Ok(read) => read,
        Err(why) => return wrong(&why.to_string()),
    };
    let [driver] = &given.words[..] else { return wrong(rem_drv::USAGE) };
    let elsewhere = given.has('b') || given.has('n');
    rem_drv::rem_drv(&root, driver, elsewhere, &Machine, &mut std::io::stderr())
}

fn update(words: &Words) -> i32 {
    let (root, given) = match words.read("update_drv", update_drv::LETTERS, update_drv::USAGE) {
        Ok(read) => read,
        Err(why) => return wrong(&why.to_string()),
    };
    update_drv::update_drv(&root, &given, &Machine, &mut std::io::stderr())
}

/// The machine that is up for a system. Without one, its methods return what a machine would have returned, as far as that is known.
struct Machine;

impl Machine {
    /// Asks the machine, if one is up.
    fn ask(root: &Root, request: &Request) -> Option<resident::Answer> {
        resident::ask(root.dir(), request).unwrap_or_else(|why| Some(Err(Refusal::Told(why.to_string()))))
    }

    /// Asks for what may be refused with an errno.
    fn modctl(root: &Root, request: &Request) -> Option<Result<(), i32>> {
        let answer = Self::ask(root, request)?;
        Some(answer.map(drop).map_err(|refusal| match refusal {
            Refusal::Errno(errno) => errno,
            Refusal::Told(why) => {
                log::line(log::To::Both, &format!("WARNING: {why}"));
                EBUSY
            }
        }))
    }
}

impl Running for Machine {
    fn bind(&self, root: &Root, driver: &str) {
        Self::modctl(root, &Request::Bind(driver.to_owned()));
    }

    fn unbind(&self, root: &Root, driver: &str) -> Result<(), i32> {
        Self::modctl(root, &Request::Unbind(driver.to_owned())).unwrap_or(Ok(()))
    }

    fn attach(&self, root: &Root, driver: &str) -> Attached {
        let failed = |said: String| Attached { any: false, said };
        match Self::ask(root, &Request::Attach(driver.to_owned())) {
            None => attach_once(root, driver),
            Some(Ok(Reply::Attached { instances, said })) => {
                Attached { any: instances > 0, said: lines(said) }
            }
            Some(Ok(_)) => failed(Refusal::unexpected().to_string()),
            Some(Err(why)) => failed(why.to_string()),
        }
    }

    fn unload(&self, root: &Root, driver: &str) -> Result<(), i32> {
        Self::modctl(root, &Request::Unload(driver.to_owned())).unwrap_or_else(|| {
            // Runs may have it.
            if root.busy(driver).unwrap_or(false) { Err(EBUSY) } else { Ok(()) }
        })
    }

    fn reread(&self, root: &Root, driver: &str) -> Result<(), i32> {
        let known = || match root.major(driver) {
            Ok(Some(_)) => Ok(()),
            _ => Err(ddi_system::errno::EINVAL),
        };
        Self::modctl(root, &Request::Reread(driver.to_owned())).unwrap_or_else(known)
    }

    fn permissions(&self, root: &Root, driver: &str, add: bool) {
        Self::modctl(root, &Request::Permissions { driver: driver.to_owned(), add });
    }
}

/// Loads and attaches an installed driver, and unloads it again: there are no devices between two runs.
fn attach_once(root: &Root, name: &str) -> Attached {
    if let Err(error) = ddi_kernel::vm::start() {
        return Attached { any: false, said: error.to_string() };
    }
    let attached = system::enter(root).map_err(DriverError::from).and_then(|()| {
        let mut session = Session::new(Some(root));
        let attached = session.add_from(root, name);
        for why in session.end() {
            log::line(log::To::Both, &format!("WARNING: {why}"));
        }
        attached
    });
    let attached = attached.unwrap_or_else(|why| {
        log::line(log::To::Both, &format!("WARNING: {why}"));
        0
    });
    Attached { any: attached > 0, said: lines(system::said()) }
}

fn lines(said: Vec<String>) -> String {
    said.into_iter().map(|line| line + "\n").collect()
}
