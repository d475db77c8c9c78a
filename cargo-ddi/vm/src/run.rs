//! A run, put together from its options: the guest's image, what the caller builds, QEMU's command line.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::accel::Accel;
use crate::failure::Failure;
use crate::guest::{Boot, Guest};
use crate::image::{self, Image};
use crate::linux_image::LinuxImage;
use crate::monitor::Interrupt;
use crate::payload::Payload;
use crate::progress::Progress;
use crate::qemu::{self, Spec};
use crate::report::{RunReport, Suite};
use crate::seed;
use crate::steps::{Plan, Results};
use crate::subject::Subject;
use crate::transport::Ssh;

/// Options of a run, as the command line has them.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// The guest: a name that `vm guests` lists, or a description file (.toml).
    #[arg(long, default_value = "linux")]
    pub guest: String,
    /// The disk image: a file, or a name that is looked up in --image-dir.
    #[arg(long)]
    pub image: Option<String>,
    /// The directory of images. A checksum in its SHA256SUMS or NAME.sha256 is verified.
    #[arg(long, env = "DDI_IMAGES")]
    pub image_dir: Option<PathBuf>,
    /// Only the cases that match, of test programs that take --filter; may be given more than once.
    #[arg(long)]
    pub filter: Vec<String>,
    /// Run all cases, also those that the driver's description leaves out because they are slow in a guest.
    #[arg(long, conflicts_with = "filter")]
    pub all: bool,
    /// Leave the guest up after the tests and print the ssh command.
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

/// Directories that runs share.
#[derive(Debug, Clone)]
pub struct Places {
    /// For the results of each run.
    pub runs: PathBuf,
    /// For what a run needs while it lasts.
    pub scratch: PathBuf,
    /// For packages of Debian and kernels, which are kept.
    pub cache: PathBuf,
}

impl Places {
    /// Makes a directory for one run that is removed at its end. Those of runs that were killed are removed now.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        let dir = &self.scratch;
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        for entry in std::fs::read_dir(dir)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix("run-").and_then(|rest| rest.split('-').next());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let prefix = format!("run-{}-", std::process::id());
        Ok(tempfile::Builder::new().prefix(&prefix).tempdir_in(dir)?)
    }
}

/// Changes that a self-test makes in a run.
#[derive(Debug, Clone, Default)]
pub struct Sabotage {
    /// Goes on the Linux guest's kernel command line.
    pub command_line: String,
    /// Further arguments of QEMU; `@dir@` is the run's own directory.
    pub qemu: Vec<String>,
    /// A command that is run as root in the guest before a step.
    pub before: Option<(&'static str, String)>,
}

/// A run to be done.
pub struct Job<'a> {
    /// The options.
    pub options: &'a Options,
    /// The guest.
    pub guest: Guest,
    /// The name of the driver.
    pub driver: &'a str,
    /// Directories.
    pub places: &'a Places,
    /// Notices Ctrl-C.
    pub interrupt: Interrupt,
    /// No output but the log.
    pub quiet: bool,
    /// Builds what is tested, once the image has been found. It gets the guest, and shows what it does.
    pub build: &'a dyn Fn(&Guest, &mut Progress) -> Result<Subject>,
    /// Changes of a self-test.
    pub sabotage: Sabotage,
}

/// Result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The report, which is also in the directory.
    pub report: RunReport,
    /// Why the run ended early, if it did.
    pub failure: Option<Failure>,
    /// Directory of its log and results.
    pub dir: PathBuf,
}

impl Outcome {
    /// Returns the exit status: 0 all well, 1 cases failed, 2 our side's failure, 3 the guest's, 130 interrupted.
    pub fn status(&self) -> u8 {
        match &self.failure {
            Some(failure) => failure.exit_status(),
            None if self.report.suites.iter().all(Suite::good) => 0,
            None => 1,
        }
    }
}

impl Job<'_> {
    /// Carries the run out, and leaves the results in a directory. QEMU is gone when this returns.
    ///
    /// # Errors
    /// Something on this side: no image, no QEMU, the subject cannot be built. Nothing was started.
    pub fn run(&self) -> Result<Outcome> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let dir = match &self.options.results {
            Some(dir) => dir.clone(),
            None => {
                self.places.runs.join(format!("{}-{}-{}", self.driver, self.guest.name, started.as_millis()))
            }
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let log = std::fs::File::create(dir.join("run.log"))?;
        let subscriber = tracing_subscriber::fmt()
            .with_writer(Mutex::new(log))
            .with_ansi(false)
            .with_max_level(tracing::Level::DEBUG)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut report = RunReport {
                guest: self.guest.name.clone(),
                driver: self.driver.to_owned(),
                started: started.as_secs(),
                ..RunReport::default()
            };
            let mut progress = Progress::new(self.quiet);
            let results = self.attempt(&dir, &mut progress, &mut report).inspect_err(|error| {
                tracing::error!("{error:#}");
            })?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            report.seconds = now.saturating_sub(started).as_secs_f64();
            report.failure = results.failure.as_ref().map(ToString::to_string);
            report.suites = results.suites;
            std::fs::write(dir.join("report.json"), serde_json::to_string_pretty(&report)?)?;
            Ok(Outcome { report, failure: results.failure, dir })
        })
    }

    /// The disk image of a guest that has one.
    fn disk(&self) -> Result<Option<Image>> {
        let (guest, dir) = (&self.guest, self.options.image_dir.as_deref());
        match (guest.boot, self.options.image.as_deref()) {
            (Boot::Image, Some(name)) => Image::find(name, dir).map(Some),
            (Boot::Image, None) => {
                let name = &guest.name;
                bail!(
                    "the guest {name} needs a disk image: --image FILE, or --image NAME with --image-dir DIR"
                )
            }
            (Boot::Linux, None) => Ok(None),
            (Boot::Linux, Some(_)) => bail!("the guest {} has no disk: leave --image out", guest.name),
        }
    }

    fn attempt(
        &self,
        results_dir: &Path,
        progress: &mut Progress,
        report: &mut RunReport,
    ) -> Result<Results> {
        let Job { options, guest, sabotage, .. } = self;
        let scratch = self.places.scratch()?;
        let program = qemu::program();

        progress.step("prepare", &guest.about);
        // Before anything is built, which takes minutes.
        let image = self.disk()?;
        if let Some(image) = &image {
            let (path, sum) = (image.path.display(), image.listed.as_ref());
            let sum = sum.map_or("no checksum is listed beside it".into(), |list| {
                format!("checksum as in {}", list.display())
            });
            progress.note(&format!("{path}: {sum}"));
        }
        let subject = (self.build)(guest, progress)?;
        let filtered = !options.filter.is_empty();
        if let Some(run) = subject.description.runs.iter().find(|run| filtered && !run.filters()) {
            bail!("--filter: {} takes none: give it arguments in its command line", run.name);
        }
        report.module = image::sha256(&subject.module)?;
        let payload = Payload::new(&subject)?;

        progress.step("machine", "does KVM run code here?");
        let (accel, why) = match options.accel {
            Some(accel) => (accel, "as told".to_owned()),
            None => Accel::probe(&program, scratch.path())?,
        };
        progress.note(&format!("{}: {why}", accel.argument()));
        report.accel = accel.argument().to_owned();

        let host_name = format!("ddi-{}", guest.name);
        let ssh = Ssh::new(&guest.ssh, scratch.path())?;
        let seed = scratch.path().join("seed.img");
        let run_name = scratch.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        std::fs::write(&seed, seed::no_cloud(&ssh.public_key, &host_name, &run_name)?)?;

        let mut linux = None;
        if guest.boot == Boot::Linux {
            let Some(parts) = &guest.linux else { bail!("the guest's description has no [linux]") };
            progress.step("image", "a kernel and an initramfs, from Debian's packages (fetched once)");
            let made = LinuxImage::make(
                parts,
                &subject.ddi_host,
                &subject.description.devices,
                &self.places.cache,
                scratch.path(),
                &sabotage.command_line,
                &|what| progress.detail(what),
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
            subject: &subject,
            payload,
            filters: (options.all || filtered).then_some(options.filter.as_slice()),
            keep: options.keep,
            dump: options.dump,
            results: results_dir,
            interrupt: self.interrupt.clone(),
            sabotage: sabotage.before.as_ref().map(|(step, command)| (*step, command.as_str())),
        };
        Ok(plan.run(progress))
    }
}
