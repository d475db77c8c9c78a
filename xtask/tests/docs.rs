//! The documentation hangs together: every page is in the index, and every link leads to a file.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Markdown files, as paths below the root.
fn pages() -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), vec![root()]);
    while let Some(dir) = rest.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                rest.push(path);
            } else if name.ends_with(".md") {
                let below = path.strip_prefix(root()).expect("below the root");
                found.push(below.to_str().expect("a plain name").to_owned());
            }
        }
    }
    found
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

#[test]
fn every_page_of_docs_is_in_the_index() {
    let index = read("docs/README.md");
    let pages = pages();
    assert!(pages.len() > 10, "{} pages", pages.len());
    for page in pages {
        let Some(name) = page.strip_prefix("docs/") else { continue };
        let listed = name == "README.md" || name.contains('/') || index.contains(&format!("]({name})"));
        assert!(listed, "docs/README.md does not list {name}");
    }
}

#[test]
fn links_lead_to_files() {
    for page in pages() {
        let text = read(&page);
        // Not what is between fences: code has brackets, too.
        let prose: String = text.split("```").step_by(2).collect();
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.contains(' ') {
                continue;
            }
            let target = root().join(&page).parent().expect("a directory").join(file);
            assert!(target.exists(), "{page} links to {link}, which is not there");
        }
    }
}
