//! Resolves a module's symbols and relocates it, in krtld's order: its own definitions, the direct dependencies in the order named, the
//! kernel. Probe sites are patched out and recorded on the way.
//!
//! Locking: none; the module is not yet known to anybody.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use object::elf::{DF_1_IGNMULDEF, STT_FUNC};

use crate::check::relocations::{WEAK_RELATIVE, site};
use crate::elf::{Binding, ENTRY_POINTS, Object, PROBE, Rela, is_patched_out};
use crate::error::{Missing, Problem, Why};
use crate::finding::{Finding, Rule, Severity};
use crate::image::Image;
use crate::kernel::{self, Export, Kernel};
use crate::missing;
use crate::module::Module;
use crate::probes;
use crate::reloc;
use crate::stubs;

/// A call of a static DTrace probe, replaced by five nops, or by a call of what the kernel has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name as DTrace shows it ("map-done").
    pub name: String,
    /// The function that holds it.
    pub function: String,
    /// Address of the second byte of the site, which DTrace would overwrite to enable it.
    pub address: usize,
}

/// What a symbol index stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// This value; `constant` when it is no address.
    Is { value: i64, constant: bool },
    /// A local symbol in a section that is not loaded.
    NotLoaded,
    /// Undefined and weak: relocations that use it are not applied.
    WeakNowhere,
    /// A probe: the call is patched out, or goes to this address.
    Probe(Option<usize>),
    /// `smap_enable`, `smap_disable`: the call is patched out, nothing is recorded.
    Nops,
    /// Undefined, not found.
    Missing,
}

/// The result of resolving and relocating.
pub struct Linked {
    /// The relocated image.
    pub image: Image,
    /// Address or value of each symbol; None for undefined ones.
    pub values: Vec<Option<i64>>,
    /// Probe sites.
    pub probes: Vec<Probe>,
    /// Console messages.
    pub warnings: Vec<String>,
}

struct Linker<'a> {
    object: &'a Object,
    depends: &'a [Arc<Module>],
    kernel: &'a dyn Kernel,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    probes: Vec<Probe>,
}

/// Places, resolves and relocates `object`.
///
/// # Errors
/// Everything that is wrong: all undefined symbols, all relocations.
pub fn link(object: &Object, depends: &[Arc<Module>], kernel: &dyn Kernel) -> Result<Linked, Vec<Problem>> {
    let mut linker = Linker { object, depends, kernel, problems: vec![], warnings: vec![], probes: vec![] };
    linker.link()
}

impl Linker<'_> {
    fn link(&mut self) -> Result<Linked, Vec<Problem>> {
        // Common symbols: an outer definition wins, the others get space.
        let mut outer: HashMap<usize, Value> = HashMap::new();
        let mut own_common = Vec::new();
        let mut system = Vec::new();
        for (index, symbol) in self.object.symbols.iter().enumerate() {
            if symbol.name.is_empty() || !symbol.external() || !(symbol.undefined() || symbol.common()) {
                continue;
            }
            match self.lookup(&symbol.name) {
                Ok(Some(value)) => {
                    if symbol.common() {
                        self.warnings.push(format!(
                            "{}: the tentative definition becomes the one of a dependency or the kernel; compile with -fno-common",
                            symbol.name
                        ));
                    }
                    outer.insert(index, Value::Is { value, constant: false });
                }
                Ok(None) if symbol.common() => own_common.push(index),
                Ok(None) => match self.allowed(index) {
                    Ok(Some(value)) => _ = outer.insert(index, Value::Is { value, constant: false }),
                    Ok(None) => {}
                    Err(error) => system.push(Problem::System(format!("{}: {error}", symbol.name))),
                },
                Err(error) => system.push(Problem::System(format!("{}: {error}", symbol.name))),
            }
        }
        if !system.is_empty() {
            return Err(system);
        }
        let sizes: Vec<(u64, u64)> = own_common
            .iter()
            .map(|&index| (self.object.symbols[index].size, self.object.symbols[index].value))
            .collect();
        let (mut image, places) = Image::new(self.object, &sizes).map_err(|problem| vec![problem])?;
        for (index, place) in own_common.into_iter().zip(places) {
            outer.insert(index, Value::Is { value: place as i64, constant: false });
        }

        let values: Vec<Value> =
            (0..self.object.symbols.len()).map(|i| self.value(i, &outer, &image)).collect();
        self.report_missing(&values);
        self.report_multiply_defined();
        for rela in &self.object.relocations {
            self.relocate(rela, &values, &mut image);
        }
        if !self.problems.is_empty() {
            return Err(std::mem::take(&mut self.problems));
        }
        image.seal().map_err(|problem| vec![problem])?;
        let values = values
            .into_iter()
            .map(|value| match value {
                Value::Is { value, .. } => Some(value),
                _ => None,
            })
            .collect();
        Ok(Linked {
            image,
            values,
            probes: std::mem::take(&mut self.probes),
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    /// A name outside the module: dependencies in order, then the kernel. Functions and data of the kernel get an address within reach.
    fn lookup(&self, name: &str) -> std::io::Result<Option<i64>> {
        for module in self.depends {
            if let Some(address) = module.exported(name) {
                return Ok(Some(address as i64));
            }
        }
        let address = match self.kernel.lookup(name) {
            None => return Ok(None),
            Some(Export::Function(address)) => stubs::function(name, address)?,
            // SAFETY: the kernel's table vouches for the variable's address and size; such variables live as long as the process and are
            // set before the first module is loaded.
            Some(Export::Data { address, size }) => unsafe { stubs::data(address, size) }?,
        };
        Ok(Some(address as i64))
    }

    /// What stands for a function that nobody has, when modules may be without.
    fn allowed(&mut self, index: usize) -> std::io::Result<Option<i64>> {
        let symbol = &self.object.symbols[index];
        let known_otherwise = is_patched_out(&symbol.name) || symbol.binding == Binding::Weak;
        let Some(instead) = self.kernel.missing() else { return Ok(None) };
        if known_otherwise || !missing::is_function(self.object, index) {
            return Ok(None);
        }
        let why = why_missing(&symbol.name);
        let address = missing::function(&symbol.name, why, instead)?;
        let users = self.object.relocations.iter().filter(|rela| rela.symbol == index);
        let users: BTreeSet<String> =
            users.map(|rela| self.object.function_at(rela.target, rela.offset)).collect();
        let missing = Missing { name: symbol.name.clone(), why, users: users.into_iter().collect() };
        self.warnings.push(format!("{missing}; the run ends at its first call"));
        Ok(Some(address as i64))
    }

    fn value(&self, index: usize, outer: &HashMap<usize, Value>, image: &Image) -> Value {
        let symbol = &self.object.symbols[index];
        if index == 0 {
            return Value::Is { value: 0, constant: true };
        }
        if let Some(&value) = outer.get(&index) {
            return value;
        }
        if symbol.undefined() {
            return if symbol.name.starts_with(PROBE) {
                Value::Probe(self.probe(&symbol.name))
            } else if is_patched_out(&symbol.name) {
                Value::Nops
            } else if symbol.binding == Binding::Weak {
                Value::WeakNowhere
            } else {
                Value::Missing
            };
        }
        if symbol.is_absolute() {
            return Value::Is { value: symbol.value as i64, constant: true };
        }
        match image.section(usize::from(symbol.section)) {
            Some(address) => {
                Value::Is { value: (address as i64).wrapping_add(symbol.value as i64), constant: false }
            }
            None => Value::NotLoaded,
        }
    }

    /// The address that a probe's sites call, if the kernel wants it.
    fn probe(&self, symbol: &str) -> Option<usize> {
        let imports = |name: &str| self.object.symbols.iter().any(|s| s.undefined() && s.name == name);
        let fired = self.kernel.probe(&probe_name(symbol), &imports)?;
        // Without room for a stub it is not told of.
        probes::stub(fired).ok()
    }

    /// All undefined symbols that nobody has, with the functions that refer to them.
    fn report_missing(&mut self, values: &[Value]) {
        let mut users: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (symbol, value) in self.object.symbols.iter().zip(values) {
            if *value == Value::Missing && symbol.external() {
                users.entry(&symbol.name).or_default();
            }
        }
        for rela in &self.object.relocations {
            let symbol = self.object.symbols.get(rela.symbol);
            if let Some(users) = symbol.and_then(|s| users.get_mut(s.name.as_str()))
                && values[rela.symbol] == Value::Missing
            {
                users.insert(self.object.function_at(rela.target, rela.offset));
            }
        }
        for (name, users) in users {
            let why = why_missing(name);
            let missing = Missing { name: name.to_owned(), why, users: users.into_iter().collect() };
            self.problems.push(Problem::Missing(missing));
        }
    }

    fn report_multiply_defined(&mut self) {
        if self.object.flags_1 & DF_1_IGNMULDEF.0 != 0 {
            return;
        }
        for symbol in &self.object.symbols {
            let defines = !symbol.undefined() && !symbol.common() && symbol.binding == Binding::Global;
            if !defines || symbol.name.is_empty() || kernel::may_redefine(&symbol.name) {
                continue;
            }
            if ENTRY_POINTS.contains(&symbol.name.as_str()) {
                continue;
            }
            let elsewhere = self.depends.iter().find(|m| m.exports_globally(&symbol.name));
            let whose = match elsewhere {
                Some(module) => module.name().to_owned(),
                None if kernel::illumos_has(&symbol.name) => "the kernel".to_owned(),
                None => continue,
            };
            self.warnings.push(format!(
                "'{}' multiply defined: the module's own is used inside it, {whose}'s elsewhere",
                symbol.name
            ));
        }
    }

    /// Applies a relocation whose type, place and symbol are right ([`Object`]'s invariants); what its value is shows here.
    fn relocate(&mut self, rela: &Rela, values: &[Value], image: &mut Image) {
        let base = image.section(rela.target).expect("only relocations of loaded sections are read");
        let place = base + rela.offset as usize;
        let field = reloc::field(rela.kind);
        let (value, field) = match (values[rela.symbol], field) {
            (value @ (Value::Probe(_) | Value::Nops), _) => {
                // Five bytes: a direct call, of which the field is the last four.
                let site = image.bytes_mut(place - 1, 5);
                match value {
                    // Both are below 2 GiB.
                    Value::Probe(Some(called)) if site[0] == CALL => {
                        let distance = (called as i64).wrapping_sub(place as i64 + 4) as i32;
                        site[1..].copy_from_slice(&distance.to_le_bytes());
                    }
                    _ => site.fill(0x90),
                }
                if matches!(value, Value::Probe(_)) {
                    self.record(rela, place);
                }
                return;
            }
            (Value::Is { value, constant }, Ok(field)) => ((value, constant), field),
            (Value::WeakNowhere, Ok(field)) if field.relative() => {
                self.refuse(rela, Rule::WeakReference, WEAK_RELATIVE);
                return;
            }
            _ => return,
        };
        let (symbol, constant) = value;
        let symbol = if field == reloc::Field::Section64 { base as i64 } else { symbol };
        let mut result = symbol.wrapping_add(rela.addend);
        if field.relative() {
            result = result.wrapping_sub(place as i64);
        }
        if let Err(what) = reloc::apply(field, image.bytes_mut(place, field.size()), result, constant) {
            self.refuse(rela, Rule::RelocationPlace, &what.to_string());
        }
    }

    /// Notes a relocation that is refused.
    fn refuse(&mut self, rela: &Rela, rule: Rule, what: &str) {
        let message = site(self.object, rela, what);
        self.problems.push(Problem::Finding(Finding { severity: Severity::Refused, rule, message }));
    }

    /// Notes a probe site that has been patched out.
    fn record(&mut self, rela: &Rela, address: usize) {
        let name = probe_name(&self.object.symbols[rela.symbol].name);
        let function = self.object.function_at(rela.target, rela.offset);
        self.probes.push(Probe { name, function, address });
    }
}

/// The opcode of a direct call.
const CALL: u8 = 0xe8;

/// The name of a probe as DTrace shows it.
fn probe_name(symbol: &str) -> String {
    symbol.strip_prefix(PROBE).unwrap_or(symbol).replace("__", "-")
}

fn why_missing(name: &str) -> Why {
    if kernel::mt_unsafe(name) {
        Why::MtUnsafe
    } else if kernel::illumos_has(name) {
        Why::NotProvided
    } else {
        Why::Unknown
    }
}

/// Functions of an image in order of address, for [`crate::symbolize`].
pub fn functions(object: &Object, values: &[Option<i64>]) -> Vec<(usize, usize, String)> {
    let mut functions: Vec<(usize, usize, String)> = object
        .symbols
        .iter()
        .zip(values)
        .filter(|(symbol, _)| symbol.kind == STT_FUNC && !symbol.undefined() && !symbol.name.is_empty())
        .filter_map(|(symbol, value)| {
            Some((
                usize::try_from((*value)?).ok()?,
                usize::try_from(symbol.size).ok()?,
                crate::elf::plain(&symbol.name),
            ))
        })
        .collect();
    functions.sort();
    functions
}
