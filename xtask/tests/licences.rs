//! docs/licences.md names the licence of every crate that a build on Linux uses.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[test]
fn licences_of_dependencies_are_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(&root)
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    // Those of this workspace come from no registry.
    let others = packages.iter().filter(|package| !package["source"].is_null());
    let used: BTreeSet<&str> =
        others.map(|package| package["license"].as_str().expect("a crate states its licence")).collect();
    let text = std::fs::read_to_string(root.join("docs/licences.md")).expect("docs/licences.md");
    let table = text.lines().filter(|line| line.starts_with("| `"));
    let named: BTreeSet<&str> = table.flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    assert_eq!(named, used, "docs/licences.md (left) and the licences of the crates used (right) differ");
}
