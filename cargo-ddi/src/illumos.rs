//! Programs for illumos's user mode, built on Linux: Rust's std compiled for `x86_64-unknown-illumos`, linked against stub libraries.
//!
//! The stubs come from `illumos/symbols.txt`; they have illumos's sonames and the names of what is used, and no code. A symbol that is not on the list is an error
//! when linking. What was linked is then checked: it must be an executable that illumos's run-time linker takes, and need nothing but those symbols of those
//! libraries. docs/vm.md says what that proves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use object::elf;
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader, SectionHeader, Sym};

use crate::module::toolchain;

/// The symbols of illumos's libraries that programs may need.
const SYMBOLS: &str = include_str!("../illumos/symbols.txt");
/// The start-up code, which Rust's target expects of a C compiler.
const START: &str = include_str!("../illumos/start.s");
const TARGET: &str = "x86_64-unknown-illumos";
/// The run-time linker's path.
const INTERPRETER: &str = "/lib/amd64/ld.so.1";
/// Libraries that rustc names for illumos and of which nothing is used: libc has it all.
const EMPTY: [&str; 10] =
    ["posix4", "pthread", "resolv", "nsl", "umem", "m", "rt", "sendfile", "lgrp", "ssp"];
/// Relocations that illumos's run-time linker applies and that a program linked here may have.
const RELOCATIONS: [elf::RelocationType; 4] =
    [elf::R_X86_64_64, elf::R_X86_64_GLOB_DAT, elf::R_X86_64_JUMP_SLOT, elf::R_X86_64_RELATIVE];

/// The symbols of each shared object, with their sizes if they are data.
type Libraries = BTreeMap<String, BTreeMap<String, Option<u32>>>;

/// A program of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The package.
    pub package: String,
    /// The name of its file.
    pub name: String,
}

/// Builds programs of the workspace for illumos, below `dir`, and checks them. Returns their files.
///
/// # Errors
/// There is no compiler with the library's sources; one of the programs does not compile, does not link, or would not run on illumos.
pub fn programs(root: &Path, programs: &[Program], dir: &Path) -> Result<Vec<PathBuf>> {
    let stubs = dir.join("stubs");
    std::fs::create_dir_all(&stubs).with_context(|| format!("cannot make {}", stubs.display()))?;
    let libraries = read_symbols(SYMBOLS)?;
    make_stubs(&libraries, &stubs)?;
    let start = make_start(&stubs)?;

    let toolchain = toolchain::find()?;
    let mut flags: Vec<String> = Vec::new();
    for argument in [
        format!("-L{}", stubs.display()),
        start.display().to_string(),
        "-nostartfiles".to_owned(),
        "-no-pie".to_owned(),
        format!("-Wl,--dynamic-linker={INTERPRETER}"),
        // illumos looks symbols up by the System V table; GNU's alone would leave it with none.
        "-Wl,--hash-style=sysv".to_owned(),
        "-Wl,-z,noexecstack,-z,defs".to_owned(),
    ] {
        flags.push(format!("-Clink-arg={argument}"));
    }
    let status = Command::new(&toolchain.cargo)
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .args(programs.iter().flat_map(|program| ["--package", &program.package, "--bin", &program.name]))
        .args(["-Zbuild-std=std,panic_abort"])
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_TARGET_DIR", dir)
        .env_remove("RUSTFLAGS")
        .current_dir(root)
        .status()
        .context("starting cargo")?;
    if !status.success() {
        let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
        bail!("{} could not be built for {TARGET} (with {toolchain})", names.join(", "));
    }
    let built = programs.iter().map(|program| dir.join(TARGET).join("release").join(&program.name));
    built
        .map(|program| {
            let bytes = std::fs::read(&program).with_context(|| program.display().to_string())?;
            check(&bytes, &libraries)
                .with_context(|| format!("{} would not run on illumos", program.display()))?;
            Ok(program)
        })
        .collect()
}

/// Assembles the start-up code in `dir`.
fn make_start(dir: &Path) -> Result<PathBuf> {
    let (source, object) = (dir.join("start.s"), dir.join("start.o"));
    std::fs::write(&source, START)?;
    tool(Command::new("cc").arg("-c").arg(&source).arg("-o").arg(&object))?;
    Ok(object)
}

/// Reads the list: `[soname]`, then names, each with `:SIZE` if it is data.
fn read_symbols(text: &str) -> Result<Libraries> {
    let mut libraries = Libraries::new();
    let mut current = None;
    for line in text.lines().map(|line| line.split('#').next().unwrap_or("").trim()) {
        if let Some(soname) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = Some(libraries.entry(soname.to_owned()).or_default());
            continue;
        }
        for word in line.split_whitespace() {
            let Some(library) = current.as_mut() else { bail!("symbols before the first [soname]: {word}") };
            let (name, size) = match word.split_once(':') {
                Some((name, size)) => (name, Some(size.parse().with_context(|| word.to_owned())?)),
                None => (word, None),
            };
            library.insert(name.to_owned(), size);
        }
    }
    Ok(libraries)
}

fn make_stubs(libraries: &Libraries, dir: &Path) -> Result<()> {
    for (soname, symbols) in libraries {
        let Some((name, _)) = soname.split_once(".so.") else { bail!("{soname} is not a soname") };
        let source = dir.join(format!("{name}.s"));
        std::fs::write(&source, stub(symbols))?;
        let output = dir.join(format!("{name}.so"));
        tool(
            Command::new("cc")
                .args(["-shared", "-nostdlib", &format!("-Wl,-soname,{soname}")])
                .arg(&source)
                .arg("-o")
                .arg(&output),
        )?;
    }
    for name in EMPTY {
        // An archive without members.
        std::fs::write(dir.join(format!("lib{name}.a")), "!<arch>\n")?;
    }
    Ok(())
}

/// Assembly that defines the symbols and nothing behind them.
fn stub(symbols: &BTreeMap<String, Option<u32>>) -> String {
    let mut text = String::from(".section .note.GNU-stack, \"\", @progbits\n");
    for (name, size) in symbols {
        let _ = match size {
            None => writeln!(text, ".text\n.globl {name}\n.type {name}, @function\n{name}: hlt"),
            Some(size) => writeln!(
                text,
                ".data\n.globl {name}\n.type {name}, @object\n.size {name}, {size}\n{name}: .skip {size}"
            ),
        };
    }
    text
}

fn tool(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {program} (apt-get install gcc)"))?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Checks that `file` is an executable for illumos amd64 that needs nothing but `libraries`.
fn check(file: &[u8], libraries: &Libraries) -> Result<()> {
    let elf = ElfFile64::<object::Endianness>::parse(file)?;
    let (header, endian) = (elf.elf_header(), elf.endian());
    let ident = header.e_ident();
    if header.e_machine(endian) != elf::EM_X86_64 || header.e_type(endian) != elf::ET_EXEC {
        bail!("it is not an amd64 executable at fixed addresses");
    }
    if ident.os_abi != elf::ELFOSABI_NONE && ident.os_abi != elf::ELFOSABI_SOLARIS {
        bail!("it is marked for another system's ABI ({:?})", ident.os_abi);
    }
    let mut interpreter = None;
    for segment in header.program_headers(endian, file)? {
        if let Some(path) = segment.interpreter(endian, file)? {
            interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
        let kind = segment.p_type(endian);
        if kind == elf::PT_TLS {
            bail!("it has thread-local storage, which needs start-up code that is not linked in");
        }
        let flags = segment.p_flags(endian);
        if kind == elf::PT_LOAD && flags & elf::PF_W == elf::PF_W && flags & elf::PF_X == elf::PF_X {
            bail!("it has a segment that can be both written and executed");
        }
    }
    if interpreter.as_deref() != Some(INTERPRETER) {
        bail!("its interpreter is {}, not {INTERPRETER}", interpreter.as_deref().unwrap_or("missing"));
    }

    let sections = elf.elf_section_table();
    let Some((entries, link)) = sections.dynamic(endian, file)? else { bail!("it is not dynamic") };
    let strings = sections.strings(endian, file, link)?;
    let mut needed = BTreeSet::new();
    let mut hash = false;
    for entry in entries {
        let tag = entry.tag(endian);
        if tag == elf::DT_NEEDED {
            let name = strings
                .get(entry.d_val.get(endian) as u32)
                .map_err(|()| anyhow::anyhow!("a bad DT_NEEDED"))?;
            needed.insert(String::from_utf8_lossy(name).into_owned());
        }
        hash |= tag == elf::DT_HASH;
        if tag == elf::DT_VERNEED {
            bail!("it asks for symbol versions, which the stubs do not have");
        }
    }
    if !hash {
        bail!("it has no System V hash table");
    }
    if let Some(unknown) = needed.iter().find(|name| !libraries.contains_key(*name)) {
        bail!("it needs {unknown}, which is not on the list");
    }
    let known: BTreeSet<&str> = needed
        .iter()
        .filter_map(|name| libraries.get(name))
        .flat_map(|symbols| symbols.keys().map(String::as_str))
        .collect();
    let symbols = elf.elf_dynamic_symbol_table();
    for symbol in symbols.iter().skip(1).filter(|symbol| symbol.st_shndx(endian) == elf::SHN_UNDEF) {
        let name = String::from_utf8_lossy(symbol.name(endian, symbols.strings())?).into_owned();
        if !known.contains(name.as_str()) && symbol.st_bind() != elf::STB_WEAK {
            bail!("it needs the symbol {name}, which is not on the list");
        }
    }
    for section in sections.iter() {
        let Some((relocations, _)) = section.rela(endian, file)? else { continue };
        for relocation in relocations {
            let kind = relocation.r_type(endian, false);
            if !RELOCATIONS.contains(&kind) {
                bail!("it has a relocation of type {kind:?}, which illumos may not apply here");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Libraries {
        read_symbols(SYMBOLS).unwrap()
    }

    #[test]
    fn the_list_names_illumos_libraries() {
        let libraries = listed();
        assert_eq!(libraries["libc.so.1"]["mmap"], None);
        assert_eq!(libraries["libc.so.1"]["environ"], Some(8));
        assert!(libraries["libsocket.so.1"].contains_key("__xnet_sendmsg"));
        assert!(read_symbols("mmap\n").is_err());
    }

    /// Links a program against the stubs, with `flags`, and checks it.
    fn linked(source: &str, flags: &[&str]) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let libraries = listed();
        make_stubs(&libraries, dir.path())?;
        std::fs::write(dir.path().join("main.c"), source)?;
        let program = dir.path().join("program");
        let start = make_start(dir.path())?;
        tool(
            Command::new("cc")
                .args(["-nostdlib", "-no-pie", "-fno-stack-protector", "-Wl,--hash-style=sysv"])
                .arg(format!("-Wl,--dynamic-linker={INTERPRETER}"))
                .arg(format!("-L{}", dir.path().display()))
                .args([dir.path().join("main.c"), start])
                .args(flags)
                .args(["-lc", "-o"])
                .arg(&program),
        )?;
        check(&std::fs::read(&program)?, &libraries)
    }

    const PROGRAM: &str = "extern char **environ; extern int open(const char *, int, ...);\n\
                           int main(int argc, char **argv) { return environ && open(argv[0], argc); }\n";

    #[test]
    fn a_program_linked_against_the_stubs_passes() {
        linked(PROGRAM, &[]).unwrap();
    }

    #[test]
    fn what_illumos_would_not_run_is_refused() {
        let refused = |source: &str, flags: &[&str]| format!("{:#}", linked(source, flags).unwrap_err());
        assert!(
            refused("int main(void) { extern int epoll_create(int); return epoll_create(1); }", &[])
                .contains("epoll_create")
        );
        assert!(
            refused(PROGRAM, &["-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2"]).contains("interpreter")
        );
        assert!(refused(PROGRAM, &["-Wl,--hash-style=gnu"]).contains("System V hash table"));
        assert!(refused("_Thread_local int x; int main(void) { return x; }", &[]).contains("thread-local"));
        assert!(refused(PROGRAM, &["-pie", "-fPIE"]).contains("fixed addresses"));
    }

    /// The start code is the same on Linux, but for the libraries' names: run there, it must pass what it was given.
    #[test]
    fn the_start_code_passes_arguments_and_environment() {
        let dir = tempfile::tempdir().unwrap();
        let main = "void *__dso_handle; extern char **_environ, **environ, **___Argv; extern int puts(const char *);\n\
                    int main(int argc, char **argv, char **envp) { char aligned[16] __attribute__((aligned(16)));\n\
                    __asm__ volatile(\"movaps %%xmm0, %0\" : \"=m\"(aligned));\n\
                    puts(argv[1]); puts(_environ[0]); puts(envp[0]);\n\
                    return argc == 2 && environ == envp && ___Argv == argv && !envp[1] ? 7 : 8; }\n";
        std::fs::write(dir.path().join("main.c"), main).unwrap();
        let program = dir.path().join("program");
        let start = make_start(dir.path()).unwrap();
        tool(
            Command::new("cc")
                .args(["-nostartfiles", "-no-pie"])
                .arg(dir.path().join("main.c"))
                .arg(start)
                .arg("-o")
                .arg(&program),
        )
        .unwrap();
        let output = Command::new(&program).arg("one").env_clear().env("WHERE", "here").output().unwrap();
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "one\nWHERE=here\nWHERE=here\n");
    }

    #[test]
    fn a_linux_program_is_not_an_illumos_one() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check(&own, &listed()).is_err());
    }
}
