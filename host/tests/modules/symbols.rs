//! What symbols come to: order of resolution, relocated fields, probes, common symbols, kernel functions and data.

use std::sync::Mutex;

use ddi_kernel::kern::calls;
use ddi_krtld::{Fired, Modules, real_data, real_function};
use tempfile::tempdir;

use crate::elf::*;
use crate::kernel::Few;

extern "C" fn forty_two() -> u64 {
    42
}
static HZ: i32 = 100;

/// Calls a function of a module that takes nothing and returns a word.
fn call(modules: &Modules, module: &str, name: &str) -> u64 {
    let address = modules.find(module).unwrap().symbol(name).unwrap();
    let _entered = calls::enter();
    // SAFETY: a function that the test wrote, of this type.
    let function: extern "C" fn() -> u64 = unsafe { std::mem::transmute(address) };
    function()
}

/// mov $n,%eax; ret
fn returns(n: u32) -> Vec<u8> {
    let mut code = vec![0xb8];
    code.extend_from_slice(&n.to_le_bytes());
    code.push(0xc3);
    code
}

#[test]
fn kernel_functions_and_data_are_within_reach() {
    let mut elf = Elf::module();
    let function = elf.undefined("forty_two", GLOBAL);
    let hz = elf.undefined("hz", GLOBAL);
    elf.caller("calls", R_PLT32, function);
    elf.getter64("pointer", R_64, function, 0);
    // mov hz,%eax; ret, absolute and relative to the next instruction
    let at = elf.code(&[0x8b, 0x04, 0x25, 0, 0, 0, 0, 0xc3]);
    elf.symbol("absolute", GLOBAL, FUNC, TEXT as u16, at, 8);
    elf.rela(TEXT, at + 3, R_32S, hz, 0);
    let at = elf.code(&[0x8b, 0x05, 0, 0, 0, 0, 0xc3]);
    elf.symbol("relative", GLOBAL, FUNC, TEXT as u16, at, 7);
    elf.rela(TEXT, at + 2, R_PC32, hz, -4);
    elf.getter64("address", R_64, hz, 0);

    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "reach");
    let (_, modules) =
        Few::default().with("forty_two", forty_two as *const () as usize).data("hz", &HZ).modules(vec![]);
    let module = modules.load(&file).unwrap();
    assert!(module.base() + module.size() < 1 << 31);
    assert_eq!(call(&modules, "reach", "calls"), 42);
    assert_eq!(call(&modules, "reach", "absolute"), 100);
    assert_eq!(call(&modules, "reach", "relative"), 100);
    // What the driver stores in its dev_ops leads back to the host's function; the data symbol to the host's variable.
    let stub = call(&modules, "reach", "pointer") as usize;
    assert_eq!(real_function(stub), forty_two as *const () as usize);
    assert_eq!(real_data(call(&modules, "reach", "address") as usize), &raw const HZ as usize);
}

#[test]
fn the_host_knows_where_in_the_driver_a_call_came_from() {
    extern "C" fn where_from() -> u64 {
        SEEN.lock().unwrap().extend(calls::driver_frames());
        0
    }
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut elf = Elf::module();
    let function = elf.undefined("where_from", GLOBAL);
    // push %rbp; mov %rsp,%rbp; call x; pop %rbp; ret
    let frame = [0x55, 0x48, 0x89, 0xe5, 0xe8, 0, 0, 0, 0, 0x5d, 0xc3];
    let inner = elf.function("inner", &frame);
    let outer = elf.function("outer", &frame);
    let at = elf.symbols[inner as usize].value;
    elf.rela(TEXT, at + 5, R_PLT32, function, -4);
    let at = elf.symbols[outer as usize].value;
    elf.rela(TEXT, at + 5, R_PLT32, inner, -4);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "asker");
    let (_, modules) = Few::default().with("where_from", where_from as *const () as usize).modules(vec![]);
    modules.load(&file).unwrap();
    call(&modules, "asker", "outer");
    assert_eq!(*SEEN.lock().unwrap(), ["asker`inner+0x9", "asker`outer+0x9"]);
    // Outside a call there is nothing to see.
    let _entered = calls::enter();
    assert!(calls::driver_frames().is_empty());
}

#[test]
fn fields_hold_what_was_there_plus_the_value() {
    let mut elf = Elf::module();
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, &7_u64.to_le_bytes());
    let bss = elf.section(".bss", NOBITS, ALLOC | WRITE, &[]);
    elf.sections[bss].size = 64;
    let word = elf.symbol("word", LOCAL, OBJECT, data as u16, 0, 8);
    let constant = elf.symbol("constant", LOCAL, NOTYPE, ABS, 1000, 0);
    let zeroes = elf.symbol("zeroes", LOCAL, OBJECT, bss as u16, 0, 8);
    elf.rela(data, 0, R_64, constant, 30);
    // mov word,%rax; ret
    for (name, symbol) in [("read_word", word), ("read_zeroes", zeroes)] {
        let at = elf.code(&[0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0xc3]);
        elf.symbol(name, GLOBAL, FUNC, TEXT as u16, at, 9);
        elf.rela(TEXT, at + 4, R_32S, symbol, 0);
    }
    elf.getter64("distance", R_PC64, word, 0);
    elf.rela(TEXT, 0, R_NONE, 0, 0);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "adds");
    let (_, modules) = Few::default().modules(vec![]);
    let module = modules.load(&file).unwrap();
    assert_eq!(call(&modules, "adds", "read_word"), 1037);
    assert_eq!(call(&modules, "adds", "read_zeroes"), 0);
    let field = module.symbol("distance").unwrap() + 2;
    let distance = call(&modules, "adds", "distance") as usize;
    assert_eq!(field.wrapping_add(distance), module.symbol("word").unwrap());
}

#[test]
fn a_weak_reference_finds_the_kernels_function_or_reads_what_the_file_holds() {
    let mut elf = Elf::module();
    let there = elf.undefined("forty_two", WEAK);
    let nowhere = elf.undefined("nowhere", WEAK);
    elf.getter64("there", R_64, there, 0);
    elf.getter64("nowhere_at_all", R_64, nowhere, 0);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "weak");
    let (_, modules) = Few::default().with("forty_two", forty_two as *const () as usize).modules(vec![]);
    modules.load(&file).unwrap();
    assert_ne!(call(&modules, "weak", "there"), 0);
    assert_eq!(call(&modules, "weak", "nowhere_at_all"), 0);
}

#[test]
fn own_definitions_then_dependencies_in_order_then_the_kernel() {
    let dir = tempdir().unwrap();
    let kernel = dir.path().join("kernel");
    let misc = kernel.join("misc/amd64");
    // Both dependencies define `second`; the first one's `hidden` is local; `deep` is a dependency's dependency.
    let mut deep = Elf::module();
    deep.function("deep", &returns(9));
    deep.write(&misc, "deep");
    let mut first = Elf::module();
    first.needed(&["misc/deep"], 0);
    first.function("second", &returns(1));
    let at = first.code(&returns(2));
    first.symbol("hidden", LOCAL, FUNC, TEXT as u16, at, 6);
    first.function("forty_two", &returns(3));
    first.write(&misc, "first");
    let mut last = Elf::module();
    last.function("second", &returns(4));
    last.function("hidden", &returns(5));
    last.write(&misc, "last");

    let mut elf = Elf::module();
    elf.needed(&["misc/first", "misc/last"], 0);
    for name in ["second", "hidden", "forty_two"] {
        let symbol = elf.undefined(name, GLOBAL);
        elf.caller(&format!("call_{name}"), R_PLT32, symbol);
    }
    elf.function("own", &returns(6));
    let file = elf.write(&kernel.join("drv/amd64"), "top");
    let few = || {
        Few::default()
            .with("forty_two", forty_two as *const () as usize)
            .with("own", forty_two as *const () as usize)
    };
    let (_, modules) = few().modules(vec![kernel.clone()]);
    modules.load(&file).unwrap();
    assert_eq!(call(&modules, "top", "call_second"), 1);
    assert_eq!(call(&modules, "top", "call_hidden"), 5);
    assert_eq!(call(&modules, "top", "call_forty_two"), 3);
    assert_eq!(call(&modules, "top", "own"), 6);

    // Not searched: what a dependency depends on.
    let mut elf = Elf::module();
    elf.needed(&["misc/first"], 0);
    let symbol = elf.undefined("deep", GLOBAL);
    elf.caller("calls", R_PLT32, symbol);
    let file = elf.write(&kernel.join("drv/amd64"), "shallow");
    let (_, modules) = few().modules(vec![kernel]);
    assert!(modules.load(&file).unwrap_err().to_string().contains("undefined symbol deep"));
}

#[test]
fn a_name_that_the_kernel_has_too_is_said_to_be_multiply_defined() {
    let message = "multiply defined";
    let load = |elf: Elf| {
        let dir = tempdir().unwrap();
        let file = elf.write(dir.path(), "twice");
        let (kernel, modules) = Few::default().modules(vec![]);
        modules.load(&file).unwrap();
        kernel.said(message)
    };
    let with = |name: &str, bind| {
        let mut elf = Elf::module();
        let at = elf.code(RETURN_0);
        elf.symbol(name, bind, FUNC, TEXT as u16, at, 3);
        elf
    };
    assert!(load(with("ddi_copyin", GLOBAL)));
    assert!(!load(with("ddi_copyin", LOCAL)));
    assert!(!load(with("ddi_copyin", WEAK)));
    assert!(!load(with("memcpy", GLOBAL)));
    assert!(!load(with("my_own_name", GLOBAL)));
    let mut elf = with("ddi_copyin", GLOBAL);
    elf.needed(&[], 0x40000);
    assert!(!load(elf));
}

#[test]
fn common_symbols_get_space_unless_somebody_else_defines_them() {
    let mut elf = Elf::module();
    let mine = elf.symbol("mine", GLOBAL, OBJECT, COMMON, 32, 8);
    let theirs = elf.symbol("hz", GLOBAL, OBJECT, COMMON, 8, 4);
    elf.getter64("mine_at", R_64, mine, 0);
    elf.getter64("hz_at", R_64, theirs, 0);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "tentative");
    let (kernel, modules) = Few::default().data("hz", &HZ).modules(vec![]);
    let module = modules.load(&file).unwrap();
    let mine = call(&modules, "tentative", "mine_at") as usize;
    assert!(module.contains(mine));
    assert_eq!(mine % 32, 0);
    assert_eq!(real_data(call(&modules, "tentative", "hz_at") as usize), &raw const HZ as usize);
    assert!(kernel.said("hz: the tentative definition becomes"));
}

#[test]
fn probes_are_patched_out_and_recorded() {
    let mut elf = Elf::module();
    let probe = elf.undefined("__dtrace_probe_map__done", GLOBAL);
    let at = elf.sections[TEXT].data.len() as u64;
    // mov $5,%eax; call probe; ret
    elf.function("mapper", &[0xb8, 5, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3]);
    elf.rela(TEXT, at + 6, R_PC32, probe, -4);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "probing");
    let (_, modules) = Few::default().modules(vec![]);
    let module = modules.load(&file).unwrap();
    assert_eq!(call(&modules, "probing", "mapper"), 5);
    let [probe] = module.probes() else { panic!("one probe") };
    assert_eq!((probe.name.as_str(), probe.function.as_str()), ("map-done", "mapper"));
    assert_eq!(probe.address, module.symbol("mapper").unwrap() + 6);
}

/// Tokens and arguments that probes have passed.
static TOLD: Mutex<Vec<(u32, [u64; 6])>> = Mutex::new(Vec::new());

#[test]
fn a_probe_that_the_kernel_wants_is_told_and_changes_no_register() {
    let mut elf = Elf::module();
    let wanted = elf.undefined("__dtrace_probe_map__done", GLOBAL);
    let other = elf.undefined("__dtrace_probe_other", GLOBAL);
    let at = elf.sections[TEXT].data.len() as u64;
    let code = [
        0xb8, 5, 0, 0, 0, // mov $5,%eax
        0xbf, 7, 0, 0, 0, // mov $7,%edi
        0xbe, 11, 0, 0, 0, // mov $11,%esi
        0xba, 13, 0, 0, 0, // mov $13,%edx
        0xb9, 17, 0, 0, 0, // mov $17,%ecx
        0x41, 0xb8, 19, 0, 0, 0, // mov $19,%r8d
        0x41, 0xb9, 23, 0, 0, 0, // mov $23,%r9d
        0x41, 0xba, 29, 0, 0, 0, // mov $29,%r10d
        0x41, 0xbb, 31, 0, 0, 0,    // mov $31,%r11d
        0x50, // push %rax: the stack is not aligned at the probe
        0xf9, // stc
        0xe8, 0, 0, 0, 0, // call probe
        0xe8, 0, 0, 0, 0, // call other
        0x11, 0xf8, // adc %edi,%eax
        0x01, 0xf0, // add %esi,%eax
        0x01, 0xd0, // add %edx,%eax
        0x01, 0xc8, // add %ecx,%eax
        0x44, 0x01, 0xc0, // add %r8d,%eax
        0x44, 0x01, 0xc8, // add %r9d,%eax
        0x44, 0x01, 0xd0, // add %r10d,%eax
        0x44, 0x01, 0xd8, // add %r11d,%eax
        0x59, // pop %rcx
        0xc3, // ret
    ];
    let site = code.iter().position(|byte| *byte == 0xe8).unwrap() as u64;
    elf.function("mapper", &code);
    elf.rela(TEXT, at + site + 1, R_PC32, wanted, -4);
    elf.rela(TEXT, at + site + 6, R_PC32, other, -4);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "telling");
    let call_it = |token: u32, arguments: &[u64; 6]| TOLD.lock().unwrap().push((token, *arguments));
    let few = Few { probe: Some(("map-done", Fired { call: call_it, token: 3 })), ..Few::default() };
    let (_, modules) = few.modules(vec![]);
    let module = modules.load(&file).unwrap();
    for round in 1..3 {
        assert_eq!(call(&modules, "telling", "mapper"), 5 + 7 + 1 + 11 + 13 + 17 + 19 + 23 + 29 + 31);
        assert_eq!(*TOLD.lock().unwrap(), vec![(3, [7, 11, 13, 17, 19, 23]); round]);
    }
    let names: Vec<&str> = module.probes().iter().map(|probe| probe.name.as_str()).collect();
    assert_eq!(names, ["map-done", "other"]);
}
