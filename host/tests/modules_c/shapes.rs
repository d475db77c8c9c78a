//! Modules as compilers and linkers make them: of several objects, with debug information, unwind tables, notes, a section for each function;
//! and modules that depend on others.

use std::path::Path;
use std::process::Command;

use crate::devices::*;
use crate::run;

tests!(every_way_of_compiling_and_linking, options_that_do_not_fit_are_named, modules_that_depend_on_others);

const CONF: &str = "name=\"shape\" parent=\"pseudo\" instance=0;\n";
const BOTH: &[&str] = &["shape", "shape_other"];

/// The client's half: the driver's own checks.
fn client_of_shapes() {
    let fd = open("/dev/shape0");
    assert_eq!(ioctl(fd, 7, 0), Ok(15), "the result is the line of the fixture's check that does not hold");
}

/// Adds sections that illumos's own tools leave in modules: CTF, a signature, a comment. Nothing of it is loaded.
fn decorate(module: &Path) {
    let extra = module.with_extension("extra");
    std::fs::write(&extra, b"not for the loader").unwrap();
    let mut objcopy = Command::new("objcopy");
    for name in [".SUNW_ctf", ".SUNW_signature"] {
        objcopy.arg("--add-section").arg(format!("{name}={}", extra.display()));
    }
    assert!(objcopy.arg(module).status().unwrap().success());
}

fn every_way_of_compiling_and_linking() {
    let ways: &[&[&str]] = &[
        &[],
        &["-O0"],
        &["-Os", "-fomit-frame-pointer"],
        &["-O3", "-g3"],
        &["-g", "-fasynchronous-unwind-tables"],
        &["-ffunction-sections", "-fdata-sections", "-fmerge-all-constants"],
        &["-fcf-protection=full"],
        &["-fcommon", "-DSHAPE_COMMON"],
        &["-fstack-protector-all", "-mstack-protector-guard=global"],
        &["-mindirect-branch=thunk-extern", "-mindirect-branch-register", "-mfunction-return=keep"],
        &["-mindirect-branch=thunk", "-mfunction-return=thunk"],
        &["-fno-jump-tables", "-foptimize-sibling-calls"],
        &["-mcmodel=large"],
    ];
    for flags in ways {
        let dir = tempfile::tempdir().unwrap();
        let module = run::link(dir.path(), "shape", BOTH, flags).unwrap_or_else(|e| panic!("{flags:?}: {e}"));
        decorate(&module);
        let ran = run::with_module(&module, CONF, "", half!(client_of_shapes), &[]);
        assert!(ran.status == 0 && ran.text.contains(run::PASSED), "{flags:?}: {}", ran.text);
        // Thunks of the module's own are what the kernel has, too, and it says so.
        let mut warnings = ran.text.lines().filter(|line| line.contains("WARNING"));
        assert!(warnings.all(|line| line.contains("__x86_indirect_thunk_")), "{flags:?}: {}", ran.text);
    }
}

/// What the kernel would refuse, or load and get wrong, is refused; the message says which option does it.
fn options_that_do_not_fit_are_named() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["-mcmodel=small"], &["(fix_attach): R_X86_64_32 against", "compile with -mcmodel=kernel"]),
        (&["-mcmodel=small", "-fpic"], &["GOTPCREL", "-fno-pic"]),
        (&["-pg", "-mfentry"], &["undefined symbol __fentry__", "needed by", "shape_ioctl", "shape_sum"]),
    ];
    for (flags, texts) in cases {
        let dir = tempfile::tempdir().unwrap();
        let module = run::link(dir.path(), "shape", BOTH, flags).unwrap();
        let ran = run::with_module(&module, CONF, "", half!(client_of_shapes), &[]);
        assert_eq!(ran.status, 1, "{flags:?}: {}", ran.text);
        for text in *texts {
            assert!(ran.text.contains(text), "{flags:?}: {text:?} is not in: {}", ran.text);
        }
    }
    // The kernel loads this, and the guard is a field of its cpu structure.
    let dir = tempfile::tempdir().unwrap();
    let module = run::link(dir.path(), "shape", BOTH, &["-fstack-protector-all"]).unwrap();
    let ran = run::with_module(&module, CONF, "", half!(client_of_shapes), &[]);
    assert!(ran.text.contains("WARNING: shape: ") && ran.text.contains("%gs:0x28"), "{}", ran.text);
}

/// One half in a module of its own: beside the driver, or below `misc`; or nowhere.
fn modules_that_depend_on_others() {
    let depends = &["-DSHAPE_DEPENDS=\"misc/shapelib\""];
    for (drv, misc) in [("kernel/drv/amd64", Some("kernel/misc/amd64")), (".", Some(".")), (".", None)] {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let place = dir.path().join(name);
            std::fs::create_dir_all(&place).unwrap();
            place
        };
        let module = run::link(&place(drv), "shape", &["shape"], depends).unwrap();
        if let Some(misc) = misc {
            run::link(&place(misc), "shapelib", &["shape_other"], &["-DSHAPE_MODULE"]).unwrap();
        }
        let ran = run::with_module(&module, CONF, "", half!(client_of_shapes), &[]);
        if misc.is_some() {
            // Both define the tentative variable: the kernel says so, and each uses its own.
            assert!(ran.text.contains("'shape_tentative' multiply defined"), "{}", ran.text);
            assert!(ran.status == 0 && ran.text.contains(run::PASSED), "{misc:?}: {}", ran.text);
            continue;
        }
        assert_eq!(ran.status, 1, "{}", ran.text);
        let texts = [
            "cannot load module 'shape'",
            "misc/shapelib was not found along the module path",
            "undefined symbol shape_sum: the host has it not, nor has a dependency; it is none of the illumos kernel's names that are known here; needed by shape_ioctl",
            "undefined symbol shape_names",
        ];
        for text in texts {
            assert!(ran.text.contains(text), "{text:?} is not in: {}", ran.text);
        }
    }
}
