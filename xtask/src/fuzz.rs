//! `cargo xtask fuzz`: the readers of files and messages, fed by libFuzzer for a while. docs/fuzzing.md is the guide.
//!
//! Works in target/fuzz; changes the corpora in fuzz/corpus only when told to. Exit status 1 when an input was found that fails: the file is named.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::root;

/// Targets, and how long each is fed.
#[derive(clap::Args)]
pub struct Args {
    /// Targets; all, if none is named.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Begin with these random numbers: the same inputs in the same order. Default: others each time.
    #[arg(long)]
    seed: Option<u32>,
    /// Replace the kept corpora by the smallest that reach as much as all inputs that were found.
    #[arg(long)]
    keep: bool,
}

/// Limits of one input: bytes, seconds, MiB.
const LIMITS: [&str; 3] = ["-max_len=16384", "-timeout=10", "-rss_limit_mb=2048"];

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let known = known()?;
    if let Some(wrong) = args.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target {wrong}: {}", known.join(", "));
    }
    let there = Command::new("cargo").args(["+nightly", "fuzz", "--version"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        bail!(
            "no cargo-fuzz: rustup toolchain install nightly --profile minimal && cargo install cargo-fuzz"
        );
    }
    let mut good = true;
    for target in known.iter().filter(|target| args.targets.is_empty() || args.targets.contains(target)) {
        let place = Place::of(target)?;
        place.unpack()?;
        let artifacts = format!("-artifact_prefix={}/", place.artifacts.display());
        let time = format!("-max_total_time={}", args.seconds);
        // What libFuzzer takes for none is 0.
        let seed = format!("-seed={}", args.seed.unwrap_or_default());
        let status = place.fuzz("run", &[&[&*artifacts, &time, &seed], &LIMITS[..]].concat())?;
        if !status {
            good = false;
            println!("FAILED {target}: an input is in {}", place.artifacts.display());
            println!("again: cargo run -p ddi-fuzz --bin {target} -- FILE");
            println!("when it is mended: cp FILE fuzz/regressions/{target}/WHAT-IT-WAS");
        } else if args.keep {
            // By what is reached, not by how often.
            if !place.fuzz("cmin", &[&["-use_counters=0"], &LIMITS[..]].concat())? {
                bail!("{target}: the corpus cannot be made smaller");
            }
            place.pack()?;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the names of all targets.
fn known() -> Result<Vec<String>> {
    let manifest: toml::Table = fs::read_to_string(root().join("fuzz/Cargo.toml"))?.parse()?;
    let bins =
        manifest.get("bin").and_then(toml::Value::as_array).context("fuzz/Cargo.toml has no targets")?;
    Ok(bins.iter().filter_map(|bin| bin.get("name")?.as_str().map(str::to_owned)).collect())
}

/// Files of a target.
struct Place<'a> {
    target: &'a str,
    /// The corpus that is kept.
    packed: PathBuf,
    regressions: PathBuf,
    corpus: PathBuf,
    artifacts: PathBuf,
}

impl Place<'_> {
    fn of(target: &str) -> Result<Place<'_>> {
        let (kept, work) = (root().join("fuzz"), root().join("target/fuzz"));
        let place = Place {
            target,
            packed: kept.join("corpus").join(format!("{target}.tar.gz")),
            regressions: kept.join("regressions").join(target),
            corpus: work.join("corpus").join(target),
            artifacts: work.join("artifacts").join(target),
        };
        fs::create_dir_all(&place.corpus)?;
        fs::create_dir_all(&place.artifacts)?;
        Ok(place)
    }

    /// Adds the kept inputs to those of earlier runs.
    fn unpack(&self) -> Result<()> {
        if self.packed.is_file() {
            tar::Archive::new(GzDecoder::new(File::open(&self.packed)?)).unpack(&self.corpus)?;
        }
        for file in files(&self.regressions)? {
            fs::copy(&file, self.corpus.join(file.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }

    /// Runs a command of `cargo fuzz` on the target and its corpus. Returns whether it succeeded.
    fn fuzz(&self, command: &str, options: &[&str]) -> Result<bool> {
        let status = Command::new("cargo")
            .args(["+nightly", "fuzz", command, "--fuzz-dir", "fuzz", "--target-dir", "target/fuzz/build"])
            .arg(self.target)
            .arg(&self.corpus)
            .arg("--")
            .args(options)
            .current_dir(root())
            .status()
            .context("cannot run cargo fuzz")?;
        Ok(status.success())
    }

    /// Keeps the corpus: the same inputs make the same file.
    fn pack(&self) -> Result<()> {
        let partial = self.packed.with_extension("part");
        let mut archive = tar::Builder::new(GzEncoder::new(File::create(&partial)?, Compression::best()));
        for file in files(&self.corpus)? {
            let data = fs::read(&file)?;
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, file.file_name().unwrap_or_default(), &*data)?;
        }
        archive.into_inner()?.finish()?;
        Ok(fs::rename(partial, &self.packed)?)
    }
}

/// Returns the files of a folder in the order of their names; none if there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries: std::io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut files = entries?;
    files.sort();
    Ok(files)
}
