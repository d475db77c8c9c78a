//! The module loader against modules that are right and modules that are deliberately broken, rule by rule.

mod checklist;
mod commands;
mod elf;
mod kernel;
mod lifecycle;
mod symbols;

/// What a module must be for the kernel's loader to take it, point by point, and the tests that show what the host says of one that is not.
const CHECKLIST: &[(&str, &[&str])] = &[
    (
        "the header: magic, data, machine, type; section headers; no addresses",
        &["headers", "the_class_byte_is_not_looked_at", "loaded_sections_have_no_address"],
    ),
    ("a symbol table", &["headers", "symbol_table_entries"]),
    (
        "no SHT_REL; every SHT_RELA belongs to something",
        &["relocation_tables", "relocations_of_sections_that_are_not_loaded_are_skipped"],
    ),
    (
        "relocations of types 0, 1, 2, 4, 11 and 24",
        &[
            "every_relocation_type_that_the_kernel_rejects_or_gets_wrong_is_refused_by_name",
            "a_global_offset_table_is_named_as_what_is_missing",
            "fields_and_values_have_their_limits",
            "fields_hold_what_was_there_plus_the_value",
            "all_bad_relocations_are_listed_at_once",
        ],
    ),
    (
        "no undefined name outside the kernel, the dependencies and the probes",
        &[
            "missing_names_are_listed_all_at_once_with_who_needs_them_and_why_they_are_missing",
            "own_definitions_then_dependencies_in_order_then_the_kernel",
            "a_dependency_that_is_not_found_is_named_with_the_symbols_that_are_missing",
            "names_and_dependencies_have_their_limits",
        ],
    ),
    (
        "no weak undefined symbol used pc-relatively",
        &[
            "a_weak_call_to_nowhere_is_refused_and_an_absolute_reference_reads_zero",
            "a_weak_reference_finds_the_kernels_function_or_reads_what_the_file_holds",
        ],
    ),
    ("no common symbols", &["common_symbols_get_space_unless_somebody_else_defines_them"]),
    (
        "no thread-local symbols or sections",
        &["symbol_table_entries", "sections_that_the_kernel_would_not_honour"],
    ),
    ("no constructors", &["sections_that_the_kernel_would_not_honour"]),
    (
        "the entry points",
        &[
            "info_is_asked_before_init",
            "a_missing_or_failing_init_unloads_the_module",
            "fini_and_whoever_holds_the_module_decide_about_unloading",
        ],
    ),
    ("no other global definition", &["a_name_that_the_kernel_has_too_is_said_to_be_multiply_defined"]),
    ("every probe site a call", &["probe_sites_must_be_direct_calls", "probes_are_patched_out_and_recorded"]),
    (
        "no vector, floating-point or %fs instruction",
        &["instructions_that_the_kernel_has_no_registers_for_are_named"],
    ),
];

#[test]
fn every_point_of_the_checklist_has_its_tests() {
    let sources = [include_str!("checklist.rs"), include_str!("lifecycle.rs"), include_str!("symbols.rs")];
    for (point, tests) in CHECKLIST {
        assert!(!tests.is_empty(), "{point}");
        for test in *tests {
            let line = format!("#[test]\nfn {test}()");
            assert!(sources.iter().any(|source| source.contains(&line)), "{point}: there is no test {test}");
        }
    }
}
