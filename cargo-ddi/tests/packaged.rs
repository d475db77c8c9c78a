//! The crates that are published: what each has to have, and a driver outside of this workspace that is built and tested on what `cargo package` makes of them.

mod common;

use std::fs;
use std::path::Path;

use common::{Outside, cargo, ddi, good, target};
use flate2::read::GzDecoder;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The workspace's packages: published or not.
fn members() -> (Vec<Value>, Vec<Value>) {
    let metadata = cargo(root(), &["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    // `publish = false` is an empty list of registries.
    metadata["packages"].as_array().unwrap().iter().cloned().partition(|package| package["publish"].is_null())
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

#[test]
fn a_driver_builds_on_the_packages() {
    if common::elsewhere() {
        return;
    }
    let (published, others) = members();
    let mut words = vec!["package", "--workspace", "--no-verify", "--allow-dirty", "--quiet"];
    words.extend(others.iter().flat_map(|other| ["--exclude", name(other)]));
    cargo(root(), &words);
    let dir = Outside::new("packages");
    let mut patches = "\n[patch.crates-io]\n".to_owned();
    for package in &published {
        let version = package["version"].as_str().unwrap();
        let file = target().join(format!("package/{}-{version}.crate", name(package)));
        let archive = GzDecoder::new(fs::File::open(&file).unwrap());
        let mut archive = tar::Archive::new(archive);
        // Cargo tells by it what has changed since the last time, and in an archive it says nothing.
        archive.set_preserve_mtime(false);
        archive.unpack(dir.path()).unwrap();
        let unpacked = dir.path().join(format!("{}-{version}", name(package)));
        for file in ["LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
            assert!(unpacked.join(file).is_file(), "{} has no {file}", name(package));
        }
        for key in ["description", "license", "rust_version"] {
            assert!(package[key].is_string(), "{} says no {key}", name(package));
        }
        for key in ["keywords", "categories"] {
            let count = package[key].as_array().unwrap().len();
            assert!((1..=5).contains(&count), "{}: {count} {key}", name(package));
        }
        patches.push_str(&format!("{} = {{ path = \"{}\" }}\n", name(package), unpacked.display()));
    }
    let words = ["new", "onpackages", "--template", "context", "--devmap", "0.1"];
    good(ddi(dir.path(), &words).output().unwrap(), "new");
    let project = dir.path().join("onpackages");
    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    // Those that this driver needs; cargo warns of the others.
    fs::write(project.join("Cargo.toml"), manifest + &patches).unwrap();
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    cargo(&project, &["test", "--quiet", "--offline"]);
}
