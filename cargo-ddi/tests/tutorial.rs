//! docs/writing-a-driver.md, followed to the letter from an empty directory: what it says to write is written where it says, its commands are run in their order, and
//! print what it shows.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Outside, good, target};

const PAGE: &str = include_str!("../../docs/writing-a-driver.md");

/// Commands that need the library sources of the compiler.
const NEEDS_MODULES: [&str; 3] = ["cargo ddi module", "cargo ddi check", "cargo ddi package"];

fn modules() -> bool {
    let found = cargo_ddi::module::toolchain::find();
    found.inspect_err(|why| println!("skipped: modules: {why}")).is_ok()
}

/// Runs lines of a shell in `dir`, which a `cd` changes. Returns what the last line prints.
fn shell(dir: &mut std::path::PathBuf, line: &str) -> String {
    if let Some(to) = line.strip_prefix("cd ") {
        dir.push(to);
        return String::new();
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_cargo-ddi")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell: Command = common::command("sh", dir, &["-c", line]);
    // What is said on standard error is progress.
    good(shell.env("PATH", path).output().unwrap(), line)
}

#[test]
fn the_tutorial_is_followed_to_the_letter() {
    if common::elsewhere() {
        return;
    }
    let outside = Outside::new("tutorial");
    let mut dir = outside.path().to_owned();
    let (mut driver, mut commands) = (String::new(), 0);
    for part in PAGE.split("\n```").skip(1).step_by(2) {
        let (language, text) = part.split_once('\n').unwrap();
        let text = text.to_owned() + "\n";
        match language {
            "sh" => {
                for line in text
                    .lines()
                    .filter(|line| modules() || !NEEDS_MODULES.iter().any(|what| line.starts_with(what)))
                {
                    shell(&mut dir, line);
                    commands += 1;
                }
            }
            "rust" => {
                driver.push_str(&text);
                fs::write(dir.join("src/lib.rs"), &driver).unwrap();
            }
            "rust,program" => fs::write(dir.join("program/src/main.rs"), text).unwrap(),
            "rust,test" => fs::write(dir.join("tests/under_host.rs"), text).unwrap(),
            "conf" => fs::write(dir.join("notice.conf"), text).unwrap(),
            "console" => {
                let (line, output) = text.strip_prefix("$ ").unwrap().split_once('\n').unwrap();
                assert_eq!(shell(&mut dir, line), output, "{line}");
                commands += 1;
            }
            other => panic!("a block of {other}: say what is to be done with it"),
        }
    }
    assert!(commands >= 5, "{commands} commands");
    assert!(dir.ends_with("notice") && (!modules() || target().join("package/notice-0.1.0.tar").is_file()));
    the_small_driver_in_both_languages(outside.path());
}

/// README's driver, in Rust and in C (docs/from-c.md): with the tutorial's program they do the same.
fn the_small_driver_in_both_languages(outside: &Path) {
    let mut dir = outside.to_owned();
    shell(&mut dir, "cargo ddi new page");
    let block = |page: &str, language: &str| {
        let text = page.split(&format!("\n```{language}\n")).nth(1).unwrap();
        text.split("```").next().unwrap().to_owned()
    };
    fs::write(dir.join("page/src/lib.rs"), block(include_str!("../../README.md"), "rust")).unwrap();
    let program = target().join("debug/noticectl");
    let script = format!("p={}; $p /dev/page0 hello; $p /dev/page0", program.display());
    let rust = shell(&mut dir.join("page"), &format!("cargo ddi run --linked --check sh -c '{script}'"));
    assert_eq!(rust, "hello\n");
    if Command::new("gcc").arg("--version").output().is_err() {
        return println!("skipped: the driver in C: no gcc");
    }
    fs::write(dir.join("page.c"), block(include_str!("../../docs/from-c.md"), "c")).unwrap();
    let flags = "-c -O2 -std=gnu99 -nostdinc -D_KERNEL -D_ELF64 -D__sun -D__SVR4 -D__amd64 -ffreestanding -mcmodel=kernel -mno-red-zone \
                 -mgeneral-regs-only -fno-pic -fno-pie -fno-common -fno-stack-protector -fcf-protection=none -Wall -Werror";
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../ddi-sys/include");
    shell(&mut dir, &format!("mkdir c && gcc {flags} -I {include} page.c -o c/page"));
    let c =
        shell(&mut dir.join("page"), &format!("cargo ddi run --check --driver ../c/page sh -c '{script}'"));
    assert_eq!(c, rust);
}
