//! Will the illumos kernel load this object, and may its code run there? The rules are the loader's library's ([`ddi_krtld::check`]); this shows what they
//! find.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use ddi_krtld::check::{Dependency, Options, check};
use ddi_krtld::elf::{MODULE_NAME_MAX, Object};
use ddi_krtld::finding::{Finding, Severity};

/// Rules and limits that a file is checked against.
#[derive(Clone, Debug, clap::Args)]
pub struct Against {
    /// A module that this one may need, by the name that it records and the file that defines its symbols.
    #[arg(long, value_name = "NAME=FILE")]
    dependency: Vec<String>,
    /// Count a panic that a callback can reach as an error.
    #[arg(long)]
    deny_panics: bool,
    /// The largest stack frame of one function, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().frame_limit)]
    frame_limit: u64,
    /// The deepest stack of direct calls, in bytes (a kernel thread has 20 KiB, interrupts included).
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().stack_limit)]
    stack_limit: u64,
    /// The deepest stack of direct calls from each function that the kernel calls and that has NAME in its name.
    #[arg(long, value_name = "NAME=BYTES", value_parser = stack_of)]
    stack_of: Vec<(String, u64)>,
}

/// A part of a function's name, and bytes.
fn stack_of(text: &str) -> Result<(String, u64)> {
    let parts = text.rsplit_once('=').and_then(|(name, bytes)| Some((name.to_owned(), bytes.parse().ok()?)));
    parts.ok_or_else(|| anyhow!("--stack-of wants NAME=BYTES, not {text}"))
}

impl Against {
    /// Checks a file.
    ///
    /// # Errors
    /// It cannot be read, or has a name that the loader does not take.
    pub fn check(&self, file: &Path) -> Result<Verdict> {
        let dependencies = self.dependency.iter().map(|text| dependency(text)).collect::<Result<Vec<_>>>()?;
        let options = Options {
            dependencies,
            deny_panics: self.deny_panics,
            frame_limit: self.frame_limit,
            stack_limit: self.stack_limit,
            stacks: self.stack_of.clone(),
        };
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ensure!(
            name.len() <= MODULE_NAME_MAX,
            "{name}: {} characters; the loader takes at most {MODULE_NAME_MAX} for a module's name",
            name.len()
        );
        Ok(Verdict { name, findings: check(&bytes, &options) })
    }
}

fn dependency(text: &str) -> Result<Dependency> {
    let (name, file) =
        text.split_once('=').ok_or_else(|| anyhow!("--dependency wants NAME=FILE, not {text}"))?;
    let bytes = fs::read(Path::new(file)).with_context(|| format!("cannot read {file}"))?;
    let object = Object::parse(file, bytes)?;
    let defined = object.symbols.iter().filter(|symbol| symbol.is_defined() && symbol.external());
    Ok(Dependency { name: name.to_owned(), symbols: defined.map(|symbol| symbol.name.clone()).collect() })
}

impl Default for Against {
    fn default() -> Against {
        let Options { deny_panics, frame_limit, stack_limit, .. } = Options::default();
        Against { dependency: Vec::new(), deny_panics, frame_limit, stack_limit, stack_of: Vec::new() }
    }
}

/// Findings in a module, for people.
pub struct Verdict {
    /// The module's.
    pub name: String,
    /// All of it.
    pub findings: Vec<Finding>,
}

/// Findings of one rule that are printed one by one; the rest is counted.
const SHOWN: usize = 12;

impl Verdict {
    /// Whether the kernel would load the module and it may run there.
    pub fn is_good(&self) -> bool {
        self.count(Severity::is_error) == 0
    }

    /// Returns the number of findings of a severity.
    pub fn count(&self, of: impl Fn(Severity) -> bool) -> usize {
        self.findings.iter().filter(|finding| of(finding.severity)).count()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.name)?;
        let (facts, mut order): (Vec<&Finding>, Vec<&Finding>) =
            self.findings.iter().partition(|finding| finding.severity == Severity::Fact);
        for fact in facts {
            writeln!(out, "  {}", fact.message)?;
        }
        let weight = |finding: &Finding| match finding.severity {
            Severity::Unfit | Severity::Refused => 0,
            Severity::Warning => 1,
            Severity::Note | Severity::Fact => 2,
        };
        order.sort_by_key(|finding| (weight(finding), finding.rule));
        let mut shown = 0;
        for (index, finding) in order.iter().enumerate() {
            let same = index > 0 && order[index - 1].rule == finding.rule;
            shown = if same { shown + 1 } else { 0 };
            let last = order.get(index + 1).is_none_or(|next| next.rule != finding.rule);
            if shown < SHOWN {
                writeln!(out, "  {} {finding}", ["ERROR  ", "warning", "note   "][weight(finding)])?;
            } else if last {
                writeln!(out, "          and {} more of the same kind", shown + 1 - SHOWN)?;
            }
        }
        let errors = self.count(Severity::is_error);
        let [warnings, notes] =
            [Severity::Warning, Severity::Note].map(|severity| self.count(|other| other == severity));
        let word = if errors == 0 { "good" } else { "BAD" };
        write!(out, "verdict: {word} ({errors} errors, {warnings} warnings, {notes} notes)")
    }
}
