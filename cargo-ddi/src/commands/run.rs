//! `cargo ddi run`: a program under the host, with drivers of the workspace. As a module file where one can be built, else linked into a host made for it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use cargo_ddi::module::toolchain;
use cargo_ddi::module::{Framework, Options, Package};
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use ddi_host::cli;

use super::module;
use crate::project::{Project, cargo};
use crate::ui::Ui;

/// Arguments of `run`.
#[derive(Clone, clap::Args)]
pub struct Args {
    /// A driver: a package of the workspace, the folder of one elsewhere, or a module file, with ,conf=FILE and ,name=NAME (default: the driver of
    /// the current directory, or the workspace's only one). May be repeated.
    #[arg(long = "driver", value_name = "PACKAGE|DIR|FILE")]
    drivers: Vec<String>,
    /// Link the driver into the host even if a module file can be built: for a debugger.
    #[arg(long)]
    linked: bool,
    /// The devmap framework under the driver: the kernel's, or the module's own (default: the package's choice).
    #[arg(long, value_name = "WHOSE", conflicts_with = "linked")]
    framework: Option<Framework>,
    #[command(flatten)]
    host: HostOptions,
    /// The program and its arguments (default: the workspace's only program). Those of the workspace are built
    /// first, and are in its PATH.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// The options of `ddi-host run` but those that are this command's, as words.
#[derive(Clone)]
struct HostOptions(Vec<OsString>);

impl HostOptions {
    fn arguments() -> impl Iterator<Item = clap::Arg> {
        let run = <cli::Run as clap::Args>::augment_args(clap::Command::new("run"));
        let own = ["drivers", "program"];
        let arguments: Vec<_> =
            run.get_arguments().filter(|arg| !own.contains(&arg.get_id().as_str())).cloned().collect();
        arguments.into_iter()
    }
}

impl clap::Args for HostOptions {
    fn augment_args(command: clap::Command) -> clap::Command {
        HostOptions::arguments()
            .fold(command.next_help_heading("Options of the host"), clap::Command::arg)
            .next_help_heading(None)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for HostOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<HostOptions, clap::Error> {
        let mut words = Vec::new();
        for argument in HostOptions::arguments() {
            let (id, Some(long)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let long = OsString::from(format!("--{long}"));
            if argument.get_action().takes_values() {
                for value in matches.get_raw(id).into_iter().flatten() {
                    words.extend([long.clone(), value.to_owned()]);
                }
            } else {
                words.push(long);
            }
        }
        Ok(HostOptions(words))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = HostOptions::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A driver of the command line.
enum Named {
    /// A package, with what follows it.
    Package(Box<Package>, String),
    /// A file, as the host takes it.
    File(String),
}

/// Runs the program. Returns its exit status.
pub fn run(args: &Args, ui: &Ui) -> Result<ExitCode> {
    let here = std::env::current_dir().context("the current directory is gone")?;
    let other_system = args.host.0.iter().any(|word| word == "--root");
    if other_system && (args.linked || !args.drivers.is_empty()) {
        bail!("--root has the drivers that are installed there: it goes without --driver and --linked");
    }
    let project = Project::find(&here);
    let (program, path) = program(args, &project, ui)?;
    let mut words = vec![OsString::from("run")];
    words.extend(args.host.0.iter().cloned());
    let mut host = None;
    if !other_system {
        let drivers = drivers(args, &project, &here)?;
        let linked = drivers_of(args, &drivers, ui, &mut words)?;
        if linked {
            let packages: Vec<&Package> = drivers.iter().filter_map(Named::package).collect();
            host = Some(link(&packages, ui)?);
        }
    }
    words.push("--".into());
    words.extend(program);
    match host {
        Some(host) => {
            let mut command = Command::new(&host);
            command.args(&words);
            if let Some(path) = path {
                command.env("PATH", path);
            }
            Err(command.exec()).with_context(|| format!("cannot run {}", host.display()))
        }
        None => {
            let own = std::env::current_exe().context("the path of this command")?;
            let mut command = Command::new(own);
            command.arg(super::HOST).args(&words);
            if let Some(path) = path {
                command.env("PATH", path);
            }
            Err(command.exec()).context("cannot run the host")
        }
    }
}

/// Runs the program and makes a page of its events; of `--trace FILE`, what FILE's name asks for. Returns its exit status.
pub fn trace(args: &Args, ui: &Ui) -> Result<ExitCode> {
    let mut args = args.clone();
    if !args.host.0.iter().any(|word| word == "--trace") {
        let here = std::env::current_dir().context("the current directory is gone")?;
        let dir = Project::find(&here).map_or(here, |project| project.target);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        args.host.0.extend(["--trace".into(), dir.join("trace.html").into_os_string()]);
    }
    run(&args, ui)
}

impl Named {
    fn package(&self) -> Option<&Package> {
        match self {
            Named::Package(package, _) => Some(package),
            Named::File(_) => None,
        }
    }
}

/// Returns the drivers that the command line names.
fn drivers(args: &Args, project: &Result<Project>, here: &Path) -> Result<Vec<Named>> {
    if args.drivers.is_empty() {
        let project = project.as_ref().map_err(|why| anyhow::anyhow!("{why:#}"))?;
        let found = project.drivers(&[], here)?;
        return Ok(found
            .into_iter()
            .map(|package| Named::Package(Box::new(package), String::new()))
            .collect());
    }
    let named = |text: &String| {
        let (name, rest) = text.split_at(text.find(',').unwrap_or(text.len()));
        let manifest = Path::new(name).join("Cargo.toml");
        if manifest.is_file() {
            return Ok(Named::Package(Box::new(Package::read(&manifest)?), rest.to_owned()));
        }
        if name.contains('/') || Path::new(name).is_file() {
            return Ok(Named::File(text.clone()));
        }
        let project = project.as_ref().map_err(|why| anyhow::anyhow!("--driver {name}: {why:#}"))?;
        let found = project.drivers(&[name.to_owned()], here)?.remove(0);
        Ok(Named::Package(Box::new(found), rest.to_owned()))
    };
    let drivers: Vec<Named> = args.drivers.iter().map(named).collect::<Result<_>>()?;
    let mut names: Vec<&str> =
        drivers.iter().filter_map(|driver| Some(driver.package()?.name.as_str())).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("--driver: {} is named twice", twice[0]);
    }
    Ok(drivers)
}

/// Appends the words that name the drivers and their devices. Returns whether they have to be linked into a host.
fn drivers_of(args: &Args, drivers: &[Named], ui: &Ui, words: &mut Vec<OsString>) -> Result<bool> {
    let packages = drivers.iter().any(|driver| driver.package().is_some());
    let toolchain = if args.linked { None } else { Some(toolchain::find()) };
    let linked = match &toolchain {
        _ if !packages => false,
        None => true,
        Some(Ok(_)) => false,
        Some(Err(why)) => {
            ui.note(format!("linked into the host, not as a module file: {why}"));
            true
        }
    };
    for driver in drivers {
        let (mut word, package, rest) = match driver {
            Named::File(file) => {
                words.extend(["--driver".into(), file.into()]);
                continue;
            }
            Named::Package(package, rest) => match &toolchain {
                Some(Ok(toolchain)) => {
                    let project = Project::find(package.dir())?;
                    let options = Options { framework: args.framework, ..Options::default() };
                    let module = module::build(toolchain, &project, package, &options, ui)?;
                    let mut word = module.path.into_os_string();
                    if !rest.contains(",name=") {
                        word.push(format!(",name={}", package.name));
                    }
                    (word, package, rest)
                }
                _ => (OsString::from(&package.name), package, rest),
            },
        };
        word.push(rest);
        if let Some(conf) = package.conf().filter(|_| !rest.contains(",conf=")) {
            word.push(",conf=");
            word.push(conf);
        }
        // A device that the command line names is the one that is meant.
        if !args.host.0.iter().any(|word| word == "--device") && !rest.contains(",device=") {
            for device in &package.devices {
                let file = package.dir().join(device);
                word.push(",device=");
                word.push(if file.is_file() { file.into_os_string() } else { device.into() });
            }
        }
        words.extend(["--driver".into(), word]);
    }
    Ok(linked)
}

/// Returns the program with its arguments, and the search path if the workspace has programs.
fn program(args: &Args, project: &Result<Project>, ui: &Ui) -> Result<(Vec<OsString>, Option<OsString>)> {
    let known = project.as_ref().map(Project::programs).unwrap_or_default();
    let mut program = args.program.clone();
    if program.is_empty() {
        match known.as_slice() {
            [only] => program.push(only.name.clone().into()),
            [] => bail!("which program? This workspace has none: cargo ddi run PROGRAM"),
            _ => bail!(
                "which program? cargo ddi run PROGRAM ({} of this workspace, or any other)",
                project.as_ref().map(Project::program_names).unwrap_or_default()
            ),
        }
    }
    let Ok(project) = project else { return Ok((program, None)) };
    if known.is_empty() {
        return Ok((program, None));
    }
    let mut path = project.build_programs(ui)?.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    Ok((program, Some(path)))
}

/// Makes a host with these drivers linked in, in the target directory of the first. Returns its file.
fn link(drivers: &[&Package], ui: &Ui) -> Result<PathBuf> {
    let first = drivers.first().context("a driver to link")?;
    let project = Project::find(first.dir())?;
    let name =
        format!("{}-host", drivers.iter().map(|driver| driver.name.as_str()).collect::<Vec<_>>().join("-"));
    let dir = project.target.join("ddi").join(&name);
    let host = cargo_ddi::module::package::source(&first.manifest, "devmap")?
        .with_context(|| format!("{} does not depend on devmap", first.name))?
        .beside("host");
    let mut dependencies = toml::Table::new();
    dependencies.insert("ddi-host".to_owned(), host.into());
    let mut adds = String::new();
    for (index, driver) in drivers.iter().enumerate() {
        let mut table = toml::Table::new();
        table.insert("path".to_owned(), driver.dir().to_string_lossy().into_owned().into());
        table.insert("package".to_owned(), driver.name.clone().into());
        dependencies.insert(format!("driver{index}"), table.into());
        adds.push_str(&format!("    ddi_host::linked::add(&driver{index}::MODULE);\n"));
    }
    let mut manifest = toml::Table::new();
    let package = [("name", name.as_str()), ("version", "0.0.0"), ("edition", "2024")];
    let package: toml::Table =
        package.map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect();
    manifest.insert("package".to_owned(), package.into());
    manifest.insert("workspace".to_owned(), toml::Table::new().into());
    manifest.insert("dependencies".to_owned(), dependencies.into());
    // With the settings of the project, so that what its tests have compiled is not compiled again.
    let root = std::fs::read_to_string(project.root.join("Cargo.toml")).unwrap_or_default();
    if let Some(profile) = root.parse::<toml::Table>().ok().and_then(|mut table| table.remove("profile")) {
        manifest.insert("profile".to_owned(), profile);
    }
    let main = format!(
        "//! A host with drivers linked in, made by `cargo ddi run`.\n\nfn main() {{\n{adds}    std::process::exit(ddi_host::cli::main());\n}}\n"
    );
    std::fs::create_dir_all(dir.join("src")).with_context(|| format!("cannot make {}", dir.display()))?;
    replace(&dir.join("Cargo.toml"), manifest.to_string().as_bytes())?;
    replace(&dir.join("src/main.rs"), main.as_bytes())?;
    // The project's versions: anew when they change, else cargo would add what the host needs each time.
    if let Ok(lock) = std::fs::read(project.root.join("Cargo.lock")) {
        let copied = dir.join("Cargo.lock.project");
        if std::fs::read(&copied).ok().as_ref() != Some(&lock) {
            replace(&dir.join("Cargo.lock"), &lock)?;
            replace(&copied, &lock)?;
        }
    }
    ui.doing(
        "Linking",
        format!(
            "{name}: the host with {}",
            drivers.iter().map(|driver| driver.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    );
    let status = cargo()
        .args(["build", "--quiet", "--manifest-path"])
        .arg(dir.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&project.target)
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the host with {} linked in does not compile", first.name);
    }
    Ok(project.target.join("debug").join(name))
}

/// Writes a file if it has other contents: cargo builds again what was written again.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
