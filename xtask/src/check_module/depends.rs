//! The modules that the loader loads first: a dynamic section's DT_NEEDED, or else the symbol `_depends_on`.

use super::elf::{Image, Reader, SHT_DYNAMIC, SHT_STRTAB};
use super::finding::{Rule, Severity, Verdict};

const DT_NEEDED: u64 = 1;
/// The symbol that names them, separated by blanks.
pub const DEPENDS_ON: &str = "_depends_on";

/// The names that the module records.
pub fn check(image: &Image, verdict: &mut Verdict) -> Vec<String> {
    let names = from_dynamic(image, verdict).unwrap_or_else(|| from_symbol(image, verdict));
    for name in names.iter().filter(|name| name.len() > 31) {
        verdict.error(Rule::Dependencies, format!("{name}: a module's name has at most 31 characters"));
    }
    verdict.fact(match &names[..] {
        [] => "needs no other module".to_owned(),
        names => format!("needs {}", names.join(", ")),
    });
    names
}

/// `None` when there is no dynamic section.
fn from_dynamic(image: &Image, verdict: &mut Verdict) -> Option<Vec<String>> {
    let mut sections = image.sections.iter().filter(|section| section.kind == SHT_DYNAMIC);
    let section = sections.next()?;
    if sections.next().is_some() {
        verdict.error(Rule::Dependencies, "more than one dynamic section".to_owned());
    }
    let strings = image.sections.get(section.link as usize).filter(|strings| strings.kind == SHT_STRTAB);
    let Some(strings) = strings.map(|strings| Reader(&strings.data)) else {
        verdict.error(Rule::Dependencies, "the dynamic section has no string table".to_owned());
        return Some(Vec::new());
    };
    let entries = Reader(&section.data);
    let mut names = Vec::new();
    for at in (0..section.data.len() as u64).step_by(16) {
        if entries.u64(at) == Some(DT_NEEDED) {
            match entries.u64(at + 8).and_then(|at| strings.string(at)) {
                Some(name) => names.push(name),
                None => verdict.error(Rule::Dependencies, "a needed module has no name".to_owned()),
            }
        }
    }
    Some(names)
}

fn from_symbol(image: &Image, verdict: &mut Verdict) -> Vec<String> {
    let Some(symbol) = image.symbols.iter().find(|symbol| symbol.name == DEPENDS_ON && symbol.is_defined())
    else {
        return Vec::new();
    };
    let place = image.sections.get(usize::from(symbol.section)).filter(|section| section.is_loaded());
    let text = place.and_then(|section| {
        let from = usize::try_from(symbol.value).ok()?;
        section.data.get(from..from.checked_add(usize::try_from(symbol.size).ok()?)?)
    });
    match text {
        Some([text @ .., 0]) => {
            let message = format!(
                "recorded in {DEPENDS_ON}: deprecated, but it works, and ld -r of other systems has no other way"
            );
            verdict.add(Severity::Note, Rule::Dependencies, message);
            String::from_utf8_lossy(text).split_whitespace().map(str::to_owned).collect()
        }
        _ => {
            let message = format!("{DEPENDS_ON} is not loaded, or its size does not end with the final NUL");
            verdict.error(Rule::Dependencies, message);
            Vec::new()
        }
    }
}
