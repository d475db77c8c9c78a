//! The headers under a C compiler: every fact about what the bindings declare, as a static assertion or a redeclaration.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::facts::Facts;
use crate::rust::{Bindings, UNMEASURED};

/// What the compiler said.
pub enum Outcome {
    /// There is no C compiler on this machine.
    NoCompiler,
    /// Everything holds: this many facts.
    Agree(usize),
    /// What the compiler complained about.
    Differ(String),
}

/// Compiles the facts against `include/`; `slips` are inserted behind the headers.
pub fn compare(facts: &Facts, bindings: &Bindings, slips: &[&str]) -> Outcome {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let mut source = String::new();
    let mut names = Vec::new();
    for dir in ["sys", "sys/fm", "vm"] {
        let entries = fs::read_dir(format!("{root}/{dir}")).expect("the headers are there").flatten();
        names.extend(entries.map(|entry| format!("{dir}/{}", entry.file_name().to_string_lossy())));
    }
    names.sort();
    for name in names.iter().filter(|name| name.ends_with(".h")) {
        writeln!(source, "#include <{name}>").expect("a string takes everything");
    }
    slips.iter().for_each(|slip| source.push_str(slip));
    let count = write_facts(&mut source, facts, bindings);
    let dir =
        std::env::temp_dir().join(format!("ddi-sys-abi-{}-{}", std::process::id(), slips.concat().len()));
    fs::create_dir_all(&dir).expect("a temporary directory");
    let file = dir.join("facts.c");
    fs::write(&file, source).expect("a temporary file");
    let output = Command::new("cc")
        .args([
            "-fsyntax-only",
            "-std=gnu11",
            "-ffreestanding",
            "-nostdinc",
            "-fno-builtin",
            "-w",
            "-I",
            root,
        ])
        .arg(&file)
        .output();
    fs::remove_dir_all(&dir).expect("the temporary directory goes away");
    match output {
        Err(_) => Outcome::NoCompiler,
        Ok(output) if output.status.success() => Outcome::Agree(count),
        Ok(output) => Outcome::Differ(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn write_facts(source: &mut String, facts: &Facts, bindings: &Bindings) -> usize {
    let mut count = 0;
    let mut line = |text: String| {
        source.push_str(&text);
        source.push('\n');
        count += 1;
    };
    for (name, (size, spelling)) in &facts.scalars {
        // A name of one word is a typedef; the headers must have it.
        if !name.contains(' ') && (bindings.aliases.contains_key(name) || name.starts_with(['i', 'u'])) {
            line(format!("_Static_assert(sizeof ({name}) == {size}, \"{name}\");"));
            if spelling != name {
                line(format!("extern {name} fact_{name}; extern __typeof__(({spelling})0) fact_{name};"));
            }
        }
    }
    for (name, layout) in &facts.structs {
        let tag = if bindings.aliases.contains_key(name) { name.clone() } else { format!("struct {name}") };
        if !bindings.layouts.contains_key(name) && !bindings.aliases.contains_key(name) {
            continue;
        }
        line(format!("_Static_assert(sizeof ({tag}) == {}, \"{name}\");", layout.size));
        line(format!("_Static_assert(_Alignof ({tag}) == {}, \"{name}\");", layout.align));
        for member in &layout.members {
            let field = &member.name;
            line(format!(
                "_Static_assert(__builtin_offsetof ({tag}, {field}) == {}, \"{name}.{field}\");",
                member.offset
            ));
            line(format!(
                "_Static_assert(sizeof ((({tag} *)0)->{field}) == {}, \"{name}.{field}\");",
                member.size
            ));
        }
    }
    for name in bindings.constants.keys() {
        if let Some(value) = facts.numbers.get(name) {
            line(format!(
                "_Static_assert((unsigned long)(long){name} == {value}UL || (unsigned long){name} == {value}UL, \"{name}\");"
            ));
        } else if let Some(text) = facts.strings.get(name) {
            line(format!("_Static_assert(__builtin_strcmp({name}, \"{text}\") == 0, \"{name}\");"));
        }
    }
    for name in bindings.functions.keys() {
        if let Some(function) = facts.functions.get(name) {
            let params = match &function.params {
                None => String::new(),
                Some(params) if params.is_empty() => "void".to_owned(),
                Some(params) => params.join(", "),
            };
            let more = if function.variadic { ", ..." } else { "" };
            line(format!("extern {} {name}({params}{more});", function.returns));
        }
    }
    for name in bindings.statics.keys() {
        if let Some(ty) = facts.data.get(name).filter(|_| !UNMEASURED.contains(&name.as_str())) {
            line(format!("extern {ty} {name};"));
        }
    }
    count
}
