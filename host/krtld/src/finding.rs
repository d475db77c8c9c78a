//! Findings about a module file.

use std::fmt;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be: what was counted.
    Fact,
    /// Worth knowing.
    Note,
    /// Works, but not as somebody may expect.
    Warning,
    /// The kernel loads the module, and it must not run there, or not be like that.
    Unfit,
    /// The kernel refuses the module, or accepts it and gets it wrong: the loader refuses it.
    Refused,
}

impl Severity {
    /// Whether a module with such a finding is no good.
    pub fn is_error(self) -> bool {
        self >= Severity::Unfit
    }
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// What it is about.
    pub rule: Rule,
    /// What it is, and where.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.rule, self.message)
    }
}

/// Most findings of one severity about one rule.
const MOST: usize = 200;
/// Most bytes of a finding's message.
const LONGEST: usize = 4096;

/// Everything about one module.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Notes something that is right.
    pub fn fact(&mut self, rule: Rule, message: String) {
        self.add(Severity::Fact, rule, message);
    }

    /// Notes something to be looked at. Of a file with no end of mistakes, what is said has one.
    pub fn add(&mut self, severity: Severity, rule: Rule, mut message: String) {
        let same = self.0.iter().filter(|finding| (finding.severity, finding.rule) == (severity, rule));
        match same.count() {
            ..MOST => {}
            MOST => message = "and more of the kind".to_owned(),
            _ => return,
        }
        if message.len() > LONGEST {
            message.truncate(message.floor_char_boundary(LONGEST));
            message.push_str("...");
        }
        self.0.push(Finding { severity, rule, message });
    }

    /// Notes something that loads, and must not be.
    pub fn unfit(&mut self, rule: Rule, message: String) {
        self.add(Severity::Unfit, rule, message);
    }

    /// Notes something that the kernel refuses, or gets wrong.
    pub fn refuse(&mut self, rule: Rule, message: String) {
        self.add(Severity::Refused, rule, message);
    }

    /// Number of refusals so far.
    pub fn refusals(&self) -> usize {
        self.0.iter().filter(|finding| finding.severity == Severity::Refused).count()
    }

    /// All of them, in the order in which they were found.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}
