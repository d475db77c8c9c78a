//! The walls of the house: no import runs up, and no more than three files of a crate import each other in a circle.
//!
//! Between crates Cargo keeps the order. Within one, the paths that begin with `crate`, `super`, `self` or a module's name are read from the sources, macros
//! included; unit tests may look anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The rooms of host/kernel: each uses those before it.
const ROOMS: [&str; 6] = ["board", "kern", "vm", "pci", "ddi", "calls"];

/// Files of a crate by module path, and which files each one names.
struct House {
    modules: BTreeMap<Vec<String>, PathBuf>,
    uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
}

impl House {
    fn read(src: &Path) -> House {
        let mut modules = BTreeMap::new();
        let mut folders = vec![src.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                let stem = entry.file_stem().unwrap().to_str().unwrap().to_owned();
                if entry.is_dir() {
                    folders.push(entry);
                } else if entry.extension().is_some_and(|e| e == "rs") && stem != "tests" {
                    let folder = entry.parent().unwrap().strip_prefix(src).unwrap();
                    let mut module: Vec<String> =
                        folder.iter().map(|s| s.to_str().unwrap().to_owned()).collect();
                    if !["mod", "lib", "main"].contains(&stem.as_str()) {
                        module.push(stem);
                    }
                    modules.insert(module, entry);
                }
            }
        }
        let mut house = House { modules, uses: BTreeMap::new() };
        for (module, file) in &house.modules {
            let tokens: TokenStream = fs::read_to_string(file).unwrap().parse().unwrap();
            let mut paths = Vec::new();
            house.paths(tokens, module, &mut paths);
            let used =
                paths.iter().filter_map(|path| house.file_of(path)).filter(|used| used != module).collect();
            house.uses.insert(module.clone(), used);
        }
        house
    }

    /// The module that a path leads to, or into.
    fn file_of(&self, path: &[String]) -> Option<Vec<String>> {
        (1..=path.len())
            .rev()
            .map(|n| &path[..n])
            .find(|path| self.modules.contains_key(*path))
            .map(<[_]>::to_vec)
    }

    /// Collects the paths in `tokens`, which are code of `module`.
    fn paths(&self, tokens: TokenStream, module: &[String], into: &mut Vec<Vec<String>>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if word == "mod" => {
                    // A module in the file: its `super` is the file's own.
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                    {
                        if name != "tests" {
                            self.paths(body.stream(), &[module, &[name.to_string()]].concat(), into);
                        }
                        at += 2;
                    }
                }
                // What follows `$crate` is looked up where the macro is used.
                TokenTree::Ident(word) if !follows_path(&tokens, at) && !dollar(&tokens, at) => {
                    let word = word.to_string();
                    let child = [module, std::slice::from_ref(&word)].concat();
                    let start = match word.as_str() {
                        "crate" => Some(Vec::new()),
                        "self" => Some(module.to_vec()),
                        "super" => Some(module[..module.len().saturating_sub(1)].to_vec()),
                        _ => self.modules.contains_key(&child).then_some(child),
                    };
                    if let Some(start) = start.filter(|_| joined(&tokens, at + 1)) {
                        self.walk(&tokens[at + 3..], start, into);
                    }
                }
                TokenTree::Group(group) => self.paths(group.stream(), module, into),
                _ => {}
            }
            at += 1;
        }
    }

    /// Follows a path, into its braces too.
    fn walk(&self, tokens: &[TokenTree], mut path: Vec<String>, into: &mut Vec<Vec<String>>) {
        match tokens.first() {
            Some(TokenTree::Ident(word)) if word == "super" => _ = path.pop(),
            Some(TokenTree::Ident(word)) if word == "self" => {}
            Some(TokenTree::Ident(word)) => path.push(word.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                let parts = inside.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','));
                return parts.for_each(|part| self.walk(part, path.clone(), into));
            }
            _ => return into.push(path),
        }
        if joined(tokens, 1) { self.walk(&tokens[3..], path, into) } else { into.push(path) }
    }

    /// Sets of modules each of which is reached from all others of its set.
    fn circles(&self) -> Vec<Vec<&Vec<String>>> {
        let reached: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> =
            self.modules.keys().map(|from| (from, self.reached(from))).collect();
        let mut circles = BTreeSet::new();
        for (from, to) in &reached {
            circles.insert(
                to.iter().copied().filter(|other| reached[*other].contains(*from)).collect::<Vec<_>>(),
            );
        }
        circles.into_iter().filter(|circle| circle.len() > 1).collect()
    }

    fn reached<'a>(&'a self, from: &'a Vec<String>) -> BTreeSet<&'a Vec<String>> {
        let (mut found, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            next.extend(self.uses[module].iter().filter(|used| found.insert(*used)));
        }
        found
    }
}

/// Whether `::` stands at `at`.
fn joined(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(at) && colon(at + 1)
}

fn follows_path(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && joined(tokens, at - 2)
}

fn dollar(tokens: &[TokenTree], at: usize) -> bool {
    at >= 1 && matches!(&tokens[at - 1], TokenTree::Punct(p) if p.as_char() == '$')
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn crates() -> Vec<PathBuf> {
    let manifest: toml::Table = fs::read_to_string(workspace().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap().clone();
    members.iter().map(|member| workspace().join(member.as_str().unwrap())).collect()
}

#[test]
fn no_import_of_the_kernel_runs_up() {
    let house = House::read(&workspace().join("host/kernel/src"));
    let place =
        |module: &[String]| ROOMS.iter().position(|room| module.first().is_some_and(|first| first == room));
    let mut wrong = Vec::new();
    for (from, used) in &house.uses {
        for to in used.iter().filter(|to| place(from) < place(to) && !from.is_empty()) {
            wrong.push(format!("{} uses {}", from.join("/"), to.join("/")));
        }
    }
    assert!(wrong.is_empty(), "these run up ({}):\n{}", ROOMS.join(" < "), wrong.join("\n"));
}

#[test]
fn no_circle_is_larger_than_three_files() {
    let mut large = Vec::new();
    for folder in crates() {
        let house = House::read(&folder.join("src"));
        let name = folder.strip_prefix(workspace()).unwrap().display();
        for circle in house.circles().into_iter().filter(|circle| circle.len() > 3) {
            let names: Vec<String> = circle.iter().map(|module| module.join("/")).collect();
            large.push(format!("{name}: {} files: {}", names.len(), names.join(", ")));
        }
    }
    assert!(large.is_empty(), "{}", large.join("\n"));
}
