//! The calls: how deep the stack gets, and which panics callbacks can reach.
//!
//! Calls through pointers cannot be followed; the targets that have a name in the module's data are roots of their own,
//! so that nothing but tables of core's own formatting is left out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter;

use super::code::{Function, Target, shown};
use super::options::Options;
use crate::elf::{ENTRY_POINTS, Object};
use crate::finding::{Findings, Rule, Severity};

/// What a call graph needs to know of a function.
struct Graph<'a> {
    functions: &'a [Function],
    edges: Vec<Vec<usize>>,
    /// Functions that only a panic reaches.
    panics: Vec<bool>,
}

/// Checks stack frames, stack depth and panics.
pub fn check(object: &Object, functions: &[Function], options: &Options, findings: &mut Findings) {
    // They are in order.
    let at = |section: usize, offset: u64| {
        let behind =
            functions.partition_point(|function| (function.section, function.start) <= (section, offset));
        let before = functions[..behind].iter().rposition(|function| offset < function.end)?;
        (functions[before].section == section).then_some(before)
    };
    let edges = functions
        .iter()
        .enumerate()
        .map(|(index, function)| {
            let inside = function.leads_to.iter().filter_map(|target| match target {
                Target::Inside(section, offset) => at(*section, *offset),
                Target::Outside(_) => None,
            });
            inside
                .filter(|target| *target != index || calls_itself(function))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect()
        })
        .collect();
    let panics = functions
        .iter()
        .map(|function| {
            let name = shown(function);
            is_panic(&name) || !function.returns && of_the_library(&name)
        })
        .collect();
    let graph = Graph { functions, edges, panics };
    frames(functions, options, findings);
    let roots = roots(object, functions, &at);
    depth(&graph, &roots, options, findings);
    reachable_panics(&graph, &roots, options, findings);
}

fn calls_itself(function: &Function) -> bool {
    function.leads_to.contains(&Target::Inside(function.section, function.start))
}

/// Entry points, and functions whose address lies in the module's data.
fn roots(object: &Object, functions: &[Function], at: &dyn Fn(usize, u64) -> Option<usize>) -> Vec<usize> {
    let mut roots: BTreeSet<usize> = BTreeSet::new();
    for (index, function) in functions.iter().enumerate() {
        if ENTRY_POINTS.contains(&function.name.as_str()) {
            roots.insert(index);
        }
    }
    for relocation in &object.relocations {
        let symbol = &object.symbols[relocation.symbol];
        if object.sections[relocation.target].is_code() || !symbol.is_defined() {
            continue;
        }
        let offset = (symbol.value as i64).wrapping_add(relocation.addend) as u64;
        let target = object.sections.get(usize::from(symbol.section)).filter(|section| section.is_code());
        let found = target.and_then(|_| at(usize::from(symbol.section), offset));
        // Tables of core and alloc are what they format and allocate with, not callbacks of the driver. Offsets into a
        // function are jump tables.
        if let Some(index) = found
            .filter(|index| functions[*index].start == offset && !of_the_library(&shown(&functions[*index])))
        {
            roots.insert(index);
        }
    }
    roots.into_iter().collect()
}

fn of_the_library(name: &str) -> bool {
    let name = name.trim_start_matches(['<', '&', '[']);
    ["core::", "alloc::", "__rustc::", "compiler_builtins::"].iter().any(|with| name.starts_with(with))
}

/// Functions of core and alloc that do not return because something is wrong.
fn is_panic(name: &str) -> bool {
    let exact = [
        "core::option::expect_failed",
        "core::option::unwrap_failed",
        "core::result::unwrap_failed",
        "alloc::alloc::handle_alloc_error",
        "alloc::raw_vec::handle_error",
        "alloc::raw_vec::capacity_overflow",
        "core::slice::copy_from_slice_impl::len_mismatch_fail",
        "core::cell::panic_already_borrowed",
        "core::cell::panic_already_mutably_borrowed",
        "core::str::slice_error_fail",
    ];
    exact.iter().any(|start| name.starts_with(start))
        || name.starts_with("core::panicking::")
        || name.contains("rust_begin_unwind")
        || name.starts_with("core::slice::index::") && name.contains("fail")
}

fn frames(functions: &[Function], options: &Options, findings: &mut Findings) {
    for function in functions.iter().filter(|function| function.dynamic) {
        let message = format!("{}: its size depends on data", shown(function));
        findings.add(Severity::Warning, Rule::StackFrame, message);
    }
    for function in functions.iter().filter(|function| function.frame > options.frame_limit) {
        let message =
            format!("{}: {} bytes, more than {}", shown(function), function.frame, options.frame_limit);
        findings.unfit(Rule::StackFrame, message);
    }
    if let Some(largest) = functions.iter().max_by_key(|function| function.frame) {
        findings.fact(
            Rule::StackFrame,
            format!("largest stack frame: {} bytes, {}", largest.frame, shown(largest)),
        );
    }
}

/// The deepest chain of direct calls, panics aside: they do not come back.
fn depth(graph: &Graph<'_>, roots: &[usize], options: &Options, findings: &mut Findings) {
    let mut known: BTreeMap<usize, (u64, Option<usize>)> = BTreeMap::new();
    let mut recursive = BTreeSet::new();
    for root in roots {
        deepest(graph, *root, &mut known, &mut recursive);
    }
    for names in recursive {
        findings.add(
            Severity::Note,
            Rule::Recursion,
            format!("{names}: the depth of the stack depends on data"),
        );
    }
    let of = |wanted: &str| {
        let roots = roots.iter().filter(|root| shown(&graph.functions[**root]).contains(wanted));
        roots.filter_map(|root| Some((*root, known.get(root)?.0))).max_by_key(|(_, bytes)| *bytes)
    };
    // Each function with the bytes of its frame.
    let chain = |root: usize| {
        let next = |index: &usize| known.get(index).and_then(|(_, next)| *next);
        let all = iter::successors(Some(root), next).take(CHAIN);
        let each = |function: &Function| format!("{} {}", shown(function), function.frame);
        all.map(|index| each(&graph.functions[index])).collect::<Vec<_>>().join(" > ")
    };
    let everywhere = ("", options.stack_limit);
    let some = options.stacks.iter().map(|(name, limit)| (name.as_str(), *limit));
    for (name, limit) in iter::once(everywhere).chain(some) {
        let from = if name.is_empty() { String::new() } else { format!(" from {name}") };
        match of(name).map(|(root, bytes)| (bytes, chain(root))) {
            Some((bytes, chain)) if bytes > limit => {
                findings.unfit(Rule::StackDepth, format!("{bytes} bytes, more than {limit}: {chain}"));
            }
            Some((bytes, chain)) => {
                let message = format!("deepest stack of direct calls{from}: {bytes} bytes, {chain}");
                findings.fact(Rule::StackDepth, message);
            }
            None if name.is_empty() => {}
            None => {
                findings.unfit(Rule::StackDepth, format!("nothing that the kernel calls is named {name}"));
            }
        }
    }
}

/// Most names of a chain of calls that are shown.
const CHAIN: usize = 64;

/// The names of a chain of calls; of a long one, those that are called last.
fn names(graph: &Graph<'_>, chain: impl DoubleEndedIterator<Item = usize>) -> String {
    let mut chain = chain.rev();
    let mut last: Vec<String> =
        chain.by_ref().take(CHAIN).map(|index| shown(&graph.functions[index])).collect();
    if chain.next().is_some() {
        last.push("...".to_owned());
    }
    last.reverse();
    last.join(" > ")
}

/// A function whose callees are being looked at.
struct Looking {
    index: usize,
    /// Callees that have been looked at.
    done: usize,
    /// The deepest so far.
    best: (u64, Option<usize>),
}

/// Finds the bytes from `root` down, and the callee that is deepest, of everything that it calls.
fn deepest(
    graph: &Graph<'_>,
    root: usize,
    known: &mut BTreeMap<usize, (u64, Option<usize>)>,
    recursive: &mut BTreeSet<String>,
) {
    if known.contains_key(&root) {
        return;
    }
    let mut path = vec![Looking { index: root, done: 0, best: (0, None) }];
    let mut places = BTreeMap::from([(root, 0)]);
    while let Some(last) = path.last_mut() {
        let Some(next) = graph.edges[last.index].get(last.done).copied() else {
            let bytes = last.best.0 + graph.functions[last.index].frame;
            let index = last.index;
            known.insert(index, (bytes, last.best.1));
            places.remove(&index);
            path.pop();
            if let Some(caller) = path.last_mut().filter(|caller| bytes > caller.best.0) {
                caller.best = (bytes, Some(index));
            }
            continue;
        };
        last.done += 1;
        if graph.panics[next] {
            continue;
        }
        if let Some((bytes, _)) = known.get(&next) {
            if *bytes > last.best.0 {
                last.best = (*bytes, Some(next));
            }
        } else if let Some(from) = places.get(&next) {
            let circle = path[*from..].iter().map(|looking| looking.index).chain([next]);
            recursive.insert(names(graph, circle));
        } else {
            places.insert(next, path.len());
            path.push(Looking { index: next, done: 0, best: (0, None) });
        }
    }
}

/// For each panic the shortest way to it.
fn reachable_panics(graph: &Graph<'_>, roots: &[usize], options: &Options, findings: &mut Findings) {
    let mut from: BTreeMap<usize, Option<usize>> = roots.iter().map(|root| (*root, None)).collect();
    let mut queue: VecDeque<usize> = roots.iter().copied().collect();
    let mut found = Vec::new();
    while let Some(index) = queue.pop_front() {
        if graph.panics[index] {
            found.push(index);
            continue;
        }
        for next in &graph.edges[index] {
            if !from.contains_key(next) {
                from.insert(*next, Some(index));
                queue.push_back(*next);
            }
        }
    }
    let severity = if options.deny_panics { Severity::Unfit } else { Severity::Note };
    for index in &found {
        let (mut chain, mut at) = (Vec::new(), Some(*index));
        while let Some(index) = at {
            chain.push(index);
            at = from[&index];
        }
        let (last, chain) = (shown(&graph.functions[*index]), names(graph, chain.into_iter().rev()));
        findings.add(severity, Rule::Panic, format!("{last} can be reached: {chain}"));
    }
    if found.is_empty() {
        findings.fact(Rule::Panic, "no panic can be reached by direct calls".to_owned());
    }
}
