//! What newcomers type first compiles without a warning, or is refused with what to do instead.
//!
//! Each file of `cases` is the src/lib.rs of a crate outside of this workspace, which knows nothing of it but the path of devmap. Lines at its beginning say
//! what the compiler has to say: `//~ says: ...`; without any, that it has nothing to say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates, in a workspace of their own.
struct Crates(PathBuf);

impl Crates {
    /// Makes them from the cases: their names.
    fn make() -> (Crates, Vec<String>) {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-steps");
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut names = Vec::new();
        for file in fs::read_dir(own.join("tests/first_steps/cases")).expect("the cases") {
            let file = file.expect("a case").path();
            let name = file.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
            let (devmap, package) = (own.display(), root.join(&name));
            let manifest = format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\ndevmap = {{ path = \"{devmap}\" }}\n"
            );
            write(&package.join("Cargo.toml"), &manifest);
            write(&package.join("src/lib.rs"), &fs::read_to_string(&file).expect("a text"));
            names.push(name);
        }
        names.sort();
        write(&root.join("Cargo.toml"), &format!("[workspace]\nresolver = \"3\"\nmembers = {names:?}\n"));
        // The same versions of everything, so that nothing has to be fetched.
        write(&root.join("Cargo.lock"), &fs::read_to_string(own.join("../Cargo.lock")).expect("Cargo.lock"));
        (Crates(root), names)
    }

    /// Builds one: whether it compiles, and what the compiler says.
    fn build(&self, name: &str) -> (bool, String) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--quiet", "--lib", "-p", name]).current_dir(&self.0);
        // What cargo has set for this test is not for another cargo.
        for (variable, _) in std::env::vars() {
            if variable.starts_with("CARGO_") && variable != "CARGO_HOME" || variable == "RUSTFLAGS" {
                cargo.env_remove(variable);
            }
        }
        let output = cargo.env("CARGO_TARGET_DIR", self.0.join("target")).output().expect("cargo");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Writes a file whose text is another, so that cargo builds only what has changed.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(path, text).expect("a file");
}

#[test]
fn what_newcomers_type_first() {
    let (crates, names) = Crates::make();
    let mut wrong = Vec::new();
    for name in &names {
        let text = fs::read_to_string(crates.0.join(name).join("src/lib.rs")).expect("a case");
        let wanted: Vec<&str> =
            text.lines().map_while(|line| line.strip_prefix("//~ says: ")).map(str::trim).collect();
        let (compiles, said) = crates.build(name);
        // The compiler breaks and indents what is long.
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        if wanted.is_empty() && (!compiles || !said.is_empty()) {
            wrong.push(format!("{name} should compile without a word:\n{said}"));
        } else if !wanted.is_empty() && compiles {
            wrong.push(format!("{name} should not compile"));
        }
        for sentence in wanted.iter().filter(|sentence| !flat.contains(**sentence)) {
            wrong.push(format!("{name}: the compiler should say {sentence:?}, and says:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(names.len() >= 10, "{names:?}");
}
