//! `cargo xtask unsafe`: how much unsafe code each package has, as the table in docs/unsafe.md.
//!
//! Counted is what somebody has to argue for: `unsafe` blocks, `unsafe impl`s, and definitions of `unsafe fn`s. Comments and the
//! generated bindings do not count; a block in a macro counts once.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::root;

const START: &str = "<!-- table: written by cargo xtask unsafe --write -->\n";
const END: &str = "<!-- end of table -->\n";

/// What to do with the table.
#[derive(clap::Args)]
pub struct Args {
    /// Write the table into docs/unsafe.md instead of printing it.
    #[arg(long)]
    write: bool,
}

/// Prints or writes the table.
pub fn run(args: &Args) -> Result<ExitCode> {
    let table = table(&packages()?)?;
    if !args.write {
        print!("{table}");
        return Ok(ExitCode::SUCCESS);
    }
    let path = root().join("docs/unsafe.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let parts = text.split_once(START).zip(text.split_once(END));
    let ((before, _), (_, behind)) =
        parts.with_context(|| format!("{} has no place for the table", path.display()))?;
    fs::write(&path, format!("{before}{START}{table}{END}{behind}"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The workspace's members, as directories below the root.
fn packages() -> Result<Vec<String>> {
    let text = fs::read_to_string(root().join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let table: toml::Table = text.parse().context("Cargo.toml is not TOML")?;
    let members = table.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    Ok(members.into_iter().flatten().filter_map(|member| Some(member.as_str()?.to_owned())).collect())
}

fn table(packages: &[String]) -> Result<String> {
    let mut text = String::from("| package | blocks | impls | functions | lines | and in its tests |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: |\n");
    let mut sum = [Count::default(); 2];
    for package in packages {
        let dir = root().join(package);
        let inner = packages.iter().filter(|other| other.starts_with(&format!("{package}/")));
        let others: Vec<PathBuf> = inner.map(|other| root().join(other)).collect();
        let (code, tests) = count_below(&dir, &others)?;
        row(&mut text, &format!("`{package}`"), code, tests);
        sum = [sum[0].plus(code), sum[1].plus(tests)];
    }
    row(&mut text, "**all**", sum[0], sum[1]);
    Ok(text)
}

fn row(text: &mut String, name: &str, code: Count, tests: Count) {
    let Count { blocks, impls, functions, lines } = code;
    let tests = tests.blocks + tests.impls + tests.functions;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {name} | {blocks} | {impls} | {functions} | {lines} | {tests} |");
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    blocks: usize,
    impls: usize,
    functions: usize,
    lines: usize,
}

impl Count {
    fn plus(self, other: Count) -> Count {
        Count {
            blocks: self.blocks + other.blocks,
            impls: self.impls + other.impls,
            functions: self.functions + other.functions,
            lines: self.lines + other.lines,
        }
    }

    fn of(text: &str) -> Count {
        let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        let lines: Vec<String> = text.lines().map(code).filter(|line| !line.trim().is_empty()).collect();
        let code = lines.join(" ");
        let mut count = Count { lines: lines.len(), ..Count::default() };
        // Each "unsafe" that is a word of its own, and no text or attribute.
        let starts = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"');
        for (at, word) in code.match_indices("unsafe").filter(|(at, _)| starts(*at)) {
            let behind = &code[at + word.len()..];
            let mut words = behind.split_whitespace();
            match words.next().unwrap_or_default() {
                _ if !behind.starts_with(' ') => {}
                next if next.starts_with('{') => count.blocks += 1,
                next if next.starts_with("impl") => count.impls += 1,
                "fn" => count.functions += 1,
                // unsafe extern "C" fn name(…), but not the type of one, which has no name, nor a block of declarations.
                "extern" if words.nth(1) == Some("fn") => count.functions += 1,
                _ => {}
            }
        }
        count
    }
}

/// Of the sources below a package's directory, but not below those of other packages; then of its tests.
fn count_below(dir: &Path, others: &[PathBuf]) -> Result<(Count, Count)> {
    let (mut code, mut tests) = (Count::default(), Count::default());
    let mut rest = vec![dir.to_path_buf()];
    while let Some(dir) = rest.pop() {
        let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
            if path.is_dir() && !path.is_symlink() && !others.contains(&path) && !path.ends_with("target") {
                rest.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("bindings.rs") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let is_test =
                    path.iter().any(|part| ["tests", "examples", "fixtures"].iter().any(|dir| part == *dir));
                let sum = if is_test { &mut tests } else { &mut code };
                *sum = sum.plus(Count::of(&text));
            }
        }
    }
    Ok((code, tests))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_argued_for_is_counted() {
        let text = r#"
            // UNSAFE { no }
            UNSAFE impl Send for X {}
            pub UNSAFE fn f() {}
            UNSAFE extern "C" fn g(h: UNSAFE extern "C" fn(i32)) { UNSAFE { h(1) } }
            #[UNSAFE(no_mangle)]
            fn i() { let j = k(UNSAFE { l() }, "UNSAFE"); }
        "#
        .replace("UNSAFE", "unsafe");
        assert_eq!(Count::of(&text), Count { blocks: 2, impls: 1, functions: 2, lines: 5 });
    }

    /// What docs/unsafe.md says has none, has none.
    #[test]
    fn drivers_and_the_framework_have_none() {
        for package in
            ["segdev", "example-driver", "example-driver/user", "example-driver/notice", "host/wire"]
        {
            let others: Vec<PathBuf> = packages().unwrap().iter().map(|other| root().join(other)).collect();
            let (code, _) = count_below(&root().join(package), &others).unwrap();
            assert_eq!((code.blocks, code.impls, code.functions), (0, 0, 0), "{package}");
        }
    }
}
