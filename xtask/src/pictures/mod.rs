//! `cargo xtask pictures`: the pictures of the documentation, from runs that it makes: a context switch step by step, a fork with contexts, hysteresis off
//! and on, what the host costs beside many processes, and the curves of `cargo xtask perf`.
//!
//! The processes are those of ddi-host's demo. What a picture shows is what the trace of its run says; times differ from run to run.

mod bench;
mod fork;
mod hysteresis;
mod scale;
mod switch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::perf;
use bench::Bench;

/// Options of `cargo xtask pictures`.
#[derive(clap::Args)]
pub struct Args {
    /// The directory for the pictures.
    #[arg(long, default_value = "docs/pictures")]
    out: PathBuf,
    /// The host whose runs are drawn. Default: ddi-host beside this program, as cargo build makes it.
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
    /// The directory for the curves.
    #[arg(long, default_value = "docs/perf")]
    curves: PathBuf,
    /// Most processes beside which the host is measured.
    #[arg(long, default_value_t = 1000, value_name = "PROCESSES")]
    scale: usize,
    /// Draw no curves, which need valgrind.
    #[arg(long, conflicts_with = "curves")]
    no_curves: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let host = match &args.host {
        Some(host) => host.clone(),
        None => std::env::current_exe().context("the path of this program")?.with_file_name("ddi-host"),
    };
    if !host.is_file() {
        bail!(
            "{} is not there: cargo build --bin ddi-host makes it, with --release if this is a release build",
            host.display()
        );
    }
    let bench = Bench { host: std::path::absolute(host)?, dir: tempfile::tempdir()? };
    let out = crate::root().join(&args.out);
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let put = |name: &str, text: String| {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
        Ok::<(), anyhow::Error>(())
    };
    put("switch.svg", switch::draw(&bench)?)?;
    put("fork.svg", fork::draw(&bench)?)?;
    put("hysteresis.svg", hysteresis::draw(&bench)?)?;
    let [costs, memory] = scale::draw(&bench.host, args.scale)?;
    put("scale-costs.svg", costs)?;
    put("scale-memory.svg", memory)?;
    if !args.no_curves {
        perf::draw_curves(&crate::root().join(&args.curves))?
            .iter()
            .for_each(|path| println!("{}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}
