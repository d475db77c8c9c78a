//! Loading along the path, `_info` before `_init`, `_fini`, holds, memory that goes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use ddi_krtld::modules::InstallError;
use tempfile::tempdir;

use crate::elf::*;
use crate::kernel::Few;

fn maps(address: usize) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        (start..end).contains(&address).then(|| rest[..4].to_owned())
    })
}

#[test]
fn text_executes_constants_stay_data_is_written_and_all_of_it_goes() {
    let mut elf = Elf::module();
    let rodata = elf.section(".rodata", PROGBITS, ALLOC, b"const");
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, b"var");
    elf.symbol("constant", LOCAL, OBJECT, rodata as u16, 0, 5);
    elf.symbol("variable", LOCAL, OBJECT, data as u16, 0, 3);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "pages");
    let (_, modules) = Few::default().modules(vec![]);
    let module = modules.load(&file).unwrap();
    let text = module.symbol("_init").unwrap();
    assert_eq!(maps(text).unwrap(), "r-xp");
    assert_eq!(maps(module.symbol("constant").unwrap()).unwrap(), "r--p");
    assert_eq!(maps(module.symbol("variable").unwrap()).unwrap(), "rw-p");
    assert_eq!(module.sizes(), (9 + 5, 3));
    modules.install(&module).unwrap();
    let memory = std::sync::Arc::downgrade(&module);
    drop(module);
    modules.unload("pages").unwrap();
    assert!(modules.find("pages").is_none());
    assert!(memory.upgrade().is_none());
}

#[test]
fn info_is_asked_before_init() {
    static ORDER: AtomicU32 = AtomicU32::new(0);
    extern "C" fn info() -> u32 {
        assert_eq!(ORDER.fetch_add(1, Ordering::SeqCst), 0);
        0
    }
    extern "C" fn init() -> u32 {
        assert_eq!(ORDER.fetch_add(1, Ordering::SeqCst), 1);
        0
    }
    let mut elf = Elf::empty();
    let (init_fn, info_fn) = (elf.undefined("init", GLOBAL), elf.undefined("info", GLOBAL));
    elf.caller("_init", R_PLT32, init_fn);
    elf.caller("_info", R_PLT32, info_fn);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "order");
    let kernel =
        Few::default().with("init", init as *const () as usize).with("info", info as *const () as usize);
    let (_, modules) = kernel.modules(vec![]);
    let module = modules.load(&file).unwrap();
    modules.install(&module).unwrap();
    // Loading and installing again changes nothing.
    modules.install(&modules.load(&file).unwrap()).unwrap();
    assert_eq!(ORDER.load(Ordering::SeqCst), 2);
    assert!(module.is_installed());
}

#[test]
fn a_missing_or_failing_init_unloads_the_module() {
    let dir = tempdir().unwrap();
    let mut elf = Elf::empty();
    elf.function("_info", RETURN_0);
    let file = elf.write(dir.path(), "noinit");
    let (_, modules) = Few::default().modules(vec![]);
    let error = modules.install(&modules.load(&file).unwrap()).unwrap_err();
    assert_eq!(error.errno(), 14);
    assert!(modules.list().is_empty());

    let mut elf = Elf::empty();
    elf.function("_info", RETURN_0);
    elf.function("_init", &[0xb8, 12, 0, 0, 0, 0xc3]);
    let file = elf.write(dir.path(), "enomem");
    let error = modules.install(&modules.load(&file).unwrap()).unwrap_err();
    assert_eq!(error, InstallError::Failed("enomem".into(), 12));
    assert!(modules.list().is_empty());

    // An entry point that is no address of the module.
    let mut elf = Elf::empty();
    elf.symbol("_init", GLOBAL, FUNC, ABS, 0x10, 0);
    elf.function("_info", RETURN_0);
    let file = elf.write(dir.path(), "outside");
    assert_eq!(modules.install(&modules.load(&file).unwrap()).unwrap_err().errno(), 14);
}

#[test]
fn fini_and_whoever_holds_the_module_decide_about_unloading() {
    let dir = tempdir().unwrap();
    let (kernel, modules) = Few::default().modules(vec![]);
    let load = |elf: &Elf, name: &str| {
        let module = modules.load(&elf.write(dir.path(), name)).unwrap();
        modules.install(&module).unwrap();
    };
    let mut elf = Elf::empty();
    elf.function("_init", RETURN_0);
    load(&elf, "nofini");
    let error = modules.unload("nofini").unwrap_err();
    assert_eq!(error.errno, 16);
    assert!(error.reason.contains("no _fini()"));
    assert!(kernel.said("_info() not defined properly"));

    elf.function("_fini", &[0xb8, 16, 0, 0, 0, 0xc3]);
    load(&elf, "busy");
    assert_eq!(modules.unload("busy").unwrap_err().errno, 16);
    assert!(modules.find("busy").unwrap().is_installed());

    load(&Elf::module(), "open");
    *kernel.detach.lock().unwrap() = Some(16);
    assert!(modules.unload("open").unwrap_err().reason.contains("open, mapped"));
    *kernel.detach.lock().unwrap() = None;
    modules.unload("open").unwrap();
    assert_eq!(modules.unload("open").unwrap_err().errno, 2);
}

#[test]
fn a_module_that_another_depends_on_stays() {
    let dir = tempdir().unwrap();
    let kernel = dir.path().join("kernel");
    Elf::module().write(&kernel.join("misc/amd64"), "base");
    let mut elf = Elf::module();
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, b"misc/base drv/absent\0");
    elf.symbol("_depends_on", GLOBAL, OBJECT, data as u16, 0, 21);
    let file = elf.write(&kernel.join("drv/amd64"), "top");
    let (said, modules) = Few::default().modules(vec![kernel]);
    let top = modules.load(&file).unwrap();
    modules.install(&top).unwrap();
    drop(top);
    assert!(said.said("cannot find dependency 'drv/absent'"));
    assert!(modules.find("base").unwrap().is_installed());
    assert!(modules.unload("base").unwrap_err().reason.contains("top depends on base"));
    modules.unload("top").unwrap();
    modules.unload("base").unwrap();
}

#[test]
fn a_dependency_that_is_not_found_is_named_with_the_symbols_that_are_missing() {
    let mut elf = Elf::module();
    elf.needed(&["misc/usba"], 0);
    let symbol = elf.undefined("usb_client_attach", GLOBAL);
    elf.caller("av_attach", R_PLT32, symbol);
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "av");
    let (_, modules) = Few::default().modules(vec![]);
    let text = modules.load(&file).unwrap_err().to_string();
    assert!(text.contains("misc/usba was not found along the module path"), "{text}");
    assert!(text.contains("usb_client_attach") && text.contains("needed by av_attach"), "{text}");
}

#[test]
fn modules_that_depend_on_each_other_are_refused() {
    let dir = tempdir().unwrap();
    let kernel = dir.path().join("kernel");
    for (name, other) in [("a", "misc/b"), ("b", "misc/a")] {
        let mut elf = Elf::module();
        elf.needed(&[other], 0);
        elf.write(&kernel.join("misc/amd64"), name);
    }
    let (_, modules) = Few::default().modules(vec![kernel.clone()]);
    let error = modules.load(&kernel.join("misc/amd64/a")).unwrap_err();
    assert!(error.to_string().contains("depends on itself"), "{error}");
}

#[test]
fn the_path_is_searched_below_amd64_first() {
    let dir = tempdir().unwrap();
    let path: Vec<PathBuf> = ["kernel", "usr/kernel"].iter().map(|d| dir.path().join(d)).collect();
    let (_, modules) = Few::default().modules(path.clone());
    assert_eq!(modules.search("drv/foo"), None);
    let elf = Elf::module();
    let plain = elf.write(&path[0].join("drv"), "foo");
    assert_eq!(modules.search("drv/foo"), Some(plain));
    let wide = elf.write(&path[1].join("drv/amd64"), "foo");
    assert_eq!(modules.search("drv/foo"), Some(wide));
    let first = elf.write(&path[0].join("drv/amd64"), "foo");
    assert_eq!(modules.search("drv/foo"), Some(first));
}

#[test]
fn a_dependency_is_also_found_near_the_module() {
    let dir = tempdir().unwrap();
    let mut elf = Elf::module();
    elf.needed(&["misc/base"], 0);
    let symbol = elf.undefined("helper", GLOBAL);
    elf.caller("calls", R_PLT32, symbol);
    let mut base = Elf::module();
    base.function("helper", RETURN_0);
    for (module, dependency) in
        [("a/kernel/drv/amd64", "a/kernel/misc/amd64"), ("b/kernel/drv", "b/kernel/misc"), ("c", "c")]
    {
        base.write(&dir.path().join(dependency), "base");
        let file = elf.write(&dir.path().join(module), "top");
        let (_, modules) = Few::default().modules(vec![]);
        let top = modules.load(&file).unwrap();
        assert_eq!(top.depends()[0].path(), dir.path().join(dependency).join("base"));
    }
}
