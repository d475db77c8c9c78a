//! `cargo xtask pictures` makes its pictures from runs, with what they name in them. How long anything took is not looked at.

use std::path::Path;
use std::process::Command;

/// Checks that every tag is closed, in order.
fn is_closed(svg: &str) {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1).map(|part| part.split_once('>').expect("a tag ends").0) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "</{name}>"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?} is open");
}

#[test]
fn the_pictures_show_what_they_name() {
    let xtask = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let profile = xtask.parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--workspace", "--examples", "--bin", "ddi-host", "--target-dir"]);
    build.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "cargo build --bin ddi-host");
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new(xtask)
        .args(["pictures", "--no-curves", "--scale", "1", "--out"])
        .arg(dir.path())
        .output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let picture = |name: &str, parts: &[&str]| {
        let svg = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(
            svg.contains("prefers-color-scheme:dark") && svg.contains("class=\"paper\""),
            "{name}: its colours"
        );
        is_closed(&svg);
        for part in parts {
            assert!(svg.contains(part), "{name} has no {part}: {svg}");
        }
        svg
    };
    let switch = [
        "touches 0x0: no translation",
        "devmap_access(9E)",
        "devmap_do_ctxmgt(9F)",
        "devmap_contextmgt(9E)",
        "devmap_unload(9F): ",
        "saves and restores registers",
        "devmap_load(9F)",
        "the access goes on",
        ">+0.0 µs<",
    ];
    let svg = picture("switch.svg", &switch);
    // In the order in which they happen.
    let places: Vec<usize> = switch[..8].iter().map(|part| svg.find(part).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    let fork = [
        ">parent ",
        ">child ",
        "devmap_map(9E), ",
        "gets the engine",
        "fork(2): devmap_dup(9E), ",
        "takes the engine from the other",
        "devmap_unmap(9E) of a middle",
        "devmap_unmap(9E) of a tail",
        "exit(2)",
    ];
    picture("fork.svg", &fork);
    let svg = picture("hysteresis.svg", &["off: ", "10 ms: ", " switches in 100 ms", ">100 ms<"]);
    assert!(svg.contains("fill-a") && svg.contains("fill-b"), "both have had the engine");
    picture(
        "scale-costs.svg",
        &[">mmap, munmap<", ">fork, exit<", "<title>fork, exit at 1: ", ">microseconds<"],
    );
    picture("scale-memory.svg", &["<title>resident at 1: ", ">MiB<"]);
    // The ones of the documentation are of the same command.
    for name in ["switch.svg", "fork.svg", "hysteresis.svg", "scale-costs.svg", "scale-memory.svg"] {
        let shown = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures").join(name);
        assert!(shown.is_file(), "{} is not there: cargo xtask pictures", shown.display());
    }
}

#[test]
fn a_host_that_is_not_there_is_said() {
    let out = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["pictures", "--host", "/no/such/host"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(2) && said.contains("/no/such/host is not there"), "{said}");
}
