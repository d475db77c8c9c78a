//! `cargo xtask vm test`: puts a run together from its arguments, does it, and prints what came of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::accel::Accel;
use super::artifacts;
use super::guest::{Boot, Guest};
use super::image::{self, Image};
use super::linux_image::LinuxImage;
use super::monitor::Interrupt;
use super::payload::Payload;
use super::progress::Progress;
use super::qemu::{self, Spec};
use super::report::RunReport;
use super::seed;
use super::steps::{Plan, Results};
use super::transport::Ssh;

/// Boot a guest, install the driver, run the suite, remove the driver.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The guest: a name that `vm guests` lists, or a description file (.toml).
    #[arg(long)]
    pub guest: String,
    /// The disk image: a file, or a name that is looked up in --image-dir.
    #[arg(long)]
    pub image: Option<String>,
    /// The directory of images. A checksum in its SHA256SUMS or NAME.sha256 is verified.
    #[arg(long, env = "CTXDEV_IMAGES")]
    pub image_dir: Option<PathBuf>,
    /// The module file (default: made by `cargo xtask module`).
    #[arg(long)]
    pub module: Option<PathBuf>,
    /// The driver's package files.
    #[arg(long)]
    pub package: Option<PathBuf>,
    /// The test program for the guest (default: built).
    #[arg(long)]
    pub tests: Option<PathBuf>,
    /// The ddi-host that the Linux guest gets (default: built).
    #[arg(long)]
    pub ddi_host: Option<PathBuf>,
    /// Only the cases that match; may be given more than once.
    #[arg(long)]
    pub filter: Vec<String>,
    /// Run all cases, also those that the guest's description leaves out because they are slow there.
    #[arg(long, conflicts_with = "filter")]
    pub all: bool,
    /// Leave the guest up after the suite and print the ssh command.
    #[arg(long)]
    pub keep: bool,
    /// After a panic or a hang, also get the crash dump.
    #[arg(long)]
    pub dump: bool,
    /// The accelerator (default: KVM if a probe shows that it works).
    #[arg(long)]
    pub accel: Option<Accel>,
    /// The directory for the run's log and results (default: a new one under target/vm/runs).
    #[arg(long)]
    pub results: Option<PathBuf>,
}

/// What the self-test changes in a run.
#[derive(Debug, Clone, Default)]
pub struct Sabotage {
    /// Goes on the Linux guest's kernel command line.
    pub command_line: String,
    /// Further arguments of QEMU; `@dir@` is the run's own directory.
    pub qemu: Vec<String>,
    /// A command that is run as root in the guest before a step.
    pub before: Option<(&'static str, String)>,
    /// No output but the log.
    pub quiet: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let guest = Guest::load(&artifacts::guests_dir(), &args.guest)?;
    let interrupt = Interrupt::catch()?;
    let (report, results, dir) = carry_out(args, guest, interrupt, &Sabotage::default())?;
    for suite in &report.suites {
        print!("{}", suite.text());
    }
    eprintln!("results and logs: {}", dir.display());
    Ok(match &results.failure {
        Some(failure) => {
            eprintln!("cargo xtask vm: {failure}");
            ExitCode::from(failure.exit_status())
        }
        None if report.suites.iter().all(|suite| suite.good()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

/// Does one run and leaves its results in a directory, which is returned with them.
pub fn carry_out(
    args: &Args,
    guest: Guest,
    interrupt: Interrupt,
    sabotage: &Sabotage,
) -> Result<(RunReport, Results, PathBuf)> {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let results_dir = match &args.results {
        Some(dir) => dir.clone(),
        None => artifacts::runs_dir().join(format!("{}-{}", guest.name, started.as_millis())),
    };
    std::fs::create_dir_all(&results_dir).with_context(|| format!("creating {}", results_dir.display()))?;
    let results_dir = results_dir.canonicalize()?;
    let log = std::fs::File::create(results_dir.join("run.log"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Mutex::new(log))
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut progress = Progress::new(sabotage.quiet);
        let mut report =
            RunReport { guest: guest.name.clone(), started: started.as_secs(), ..RunReport::default() };
        let mut results = Results::default();
        if let Err(error) =
            attempt(args, &guest, interrupt, sabotage, &results_dir, &mut progress, &mut report, &mut results)
        {
            tracing::error!("{error:#}");
            return Err(error);
        }
        report.seconds = started_ago(started);
        report.failure = results.failure.as_ref().map(ToString::to_string);
        report.suites = std::mem::take(&mut results.suites);
        std::fs::write(results_dir.join("report.json"), serde_json::to_string_pretty(&report)?)?;
        Ok((report, results, results_dir.clone()))
    })
}

fn started_ago(started: std::time::Duration) -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(started).as_secs_f64()
}

/// The disk image of a guest that has one.
fn disk(args: &Args, guest: &Guest) -> Result<Option<Image>> {
    let dir = args.image_dir.as_deref();
    match (guest.boot, args.image.as_deref()) {
        (Boot::Image, Some(name)) => Image::find(name, dir).map(Some),
        (Boot::Image, None) => {
            let name = &guest.name;
            bail!("the guest {name} needs a disk image: --image FILE, or --image NAME with --image-dir DIR")
        }
        (Boot::Linux, None) => Ok(None),
        (Boot::Linux, Some(_)) => bail!("the guest {} has no disk: leave --image out", guest.name),
    }
}

#[expect(clippy::too_many_arguments, reason = "one caller; the halves share all of it")]
fn attempt(
    args: &Args,
    guest: &Guest,
    interrupt: Interrupt,
    sabotage: &Sabotage,
    results_dir: &Path,
    progress: &mut Progress,
    report: &mut RunReport,
    results: &mut Results,
) -> Result<()> {
    let scratch = artifacts::scratch()?;
    let program = qemu::program();

    progress.step("prepare", &guest.about);
    // Before anything is built, which takes minutes.
    let image = disk(args, guest)?;
    if let Some(image) = &image {
        let (path, sum) = (image.path.display(), image.listed.as_ref());
        let sum = sum.map_or("no checksum is listed beside it".into(), |list| {
            format!("checksum as in {}", list.display())
        });
        progress.note(&format!("{path}: {sum}"));
    }
    let module = match &args.module {
        Some(module) => module.clone(),
        None => artifacts::module()?,
    };
    report.module = image::sha256(&module)?;
    let package = args.package.clone().unwrap_or_else(|| crate::root().join("example-driver/pkg"));
    let tests = match (&args.tests, guest.boot) {
        (Some(tests), _) => tests.clone(),
        (None, Boot::Linux) => artifacts::build("usr-tests")?,
        (None, Boot::Image) => super::omnios::tests()?,
    };
    let payload = Payload::new(&package, &module, &tests)?;

    let (accel, why) = match args.accel {
        Some(accel) => (accel, "as told".to_owned()),
        None => Accel::probe(&program, scratch.path())?,
    };
    progress.note(&format!("{}: {why}", accel.argument()));
    report.accel = accel.argument().to_owned();

    let host_name = format!("ctxdev-{}", guest.name);
    let ssh = Ssh::new(&guest.ssh, scratch.path())?;
    let seed = scratch.path().join("seed.img");
    let run_name = scratch.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::fs::write(&seed, seed::no_cloud(&ssh.public_key, &host_name, &run_name)?)?;

    let mut linux = None;
    if guest.boot == Boot::Linux {
        let Some(parts) = &guest.linux else { bail!("the guest's description has no [linux]") };
        let ddi_host = match &args.ddi_host {
            Some(ddi_host) => ddi_host.clone(),
            None => artifacts::build("ddi-host")?,
        };
        let made = LinuxImage::make(
            parts,
            &ddi_host,
            &artifacts::cache_dir(),
            scratch.path(),
            &sabotage.command_line,
        )?;
        linux = Some(made);
    }
    let extra: Vec<String> = sabotage
        .qemu
        .iter()
        .map(|argument| argument.replace("@dir@", &scratch.path().display().to_string()))
        .collect();
    let spec = Spec {
        program: &program,
        guest,
        accel,
        disk: image.as_ref().map(|image| (image.path.as_path(), image.format)),
        kernel: linux
            .as_ref()
            .map(|made| (made.kernel.as_path(), made.initramfs.as_path(), made.command_line.clone())),
        seed: &seed,
        dir: scratch.path(),
        console_log: &results_dir.join("console.log"),
        extra: &extra,
    };
    let plan = Plan {
        spec,
        ssh,
        payload,
        filters: (args.all || !args.filter.is_empty()).then_some(args.filter.as_slice()),
        keep: args.keep,
        dump: args.dump,
        results: results_dir,
        interrupt,
        sabotage: sabotage.before.as_ref().map(|(step, command)| (*step, command.as_str())),
    };
    *results = plan.run(progress);
    Ok(())
}
