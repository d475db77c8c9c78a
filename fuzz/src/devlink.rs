//! etc/devlink.tab: each line stands for itself, a wrong one is said with its number, and names stay below /dev.

use std::collections::{BTreeMap, BTreeSet};

use ddi_system::devlink::{Directory, Minor, Rules};

/// Most bytes of an input.
pub const MOST: usize = 2048;

/// Names of the minor nodes whose links are made. The last is a hostile driver's.
const MINORS: [[&str; 5]; 4] = [
    ["ddi_pseudo", "ctxdev", "1", "ctxdev1,a", "/pseudo/ctxdev@1:ctxdev1,a"],
    ["ddi_pseudo", "ctxdev", "2,3bc", "ctxdev1,a", "/pseudo/ctxdev@2,3bc:ctxdev1,a"],
    ["ddi_display", "vga", "0", "text-0", "/pci@0,0/display@2:text-0"],
    ["ddi_pseudo", "..", "/", "../../etc/passwd", "/pseudo/..@/:../../etc/passwd"],
];

#[derive(Default)]
struct Made {
    links: BTreeMap<String, String>,
    warnings: Vec<String>,
    /// Two nodes want one name.
    taken: bool,
}

impl Made {
    /// Returns whether two links lead to one place and differ in digits only: both may count as names of one pattern.
    fn has_names_alike(&self) -> bool {
        let shape = |(name, to)| (str::replace(name, |c: char| c.is_ascii_digit(), ""), to);
        let links = || self.links.iter().map(|(name, to)| (name.as_str(), to));
        links().map(shape).collect::<BTreeSet<_>>().len() < self.links.len()
    }
}

impl Directory for Made {
    fn links(&self) -> &BTreeMap<String, String> {
        &self.links
    }

    fn link(&mut self, name: &str, target: &str) {
        let below = !name.is_empty()
            && name.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
        assert!(below, "{name:?} is no name below /dev");
        let old = self.links.insert(name.to_owned(), target.to_owned());
        self.taken |= old.is_some_and(|old| old != target);
    }

    fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }
}

/// # Panics
/// An assertion fails.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (rules, warnings) = Rules::parse(text, "tab");
    // Line by line.
    let mut expected = warnings.iter();
    for (number, line) in (1..).zip(text.lines()) {
        let (_, alone) = Rules::parse(line, "tab");
        assert!(alone.len() <= 1);
        if let Some(said) = alone.first() {
            let said = said.replacen("line 1", &format!("line {number}"), 1);
            assert_eq!(expected.next(), Some(&said));
        }
    }
    assert_eq!(expected.next(), None);

    let make = |rules: &Rules, made: &mut Made| {
        MINORS
            .map(|[kind, name, addr, minor, path]| rules.make(Minor { kind, name, addr, minor, path }, made))
    };
    let mut made = Made::default();
    let found = make(&rules, &mut made);
    let lines = text.lines().count() + 10;
    assert!(made.links.len() <= 2 * MINORS.len() * lines && made.warnings.len() <= 2 * MINORS.len() * lines);
    // What is there already stays as it is, unless they take it from each other each time.
    if made.taken {
        return;
    }
    // Where names of one pattern look like another's, a node may get more of them, but not for ever.
    let alike = made.has_names_alike();
    for pass in 0.. {
        let before = made.links.clone();
        assert_eq!(make(&rules, &mut made), found);
        if !alike {
            assert_eq!(made.links, before);
        }
        assert!(before.iter().all(|(name, to)| made.links.get(name) == Some(to)), "a link has changed");
        if made.links.len() == before.len() {
            break;
        }
        assert!(pass < lines, "there are more links each time");
    }
}
