//! Registers that a kernel module must not use: the vector and floating-point registers, which the kernel does not save for
//! drivers, so that a process's own values are lost; and `%fs`, which is the process's.
//!
//! The kernel loads such a module without a word. So does the loader, which says so: [`warnings`].

use std::collections::BTreeMap;

use iced_x86::{CpuidFeature, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Register};

use object::elf::STT_FUNC;

use crate::elf::{Object, plain};
use crate::finding::Rule;

/// Something that an instruction uses and a module must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forbidden {
    /// A register of SSE, AVX or its kin.
    Vector,
    /// x87 or MMX, or what saves and restores such state.
    FloatingPoint,
    /// `%fs`.
    Fs,
    /// The place where Linux's kernel keeps the stack protector's guard: illumos's has a field of its cpu structure there.
    Guard,
}

impl Forbidden {
    /// The rule that this breaks.
    pub fn rule(self) -> Rule {
        match self {
            Forbidden::Vector | Forbidden::FloatingPoint => Rule::FloatingPoint,
            Forbidden::Fs | Forbidden::Guard => Rule::FsSegment,
        }
    }

    /// Returns the problem, and the option that avoids it.
    pub fn advice(self) -> &'static str {
        match self {
            Forbidden::Vector => {
                "uses a vector register, which the kernel does not save for drivers; compile with -mgeneral-regs-only"
            }
            Forbidden::FloatingPoint => {
                "uses the floating-point unit, whose state is the process's; compile with -mgeneral-regs-only"
            }
            Forbidden::Fs => "uses %fs, which is the process's",
            Forbidden::Guard => {
                "takes %gs:0x28 for the stack protector's guard, as Linux's kernel has it; compile with -mstack-protector-guard=global"
            }
        }
    }
}

/// Returns the forbidden registers that an instruction uses.
pub fn forbidden(instruction: &Instruction, factory: &mut InstructionInfoFactory) -> Vec<Forbidden> {
    use CpuidFeature::{FPU, FPU287, FPU287XL_ONLY, FPU387, FPU387SL_ONLY, FXSR, MMX, XSAVE};
    const FLOATING: [CpuidFeature; 8] = [FPU, FPU287, FPU287XL_ONLY, FPU387, FPU387SL_ONLY, FXSR, MMX, XSAVE];
    let mut found = Vec::new();
    let mut add = |what| {
        if !found.contains(&what) {
            found.push(what);
        }
    };
    if instruction.cpuid_features().iter().any(|feature| FLOATING.contains(feature)) {
        add(Forbidden::FloatingPoint);
    }
    for used in factory.info(instruction).used_registers() {
        let register = used.register();
        if register.is_vector_register() || register.is_k() {
            add(Forbidden::Vector);
        } else if register.is_mm() || register.is_st() {
            add(Forbidden::FloatingPoint);
        } else if register == Register::FS {
            add(Forbidden::Fs);
        }
    }
    let absolute =
        instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    if absolute && instruction.memory_segment() == Register::GS && instruction.memory_displacement64() == 0x28
    {
        add(Forbidden::Guard);
    }
    found
}

/// One warning for each kind of thing, with the places where functions do it first.
pub fn warnings(object: &Object) -> Vec<String> {
    let mut found: BTreeMap<Forbidden, Vec<String>> = BTreeMap::new();
    let mut factory = InstructionInfoFactory::new();
    for symbol in object.symbols.iter().filter(|s| s.kind == STT_FUNC && s.size != 0) {
        let Some(section) = object.sections.get(usize::from(symbol.section)).filter(|s| s.executable())
        else {
            continue;
        };
        let (Ok(start), Ok(len)) = (usize::try_from(symbol.value), usize::try_from(symbol.size)) else {
            continue;
        };
        let Some(code) = start.checked_add(len).and_then(|end| object.contents(section).get(start..end))
        else {
            continue;
        };
        let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
        let bad =
            std::iter::from_fn(|| decoder.can_decode().then(|| decoder.decode())).find_map(|instruction| {
                Some((instruction.ip(), *forbidden(&instruction, &mut factory).first()?))
            });
        if let Some((offset, what)) = bad {
            found.entry(what).or_default().push(format!("{}+{offset:#x}", plain(&symbol.name)));
        }
    }
    found
        .into_iter()
        .map(|(what, places)| match &places[..] {
            [first, _, _, _, rest @ ..] => {
                format!("{first} and {} more: {}", rest.len() + 3, what.advice())
            }
            few => format!("{}: {}", few.join(", "), what.advice()),
        })
        .collect()
}
