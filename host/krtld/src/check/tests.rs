//! Modules that are wrong in one way each, and what the check says of them.
//!
//! Most are small C drivers compiled against the project's headers; what no compiler writes is patched into the bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Dependency, Options, check};
use crate::finding::{Finding, Rule, Severity};

/// Findings, printed when a test fails.
#[derive(Debug)]
struct Verdict(Vec<Finding>);

impl Verdict {
    fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|finding| finding.severity.is_error())
    }

    /// Findings, but for what was only counted.
    fn findings(&self) -> Vec<&Finding> {
        self.0.iter().filter(|finding| finding.severity != Severity::Fact).collect()
    }

    fn is_good(&self) -> bool {
        self.errors().next().is_none()
    }

    fn says(&self, words: &str) -> bool {
        self.0.iter().any(|finding| finding.message.contains(words))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|finding| writeln!(f, "{:?} {finding}", finding.severity))
    }
}

fn look(bytes: &[u8], options: &Options) -> Verdict {
    Verdict(check(bytes, options))
}

/// A driver with nothing wrong.
const GOOD: &str = "
#include <sys/types.h>
#include <sys/sunddi.h>
#include <sys/ddi.h>
#include <sys/modctl.h>
#include <sys/cmn_err.h>
static struct cb_ops ops = { .cb_prop_op = ddi_prop_op, .cb_chpoll = nochpoll, .cb_flag = D_MP };
static struct dev_ops devops = { .devo_rev = DEVO_REV, .devo_cb_ops = &ops };
static struct modldrv drv = { &mod_driverops, \"fixture\", &devops };
static struct modlinkage linkage = { MODREV_1, { &drv, NULL } };
int _init(void) { return (mod_install(&linkage)); }
int _fini(void) { return (mod_remove(&linkage)); }
int _info(struct modinfo *info) { return (mod_info(&linkage, info)); }
";

const FLAGS: [&str; 12] = [
    "-c",
    "-O2",
    "-std=gnu11",
    "-ffreestanding",
    "-nostdinc",
    "-fno-pic",
    "-mcmodel=kernel",
    "-mno-red-zone",
    "-mgeneral-regs-only",
    "-fno-asynchronous-unwind-tables",
    "-fno-common",
    "-fno-stack-protector",
];

fn options() -> Options {
    Options::default()
}

/// Compiles a driver; `None` without a C compiler.
fn compile(source: &str, flags: &[&str]) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("fixture.c"), dir.path().join("fixture"));
    fs::write(&input, source).unwrap();
    let include: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ddi-sys/include");
    let mut cc = Command::new("cc");
    cc.args(FLAGS).arg("-I").arg(include).args(flags).arg(&input).arg("-o").arg(&output);
    let result = match cc.output() {
        Ok(result) => result,
        Err(_) => {
            println!("skipped: no C compiler");
            return None;
        }
    };
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    Some(fs::read(output).unwrap())
}

fn good() -> Option<Vec<u8>> {
    compile(GOOD, &[])
}

/// The check finds exactly the one thing that is wrong, and says it with these words.
#[track_caller]
fn expect_error(verdict: &Verdict, rule: Rule, words: &str) {
    assert!(!verdict.is_good(), "nothing was found: {verdict}");
    assert!(verdict.errors().all(|error| error.rule == rule), "something else was found: {verdict}");
    among_others(verdict, rule, words);
}

/// The check finds this among other things.
#[track_caller]
fn among_others(verdict: &Verdict, rule: Rule, words: &str) {
    let mut these = verdict.errors().filter(|error| error.rule == rule);
    assert!(these.any(|error| error.message.contains(words)), "{words:?} is not said: {verdict}");
}

/// Adds `source` to the good driver.
fn broken(source: &str, flags: &[&str]) -> Option<Verdict> {
    compile(&format!("{GOOD}{source}"), flags).map(|module| look(&module, &options()))
}

#[test]
fn a_good_module_is_good() {
    let Some(module) = good() else { return };
    let verdict = look(&module, &options());
    assert!(verdict.findings().is_empty(), "{verdict}");
    assert!(verdict.says("no panic can be reached"), "{verdict}");
}

#[test]
fn each_broken_c_module_is_found() {
    let cases: &[(&str, &[&str], Rule, &str)] = &[
        ("int tentative;", &["-fcommon"], Rule::Common, "tentative"),
        (
            "__thread int per_thread = 1; __attribute__((used)) static int *where(void) { return (&per_thread); }",
            &[],
            Rule::ThreadLocal,
            "",
        ),
        (
            "extern void no_such_function(void); __attribute__((used)) static void f(void) { no_such_function(); }",
            &[],
            Rule::Undefined,
            "no_such_function (used by f",
        ),
        ("int visible(void) { return (1); }", &[], Rule::GlobalDefinition, "visible"),
        (
            "int strcmp(const char *a, const char *b) { return (*a - *b); }",
            &[],
            Rule::MultiplyDefined,
            "strcmp",
        ),
        (
            "__attribute__((used, constructor)) static void at_start(void) { cmn_err(CE_NOTE, \"early\"); }",
            &[],
            Rule::Constructors,
            "never run",
        ),
        (
            "extern void maybe(void) __attribute__((weak)); __attribute__((used)) static void f(void) { maybe(); }",
            &[],
            Rule::WeakReference,
            "maybe",
        ),
        (
            "extern void _Unwind_Resume(void); __attribute__((used)) static void f(void) { _Unwind_Resume(); }",
            &[],
            Rule::Unwinding,
            "_Unwind_Resume",
        ),
        (
            "static int pick(void) { return (1); } static int ifunc(void) __attribute__((ifunc(\"resolve\"), used)); static void *resolve(void) { return (pick); } __attribute__((used)) static int f(void) { return (ifunc()); }",
            &[],
            Rule::IndirectFunction,
            "ifunc",
        ),
        (
            "__attribute__((used)) static void f(void) { __asm__ volatile (\"addsd %xmm1, %xmm2\"); }",
            &[],
            Rule::FloatingPoint,
            "xmm",
        ),
        (
            "__attribute__((used)) static void f(void) { __asm__ volatile (\"vzeroupper\"); }",
            &[],
            Rule::FloatingPoint,
            "vzeroupper",
        ),
        (
            "__attribute__((used)) static void f(void) { __asm__ volatile (\"fninit\"); }",
            &[],
            Rule::FloatingPoint,
            "fninit",
        ),
        (
            "__attribute__((used)) static long f(void) { long x; __asm__ volatile (\"movq %%fs:0, %0\" : \"=r\" (x)); return (x); }",
            &[],
            Rule::FsSegment,
            "fs",
        ),
        (
            "__attribute__((used)) static long f(void) { long x; __asm__ volatile (\"movq %%gs:0x28, %0\" : \"=r\" (x)); return (x); }",
            &[],
            Rule::FsSegment,
            "gs",
        ),
        (
            "__attribute__((used)) static void f(void) { __asm__ volatile (\"movq $1, -8(%rsp)\"); }",
            &[],
            Rule::RedZone,
            "rsp-8",
        ),
        (
            "__attribute__((used)) static int f(int n) { volatile int a[8]; a[n & 7] = n; a[1] = 2; return (a[0]); }",
            &["-mred-zone", "-fno-omit-frame-pointer"],
            Rule::RedZone,
            "at f",
        ),
        (
            "__attribute__((used)) static void f(void) { volatile char big[4096]; big[0] = 1; }",
            &[],
            Rule::StackFrame,
            "more than 2048",
        ),
        (
            "extern int __dtrace_probe_fixture__done(int); __attribute__((used)) static int f(int a) { return (__dtrace_probe_fixture__done(a)); }",
            &[],
            Rule::ProbeSite,
            "tail call",
        ),
        (
            "extern int __dtrace_probe_fixture__done(int); __attribute__((used)) static int (*where)(int) = __dtrace_probe_fixture__done;",
            &[],
            Rule::ProbeSite,
            "a reference from data",
        ),
        (
            "__attribute__((used)) static void f(void) { __asm__ volatile (\"movq hz@GOTPCREL(%rip), %rax\"); }",
            &[],
            Rule::RelocationType,
            "GOTPCRELX",
        ),
        (
            "extern int hz; __attribute__((used)) static unsigned f(void) { return ((unsigned)(unsigned long)&hz); }",
            &["-mcmodel=small"],
            Rule::RelocationType,
            "R_X86_64_32 against",
        ),
        (
            "__asm__ (\".section .note.text,\\\"\\\",@progbits\\nhere: .long 1\\n.data\\n.quad here\\n.text\");",
            &[],
            Rule::NotLoaded,
            ".note.text",
        ),
        ("char _depends_on[4] = \"misc\";", &[], Rule::Dependencies, "final NUL"),
    ];
    for (source, flags, rule, words) in cases {
        let Some(verdict) = broken(source, flags) else { return };
        // A global fixture symbol is not what the case is about.
        if matches!(rule, Rule::ThreadLocal | Rule::Dependencies) {
            assert!(
                verdict
                    .findings()
                    .into_iter()
                    .any(|finding| finding.rule == *rule && finding.severity.is_error()),
                "{source}: {verdict}"
            );
        } else {
            println!("{source}");
            expect_error(&verdict, *rule, words);
        }
    }
}

#[test]
fn entry_points_must_be_functions() {
    for (from, to, words) in [
        (
            "int _fini(void) { return (mod_remove(&linkage)); }",
            "",
            "no _fini: the module can never be unloaded",
        ),
        ("int _info(struct modinfo *info) { return (mod_info(&linkage, info)); }", "", "no _info"),
        ("int _init(void)", "int init(void)", "no _init"),
    ] {
        let Some(module) = compile(&GOOD.replace(from, to), &["-Dinit=_info_"]) else { return };
        let verdict = look(&module, &options());
        assert!(
            verdict
                .findings()
                .into_iter()
                .any(|finding| finding.rule == Rule::EntryPoints && finding.message.contains(words)),
            "{verdict}"
        );
    }
    let data = "__asm__ (\".section .rodata\\n.globl _fini\\n.type _fini, @object\\n_fini: .long 1\\n.size _fini, 4\\n.text\");";
    let source = GOOD.replace("int _fini(void) { return (mod_remove(&linkage)); }", data);
    let Some(module) = compile(&source, &[]) else { return };
    expect_error(&look(&module, &options()), Rule::EntryPoints, "_fini is not a function");
}

/// Damage that no compiler does: the place in the file, and the bytes there.
#[test]
fn each_damaged_file_is_found() {
    let Some(module) = good() else { return };
    let header = |at: usize, bytes: &[u8]| {
        let mut module = module.clone();
        module[at..at + bytes.len()].copy_from_slice(bytes);
        look(&module, &options())
    };
    expect_error(&header(0, b"\x7fELG"), Rule::Kind, "not an ELF file");
    expect_error(&header(4, &[1]), Rule::Kind, "not a 64-bit");
    expect_error(&header(5, &[2]), Rule::Kind, "amd64");
    expect_error(&header(18, &[183]), Rule::Kind, "machine 183");
    expect_error(&header(16, &[3]), Rule::Kind, "shared object");
    expect_error(&header(16, &[2]), Rule::Kind, "executable");
    expect_error(&header(60, &[0, 0]), Rule::SectionHeaders, "e_shnum is 0");
    expect_error(&header(40, &[0xff; 7]), Rule::SectionHeaders, "beyond the end of the file");
    let sections = Sections::of(&module);
    let symtab = sections.kind(2).expect("a symbol table");
    let rela = sections.kind(4).expect("relocations");
    let text = sections.kind(1).expect("text");
    expect_error(&header(sections.field(symtab, 4), &[1]), Rule::SymbolTable, "stripped");
    expect_error(
        &header(sections.field(symtab, 40), &[0]),
        Rule::SymbolTable,
        "string table is not in the file",
    );
    expect_error(&header(sections.field(text, 16), &[0, 0x10]), Rule::SectionAddress, "0x1000");
    expect_error(
        &header(sections.field(rela, 44), &[200]),
        Rule::RelaSection,
        "section 200, which there is not",
    );
    expect_error(&header(sections.field(rela, 40), &[1]), Rule::RelaSection, "not to the symbol table");
    let verdict = header(sections.field(rela, 4), &[9]);
    assert!(verdict.findings().into_iter().any(|finding| finding.rule == Rule::RelSection), "{verdict}");
    let relocation = sections.content(rela);
    expect_error(&header(relocation, &[0xff, 0xff, 0xff]), Rule::RelocationPlace, "outside the section");
    expect_error(&header(relocation + 12, &[0xff, 0xff]), Rule::RelocationPlace, "no such symbol");
    for (kind, words) in [
        (9, "GOTPCREL"),
        (10, "out of range"),
        (19, "thread-local"),
        (32, "where the size is wanted"),
        (99, "does not support"),
    ] {
        expect_error(&header(relocation + 8, &[kind]), Rule::RelocationType, words);
    }
    let field = sections.content(text) + usize::from(module[relocation]);
    expect_error(&header(field, &[1, 2]), Rule::RelocationField, "which holds 0x201");
    let symbols = sections.content(symtab);
    expect_error(&header(symbols + 24, &[0xff, 0xff, 0xff]), Rule::SymbolTable, "its name is beyond");
    expect_error(&header(symbols + 24 + 6, &[0xff, 0xff]), Rule::SymbolTable, "section index 0xffff");
    // What the loader would leave as it is, or could not place.
    among_others(&header(sections.field(rela, 4), &[44]), Rule::SectionType, "type 0x2c is unknown");
    among_others(&header(sections.field(text, 4), &[44]), Rule::SectionType, "type 0x2c is unknown");
    among_others(
        &header(sections.field(text, 4), &[8]),
        Rule::SectionType,
        "instructions in a section of type 8",
    );
    let lost = header(sections.field(rela, 4), &[7]);
    among_others(&lost, Rule::RelaSection, "type 7 is none of relocations: krtld would leave .text as it is");
    let data = sections.field(rela, 44);
    let other = (1..sections.count()).find(|index| *index != text && sections.loaded(*index)).expect("data");
    let elsewhere = header(data, &[other as u8]);
    assert!(
        elsewhere.findings().into_iter().any(|f| f.message.contains("krtld would leave .text as it is")),
        "{elsewhere}"
    );
    among_others(
        &header(sections.field(rela, 56), &[23]),
        Rule::RelaSection,
        "entries of 23 bytes instead of 24",
    );
    among_others(
        &header(sections.field(text, 48), &[3]),
        Rule::SectionHeaders,
        "alignment 3 is no power of two",
    );
    among_others(
        &header(relocation + 16, &[0, 0, 0, 0x40, 0]),
        Rule::RelocationPlace,
        "the addend leads 0x40000000 bytes",
    );
    // Nothing that is cut off makes the check fall over.
    for length in (0..module.len()).step_by(7) {
        assert!(!look(&module[..length], &options()).is_good(), "{length} bytes are no module");
    }
}

/// The section headers of a file, to patch them.
struct Sections<'a>(&'a [u8]);

impl<'a> Sections<'a> {
    fn of(module: &'a [u8]) -> Sections<'a> {
        Sections(module)
    }

    fn header(&self, index: usize) -> usize {
        u64::from_le_bytes(self.0[40..48].try_into().unwrap()) as usize + index * 64
    }

    fn count(&self) -> usize {
        self.0[60].into()
    }

    fn loaded(&self, index: usize) -> bool {
        self.0[self.header(index) + 8] & 2 != 0
    }

    /// The first section of a type.
    fn kind(&self, kind: u8) -> Option<usize> {
        (0..usize::from(self.0[60])).find(|index| self.0[self.header(*index) + 4] == kind)
    }

    /// Where a field of a section's header is.
    fn field(&self, index: usize, at: usize) -> usize {
        self.header(index) + at
    }

    /// Where a section's content is.
    fn content(&self, index: usize) -> usize {
        let at = self.header(index) + 24;
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap()) as usize
    }
}

#[test]
fn deep_chains_and_recursion_are_found() {
    let source = "
        __attribute__((noinline)) static int third(int a) { volatile char b[1800]; b[a] = 1; return (b[0]); }
        __attribute__((noinline)) static int second(int a) { volatile char b[1800]; b[a] = 1; return (third(a) + b[0]); }
        __attribute__((noinline)) static int first(int a) { volatile char b[1800]; b[a] = 1; return (second(a) + b[0]); }
        static int (*table)(int) __attribute__((used)) = first;
        __attribute__((noinline)) static int again(int a) { volatile int b = a; return (a ? again(a - 1) * 3 + b : b); }
        static int (*other)(int) __attribute__((used)) = again;";
    let Some(module) = compile(&format!("{GOOD}{source}"), &[]) else { return };
    let limits = Options { stack_limit: 4096, ..options() };
    let verdict = look(&module, &limits);
    expect_error(&verdict, Rule::StackDepth, "> second ");
    let recursion = verdict
        .findings()
        .into_iter()
        .find(|finding| finding.rule == Rule::Recursion)
        .expect("a note on recursion");
    assert!(recursion.message.contains("again > again"), "{verdict}");
    let from = |name: &str, limit| Options { stacks: vec![(name.to_owned(), limit)], ..options() };
    assert!(look(&module, &from("again", 1000)).is_good());
    expect_error(&look(&module, &from("first", 4096)), Rule::StackDepth, "> second ");
    expect_error(&look(&module, &from("second", 9000)), Rule::StackDepth, "named second");
}

#[test]
fn a_frame_that_depends_on_data_is_mentioned() {
    let source =
        "__attribute__((used)) static int f(int n) { volatile char b[n]; b[n - 1] = 1; return (b[0]); }";
    let Some(verdict) = broken(source, &[]) else { return };
    let found =
        verdict.findings().into_iter().find(|finding| finding.rule == Rule::StackFrame).expect("a warning");
    assert_eq!(found.severity, Severity::Warning);
    assert!(verdict.is_good() && found.message.contains("depends on data"), "{verdict}");
}

#[test]
fn bytes_that_are_no_instruction_are_mentioned() {
    let source = "__attribute__((used)) static void f(void) { __asm__ volatile (\".byte 0x06\"); }";
    let Some(verdict) = broken(source, &[]) else { return };
    let [finding] = verdict.findings()[..] else { panic!("{verdict}") };
    assert_eq!((finding.rule, finding.severity), (Rule::Undecodable, Severity::Warning), "{verdict}");
}

#[test]
fn what_compilers_call_in_recent_kernels_is_known() {
    let source = "int (*volatile g)(void); __attribute__((used)) static int f(void) { char a[64]; cmn_err(CE_NOTE, a); return (g() + 1); }";
    let flags = [
        "-Dg=static_g",
        "-mindirect-branch=thunk-extern",
        "-mindirect-branch-register",
        "-fstack-protector-all",
    ];
    let source = source.replace("int (*volatile g)", "static int (*volatile g)");
    let Some(module) =
        compile(&format!("{GOOD}{source}"), &[&flags[..], &["-mstack-protector-guard=global"]].concat())
    else {
        return;
    };
    let verdict = look(&module, &options());
    assert!(!verdict.findings().into_iter().any(|f| f.severity.is_error()), "{verdict}");
}

#[test]
fn probes_that_are_called_are_fine() {
    let source = "extern void __dtrace_probe_fixture__done(int);
        __attribute__((used)) static int f(int a) { __dtrace_probe_fixture__done(a); return (a); }";
    let Some(verdict) = broken(source, &[]) else { return };
    assert!(verdict.is_good() && verdict.says("1 probes"), "{verdict}");
}

#[test]
fn unwind_tables_and_absolute_weak_references_are_only_mentioned() {
    let source = "extern int maybe __attribute__((weak)); __attribute__((used)) static int *where(void) { return (&maybe); }";
    let Some(verdict) = broken(source, &["-fasynchronous-unwind-tables"]) else { return };
    assert!(verdict.is_good(), "{verdict}");
    for rule in [Rule::Unwinding, Rule::WeakReference] {
        assert!(
            verdict.findings().into_iter().any(|finding| finding.rule == rule),
            "{rule} is not mentioned: {verdict}"
        );
    }
}

#[test]
fn a_dependency_must_be_recorded_and_have_the_symbol() {
    let source = "extern int of_the_other(void); __attribute__((used)) static int f(void) { return (of_the_other() + 1); }";
    let recorded = "char _depends_on[] = \"misc/other\";";
    let dependencies =
        || vec![Dependency { name: "misc/other".to_owned(), symbols: vec!["of_the_other".to_owned()] }];
    let with = Options { dependencies: dependencies(), ..options() };
    let Some(unrecorded) = compile(&format!("{GOOD}{source}"), &[]) else { return };
    expect_error(&look(&unrecorded, &with), Rule::Undefined, "misc/other defines it");
    let Some(module) = compile(&format!("{GOOD}{source}{recorded}"), &[]) else { return };
    let verdict = look(&module, &with);
    assert!(verdict.is_good() && verdict.says("1 from misc/other"), "{verdict}");
    let verdict = look(&module, &options());
    expect_error(&verdict, Rule::Undefined, "give misc/other with --dependency");
}

/// A Rust panic is recognised by the name that the compiler gives it.
#[test]
fn a_reachable_panic_is_shown_with_its_path() {
    let source = "
        extern void panic(const char *, ...);
        __attribute__((noinline, noreturn)) static void bounds(void) __asm__ (\"_ZN4core9panicking18panic_bounds_check17h0123456789abcdefE\");
        static void bounds(void) { panic(\"x\"); __builtin_unreachable(); }
        __attribute__((noinline)) static int inner(int a) { if (a > 3) bounds(); return (a); }
        static int callback(int a) { return (inner(a) + 1); }
        static int (*table)(int) __attribute__((used)) = callback;";
    let Some(module) = compile(&format!("{GOOD}{source}"), &["-fno-inline", "-fno-optimize-sibling-calls"])
    else {
        return;
    };
    let verdict = look(&module, &options());
    let found = verdict.findings().into_iter().find(|finding| finding.rule == Rule::Panic).expect("a panic");
    assert_eq!(found.severity, Severity::Note);
    assert!(found.message.contains("callback > inner > core::panicking::panic_bounds_check"), "{verdict}");
    let denied = look(&module, &Options { deny_panics: true, ..options() });
    expect_error(&denied, Rule::Panic, "panic_bounds_check");
}
