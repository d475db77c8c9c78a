//! The documentation is consistent: every page is in the index, and every link and path leads to a file or heading.

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

/// docs/README.md is the way through the pages: numbered in reading order, each once, and behind them the appendices, without numbers.
#[test]
fn every_page_has_its_place_in_the_reading_order() {
    let index = read("docs/README.md");
    let (order, appendices) = index.split_once("\nAppendices:\n").expect("appendices");
    let mut numbers = Vec::new();
    for line in order.lines() {
        let Some((number, entry)) = line.split_once(". [") else { continue };
        numbers.push(number.parse::<usize>().unwrap_or_else(|_| panic!("docs/README.md: {line}")));
        assert!(entry.contains("](") && entry.contains("): "), "docs/README.md: it says nothing of {line}");
    }
    let count = numbers.len();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "docs/README.md: numbers of the reading order");
    let numbered = appendices.lines().find(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(numbered, None, "docs/README.md: an appendix with a number");
    assert!(appendices.lines().filter(|line| line.starts_with("- [")).count() >= 5);
    // Where each is, seen from the index; a folder stands for the pages in it that have no link of their own.
    let links = |part: &str| -> Vec<String> {
        let links = part.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        links.map(|link| link.split('#').next().unwrap_or_default().to_owned()).collect()
    };
    let (first, later) = (links(order), links(appendices));
    let pages = pages();
    assert!(pages.len() > 20, "{} pages", pages.len());
    let template = |page: &str| page.contains("templates/") || page == "docs/README.md";
    for page in pages.iter().filter(|page| !template(page)) {
        let link = match page.strip_prefix("docs/") {
            Some(name) => name.to_owned(),
            None => format!("../{page}"),
        };
        let times = |links: &[String]| links.iter().filter(|known| **known == link).count();
        assert_eq!(times(&first) + times(&later), 1, "docs/README.md has to list {link} once");
    }
}

/// The headings of a page, as links name them.
fn headings(page: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(page).expect("a page");
    let prose: String = text.split("```").step_by(2).collect();
    let slug = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        title.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    prose.lines().filter(|line| line.starts_with('#')).map(slug).collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    for page in pages() {
        let text = read(&page);
        // Not what is between fences: code has brackets, too.
        let prose: String = text.split("```").step_by(2).collect();
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") || link.contains(' ') {
                continue;
            }
            let own = root().join(&page);
            let target = if file.is_empty() { own } else { own.parent().expect("a directory").join(file) };
            assert!(target.exists(), "{page} links to {link}, which is not there");
            let there = heading.is_empty() || headings(&target).iter().any(|slug| slug == heading);
            assert!(there, "{page} links to {link}, but there is no such heading");
        }
    }
}

/// The files and folders that docs/architecture.md sends a reader to exist.
#[test]
fn the_way_to_a_change_leads_somewhere() {
    let page = read("docs/architecture.md");
    let table = page.split("## To change this, go there").nth(1).expect("the table");
    let rows =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows: Vec<&str> = rows.skip(2).filter_map(|row| row.split('|').nth(2)).collect();
    assert!(rows.len() >= 15, "{} rows", rows.len());
    for row in rows {
        let paths = row.split('`').skip(1).step_by(2).filter(|text| text.contains('/'));
        let missing: Vec<&str> = paths.filter(|path| !root().join(path).exists()).collect();
        assert!(missing.is_empty(), "docs/architecture.md: {missing:?} does not exist");
    }
}

/// The text of every source of a crate.
fn sources(dir: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
    text
}

/// Is it there as a whole word?
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// docs/safe-forms.md: what is said to call a function is there, and the function is called; each function is there once, and none without a word.
#[test]
fn safe_forms_are_there() {
    let code = sources(&root().join("devmap/src"));
    let (page, mut seen) = (read("docs/safe-forms.md"), std::collections::BTreeSet::new());
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, function, _, form, remark, _] = cells[..] else { panic!("{row}") };
        let function = function.trim_matches('`');
        assert!(seen.insert(function), "{function} is there twice");
        assert!(!form.is_empty() || !remark.is_empty(), "{function}: neither a safe form nor a reason");
        if form.is_empty() {
            continue;
        }
        assert!(has_word(&code, function), "devmap does not call {function}");
        let name = form.trim_matches('`').rsplit("::").next().expect("a path").trim_end_matches('!');
        let defined =
            ["fn", "struct", "enum", "trait", "macro_rules!", "mod"].map(|kind| format!("{kind} {name}"));
        // Or both in a line of a macro's.
        let in_macro = |line: &str| has_word(line, name) && has_word(line, function);
        let there =
            defined.iter().any(|definition| has_word(&code, definition)) || code.lines().any(in_macro);
        assert!(there, "{function}: devmap has no {form}");
    }
    assert!(seen.len() > 250, "{} functions", seen.len());
}

/// docs/from-c.md: each function is one of docs/safe-forms.md, and devmap has what stands beside it.
#[test]
fn what_comes_from_c_is_there() {
    let code = sources(&root().join("devmap/src")) + &sources(&root().join("devmap/plain/src"));
    let (page, forms) = (read("docs/from-c.md"), read("docs/safe-forms.md"));
    let mut functions = 0;
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, c, rust, _, _] = cells[..] else { panic!("{row}") };
        let [c, rust]: [Vec<&str>; 2] = [c, rust].map(|cell| cell.split('`').skip(1).step_by(2).collect());
        for function in c.iter().filter(|name| !name.starts_with('_') && !name.ends_with("_ops")) {
            functions += 1;
            let known = forms.contains(&format!("\n| `{function}` |")) || *function == "modlinkage";
            assert!(known, "docs/safe-forms.md has no {function}");
        }
        for form in rust {
            let name = form.rsplit("::").next().expect("a path").trim_end_matches('!');
            assert!(["Box", "Vec", "Arc"].contains(&name) || has_word(&code, name), "devmap has no {form}");
        }
    }
    assert!(functions > 60, "{functions} functions");
}

/// README's C is that of docs/from-c.md, which a test compiles and runs.
#[test]
fn the_c_of_readme_is_that_of_the_page() {
    let c = |page: &str| -> Vec<String> {
        read(page)
            .split("```c\n")
            .skip(1)
            .filter_map(|part| Some(part.split("```").next()?.to_owned()))
            .collect()
    };
    let (page, shown) = (c("docs/from-c.md").concat(), c("README.md"));
    assert_eq!(shown.len(), 1);
    assert!(page.contains(&shown[0]), "docs/from-c.md has no\n{}", shown[0]);
}
