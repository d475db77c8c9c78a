//! ddi-sys against the measured facts of illumos's own headers (`illumos-amd64.json.gz`, a copy of the project's facts).
//!
//! Two looks at the same thing: [`rust`] compares what `src/bindings.rs` says, whose sizes and offsets rustc has verified
//! by compiling its assertions; [`c`] lets a C compiler assert the same facts against the headers in `include/`, which
//! compile the C driver fixtures. Where the headers of 2015 and of 2019 differ, the newer ones are taken: the drivers of
//! today are compiled against them, and every difference in what is declared here is an addition, but for the private
//! `as_map` and `segdev_create`.

mod c;
mod facts;
mod rust;
mod types;

use facts::Facts;
use rust::Bindings;

const BINDINGS: &str = include_str!("../../src/bindings.rs");

#[test]
fn rust_declarations_agree_with_illumos() {
    let report = rust::compare(&Bindings::parse(BINDINGS), &Facts::load());
    println!("{report}");
    assert!(report.wrong.is_empty(), "{report}");
    assert!(report.total() > 4500, "too little was compared: {report}");
}

/// The few things that are written by hand because bindgen cannot carry them over.
#[test]
fn macros_agree_with_illumos() {
    let numbers = Facts::load().numbers;
    assert_eq!(ddi_sys::NODEV, numbers["NODEV"]);
    assert_eq!(ddi_sys::DDI_DEV_T_NONE, numbers["DDI_DEV_T_NONE"]);
    assert_eq!(ddi_sys::DDI_DEV_T_ANY, numbers["DDI_DEV_T_ANY"]);
    assert_eq!(u64::from(ddi_sys::DDI_MAJOR_T_NONE), numbers["DDI_MAJOR_T_NONE"]);
    assert_eq!(u64::from(ddi_sys::DDI_MAJOR_T_UNKNOWN), numbers["DDI_MAJOR_T_UNKNOWN"]);
    assert_eq!(ddi_sys::FC_MAKE_ERR(ddi_sys::EFAULT), (14 << 8) | 3);
    assert_eq!(ddi_sys::FC_CODE(ddi_sys::FC_MAKE_ERR(ddi_sys::EFAULT)), ddi_sys::FC_OBJERR);
    assert_eq!(ddi_sys::FC_ERRNO(ddi_sys::FC_MAKE_ERR(-1)), 0xff_ffff);
    assert_eq!(ddi_sys::_IO(b'c', 7) as u32, 0x2000_0000 | 0x6307);
    assert_eq!(ddi_sys::_IOR::<u64>(b'c', 7) as u32, 0x4000_0000 | 8 << 16 | 0x6307);
    assert_eq!(ddi_sys::_IOW::<u64>(b'c', 7) as u32, 0x8000_0000 | 8 << 16 | 0x6307);
    assert_eq!(ddi_sys::_IOWR::<[u8; 300]>(b'c', 7) as u32, 0xc000_0000 | 44 << 16 | 0x6307);
}

#[test]
fn c_headers_agree_with_illumos() {
    match c::compare(&Facts::load(), &Bindings::parse(BINDINGS), &[]) {
        c::Outcome::NoCompiler => println!("skipped: no C compiler"),
        c::Outcome::Agree(count) => {
            println!("{count} facts asserted by the C compiler");
            assert!(count > 2000, "too little was compared: {count}");
        }
        c::Outcome::Differ(messages) => panic!("{messages}"),
    }
}

/// A wrong declaration must not pass: each of these is one slip in the generated file.
#[test]
fn a_wrong_binding_is_found() {
    let slips = [
        ("pub const DDI_FAILURE: i32 = -1;", "pub const DDI_FAILURE: i32 = 1;", "DDI_FAILURE"),
        ("pub type minor_t = uint_t;", "pub type minor_t = ulong_t;", "minor_t"),
        ("size_of::<cb_ops>() - 136usize", "size_of::<cb_ops>() - 128usize", "cb_ops"),
        ("offset_of!(kstat, ks_data) - 120usize", "offset_of!(kstat, ks_data) - 128usize", "ks_data"),
        (
            "pub const DDI_PSEUDO: &::core::ffi::CStr = c\"ddi_pseudo\"",
            "pub const DDI_PSEUDO: &::core::ffi::CStr = c\"pseudo\"",
            "DDI_PSEUDO",
        ),
        ("pub const DEVMAP_WRITE: devmap_rw = 2;", "pub const DEVMAP_WRITE: devmap_rw = 3;", "DEVMAP_WRITE"),
        (
            "pub fn kmem_free(buf: *mut core::ffi::c_void, size: usize);",
            "pub fn kmem_free(buf: *mut core::ffi::c_void);",
            "kmem_free",
        ),
        ("pub fn getminor(dev: dev_t) -> minor_t;", "pub fn getminor(dev: minor_t) -> minor_t;", "getminor"),
        (
            "pub fn getminor(dev: dev_t) -> minor_t;",
            "pub fn getminor_of(dev: dev_t) -> minor_t;",
            "getminor_of",
        ),
        ("pub static mut hz: core::ffi::c_int;", "pub static mut hz: core::ffi::c_long;", "hz"),
        (
            "extern \"C-unwind\" fn(dev: dev_t, off: off_t, prot: core::ffi::c_int)",
            "extern \"C\" fn(dev: dev_t, off: off_t, prot: core::ffi::c_int)",
            "function pointer of cb_ops",
        ),
    ];
    let facts = Facts::load();
    // One line per declaration, whatever the formatter did.
    let flat = BINDINGS.lines().filter(|line| !line.trim_start().starts_with("//"));
    let flat = flat.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    let flat = flat.replace("( ", "(").replace(", )", ")").replace(", ,", ",");
    for (right, wrong, name) in slips {
        let changed = flat.replacen(right, wrong, 1);
        assert_ne!(changed, flat, "nothing to break: {right}");
        let report = rust::compare(&Bindings::parse(&changed), &facts);
        assert!(report.wrong.iter().any(|line| line.contains(name)), "{wrong}: not found: {report}");
    }
}

/// The same for a slip in a header, by redefining one thing after the headers.
#[test]
fn a_wrong_header_is_found() {
    let slips = [
        "#undef DDI_FAILURE\n#define DDI_FAILURE 1\n",
        "#define cb_ops pollfd\n",
        "#define devmap_load ddi_get_pid\n",
        "#define ks_data ks_private\n",
    ];
    let (facts, bindings) = (Facts::load(), Bindings::parse(BINDINGS));
    for slip in slips {
        match c::compare(&facts, &bindings, &[slip]) {
            c::Outcome::NoCompiler => return println!("skipped: no C compiler"),
            c::Outcome::Agree(_) => panic!("not found: {slip}"),
            c::Outcome::Differ(_) => {}
        }
    }
}
