//! `cargo xtask bindings`: writes `ddi-sys/src/bindings.rs` from the project's own C headers.
//!
//! The result is committed, so that nothing but this command needs libclang; CI runs it with `--check`. With
//! `--system DIR` the same items are generated from an illumos machine's own headers instead.
//!
//! What bindgen does not do by itself is done on the parsed result: every function and every function pointer becomes
//! `extern "C-unwind"` (a panic of a driver that is linked into the host has to unwind to the host), and items are
//! documented where a header has no comment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use bindgen::callbacks::{IntKind, ParseCallbacks};
use syn::visit_mut::{self, VisitMut};

use crate::root;

/// What to generate from, and whether to write.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail if the committed file differs from what would be written.
    #[arg(long)]
    check: bool,
    /// Generate from the headers below DIR (an illumos machine's /usr/include) instead of the project's own.
    #[arg(long, value_name = "DIR")]
    system: Option<PathBuf>,
    /// Write to FILE instead of ddi-sys/src/bindings.rs.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Generates, then writes or compares.
pub fn run(args: &Args) -> Result<ExitCode> {
    require_libclang()?;
    let include = root().join("ddi-sys/include");
    let own = generate(&include, &include, None)?;
    let text = match &args.system {
        None => own,
        Some(dir) => {
            if !dir.join("sys/ddidevmap.h").exists() {
                bail!("{} holds no illumos headers: no sys/ddidevmap.h below it", dir.display());
            }
            generate(dir, &include, Some(&names(&own)?))?
        }
    };
    let output = args.output.clone().unwrap_or_else(|| root().join("ddi-sys/src/bindings.rs"));
    if !args.check {
        fs::write(&output, &text).with_context(|| format!("cannot write {}", output.display()))?;
        println!("{}: {} lines", output.display(), text.lines().count());
        return Ok(ExitCode::SUCCESS);
    }
    let committed = fs::read_to_string(&output).unwrap_or_default();
    match first_difference(&committed, &text) {
        None => {
            println!("{} is up to date", output.display());
            Ok(ExitCode::SUCCESS)
        }
        Some((line, have, want)) => {
            eprintln!("{}:{line} differs from what the headers give:", output.display());
            eprintln!("  committed: {have}");
            eprintln!("  headers:   {want}");
            eprintln!("run `cargo xtask bindings` and commit the result");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// bindgen loads libclang when it runs, and panics when there is none: ask first.
fn require_libclang() -> Result<()> {
    let dirs = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu"].map(PathBuf::from);
    let llvm = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join("lib"));
    let named = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    libclang_in(dirs.into_iter().chain(llvm).chain(named))
}

fn libclang_in(dirs: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    match dirs.into_iter().any(|dir| holds_libclang(&dir)) {
        true => Ok(()),
        false => Err(anyhow!("no libclang on this machine: apt-get install libclang-dev")),
    }
}

fn holds_libclang(path: &Path) -> bool {
    let is_libclang = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libclang.so") || (name.starts_with("libclang-") && name.contains(".so"))
    };
    is_libclang(path) && path.exists()
        || fs::read_dir(path).into_iter().flatten().flatten().any(|entry| is_libclang(&entry.path()))
}

/// Runs bindgen over every header that the project has, taken from `dir`; `only` limits the result to those names.
fn generate(dir: &Path, own: &Path, only: Option<&BTreeSet<String>>) -> Result<String> {
    let mut headers = Vec::new();
    collect(own, own, &mut headers)?;
    headers.sort();
    let wrapper: String = headers
        .iter()
        .filter(|header| dir.join(header).exists())
        .map(|header| format!("#include <{header}>\n"))
        .collect();
    let mut builder = bindgen::Builder::default()
        .header_contents("ddi.h", &wrapper)
        .clang_args(["--target=x86_64-unknown-none-elf", "-nostdinc", "-ffreestanding", "-std=gnu11", "-w"])
        .clang_args(["-D_KERNEL", "-D_ELF64", "-D_LP64", "-D__sun", "-D__SVR4", "-D__amd64"])
        .clang_args(["-I".into(), dir.display().to_string()])
        .use_core()
        .ctypes_prefix("core::ffi")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .generate_cstr(true)
        .sort_semantically(true)
        .merge_extern_blocks(true)
        .derive_default(false)
        .layout_tests(true)
        .disable_header_comment()
        .blocklist_function("_init|_fini|_info")
        .blocklist_item("ULONG_MAX|ULLONG_MAX|U?INT(8|16|32|64)_(MAX|MIN)")
        .formatter(bindgen::Formatter::None)
        .parse_callbacks(Box::new(Kinds));
    if let Some(only) = only {
        // One pattern: thousands of them take bindgen twenty seconds.
        let names: Vec<&str> = only.iter().map(String::as_str).collect();
        builder = builder.allowlist_item(names.join("|"));
    }
    let bindings = builder
        .generate()
        .map_err(|error| anyhow!("the headers in {} do not compile: {error}", dir.display()))?;
    let mut file =
        syn::parse_file(&bindings.to_string()).context("bindgen wrote something that is not Rust")?;
    Polish.visit_file_mut(&mut file);
    Ok(format!(
        "// Written by `cargo xtask bindings` from the headers in ddi-sys/include. Do not edit.\n\n{}",
        prettyplease::unparse(&file)
    ))
}

/// The headers below `dir`, by the names by which they are included.
fn collect(base: &Path, dir: &Path, headers: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(base, &path, headers)?;
        } else if path.extension().is_some_and(|extension| extension == "h") {
            headers.push(path.strip_prefix(base)?.display().to_string());
        }
    }
    Ok(())
}

/// Types of constants: the DDI's own flags and sets of bits are unsigned in its prototypes, everything else is an int.
#[derive(Debug)]
struct Kinds;

impl Kinds {
    /// Constants that a prototype or structure member takes as an unsigned type.
    fn kind(name: &str) -> Option<IntKind> {
        const UINT: [&str; 14] = [
            "DEVMAP_",
            "PROT_",
            "MAP_",
            "DDI_MODEL_",
            "DATAMODEL_",
            "DDI_PROP_",
            "HAT_",
            "DDI_DMA_RD",
            "DDI_DMA_WR",
            "DDI_DMA_CONS",
            "DDI_DMA_STREAM",
            "DDI_DATA_SZ",
            "DDI_DEV_",
            "TASKQ_",
        ];
        const UCHAR: [&str; 3] = ["KSTAT_DATA_", "KSTAT_TYPE_", "KSTAT_FLAG_"];
        const ERRORS: [&str; 9] = [
            "DDI_PROP_SUCCESS",
            "DDI_PROP_NOT_FOUND",
            "DDI_PROP_UNDEFINED",
            "DDI_PROP_NO_MEMORY",
            "DDI_PROP_INVAL_ARG",
            "DDI_PROP_BUF_TOO_SMALL",
            "DDI_PROP_CANNOT_DECODE",
            "DDI_PROP_CANNOT_ENCODE",
            "DDI_PROP_END_OF_DATA",
        ];
        let starts = |list: &[&str]| list.iter().any(|prefix| name.starts_with(prefix));
        if ERRORS.contains(&name) || name == "DEVMAP_OPS_REV" || name == "TASKQ_DEFAULTPRI" {
            Some(IntKind::I32)
        } else if starts(&UCHAR) {
            Some(IntKind::U8)
        } else if name.ends_with("_ACC") || name.starts_with("DDI_DEVICE_ATTR_V") {
            Some(if name.ends_with("_ACC") { IntKind::U8 } else { IntKind::U16 })
        } else if starts(&UINT) || name.starts_with("S_I") || name.starts_with("IOC") {
            Some(IntKind::U32)
        } else {
            None
        }
    }
}

impl ParseCallbacks for Kinds {
    fn int_macro(&self, name: &str, value: i64) -> Option<IntKind> {
        Self::kind(name).or(match value {
            value if i32::try_from(value).is_ok() => Some(IntKind::I32),
            value if u32::try_from(value).is_ok() => Some(IntKind::U32),
            _ => Some(IntKind::I64),
        })
    }
}

/// What is left to do on bindgen's result.
struct Polish;

impl VisitMut for Polish {
    fn visit_attributes_mut(&mut self, attributes: &mut Vec<syn::Attribute>) {
        let mut lines = Vec::new();
        for attribute in attributes.drain(..) {
            match doc_text(&attribute) {
                Some(text) => lines.extend(text.trim().lines().map(|line| {
                    let line = format!(" {}", line.trim());
                    syn::parse_quote!(#[doc = #line])
                })),
                None => lines.push(attribute),
            }
        }
        *attributes = lines;
    }

    fn visit_abi_mut(&mut self, abi: &mut syn::Abi) {
        if abi.name.as_ref().is_some_and(|name| name.value() == "C") {
            abi.name = Some(syn::LitStr::new("C-unwind", proc_macro2::Span::call_site()));
        }
        visit_mut::visit_abi_mut(self, abi);
    }
}

/// The text of a documentation attribute.
fn doc_text(attribute: &syn::Attribute) -> Option<String> {
    let syn::Meta::NameValue(meta) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &meta.value else { return None };
    meta.path.is_ident("doc").then(|| text.value())
}

/// Every name that a generated file defines: the surface that `--system` generates again.
fn names(text: &str) -> Result<BTreeSet<String>> {
    let file = syn::parse_file(text).context("the generated file does not parse")?;
    let mut names = BTreeSet::new();
    for item in &file.items {
        match item {
            syn::Item::Const(item) if item.ident != "_" => drop(names.insert(item.ident.to_string())),
            syn::Item::Type(item) => drop(names.insert(item.ident.to_string())),
            syn::Item::Struct(item) => drop(names.insert(item.ident.to_string())),
            syn::Item::Union(item) => drop(names.insert(item.ident.to_string())),
            syn::Item::Use(item) => {
                if let syn::UseTree::Path(path) = &item.tree
                    && let syn::UseTree::Rename(rename) = &*path.tree
                {
                    names.insert(rename.rename.to_string());
                }
            }
            syn::Item::ForeignMod(block) => {
                for item in &block.items {
                    match item {
                        syn::ForeignItem::Fn(item) => drop(names.insert(item.sig.ident.to_string())),
                        syn::ForeignItem::Static(item) => drop(names.insert(item.ident.to_string())),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// The first line in which two texts differ, counted from 1, and the two lines.
fn first_difference(have: &str, want: &str) -> Option<(usize, String, String)> {
    let (mut have, mut want) = (have.lines(), want.lines());
    for number in 1.. {
        match (have.next(), want.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let line = |text: Option<&str>| {
                    text.map_or("(end of file)".to_owned(), |text| text.trim().to_owned())
                };
                return Some((number, line(a), line(b)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_libclang_one_line_says_what_to_install() {
        let dir = tempfile::tempdir().unwrap();
        let error = libclang_in([dir.path().to_owned(), PathBuf::from("/no/such")]).unwrap_err();
        assert_eq!(error.to_string(), "no libclang on this machine: apt-get install libclang-dev");
        fs::write(dir.path().join("libclang-19.so.1"), "").unwrap();
        assert!(libclang_in([dir.path().to_owned()]).is_ok());
    }

    #[test]
    fn the_first_difference_is_shown_with_its_line() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\n c\n"), Some((2, "b".to_owned(), "c".to_owned())));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some((2, "(end of file)".to_owned(), "b".to_owned())));
    }

    /// A machine's own headers give what they define of the same surface, and nothing else.
    #[test]
    fn other_headers_give_the_same_surface() {
        if let Err(error) = require_libclang() {
            return println!("skipped: {error}");
        }
        let own = root().join("ddi-sys/include");
        let ours = generate(&own, &own, None).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut headers = Vec::new();
        collect(&own, &own, &mut headers).unwrap();
        for header in headers {
            let (from, to) = (own.join(&header), dir.path().join(&header));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let mut text = fs::read_to_string(from).unwrap();
            if header == "sys/errno.h" {
                text = text.replace("#define EIO 5", "#define EIO 1005\n#define EOFOURS 1");
            }
            fs::write(to, text).unwrap();
        }
        let theirs = generate(dir.path(), &own, Some(&names(&ours).unwrap())).unwrap();
        let (_, have, want) = first_difference(&ours, &theirs).expect("one constant differs");
        assert_eq!((&*have, &*want), ("pub const EIO: i32 = 5;", "pub const EIO: i32 = 1005;"));
        assert_eq!(ours.lines().count(), theirs.lines().count(), "the surface is not the same");
    }
}
