//! Builds what is measured: code as it is in modules, linked with the stub kernel and the workloads in segdev/bench.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use cargo_ddi::module::Framework;
use ddi_krtld::elf::PROBE;
use object::build::elf::{Builder, SectionData};

use crate::module::object;

/// The section that holds all code that is measured, and nothing else.
pub const MEASURED: &str = "measured_text";

/// A static probe that is off.
pub const PROBE_SITE: [u8; 5] = [0x90; 5];

/// The functions that drivers call of a framework: all else that it has is reached through them.
const INTERFACE: [&str; 11] = [
    "ddi_devmap_segmap",
    "devmap_default_access",
    "devmap_devmem_remap",
    "devmap_devmem_setup",
    "devmap_do_ctxmgt",
    "devmap_load",
    "devmap_set_ctx_timeout",
    "devmap_setup",
    "devmap_umem_remap",
    "devmap_umem_setup",
    "devmap_unload",
];

/// Flags for code of the stub kernel and the workloads: as kernel code, in a program.
const HARNESS: [&str; 16] = [
    "-c",
    "-O2",
    "-std=gnu99",
    "-nostdinc",
    "-D_KERNEL",
    "-D_ELF64",
    "-D__sun",
    "-D__SVR4",
    "-D__amd64",
    "-ffreestanding",
    "-fno-pic",
    "-fno-pie",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-Wall",
    "-Wextra",
];

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {name}; install it if it is missing (apt-get install gcc)"))?;
    if !output.status.success() {
        bail!("{name} failed:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn sources() -> PathBuf {
    crate::root().join("segdev/bench")
}

/// Compiles a file of segdev/bench into `dir`.
fn compile(dir: &Path, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let object = dir.join(format!("{}.o", name.replace('/', "-")));
    run(Command::new("gcc")
        .args(HARNESS)
        .args(flags)
        .arg("-Werror")
        .arg("-I")
        .arg(crate::root().join("ddi-sys/include"))
        .arg(sources().join(format!("{name}.c")))
        .arg("-o")
        .arg(&object))?;
    Ok(object)
}

/// Links objects into a program in `dir`; the code of the first one is what is measured.
fn link(dir: &Path, name: &str, measured: &Path, others: &[PathBuf]) -> Result<PathBuf> {
    run(Command::new("objcopy").arg(format!("--rename-section=.text={MEASURED}")).arg(measured))?;
    patch_probes(measured)?;
    let program = dir.join(name);
    run(Command::new("gcc")
        .args(["-no-pie", "-z", "noexecstack", "-o"])
        .arg(&program)
        .arg(measured)
        .args(others))?;
    Ok(program)
}

/// Replaces the calls of static probes in an object by nops, as the kernel's loader does.
fn patch_probes(path: &Path) -> Result<()> {
    let input = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut builder = Builder::read(&*input).context("the object is not ELF")?;
    let probes: Vec<_> = builder
        .symbols
        .iter()
        .filter(|symbol| symbol.name.starts_with(PROBE.as_bytes()))
        .map(|symbol| symbol.id())
        .collect();
    let mut sites = Vec::new();
    for section in &mut builder.sections {
        let (target, data) = (section.sh_info_section, &mut section.data);
        let (Some(target), SectionData::Relocation(relocations)) = (target, data) else { continue };
        relocations.retain(|relocation| {
            let is_site = relocation.symbol.is_some_and(|symbol| probes.contains(&symbol));
            if is_site {
                sites.push((target, relocation.r_offset as usize));
            }
            !is_site
        });
    }
    for (section, place) in sites {
        let SectionData::Data(data) = &mut builder.sections.get_mut(section).data else { continue };
        let site = data.to_mut().get_mut(place - 1..place + 4).context("a probe's call is cut off")?;
        site.copy_from_slice(&PROBE_SITE);
    }
    for probe in probes {
        builder.symbols.get_mut(probe).delete = true;
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).context("cannot write the object")?;
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// How illumos compiles C drivers, as far as it matters, beside [`HARNESS`].
const DRIVER: [&str; 4] =
    ["-mcmodel=kernel", "-mno-red-zone", "-mgeneral-regs-only", "-fno-omit-frame-pointer"];

/// A program knows no other `_init` than its own.
fn rename_init(object: &Path) -> Result<()> {
    run(Command::new("objcopy")
        .args(["--redefine-sym=_init=module_init", "--redefine-sym=_fini=module_fini"])
        .arg(object))
}

fn harness(dir: &Path, names: &[&str]) -> Result<Vec<PathBuf>> {
    names.iter().map(|name| compile(dir, name, &[])).collect()
}

/// A driver's operations, on devmap.
pub fn layer(dir: &Path, package: &str) -> Result<PathBuf> {
    let public: BTreeSet<String> = ["_init", "_info", "_fini"].map(str::to_owned).into();
    let measured = object(package, &[], Framework::Kernel, &public, dir)?;
    rename_init(&measured)?;
    let others = harness(dir, &["layer", "process", "bench", "ddi", "kernel"])?;
    link(dir, &format!("bench-{package}"), &measured, &others)
}

/// A driver's code, linked as it is for its module.
pub fn module(dir: &Path, package: &str, features: &[&str]) -> Result<PathBuf> {
    let public: BTreeSet<String> = ["_init", "_info", "_fini"].map(str::to_owned).into();
    object(package, features, Framework::Kernel, &public, dir)
}

/// A driver's operations, on devmap and a framework of its module's own.
pub fn own(dir: &Path, package: &str) -> Result<PathBuf> {
    let public: BTreeSet<String> = ["_init", "_info", "_fini"].map(str::to_owned).into();
    let measured = object(package, &[], Framework::Own, &public, dir)?;
    rename_init(&measured)?;
    let others = harness(dir, &["layer", "segments", "bench", "ddi", "kernel"])?;
    link(dir, &format!("bench-{package}-own"), &measured, &others)
}

/// A fault and an mmap of a driver, on devmap with or without a port.
pub fn port(dir: &Path, package: &str) -> Result<PathBuf> {
    let public: BTreeSet<String> = ["_init", "_info", "_fini"].map(str::to_owned).into();
    let measured = object(package, &[], Framework::Kernel, &public, dir)?;
    rename_init(&measured)?;
    let others = harness(dir, &["ports", "process", "bench", "ddi", "kernel"])?;
    link(dir, &format!("bench-port-{package}"), &measured, &others)
}

/// The same of its twin in C.
pub fn twin(dir: &Path, package: &str) -> Result<PathBuf> {
    let measured = compile(dir, &format!("twins/{package}"), &DRIVER)?;
    rename_init(&measured)?;
    let others = harness(dir, &["layer", "process", "bench", "ddi", "kernel"])?;
    link(dir, &format!("bench-{package}-twin"), &measured, &others)
}

/// The framework of a module that has its own, under the reference's workloads.
pub fn framework(dir: &Path) -> Result<PathBuf> {
    let public: BTreeSet<String> = INTERFACE.map(str::to_owned).into();
    let measured = object("ctxdev", &[], Framework::Own, &public, dir)?;
    let others = harness(dir, &["framework", "bench", "kernel"])?;
    link(dir, "bench-framework", &measured, &others)
}
