//! What a kernel module's instructions must not use: the vector and floating-point registers, which the kernel does not save for
//! drivers, so that a process's own values are lost; and `%fs`, which is the process's.
//!
//! The kernel loads such a module without a word. So does the host, where nothing is lost, but it says so.

use std::collections::BTreeMap;

use iced_x86::{CpuidFeature, Decoder, DecoderOptions, Instruction, OpKind, Register};

use crate::elf::{Object, STT_FUNC, plain};

/// One warning for each kind of thing, with the places where functions do it first.
pub fn warnings(object: &Object) -> Vec<String> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
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
        let bad = std::iter::from_fn(|| decoder.can_decode().then(|| decoder.decode()))
            .find_map(|instruction| Some((instruction.ip(), problem(&instruction)?)));
        if let Some((offset, what)) = bad {
            found.entry(what).or_default().push(format!("{}+{offset:#x}", plain(&symbol.name)));
        }
    }
    found
        .into_iter()
        .map(|(what, places)| match &places[..] {
            [first, _, _, _, rest @ ..] => format!("{first} and {} more: {what}", rest.len() + 3),
            few => format!("{}: {what}", few.join(", ")),
        })
        .collect()
}

fn problem(instruction: &Instruction) -> Option<&'static str> {
    let vector = |r: Register| r.is_xmm() || r.is_ymm() || r.is_zmm() || r.is_k();
    let mut kinds = (0..instruction.op_count()).map(|i| (instruction.op_kind(i), instruction.op_register(i)));
    if kinds.any(|(kind, register)| kind == OpKind::Register && vector(register)) {
        return Some(
            "uses a vector register, which the kernel does not save for drivers; compile with -mgeneral-regs-only",
        );
    }
    let features = instruction.cpuid_features();
    if features.iter().any(|f| matches!(f, CpuidFeature::FPU | CpuidFeature::MMX)) {
        return Some(
            "uses the floating-point unit, whose state is the process's; compile with -mgeneral-regs-only",
        );
    }
    let absolute =
        instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    if instruction.memory_segment() == Register::GS && absolute && instruction.memory_displacement64() == 0x28
    {
        return Some(
            "takes %gs:0x28 for the stack protector's guard, as Linux's kernel has it; compile with -mstack-protector-guard=global",
        );
    }
    let memory = (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
    (memory && instruction.memory_segment() == Register::FS).then_some("uses %fs, which is the process's")
}
