//! The instructions: what must not be among them, and what they say about calls and stack frames.
//!
//! Each function is swept once, from its first byte to its last. The depth of the stack is followed through pushes,
//! subtractions and jumps; where that is not possible the largest depth so far is taken. Calls count only where control
//! gets from the function's beginning: what is left of unwinding (landing pads) does not call anything.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, InstructionInfoFactory, MemorySize,
    Mnemonic, NasmFormatter, OpKind, Register,
};

use super::registers;
use object::elf::STT_FUNC;

use crate::elf::{Object, Rela, plain};
use crate::finding::{Findings, Rule, Severity};

/// Where a call or reference leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A place in a section of the module.
    Inside(usize, u64),
    /// A symbol of the kernel or another module.
    Outside(String),
}

/// A function and what it does.
pub struct Function {
    /// Its symbol's name.
    pub name: String,
    /// Its section.
    pub section: usize,
    /// Its first byte.
    pub start: u64,
    /// The byte behind it.
    pub end: u64,
    /// Direct calls and jumps out of it, and functions whose address it takes.
    pub leads_to: BTreeSet<Target>,
    /// Bytes of stack, the return address included.
    pub frame: u64,
    /// Whether the frame also depends on data.
    pub dynamic: bool,
    /// Whether it ever returns.
    pub returns: bool,
}

/// Disassembles everything that is loaded as code.
pub fn check(object: &Object, findings: &mut Findings) -> Vec<Function> {
    let mut relocations: BTreeMap<(usize, u64), &Rela> = BTreeMap::new();
    for relocation in &object.relocations {
        relocations.insert((relocation.target, relocation.offset), relocation);
    }
    let mut functions = ranges(object);
    let mut count = 0;
    let code = Code { object, relocations, tables: tables(object) };
    let mut no_return: BTreeSet<Target> =
        ["panic", "vpanic", "thread_exit"].map(|name| Target::Outside(name.to_owned())).into();
    let bodies: Vec<Vec<Instruction>> =
        functions.iter().map(|function| code.decode(function, findings)).collect();
    // Whoever only calls what does not return, does not return either: those that lead to one are looked at again.
    let mut callers: BTreeMap<Target, Vec<usize>> = BTreeMap::new();
    for (index, (function, body)) in functions.iter().zip(&bodies).enumerate() {
        for target in body.iter().filter_map(|instruction| code.target(function.section, instruction)) {
            callers.entry(target).or_default().push(index);
        }
    }
    let mut open: Vec<usize> = (0..functions.len()).collect();
    while let Some(index) = open.pop() {
        let function = &mut functions[index];
        if function.returns && !code.returns(function, &bodies[index], &no_return) {
            function.returns = false;
            let itself = Target::Inside(function.section, function.start);
            open.extend(callers.get(&itself).into_iter().flatten());
            no_return.insert(itself);
        }
    }
    for (function, body) in functions.iter_mut().zip(&bodies) {
        Sweep { code: &code, findings, depths: BTreeMap::new() }.run(function, body, &no_return);
        count += body.len();
    }
    findings.fact(Rule::Undecodable, format!("{count} instructions in {} functions", functions.len()));
    functions
}

/// Functions by their symbols, and what lies between them and is not padding.
fn ranges(object: &Object) -> Vec<Function> {
    let mut functions = Vec::new();
    for (section, code) in object.sections.iter().enumerate().filter(|(_, section)| section.is_code()) {
        let limit = object.contents(code).len() as u64;
        let mut starts: BTreeMap<u64, (u64, &str)> = BTreeMap::new();
        for symbol in &object.symbols {
            if usize::from(symbol.section) == section && symbol.kind == STT_FUNC && symbol.value < limit {
                let entry = starts.entry(symbol.value).or_insert((symbol.size, &symbol.name));
                entry.0 = entry.0.max(symbol.size);
            }
        }
        let mut at = 0;
        let mut list: Vec<(u64, u64, String)> = Vec::new();
        let nexts = starts.keys().copied().skip(1).chain([limit]);
        for ((start, (size, name)), next) in starts.iter().zip(nexts) {
            if *start > at {
                list.push((at, *start, format!("{}+{at:#x}", code.name)));
            }
            // A symbol without a size is a function that ends where the next one begins.
            let end = if *size == 0 { next } else { start.saturating_add(*size).min(limit) };
            list.push((*start, end, (*name).to_owned()));
            at = at.max(end);
        }
        if at < limit {
            list.push((at, limit, format!("{}+{at:#x}", code.name)));
        }
        for (start, end, name) in list {
            let gap = name.starts_with(&format!("{}+", code.name));
            if gap && is_padding(&object.contents(code)[start as usize..end as usize]) {
                continue;
            }
            functions.push(Function {
                name,
                section,
                start,
                end,
                leads_to: BTreeSet::new(),
                frame: 8,
                dynamic: false,
                returns: true,
            });
        }
    }
    functions
}

/// Places in code to which loaded data refer: jump tables, and functions.
fn tables(object: &Object) -> BTreeSet<(usize, u64)> {
    let target = |relocation: &Rela| {
        let symbol = &object.symbols[relocation.symbol];
        let offset = (symbol.value as i64).wrapping_add(relocation.addend) as u64;
        symbol.is_defined().then_some((usize::from(symbol.section), offset))
    };
    let in_code = |relocation: &&Rela| object.sections[relocation.target].is_code();
    // Where tables may begin: what code refers to.
    let begins: BTreeSet<(usize, u64)> =
        object.relocations.iter().filter(in_code).filter_map(target).collect();
    let data = object.relocations.iter().filter(|relocation| !in_code(relocation));
    let data =
        data.filter(|relocation| !object.sections[relocation.target].name.starts_with(".gcc_except_table"));
    let places = data.filter_map(|relocation| {
        let (section, offset) = target(relocation)?;
        if relocation.kind != 2 {
            return Some((section, offset));
        }
        // An entry of a table of distances from the table's beginning.
        let place = (relocation.target, relocation.offset);
        let begin = begins.range(..=place).next_back().filter(|begin| begin.0 == relocation.target)?;
        Some((section, offset.wrapping_sub(relocation.offset - begin.1)))
    });
    places.collect()
}

/// Whether bytes between functions are fillers.
fn is_padding(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
    bytes.iter().all(|byte| *byte == 0)
        || decoder.iter().all(|instruction| {
            matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3 | Mnemonic::INVALID)
        })
}

/// What every look at an instruction needs.
struct Code<'a> {
    object: &'a Object,
    relocations: BTreeMap<(usize, u64), &'a Rela>,
    /// Places to which data refer.
    tables: BTreeSet<(usize, u64)>,
}

struct Sweep<'a> {
    code: &'a Code<'a>,
    findings: &'a mut Findings,
    /// Depth of the stack at the targets of jumps that were seen.
    depths: BTreeMap<u64, i64>,
}

/// How deep the stack is, and whether that is known for sure.
struct Depth {
    now: i64,
    most: i64,
    known: bool,
    /// The depth to which `%rbp` points, once it is the frame pointer.
    frame_pointer: Option<i64>,
}

impl Code<'_> {
    fn decode(&self, function: &Function, findings: &mut Findings) -> Vec<Instruction> {
        let code = self.object.contents(&self.object.sections[function.section]);
        let code = &code[function.start as usize..function.end as usize];
        let decoder = Decoder::with_ip(64, code, function.start, DecoderOptions::NONE);
        let mut instructions: Vec<Instruction> = decoder.into_iter().collect();
        if let Some(end) = instructions.iter().position(Instruction::is_invalid) {
            let place = self.object.place(function.section, instructions[end].ip());
            findings.add(Severity::Warning, Rule::Undecodable, format!("{place}: the rest is not checked"));
            instructions.truncate(end);
        }
        instructions
    }

    /// Whether a function can come to an instruction that leaves it for good.
    fn returns(&self, function: &Function, body: &[Instruction], no_return: &BTreeSet<Target>) -> bool {
        let reached = self.reached(function, body, no_return);
        body.iter().filter(|instruction| reached.contains(&instruction.ip())).any(|instruction| {
            match instruction.flow_control() {
                FlowControl::Return | FlowControl::IndirectBranch => true,
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                    let target = self.target(function.section, instruction);
                    target.is_none_or(|target| match target {
                        Target::Inside(section, offset)
                            if section == function.section
                                && (function.start..function.end).contains(&offset) =>
                        {
                            false
                        }
                        target => !no_return.contains(&target),
                    })
                }
                _ => false,
            }
        })
    }

    /// Where an instruction leads, or the function whose address it takes.
    fn target(&self, section: usize, instruction: &Instruction) -> Option<Target> {
        let (from, to) = (instruction.ip(), instruction.next_ip());
        if let Some((_, relocation)) = self.relocations.range((section, from)..(section, to)).next() {
            let symbol = &self.object.symbols[relocation.symbol];
            if !symbol.is_defined() {
                return (instruction.flow_control() != FlowControl::Next)
                    .then(|| Target::Outside(symbol.name.clone()));
            }
            // A pc-relative field counts from the next instruction.
            let behind =
                if [2, 4, 24].contains(&relocation.kind) { (to - relocation.offset) as i64 } else { 0 };
            let offset = (symbol.value as i64).wrapping_add(relocation.addend).wrapping_add(behind) as u64;
            let code = self
                .object
                .sections
                .get(usize::from(symbol.section))
                .is_some_and(|section| section.is_code());
            return code.then_some(Target::Inside(usize::from(symbol.section), offset));
        }
        let branches = instruction.op_count() > 0 && instruction.op0_kind() == OpKind::NearBranch64;
        branches.then(|| Target::Inside(section, instruction.near_branch_target()))
    }

    /// Where a jump leads in its own section.
    fn jump(&self, section: usize, instruction: &Instruction) -> Option<u64> {
        match self.target(section, instruction) {
            Some(Target::Inside(to, offset)) if to == section => Some(offset),
            _ => None,
        }
    }

    /// The instructions to which control gets from the function's beginning, or from a jump table.
    fn reached(
        &self,
        function: &Function,
        body: &[Instruction],
        no_return: &BTreeSet<Target>,
    ) -> BTreeSet<u64> {
        let range = (function.section, function.start)..(function.section, function.end);
        let cases =
            self.tables.range(range).map(|(_, offset)| *offset).filter(|offset| *offset != function.start);
        let cases: Vec<u64> = cases.collect();
        let jumps = body.iter().any(|instruction| instruction.flow_control() == FlowControl::IndirectBranch);
        let mut reached = BTreeSet::new();
        if jumps && cases.is_empty() {
            // A jump through a table that is not recognised: anything may be its target.
            reached.extend(body.iter().map(Instruction::ip));
            return reached;
        }
        let mut from = vec![function.start];
        from.extend(cases);
        while let Some(start) = from.pop() {
            let Ok(first) = body.binary_search_by_key(&start, Instruction::ip) else { continue };
            for instruction in &body[first..] {
                if !reached.insert(instruction.ip()) {
                    break;
                }
                let goes_on = match instruction.flow_control() {
                    FlowControl::ConditionalBranch => {
                        from.extend(self.jump(function.section, instruction));
                        true
                    }
                    FlowControl::UnconditionalBranch => {
                        from.extend(self.jump(function.section, instruction));
                        false
                    }
                    FlowControl::IndirectBranch | FlowControl::Return | FlowControl::Exception => false,
                    FlowControl::Call => self
                        .target(function.section, instruction)
                        .is_none_or(|target| !no_return.contains(&target)),
                    _ => true,
                };
                if !goes_on {
                    break;
                }
            }
        }
        reached
    }
}

impl Sweep<'_> {
    /// Sweeps one function.
    fn run(mut self, function: &mut Function, body: &[Instruction], no_return: &BTreeSet<Target>) {
        let reached = self.code.reached(function, body, no_return);
        let mut factory = InstructionInfoFactory::new();
        let mut depth = Depth { now: 0, most: 0, known: true, frame_pointer: None };
        for instruction in body {
            if let Some(recorded) = self.depths.get(&instruction.ip()) {
                (depth.now, depth.known) = (*recorded, true);
            }
            for what in registers::forbidden(instruction, &mut factory) {
                self.complain(what.rule(), function, instruction, what.advice());
            }
            if reached.contains(&instruction.ip()) {
                self.references(function, instruction);
            }
            self.red_zone(function, instruction, &depth);
            self.stack(function, instruction, &mut depth);
        }
        function.frame = 8 + u64::try_from(depth.most).unwrap_or(0);
    }

    fn complain(&mut self, rule: Rule, function: &Function, instruction: &Instruction, advice: &str) {
        let mut text = String::new();
        NasmFormatter::new().format(instruction, &mut text);
        self.findings.unfit(
            rule,
            format!("{text} at {}: {advice}", self.code.object.place(function.section, instruction.ip())),
        );
    }

    /// Calls, jumps out of the function, and addresses of functions.
    fn references(&mut self, function: &mut Function, instruction: &Instruction) {
        if let Some(target) = self.code.target(function.section, instruction) {
            let leaves = match &target {
                Target::Inside(section, offset) => {
                    *section != function.section
                        || !(function.start..function.end).contains(offset)
                        || instruction.is_call_near()
                }
                Target::Outside(_) => true,
            };
            if leaves {
                function.leads_to.insert(target);
            }
        }
    }

    /// Memory below the stack pointer belongs to whoever interrupts.
    fn red_zone(&mut self, function: &Function, instruction: &Instruction, depth: &Depth) {
        let touches =
            (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory);
        if !touches
            || matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop)
            || instruction.memory_size() == MemorySize::Unknown
        {
            return;
        }
        let displacement = instruction.memory_displacement64() as i64;
        let below = match (instruction.memory_base(), depth.frame_pointer) {
            (Register::RSP, _) => displacement < 0,
            (Register::RBP, Some(at)) if depth.known && instruction.memory_index() == Register::None => {
                displacement < 0 && at - displacement > depth.now
            }
            _ => false,
        };
        if below {
            let advice = "below the stack pointer, where interrupts write; compile with -mno-red-zone";
            self.complain(Rule::RedZone, function, instruction, advice);
        }
    }

    /// Follows the depth of the stack over one instruction.
    fn stack(&mut self, function: &mut Function, instruction: &Instruction, depth: &mut Depth) {
        let to_stack_pointer = instruction.op_count() > 0 && instruction.op0_register() == Register::RSP;
        let immediate = |operand| {
            matches!(instruction.op_kind(operand), OpKind::Immediate8to64 | OpKind::Immediate32to64)
        };
        match instruction.mnemonic() {
            Mnemonic::Push | Mnemonic::Pushfq => depth.now += 8,
            Mnemonic::Pop | Mnemonic::Popfq => depth.now -= 8,
            Mnemonic::Leave => depth.now = depth.frame_pointer.map_or(0, |at| at - 8),
            Mnemonic::Mov
                if instruction.op0_register() == Register::RBP
                    && instruction.op1_register() == Register::RSP =>
            {
                depth.frame_pointer = Some(depth.now);
            }
            Mnemonic::Sub if to_stack_pointer && immediate(1) => depth.now += instruction.immediate(1) as i64,
            Mnemonic::Add if to_stack_pointer && immediate(1) => depth.now -= instruction.immediate(1) as i64,
            // Aligning the stack costs at most the alignment.
            Mnemonic::And if to_stack_pointer && immediate(1) => {
                depth.now += (instruction.immediate(1) as i64).wrapping_neg().max(8) - 8;
                depth.known = false;
            }
            Mnemonic::Lea if to_stack_pointer => match (instruction.memory_base(), depth.frame_pointer) {
                (Register::RBP, Some(at)) => depth.now = at - instruction.memory_displacement64() as i64,
                (Register::RSP, _) if instruction.memory_index() == Register::None => {
                    depth.now -= instruction.memory_displacement64() as i64;
                }
                _ => function.dynamic = true,
            },
            Mnemonic::Mov if to_stack_pointer => match (instruction.op1_register(), depth.frame_pointer) {
                (Register::RBP, Some(at)) => depth.now = at,
                // A saved stack pointer, after something of variable size.
                _ => depth.known = false,
            },
            Mnemonic::Sub if to_stack_pointer => {
                (function.dynamic, depth.known) = (true, false);
            }
            _ => {}
        }
        depth.now = depth.now.max(0);
        depth.most = depth.most.max(depth.now);
        match instruction.flow_control() {
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                let target = self.code.jump(function.section, instruction);
                let target = target.filter(|target| (function.start..function.end).contains(target));
                if let Some(target) = target.filter(|_| depth.known) {
                    self.depths.entry(target).or_insert(depth.now);
                }
                if instruction.flow_control() == FlowControl::UnconditionalBranch {
                    (depth.now, depth.known) = (depth.most, false);
                }
            }
            // What follows is reached from elsewhere.
            FlowControl::Return
            | FlowControl::IndirectBranch
            | FlowControl::Exception
            | FlowControl::Interrupt => {
                (depth.now, depth.known) = (depth.most, false);
            }
            _ => {}
        }
    }
}

/// The name of a function for a reader.
pub fn shown(function: &Function) -> String {
    plain(&function.name)
}
