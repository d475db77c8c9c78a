//! modload(8), modunload(8) and modinfo(8): illumos's options, messages and exit statuses, on the machine that is up for a system's directory.
//!
//! As there, a command that the kernel refuses ends with the error number as its status, and one that is called wrongly with 255. What is this host's
//! own ends with 1: no machine is up, or a module file that is looked at (`modinfo FILE`, `modinfo -u FILE`, without `--root`) is none.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use ddi_krtld::kernel::Kernel;
use ddi_krtld::modules::Known;
use ddi_system::errno::{self, EINVAL};
use ddi_system::getopt::{self, Given};
use ddi_system::root::Root;

use crate::machine::modinfo;
use crate::machine::resident::{self, Refusal, Reply, Request};
use crate::machine::session::{Host, Session};

const LOAD_USAGE: &str = "usage:  modload [-p] [-e <exec_file>] <filename>\n";
const UNLOAD_USAGE: &str = "usage:  modunload -i <module_id> [-e <exec_file>]\n";
const INFO_USAGE: &str = "usage:  modinfo [-w] [-c] [-i module-id]\n";

/// Failure of a command: its exit status, and its message.
struct Refused(i32, String);

type Done = Result<(), Refused>;

/// As fatal() of these commands: called wrongly.
fn fatal(text: impl Into<String>) -> Refused {
    Refused(255, text.into())
}

/// As error() of these commands: the kernel refused.
fn error(what: &str, errno: i32) -> Refused {
    Refused(errno, format!("{what}: {}\n", errno::text(errno)))
}

/// This host's own.
fn own(command: &str, why: &str) -> Refused {
    Refused(1, format!("{command}: {}\n", why.trim_end()))
}

/// Returns the message for a system for which no machine is up.
pub fn not_up(root: &Path) -> String {
    format!("no machine is up for {0}: start one with ddi-host serve --root {0}", root.display())
}

fn read(
    command: &str,
    letters: &str,
    words: &[String],
    usage: &str,
) -> Result<(Option<Root>, Given), Refused> {
    let mut words = words.to_vec();
    let root = getopt::take_root(&mut words).map_err(|why| fatal(format!("{command}: {why}{usage}")))?;
    let given = getopt::parse(command, letters, &words).map_err(|why| fatal(format!("{why}{usage}")))?;
    let root = root.map(Root::new);
    if let Some(root) = &root {
        root.check().map_err(|why| own(command, &why.to_string()))?;
    }
    Ok((root, given))
}

fn named(command: &str, root: Option<Root>) -> Result<Root, Refused> {
    root.ok_or_else(|| {
        own(command, "--root DIR is missing: it names the system that ddi-host serve --root DIR keeps up")
    })
}

/// Asks the kernel; the inner error is an illumos errno.
fn modctl(command: &str, root: &Root, request: &Request) -> Result<Result<Reply, i32>, Refused> {
    modctl_or(command, root, request, || not_up(root.dir()))
}

/// The same; `asleep` is what is said if no machine is up.
fn modctl_or(
    command: &str,
    root: &Root,
    request: &Request,
    asleep: impl FnOnce() -> String,
) -> Result<Result<Reply, i32>, Refused> {
    match resident::ask(root.dir(), request).map_err(|why| own(command, &why.to_string()))? {
        None => Err(own(command, &asleep())),
        Some(Ok(reply)) => Ok(Ok(reply)),
        Some(Err(Refusal::Errno(errno))) => Ok(Err(errno)),
        Some(Err(Refusal::Told(why))) => Err(own(command, &why)),
    }
}

/// The loaded modules, as modinfo(8) prints them.
fn modules(root: &Root, id: Option<i64>, wide: bool, count: bool) -> Result<String, Refused> {
    let refused = |errno| error("can't get module information", errno);
    match modctl_or("modinfo", root, &Request::Modules(id), || asleep(root))? {
        Ok(Reply::Modules(all)) => modinfo::table(&all, wide, count).ok_or(refused(EINVAL)),
        Ok(_) => Err(own("modinfo", &Refusal::unexpected().to_string())),
        Err(errno) => Err(refused(errno)),
    }
}

fn run(done: Done) -> i32 {
    match done {
        Ok(()) => 0,
        Err(Refused(status, text)) => {
            eprint!("{text}");
            status
        }
    }
}

/// modload(8). Returns the exit status.
pub fn load(words: &[String]) -> i32 {
    run(load_module(words))
}

fn load_module(words: &[String]) -> Done {
    let (root, given) = read("modload", "e:p", words, LOAD_USAGE)?;
    if arguments(words) > 4 {
        return Err(fatal(LOAD_USAGE));
    }
    let [name, ..] = &given.words[..] else { return Err(fatal(LOAD_USAGE)) };
    let root = named("modload", root)?;
    let by_path = given.has('p');
    let name = if by_path {
        name.clone()
    } else {
        let file = std::path::absolute(name).unwrap_or_else(|_| PathBuf::from(name));
        file.to_string_lossy().into_owned()
    };
    let id = match modctl("modload", &root, &Request::Load { name, by_path })? {
        Ok(Reply::Loaded(id)) => id,
        Ok(_) => return Err(own("modload", &Refusal::unexpected().to_string())),
        Err(errno) => return Err(error("can't load module", errno)),
    };
    let Some(program) = given.argument('e') else { return Ok(()) };
    match execute(&root, program, &id.to_string())? {
        Ended::Status(0) => Ok(()),
        Ended::Status(status) => {
            println!("'{program}' returned error {status}.");
            Err(Refused(status, String::new()))
        }
        Ended::Signal(signal) => {
            println!("'{program}' terminated because of signal {signal}.");
            Err(Refused(0, String::new()))
        }
    }
}

/// Returns the number of words of a command, without `--root DIR`.
fn arguments(words: &[String]) -> usize {
    let mut words = words.to_vec();
    let _ = getopt::take_root(&mut words);
    words.len()
}

/// End of the program of `-e`.
enum Ended {
    Status(i32),
    Signal(i32),
}

/// Runs the program of `-e` with the module's number and what is special to it: a driver's major number. One that cannot be run ends with the error
/// number.
fn execute(root: &Root, program: &str, id: &str) -> Result<Ended, Refused> {
    let info = modules(root, id.parse().ok(), true, false)?;
    let special =
        info.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)).filter(|word| *word != "-");
    match Process::new(program).args([id, special.unwrap_or("-1")]).status() {
        Ok(status) => Ok(match status.code() {
            Some(code) => Ended::Status(code),
            None => Ended::Signal(std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default()),
        }),
        Err(why) => {
            let errno = why.raw_os_error().unwrap_or(EINVAL);
            eprintln!("couldn't exec {program}: {}", errno::text(errno));
            Ok(Ended::Status(errno))
        }
    }
}

/// modunload(8). Returns the exit status.
pub fn unload(words: &[String]) -> i32 {
    run(unload_module(words))
}

fn unload_module(words: &[String]) -> Done {
    if arguments(words) < 2 {
        return Err(fatal(UNLOAD_USAGE));
    }
    let (root, given) = read("modunload", "i:e:", words, UNLOAD_USAGE)?;
    let Some(id) = given.argument('i') else { return Err(fatal(UNLOAD_USAGE)) };
    let id = getopt::number(id).ok_or_else(|| fatal(format!("Invalid id {id}\n")))?;
    let root = named("modunload", root)?;
    if let Some(program) = given.argument('e') {
        // As wait(3C) has it.
        let status = match execute(&root, program, &id.to_string())? {
            Ended::Status(status) => status << 8,
            Ended::Signal(signal) => signal,
        };
        if status != 0 {
            println!("{program} returned error {status}.");
            return Err(Refused(status >> 8, String::new()));
        }
    }
    modctl("modunload", &root, &Request::UnloadId(id))?
        .map(drop)
        .map_err(|errno| error("can't unload the module", errno))
}

/// modinfo(8). Returns the exit status.
pub fn info(words: &[String]) -> i32 {
    let done = info_text(words).and_then(|text| {
        let mut out = std::io::stdout().lock();
        let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        printed.map_err(|why| own("modinfo", &format!("cannot print: {why}")))
    });
    run(done)
}

fn info_text(words: &[String]) -> Result<String, Refused> {
    let (root, given) = read("modinfo", "i:wcu", words, INFO_USAGE)?;
    let wide = given.has('w');
    // This host's own: a file, without a system.
    if let (Some(file), true) = (given.words.first(), root.is_none() || given.has('u')) {
        let text = of_file(Path::new(file), given.has('u'), wide);
        return text.map_err(|why| own("modinfo", &why.to_string()));
    }
    if given.has('u') {
        return Err(fatal(INFO_USAGE));
    }
    let id = match given.argument('i') {
        None => None,
        Some(text) => match getopt::number(text) {
            None => return Err(fatal(format!("Invalid id {text}\n"))),
            Some(-1) => Some(0),
            Some(id) => Some(id),
        },
    };
    let root = named("modinfo", root)?;
    modules(&root, id, wide, given.has('c'))
}

/// Returns the message for a system without a machine, with the drivers that are installed there.
fn asleep(root: &Root) -> String {
    let not_up = not_up(root.dir());
    let names: Vec<String> = root.installed().unwrap_or_default().into_iter().map(|d| d.name).collect();
    match &names[..] {
        [] => format!("{not_up} (no driver is installed there)"),
        [one] => format!("{not_up} ({one} is installed there)"),
        [rest @ .., last] => format!("{not_up} ({} and {last} are installed there)", rest.join(", ")),
    }
}

/// Describes a module file, or what it needs.
fn of_file(file: &Path, undefined: bool, wide: bool) -> Result<String, modinfo::NoInfo> {
    if undefined {
        return modinfo::undefined(file, &Host as &dyn Kernel);
    }
    ddi_kernel::vm::start()?;
    let session = Session::new(None);
    let module = session.modules().load(file)?;
    let known = Known { name: module.name().to_owned(), id: module.id(), loads: 1 };
    let info = modinfo::of(known, Some(&module), &Host, None)?;
    Ok(modinfo::table(&[info], wide, false).unwrap_or_default())
}
