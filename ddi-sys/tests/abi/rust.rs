//! What `src/bindings.rs` declares, and its comparison with the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::facts::{Facts, Layout, Prototype};
use crate::types::{Type, parse_c, resolve};

/// Constants that are the headers' own and that the facts do not list, so that nothing else slips in.
const UNLISTED: [&str; 9] = [
    "AVL_AFTER",
    "AVL_BEFORE",
    "NBBY",
    "P_NO_RECLAIM",
    "P_RECLAIM",
    "SE_EXCL",
    "SE_SHARED",
    "TASKQ_DEFAULTPRI",
    "_SYS_NMLN",
];

/// Functions and data that were not measured, because the headers that were do not declare them: their prototypes are the manual
/// pages', or those of the kernel's public sources. That the kernel has them is checked as for all others.
pub const UNMEASURED: [&str; 125] = [
    "allocb_wait",
    "as_checkprot",
    "as_getmemid",
    "as_incore",
    "as_segat",
    "as_setprot",
    "assfail3",
    "crdup",
    "crfree",
    "crget",
    "crgetref",
    "crhold",
    "delay_sig",
    "devmap_pmem_alloc",
    "devmap_pmem_free",
    "devmap_pmem_getpfns",
    "devmap_pmem_remap",
    "devmap_pmem_setup",
    "freemem",
    "fuword16",
    "fuword32",
    "fuword64",
    "heap_arena",
    "highbit64",
    "hrt2ts",
    "hrt2tv",
    "is_pseudo_device",
    "kvps",
    "ldi_ident_from_major",
    "max",
    "min",
    "mod_hash_byid",
    "mod_hash_byptr",
    "mod_hash_bystr",
    "mod_hash_cancel",
    "mod_hash_clear",
    "mod_hash_create_extended",
    "mod_hash_create_idhash",
    "mod_hash_create_ptrhash",
    "mod_hash_create_strhash",
    "mod_hash_create_strhash_nodtr",
    "mod_hash_destroy",
    "mod_hash_destroy_hash",
    "mod_hash_destroy_idhash",
    "mod_hash_destroy_ptrhash",
    "mod_hash_destroy_strhash",
    "mod_hash_find",
    "mod_hash_find_cb",
    "mod_hash_find_cb_rval",
    "mod_hash_idkey_cmp",
    "mod_hash_insert",
    "mod_hash_insert_reserve",
    "mod_hash_null_keydtor",
    "mod_hash_null_valdtor",
    "mod_hash_ptrkey_cmp",
    "mod_hash_remove",
    "mod_hash_replace",
    "mod_hash_reserve",
    "mod_hash_reserve_nosleep",
    "mod_hash_strkey_cmp",
    "mod_hash_strkey_dtor",
    "mod_hash_strval_dtor",
    "mod_hash_walk",
    "ndi_dc_freehdl",
    "ndi_dc_getaddr",
    "ndi_dc_getname",
    "ndi_dc_return_dev_state",
    "page_exists",
    "page_find",
    "page_lookup_nowait",
    "page_numtopp",
    "page_trylock",
    "pci_cap_probe",
    "pci_cap_read",
    "pci_config_getb",
    "pci_config_getl",
    "pci_config_getll",
    "pci_config_getw",
    "pci_config_putb",
    "pci_config_putl",
    "pci_config_putll",
    "pci_config_putw",
    "pci_xcap_locate",
    "prom_printf",
    "random_get_blocking_bytes",
    "random_get_bytes",
    "random_get_pseudo_bytes",
    "secpolicy_coreadm",
    "secpolicy_cpc_cpu",
    "secpolicy_dl_config",
    "secpolicy_error_inject",
    "secpolicy_gart_map",
    "secpolicy_kmdb",
    "secpolicy_meminfo",
    "secpolicy_modctl",
    "secpolicy_net_config",
    "secpolicy_net_rawaccess",
    "secpolicy_power_mgmt",
    "secpolicy_settime",
    "secpolicy_swapctl",
    "secpolicy_sys_config",
    "secpolicy_sys_devices",
    "secpolicy_ucode_update",
    "secpolicy_xhci",
    "secpolicy_zinject",
    "seg_inherit_notsup",
    "segvn_create",
    "strcat",
    "strpbrk",
    "strsep",
    "strstr",
    "suword16",
    "suword32",
    "suword64",
    "suword8",
    "swapfs_minfree",
    "ts2hrt",
    "tsd_create",
    "tsd_destroy",
    "tsd_get",
    "tsd_set",
    "tv2hrt",
    "vn_getops",
    "vn_make_ops",
    "vn_reinit",
];

/// Functions of the kernel's public sources that the list of its names lacks.
const UNNAMED: [&str; 8] = [
    "devmap_pmem_alloc",
    "devmap_pmem_free",
    "devmap_pmem_getpfns",
    "devmap_pmem_remap",
    "mod_hash_create_strhash_nodtr",
    "pci_cap_probe",
    "pci_cap_read",
    "pci_xcap_locate",
];

/// Names that the kernel's modules export.
const KERNEL: &str = include_str!("../../../host/krtld/data/kernel-symbols.txt");

/// Functions of modules that are always loaded, which the kernel proper exports as stubs.
const STUBS: &str = include_str!("../../../host/krtld/data/kernel-symbols-stubs.txt");

/// Layout of a structure, as the file's compile-time assertions say.
#[derive(Default)]
pub struct Asserted {
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub align: u64,
    /// Bytes from the start, by member.
    pub offsets: BTreeMap<String, u64>,
}

/// The value of a constant.
pub enum Value {
    /// Modulo 2^64.
    Number(u64),
    /// Without the final NUL.
    Text(String),
}

/// What the file declares.
#[derive(Default)]
pub struct Bindings {
    /// Type aliases.
    pub aliases: BTreeMap<String, Type>,
    /// Members of structures and unions, in order.
    pub members: BTreeMap<String, Vec<(String, Type)>>,
    /// Layouts that rustc has verified.
    pub layouts: BTreeMap<String, Asserted>,
    /// Constants and enumerators.
    pub constants: BTreeMap<String, Value>,
    /// Functions: parameters, result, variadic.
    pub functions: BTreeMap<String, (Vec<Type>, Type, bool)>,
    /// Data symbols: type, and whether they may be written.
    pub statics: BTreeMap<String, (Type, bool)>,
    /// Functions and function pointers whose ABI is not "C-unwind".
    pub wrong_abi: Vec<String>,
}

impl Bindings {
    /// Reads the generated file.
    pub fn parse(text: &str) -> Bindings {
        let file = syn::parse_file(text).expect("bindings.rs is Rust");
        let mut bindings = Bindings::default();
        for item in &file.items {
            bindings.item(item);
        }
        bindings
    }

    fn item(&mut self, item: &syn::Item) {
        match item {
            syn::Item::Type(item) => {
                let name = item.ident.to_string();
                let ty = self.ty(&name, &item.ty);
                self.aliases.insert(name, ty);
            }
            syn::Item::Use(item) => {
                if let syn::UseTree::Path(path) = &item.tree
                    && let syn::UseTree::Rename(rename) = &*path.tree
                {
                    self.aliases.insert(rename.rename.to_string(), named(&rename.ident.to_string()));
                }
            }
            syn::Item::Struct(item) => self.fields(&item.ident, item.fields.iter()),
            syn::Item::Union(item) => self.fields(&item.ident, item.fields.named.iter()),
            syn::Item::Const(item) if item.ident == "_" => self.assertions(&item.expr),
            syn::Item::Const(item) => {
                self.constants.insert(item.ident.to_string(), value(&item.expr));
            }
            syn::Item::ForeignMod(block) => {
                let abi = block.abi.name.as_ref().map(syn::LitStr::value).unwrap_or_default();
                for item in &block.items {
                    self.foreign(&abi, item);
                }
            }
            _ => {}
        }
    }

    fn foreign(&mut self, abi: &str, item: &syn::ForeignItem) {
        match item {
            syn::ForeignItem::Fn(item) => {
                let name = item.sig.ident.to_string();
                if abi != "C-unwind" {
                    self.wrong_abi.push(name.clone());
                }
                let mut params = Vec::new();
                for param in &item.sig.inputs {
                    let syn::FnArg::Typed(param) = param else { panic!("{name} has a receiver") };
                    params.push(self.ty(&name, &param.ty));
                }
                let result = self.result(&name, &item.sig.output);
                self.functions.insert(name, (params, result, item.sig.variadic.is_some()));
            }
            syn::ForeignItem::Static(item) => {
                let name = item.ident.to_string();
                let writable = matches!(item.mutability, syn::StaticMutability::Mut(_));
                let ty = self.ty(&name, &item.ty);
                self.statics.insert(name, (ty, writable));
            }
            _ => {}
        }
    }

    fn fields<'a>(&mut self, name: &syn::Ident, fields: impl Iterator<Item = &'a syn::Field>) {
        let name = name.to_string();
        let members = fields
            .filter_map(|field| Some((field.ident.as_ref()?.to_string(), self.ty(&name, &field.ty))))
            .collect::<Vec<_>>();
        self.members.insert(name, members);
    }

    /// A block of bindgen's assertions: `["Size of x"][size_of::<x>() - 8usize];`
    fn assertions(&mut self, expr: &syn::Expr) {
        let syn::Expr::Block(block) = expr else { return };
        for statement in &block.block.stmts {
            let syn::Stmt::Expr(syn::Expr::Index(index), _) = statement else { continue };
            let syn::Expr::Array(label) = &*index.expr else { continue };
            let syn::Expr::Binary(difference) = &*index.index else { continue };
            let (Some(Value::Text(label)), Value::Number(bytes)) =
                (label.elems.first().map(value), value(&difference.right))
            else {
                continue;
            };
            if let Some(name) = label.strip_prefix("Size of ") {
                self.layouts.entry(name.to_owned()).or_default().size = bytes;
            } else if let Some(name) = label.strip_prefix("Alignment of ") {
                self.layouts.entry(name.to_owned()).or_default().align = bytes;
            } else if let Some((name, member)) =
                label.strip_prefix("Offset of field: ").and_then(|rest| rest.split_once("::"))
            {
                self.layouts.entry(name.to_owned()).or_default().offsets.insert(member.to_owned(), bytes);
            }
        }
    }

    fn result(&mut self, context: &str, output: &syn::ReturnType) -> Type {
        match output {
            syn::ReturnType::Default => Type::Void,
            syn::ReturnType::Type(_, ty) => self.ty(context, ty),
        }
    }

    /// A Rust type in the common vocabulary; notes function pointers of another ABI.
    fn ty(&mut self, context: &str, ty: &syn::Type) -> Type {
        match ty {
            syn::Type::Never(_) => Type::Void,
            syn::Type::Ptr(pointer) => {
                let to = self.ty(context, &pointer.elem);
                match to {
                    Type::Named(name) if name == "__va_list_tag" => Type::VaList,
                    to => Type::Pointer(pointer.const_token.is_some(), Box::new(to)),
                }
            }
            syn::Type::Array(array) => {
                let Value::Number(length) = value(&array.len) else {
                    panic!("{context}: an array without a length")
                };
                Type::Array(length, Box::new(self.ty(context, &array.elem)))
            }
            syn::Type::BareFn(function) => {
                let abi = function.abi.as_ref().and_then(|abi| abi.name.as_ref()).map(syn::LitStr::value);
                if abi.as_deref() != Some("C-unwind") {
                    self.wrong_abi.push(format!("a function pointer of {context}"));
                }
                let params = function.inputs.iter().map(|param| self.ty(context, &param.ty)).collect();
                let result = Box::new(self.result(context, &function.output));
                Type::Pointer(false, Box::new(Type::Function(params, result)))
            }
            syn::Type::Path(path) => {
                let last = path.path.segments.last().expect("a path has a segment");
                if let ("Option", syn::PathArguments::AngleBracketed(inner)) =
                    (&*last.ident.to_string(), &last.arguments)
                    && let Some(syn::GenericArgument::Type(inner)) = inner.args.first()
                {
                    return self.ty(context, inner);
                }
                named(&last.ident.to_string())
            }
            _ => panic!("{context}: a type that bindgen does not write"),
        }
    }
}

fn named(name: &str) -> Type {
    match name {
        "c_void" => Type::Void,
        "c_char" | "c_schar" | "i8" => Type::Int(true, 1),
        "c_uchar" | "u8" => Type::Int(false, 1),
        "c_short" | "i16" => Type::Int(true, 2),
        "c_ushort" | "u16" => Type::Int(false, 2),
        "c_int" | "i32" => Type::Int(true, 4),
        "c_uint" | "u32" => Type::Int(false, 4),
        "c_long" | "c_longlong" | "i64" | "isize" => Type::Int(true, 8),
        "c_ulong" | "c_ulonglong" | "u64" | "usize" => Type::Int(false, 8),
        "f32" => Type::Float(4),
        "f64" => Type::Float(8),
        name => Type::Named(name.trim_start_matches("r#").trim_end_matches('_').to_owned()),
    }
}

fn value(expr: &syn::Expr) -> Value {
    match expr {
        syn::Expr::Lit(lit) => match &lit.lit {
            syn::Lit::Int(number) => Value::Number(number.base10_parse().expect("a number")),
            syn::Lit::Str(text) => Value::Text(text.value()),
            syn::Lit::CStr(text) => Value::Text(text.value().into_string().expect("ASCII")),
            _ => panic!("a constant that bindgen does not write"),
        },
        syn::Expr::Unary(unary) => match value(&unary.expr) {
            Value::Number(number) => Value::Number(number.wrapping_neg()),
            text => text,
        },
        _ => panic!("a constant that bindgen does not write"),
    }
}

/// What was compared, and what differs.
#[derive(Default)]
pub struct Report {
    compared: BTreeMap<&'static str, usize>,
    /// One line for each difference.
    pub wrong: Vec<String>,
}

impl Report {
    /// Facts that were compared.
    pub fn total(&self) -> usize {
        self.compared.values().sum()
    }

    fn fact(&mut self, kind: &'static str, right: bool, message: impl FnOnce() -> String) {
        *self.compared.entry(kind).or_default() += 1;
        if !right {
            self.wrong.push(message());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} facts of illumos compared:", self.total())?;
        for (kind, count) in &self.compared {
            write!(out, " {count} {kind},")?;
        }
        write!(out, " {} wrong", self.wrong.len())?;
        self.wrong.iter().try_for_each(|line| write!(out, "\n  {line}"))
    }
}

/// Compares everything that is declared.
pub fn compare(bindings: &Bindings, facts: &Facts) -> Report {
    let mut report = Report::default();
    let sizes = bindings.layouts.iter().map(|(name, layout)| (name.clone(), layout.size)).collect();
    let comparison = Comparison { bindings, sizes };
    comparison.scalars(facts, &mut report);
    comparison.structs(facts, &mut report);
    comparison.constants(facts, &mut report);
    comparison.functions(facts, &mut report);
    comparison.data(facts, &mut report);
    for name in &bindings.wrong_abi {
        report.wrong.push(format!("{name} is not extern \"C-unwind\""));
    }
    report
}

struct Comparison<'a> {
    bindings: &'a Bindings,
    sizes: BTreeMap<String, u64>,
}

impl Comparison<'_> {
    fn resolve(&self, ty: &Type) -> Type {
        resolve(ty, &self.bindings.aliases)
    }

    /// Whether a C spelling means what is declared.
    fn same(&self, c: &str, rust: &Type) -> bool {
        self.resolve(&parse_c(c)) == self.resolve(rust)
    }

    fn scalars(&self, facts: &Facts, report: &mut Report) {
        for (name, (size, spelling)) in &facts.scalars {
            let Some(alias) = self.bindings.aliases.get(name) else { continue };
            let ty = self.resolve(alias);
            let bytes = ty.size(&self.sizes);
            report.fact("sizes", bytes == Some(*size), || {
                format!("{name}: {ty} where illumos has {size} bytes")
            });
            // An enumeration is spelled by its own name.
            if spelling != name && !spelling.starts_with("enum ") {
                report.fact("scalar types", self.same(spelling, alias), || {
                    format!("{name}: {ty} where illumos has {spelling}")
                });
            }
        }
    }

    fn structs(&self, facts: &Facts, report: &mut Report) {
        for (name, layout) in &facts.structs {
            let target = match self.bindings.aliases.get(name) {
                Some(Type::Named(target)) => target,
                _ => name,
            };
            if self.bindings.members.get(target).is_none_or(|members| is_opaque(members)) {
                continue;
            }
            let declared = self.bindings.layouts.get(target);
            let size = declared.map(|declared| (declared.size, declared.align));
            let right = size == Some((layout.size, layout.align));
            report.fact("sizes", right, || {
                format!(
                    "{name}: size and alignment {size:?} where illumos has ({}, {})",
                    layout.size, layout.align
                )
            });
            *report.compared.entry("alignments").or_default() += 1;
            self.members(name, target, layout, report);
        }
    }

    fn members(&self, name: &str, target: &str, layout: &Layout, report: &mut Report) {
        let declared = &self.bindings.members[target];
        let none = BTreeMap::new();
        let offsets = self.bindings.layouts.get(target).map_or(&none, |layout| &layout.offsets);
        for member in &layout.members {
            let found = declared
                .iter()
                .find(|(declared, _)| declared.trim_end_matches('_') == member.name.trim_end_matches('_'));
            let Some((field, ty)) = found else {
                report.fact("offsets", false, || format!("{name} has no member {}", member.name));
                continue;
            };
            let offset = offsets.get(field.as_str());
            report.fact("offsets", offset == Some(&member.offset), || {
                format!("{name}.{}: offset {offset:?} where illumos has {}", member.name, member.offset)
            });
            let size = self.resolve(ty).size(&self.sizes);
            report.fact("member sizes", size == Some(member.size), || {
                format!("{name}.{}: {size:?} bytes where illumos has {}", member.name, member.size)
            });
            if !["struct", "union"].contains(&member.ty.as_str()) {
                report.fact("member types", self.same(&member.ty, ty), || {
                    format!("{name}.{}: {} where illumos has {}", member.name, self.resolve(ty), member.ty)
                });
            }
        }
        let known: BTreeSet<_> =
            layout.members.iter().map(|member| member.name.trim_end_matches('_')).collect();
        for (field, _) in declared {
            if !known.contains(field.trim_end_matches('_')) {
                report.wrong.push(format!("{name}: illumos has no member {field}"));
            }
        }
    }

    fn constants(&self, facts: &Facts, report: &mut Report) {
        for (name, value) in &self.bindings.constants {
            match (value, facts.numbers.get(name), facts.strings.get(name)) {
                (Value::Number(have), Some(want), _) => report.fact("constants", have == want, || {
                    format!("{name}: {have:#x} where illumos has {want:#x}")
                }),
                (Value::Text(have), _, Some(want)) => report.fact("constants", have == want, || {
                    format!("{name}: {have:?} where illumos has {want:?}")
                }),
                _ if UNLISTED.contains(&name.as_str()) => {}
                _ => report.wrong.push(format!("{name}: illumos has no such constant")),
            }
        }
    }

    fn functions(&self, facts: &Facts, report: &mut Report) {
        let kernel: BTreeSet<&str> = KERNEL.lines().chain(STUBS.lines()).collect();
        for (name, (params, result, variadic)) in &self.bindings.functions {
            let known = kernel.contains(name.as_str()) || UNNAMED.contains(&name.as_str());
            report.fact("names in the kernel", known, || format!("{name}: the kernel has no such symbol"));
            if UNMEASURED.contains(&name.as_str()) {
                continue;
            }
            let Some(Prototype { returns, params: wanted, variadic: more }) = facts.functions.get(name)
            else {
                report.wrong.push(format!("{name}: illumos has no such function"));
                continue;
            };
            report.fact("results", self.same(returns, result), || {
                format!("{name}: result {} where illumos has {returns}", self.resolve(result))
            });
            let wanted = wanted.clone().unwrap_or_default();
            report.fact("parameter lists", wanted.len() == params.len() && variadic == more, || {
                format!("{name}: {} parameters where illumos has {}", params.len(), wanted.len())
            });
            for (index, (have, want)) in params.iter().zip(&wanted).enumerate() {
                report.fact("parameters", self.same(want, have), || {
                    format!(
                        "{name}: parameter {} is {} where illumos has {want}",
                        index + 1,
                        self.resolve(have)
                    )
                });
            }
        }
    }

    fn data(&self, facts: &Facts, report: &mut Report) {
        for (name, (ty, writable)) in &self.bindings.statics {
            if UNMEASURED.contains(&name.as_str()) {
                continue;
            }
            let Some(want) = facts.data.get(name) else {
                report.wrong.push(format!("{name}: illumos has no such data symbol"));
                continue;
            };
            // What a pointer points to may be constant when the pointer is not.
            let constant = want.starts_with("const ") && !want.ends_with('*');
            report.fact("data symbols", self.same(want, ty) && constant != *writable, || {
                format!(
                    "{name}: {}{} where illumos has {want}",
                    if *writable { "" } else { "const " },
                    self.resolve(ty)
                )
            });
        }
    }
}

/// bindgen's stand-in for a structure that is only declared.
fn is_opaque(members: &[(String, Type)]) -> bool {
    matches!(members, [(name, _)] if name == "_unused")
}
