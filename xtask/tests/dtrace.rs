//! The probes of `devmap` in the code, in docs/dtrace/README.md and in the scripts there are the same; the scripts are well-formed, as far as that can be seen
//! without a compiler for D.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of arguments by probe, from the code.
fn in_code() -> BTreeMap<String, Vec<String>> {
    let text = read("devmap/src/probe.rs");
    let table = text.split("probes! {").nth(1).expect("the table of probes");
    let mut probes = BTreeMap::new();
    for entry in table.split(" as __dtrace_probe_").skip(1) {
        let (name, rest) = entry.split_once('(').unwrap();
        let arguments = rest.split_once(");").unwrap().0.split(',');
        let names = arguments.map(|argument| argument.split(':').next().unwrap().trim().to_owned());
        probes.insert(name.replace("__", "-"), names.collect());
    }
    probes
}

/// The same from the documentation.
fn in_page() -> BTreeMap<String, Vec<String>> {
    let text = read("docs/dtrace/README.md");
    let rows = text.lines().filter(|line| line.starts_with("| `devmap-"));
    let cell = |row: &str, n: usize| row.split('|').nth(n).unwrap().trim().to_owned();
    let name = |argument: &str| argument.trim_matches('`').rsplit([' ', '*']).next().unwrap().to_owned();
    let entry =
        |row: &str| (cell(row, 1).trim_matches('`').to_owned(), cell(row, 2).split(", ").map(name).collect());
    rows.map(entry).collect()
}

#[test]
fn the_page_has_the_probes_of_the_code() {
    let code = in_code();
    assert_eq!(code.len(), 12);
    assert_eq!(code, in_page());
    let wanted = ["fault", "load", "context-wait", "context-switch", "unload", "dup", "unmap", "revoke"];
    assert!(wanted.iter().all(|name| code.contains_key(&format!("devmap-{name}"))));
    // The registers are those of a call, in its order: DTrace takes the arguments from there.
    let text = read("devmap/src/probe.rs");
    for entry in text.split("probes! {").nth(1).unwrap().split(" as ").skip(1) {
        let arguments = entry.split_once(");").unwrap().0;
        let registers: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
        assert_eq!(registers[..], ["rdi", "rsi", "rdx", "rcx", "r8", "r9"][..registers.len()], "{entry}");
    }
}

/// A script without its comments; of strings the quotes and conversions stay.
fn bare(script: &str, text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    if let Some(line) = rest.strip_prefix("#!") {
        rest = line.split_once('\n').unwrap().1;
    }
    while let Some(c) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").unwrap_or_else(|| panic!("{script}: a comment is open")).1;
            continue;
        }
        if let Some(string) = rest.strip_prefix('"') {
            let end = string.find('"').unwrap_or_else(|| panic!("{script}: a string is open"));
            assert!(!string[..end].contains('\n'), "{script}: a string goes over a line");
            // What looks like structure in it is none.
            out.extend(
                std::iter::once('"').chain(string[..end].chars().filter(|c| !"(){}[]/;,".contains(*c))),
            );
            out.push('"');
            rest = &string[end + 1..];
            continue;
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// A clause: probes, predicate, statements.
struct Clause {
    probes: Vec<String>,
    predicate: String,
    statements: Vec<String>,
}

fn clauses(script: &str, text: &str) -> Vec<Clause> {
    let bare = bare(script, text);
    let code: Vec<&str> = bare.lines().filter(|line| !line.starts_with("#pragma D option ")).collect();
    let code = code.join("\n");
    let mut clauses = Vec::new();
    let mut rest = code.trim();
    while !rest.is_empty() {
        let (head, behind) = rest.split_once('{').unwrap_or_else(|| panic!("{script}: no body: {rest}"));
        let (body, after) = behind.split_once('}').unwrap_or_else(|| panic!("{script}: a body is open"));
        assert!(!body.contains('{'), "{script}: bodies are not nested in D");
        let (probes, predicate) = match head.trim().split_once('\n') {
            None => (head.trim(), ""),
            Some((probes, predicate)) => {
                let inner = predicate.trim().strip_prefix('/').and_then(|text| text.strip_suffix('/'));
                (probes, inner.unwrap_or_else(|| panic!("{script}: not a predicate: {predicate}")))
            }
        };
        let statements = body.trim();
        assert!(statements.ends_with(';'), "{script}: the last statement is open: {statements}");
        for part in [predicate, statements] {
            let mut open = Vec::new();
            for c in part.chars() {
                match c {
                    '(' | '[' => open.push(c),
                    ')' => assert_eq!(open.pop(), Some('('), "{script}: {part}"),
                    ']' => assert_eq!(open.pop(), Some('['), "{script}: {part}"),
                    _ => {}
                }
            }
            assert!(open.is_empty(), "{script}: {open:?} is open: {part}");
        }
        clauses.push(Clause {
            probes: probes.split(',').map(|probe| probe.trim().to_owned()).collect(),
            predicate: predicate.to_owned(),
            statements: statements
                .split(';')
                .map(|s| s.trim().to_owned())
                .filter(|s| !s.is_empty())
                .collect(),
        });
        rest = after.trim();
    }
    clauses
}

/// The arguments of a call, which begins behind its parenthesis: top-level commas part them.
fn arguments(text: &str) -> Vec<String> {
    let (mut all, mut depth) = (vec![String::new()], 0);
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        if depth < 0 {
            break;
        }
        all.last_mut().unwrap().push(c);
    }
    all
}

/// Conversions of a format: without `%%`, and without those of an aggregation's value.
fn conversions(format: &str) -> usize {
    format.replace("%%", "").matches('%').count() - format.matches("%@").count()
}

fn check(script: &str, text: &str, probes: &BTreeMap<String, Vec<String>>) -> usize {
    assert!(text.starts_with("#!/usr/sbin/dtrace -s\n"), "{script}: its first line");
    let others = ["dtrace:::BEGIN", "dtrace:::END", "profile:::tick-1sec", "proc:::create", "proc:::exit"];
    // Keys of each aggregation, and the thread-local variables that are set.
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    let mut used = 0;
    let clauses = clauses(script, text);
    for clause in &clauses {
        for statement in &clause.statements {
            if let Some(rest) = statement.strip_prefix('@')
                && let Some((name, rest)) = rest.split_once('[')
            {
                let count = arguments(rest).len();
                assert_eq!(*keys.entry(name.to_owned()).or_insert(count), count, "{script}: keys of @{name}");
                let function = rest.rsplit("] = ").next().unwrap();
                let known = ["count()", "sum(", "quantize("].iter().any(|known| function.starts_with(known));
                assert!(known, "{script}: {function}");
            }
        }
    }
    for clause in &clauses {
        let mut most = 10;
        for probe in &clause.probes {
            let ours: Vec<_> = match probe.strip_prefix("sdt:::") {
                Some(name) => probes
                    .iter()
                    .filter(|(known, _)| match name.strip_suffix('*') {
                        Some(prefix) => known.starts_with(prefix),
                        None => *known == name,
                    })
                    .collect(),
                None => Vec::new(),
            };
            assert!(!ours.is_empty() || others.contains(&probe.as_str()), "{script}: no probe {probe}");
            used += ours.len();
            // A pattern shows whatever each has.
            if let [(_, arguments)] = ours[..] {
                most = arguments.len();
            }
        }
        let all = clause.statements.iter().chain([&clause.predicate]);
        for text in all {
            for (at, _) in text.match_indices("arg") {
                let digits: String = text[at + 3..].chars().take_while(char::is_ascii_digit).collect();
                let Ok(number) = digits.parse::<usize>() else { continue };
                assert!(number < most, "{script}: {:?} have no arg{number}: {text}", clause.probes);
            }
            for (at, name) in text.match_indices("self->") {
                let name: String =
                    text[at + name.len()..].chars().take_while(char::is_ascii_alphanumeric).collect();
                let set = format!("self->{name} = ");
                let is_set = clauses.iter().flat_map(|c| &c.statements).any(|s| s.starts_with(&set));
                assert!(is_set, "{script}: self->{name} is never set");
            }
        }
        for statement in &clause.statements {
            if let Some(rest) = statement.strip_prefix("printf(") {
                let given = arguments(rest);
                assert_eq!(conversions(&given[0]), given.len() - 1, "{script}: {statement}");
            }
            if let Some(rest) = statement.strip_prefix("printa(") {
                let given = arguments(rest);
                let name = given[1].trim().strip_prefix('@').unwrap();
                let count = keys.get(name).unwrap_or_else(|| panic!("{script}: no @{name}"));
                assert_eq!(
                    (conversions(&given[0]), given[0].matches("%@").count()),
                    (*count, 1),
                    "{script}: {statement}"
                );
            }
        }
    }
    used
}

#[test]
fn the_scripts_use_probes_and_arguments_that_there_are() {
    let (probes, page) = (in_code(), read("docs/dtrace/README.md"));
    let mut scripts = 0;
    for entry in std::fs::read_dir(root().join("docs/dtrace")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "d") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(page.contains(&format!("[{name}]({name})")), "docs/dtrace/README.md does not name {name}");
        assert!(check(&name, &std::fs::read_to_string(&path).unwrap(), &probes) > 0, "{name} uses no probe");
        scripts += 1;
    }
    assert_eq!(scripts, 5);
}

#[test]
fn scripts_that_are_wrong_are_found() {
    let probes = in_code();
    let wrong = |what: &str, text: &str| {
        let text = format!("#!/usr/sbin/dtrace -s\n{text}");
        let found = std::panic::catch_unwind(|| check("wrong.d", &text, &probes));
        let said = *found.expect_err(what).downcast::<String>().expect("a message");
        assert!(said.contains(what), "{what}: {said}");
    };
    wrong("no probe sdt:::devmap-falt", "sdt:::devmap-falt\n{\n\tx = 1;\n}\n");
    wrong("have no arg3", "sdt:::devmap-unload\n{\n\t@a[arg3] = count();\n}\n");
    wrong("the last statement is open", "sdt:::devmap-unload\n{\n\tx = 1\n}\n");
    wrong("a body is open", "sdt:::devmap-unload\n{\n\tx = 1;\n");
    wrong("not a predicate", "sdt:::devmap-unload\n/arg0\n{\n\tx = 1;\n}\n");
    wrong("is open", "sdt:::devmap-unload\n/(int)(arg0/\n{\n\tx = 1;\n}\n");
    wrong("a string is open", "sdt:::devmap-unload\n{\n\tprintf(\"x);\n}\n");
    wrong("printf(", "sdt:::devmap-unload\n{\n\tprintf(\"%d %d\", arg0);\n}\n");
    wrong("no @b", "sdt:::devmap-unload\n{\n\t@a[pid] = count();\n\tprinta(\"%d %@u\", @b);\n}\n");
    wrong("self->x is never set", "sdt:::devmap-unload\n/self->x/\n{\n\ty = 1;\n}\n");
}
