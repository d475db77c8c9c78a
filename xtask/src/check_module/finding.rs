//! What a check finds, and the verdict over all of it.

use std::fmt;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, but not as somebody may expect.
    Warning,
    /// The kernel refuses the module, or it must not run there.
    Error,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The file's kind: ELF64, little-endian, amd64, relocatable.
    Kind,
    /// Section headers that cannot be read.
    SectionHeaders,
    /// A section of a type that the loader does not know, or not as one that is loaded.
    SectionType,
    /// A loaded section that wants an address.
    SectionAddress,
    /// Symbol table, string table.
    SymbolTable,
    /// SHT_REL sections.
    RelSection,
    /// SHT_RELA sections that belong to nothing.
    RelaSection,
    /// A relocation type that the kernel refuses or gets wrong.
    RelocationType,
    /// A relocation outside its section, or with a symbol that does not exist.
    RelocationPlace,
    /// A relocation whose field is not zero, to which the loader adds.
    RelocationField,
    /// A reference to something that is not loaded.
    NotLoaded,
    /// Constructors and destructors, which nobody runs.
    Constructors,
    /// Thread-local data.
    ThreadLocal,
    /// Unwind tables and references to an unwinder.
    Unwinding,
    /// Common symbols.
    Common,
    /// Indirect functions.
    IndirectFunction,
    /// Names that neither the kernel nor a dependency has.
    Undefined,
    /// Weak undefined symbols used pc-relatively.
    WeakReference,
    /// The entry points.
    EntryPoints,
    /// Global definitions beside the entry points.
    GlobalDefinition,
    /// A definition that the kernel has too.
    MultiplyDefined,
    /// The list of modules to load first.
    Dependencies,
    /// DTrace probe sites.
    ProbeSite,
    /// Floating point and vector registers.
    FloatingPoint,
    /// The `%fs` segment.
    FsSegment,
    /// Memory below the stack pointer.
    RedZone,
    /// Bytes that are no instructions.
    Undecodable,
    /// One function's stack frame.
    StackFrame,
    /// A chain of calls.
    StackDepth,
    /// Functions that call themselves.
    Recursion,
    /// Panics that callbacks can reach.
    Panic,
    /// The module's name.
    Name,
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Rule::Kind => "file kind",
            Rule::SectionHeaders => "section headers",
            Rule::SectionType => "section type",
            Rule::SectionAddress => "section address",
            Rule::SymbolTable => "symbol table",
            Rule::RelSection => "SHT_REL",
            Rule::RelaSection => "SHT_RELA",
            Rule::RelocationType => "relocation type",
            Rule::RelocationPlace => "relocation place",
            Rule::RelocationField => "relocation field",
            Rule::NotLoaded => "not loaded",
            Rule::Constructors => "constructors",
            Rule::ThreadLocal => "thread-local",
            Rule::Unwinding => "unwinding",
            Rule::Common => "common symbol",
            Rule::IndirectFunction => "indirect function",
            Rule::Undefined => "undefined symbol",
            Rule::WeakReference => "weak reference",
            Rule::EntryPoints => "entry points",
            Rule::GlobalDefinition => "global definition",
            Rule::MultiplyDefined => "multiply defined",
            Rule::Dependencies => "dependencies",
            Rule::ProbeSite => "probe site",
            Rule::FloatingPoint => "floating point",
            Rule::FsSegment => "%fs",
            Rule::RedZone => "red zone",
            Rule::Undecodable => "undecodable",
            Rule::StackFrame => "stack frame",
            Rule::StackDepth => "stack depth",
            Rule::Recursion => "recursion",
            Rule::Panic => "panic",
            Rule::Name => "name",
        })
    }
}

/// One thing that was found.
#[derive(Debug)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// What it is about.
    pub rule: Rule,
    /// What it is, and where.
    pub message: String,
}

/// Everything about one module.
#[derive(Debug)]
pub struct Verdict {
    name: String,
    facts: Vec<String>,
    findings: Vec<Finding>,
}

/// Findings of one rule that are printed one by one; the rest is counted.
const SHOWN: usize = 12;

impl Verdict {
    /// Nothing is known yet.
    pub fn new(name: &str) -> Verdict {
        Verdict { name: name.to_owned(), facts: Vec::new(), findings: Vec::new() }
    }

    /// Notes something that is right.
    pub fn fact(&mut self, text: String) {
        self.facts.push(text);
    }

    /// Notes something to be looked at.
    pub fn add(&mut self, severity: Severity, rule: Rule, message: String) {
        self.findings.push(Finding { severity, rule, message });
    }

    /// Notes something that must not be.
    pub fn error(&mut self, rule: Rule, message: String) {
        self.add(Severity::Error, rule, message);
    }

    /// Whether the kernel would load the module and it may run there.
    pub fn is_good(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// The message of the first error.
    pub fn first_error(&self) -> Option<&str> {
        let finding = self.findings.iter().find(|finding| finding.severity == Severity::Error)?;
        Some(&finding.message)
    }

    /// Everything that was found.
    #[cfg(test)]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.name)?;
        for fact in &self.facts {
            writeln!(out, "  {fact}")?;
        }
        let mut order: Vec<&Finding> = self.findings.iter().collect();
        order.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.rule));
        let mut shown = 0;
        for (index, finding) in order.iter().enumerate() {
            let same = index > 0 && order[index - 1].rule == finding.rule;
            shown = if same { shown + 1 } else { 0 };
            let last = order.get(index + 1).is_none_or(|next| next.rule != finding.rule);
            if shown < SHOWN {
                let word = match finding.severity {
                    Severity::Error => "ERROR  ",
                    Severity::Warning => "warning",
                    Severity::Note => "note   ",
                };
                writeln!(out, "  {word} {}: {}", finding.rule, finding.message)?;
            } else if last {
                writeln!(out, "          and {} more of the same kind", shown + 1 - SHOWN)?;
            }
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let word = if errors == 0 { "good" } else { "BAD" };
        write!(
            out,
            "verdict: {word} ({errors} errors, {warnings} warnings, {} notes)",
            self.count(Severity::Note)
        )
    }
}
