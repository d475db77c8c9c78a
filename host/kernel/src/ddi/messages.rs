//! cmn_err(9F) and its family, sprintf(9F), panic(9F), assertions. Any context; the log's lock is a leaf.
//!
//! The functions with variable arguments are small trampolines: they store the argument registers as the calling
//! convention's `va_list` wants them and call the variant that takes one.

use std::ffi::{c_char, c_int, c_void};

use ddi_sys::{__va_list_tag, dev_info_t, zoneid_t};

use super::args::{Argument, Memory, Text};
use super::memory;
use crate::board::{log, report};
use crate::kern::nodes;
use crate::kern::printf::{VaList, format};

/// A driver's arguments for a format.
///
/// # Invariants
/// The calling convention's structure, with the arguments that the format which comes with it asks for.
struct Arguments(*mut __va_list_tag);

impl Argument for Arguments {
    type C = *mut __va_list_tag;

    unsafe fn of(c: *mut __va_list_tag) -> Self {
        Arguments(c)
    }
}

/// Formats with a driver's format and arguments.
fn formatted<P>(fmt: Text<'_, P>, ap: Arguments) -> Vec<u8> {
    // SAFETY: the invariant; a `VaList` is that structure, and the driver hands it over.
    format(fmt.bytes(), unsafe { &mut *ap.0.cast::<VaList>() })
}

/// Prints a message as cmn_err does, `name` (an instance) in front of it.
fn message(level: c_int, name: &str, text: &[u8]) {
    let (to, text) = match text.split_first() {
        Some((b'!', rest)) => (log::To::Log, rest),
        Some((b'^', rest)) => (log::To::Console, rest),
        Some((b'?', rest)) if level == ddi_sys::CE_CONT => {
            (if log::verbose() { log::To::Both } else { log::To::Log }, rest)
        }
        _ => (log::To::Both, text),
    };
    let prefix = match level {
        ddi_sys::CE_NOTE => "NOTICE: ",
        ddi_sys::CE_WARN => "WARNING: ",
        ddi_sys::CE_PANIC => return drop_panic(name, text),
        ddi_sys::CE_CONT => {
            log::text(to, name.as_bytes());
            return log::text(to, text);
        }
        _ => return,
    };
    let line = [prefix.as_bytes(), name.as_bytes(), text, b"\n"].concat();
    log::text(to, &line);
}

fn drop_panic(name: &str, text: &[u8]) {
    report::panic(&format!("{name}{}", String::from_utf8_lossy(text)));
}

/// dev_err(9F) with a va_list.
fn device_message<P>(dip: *mut dev_info_t, level: c_int, fmt: Text<'_, P>, ap: Arguments) {
    let text = formatted(fmt, ap);
    let name =
        nodes::of(dip).map_or(String::new(), |node| format!("{}{}: ", node.driver_name(), node.instance()));
    // A leading !, ^ or ? stays in front of the name.
    match text.split_first() {
        Some((&first @ (b'!' | b'^' | b'?'), rest)) => {
            let text = [&[first], name.as_bytes(), rest].concat();
            message(level, "", &text);
        }
        _ => message(level, &name, &text),
    }
}

ddi! {
    /// vcmn_err(9F).
    fn vcmn_err(level: c_int, fmt: Text, ap: Arguments) {
        message(level, "", &formatted(fmt, ap));
    }
    /// vzcmn_err(9F): there is one zone.
    fn vzcmn_err(_zone: zoneid_t, level: c_int, fmt: Text, ap: Arguments) {
        message(level, "", &formatted(fmt, ap));
    }
    /// dev_err(9F) with a va_list.
    fn vdev_err(dip: *mut dev_info_t, level: c_int, fmt: Text, ap: Arguments) {
        device_message(dip, level, fmt, ap);
    }
    /// printf of the kernel: console text.
    @local fn vprintf(fmt: Text, ap: Arguments) {
        message(ddi_sys::CE_CONT, "", &formatted(fmt, ap));
    }
    /// uprintf with a va_list: to the calling process's terminal, which is where the host's console is.
    fn vuprintf(fmt: Text, ap: Arguments) {
        log::text(log::To::Console, &formatted(fmt, ap));
    }
    /// vsnprintf(9F).
    @local fn vsnprintf(to: Memory<c_char>, size: usize, fmt: Text, ap: Arguments) -> usize {
        let text = formatted(fmt, ap);
        to.sized(size).write_text(&text)
    }
    /// vsprintf(9F).
    @local fn vsprintf(to: Memory<c_char>, fmt: Text, ap: Arguments) -> *mut c_char {
        let text = formatted(fmt, ap);
        // The driver has room for the whole text.
        to.sized(text.len() + 1).write_text(&text);
        to.pointer()
    }
    /// vzprintf: there is one zone.
    fn vzprintf(_zone: zoneid_t, fmt: Text, ap: Arguments) {
        message(ddi_sys::CE_CONT, "", &formatted(fmt, ap));
    }
    /// panic(9F) with a va_list.
    fn vpanic(fmt: Text, ap: Arguments) -> ! {
        let text = formatted(fmt, ap);
        report::panic(&String::from_utf8_lossy(&text))
    }
    /// A failed ASSERT.
    fn assfail(expression: Text, file: Text, line: c_int) -> c_int {
        let expression = expression.text();
        let file = file.text();
        report::panic(&format!("assertion failed: {expression}, file: {file}, line: {line}"))
    }
    /// A failed ASSERT3 or VERIFY3: with both values.
    fn assfail3(
        expression: Text,
        left: u64,
        operator: Text,
        right: u64,
        file: Text,
        line: c_int,
    ) {
        let expression = expression.text();
        let operator = operator.text();
        let file = file.text();
        report::panic(&format!(
            "assertion failed: {expression} ({left:#x} {operator} {right:#x}), file: {file}, line: {line}"
        ))
    }
}

/// The targets of the trampolines that have no declaration.
#[expect(dead_code, reason = "the symbol table has the trampolines, not these")]
mod targets {
    use super::*;

    ddi! {
        /// prom_printf with a va_list.
        @local_private fn vprom_printf(fmt: Text, ap: Arguments) {
            log::text(log::To::Console, &formatted(fmt, ap));
        }
        /// kmem_asprintf with a va_list: a string from kmem, freed with strfree.
        @local_private fn vasprintf(fmt: Text, ap: Arguments) -> *mut c_char {
            let text = [&formatted(fmt, ap)[..], b"\0"].concat();
            memory::copy_of(&text, ddi_sys::KM_SLEEP).cast()
        }
        /// ddi_err: like dev_err, with levels of its own that are all logged.
        @local_private fn vddi_err(level: c_int, dip: *mut dev_info_t, fmt: Text<*mut c_char>, ap: Arguments) {
            let level = if level <= 1 { ddi_sys::CE_WARN } else { ddi_sys::CE_NOTE };
            device_message(dip, level, fmt, ap);
        }
        /// ddi_fm_ereport_post with a va_list: the event's class is logged, its payload is not.
        @local_private fn vereport(dip: *mut dev_info_t, class: Text, _ena: u64, _flag: c_int, _ap: *mut c_void) {
            let name = nodes::of(dip).map_or(String::new(), |node| node.path());
            log::line(log::To::Log, &format!("ereport {} from {name}", class.text()));
        }
        /// strlog(9F) with a va_list: everything is logged.
        @local_private fn vstrlog(
            _mid: c_int,
            _sid: c_int,
            _level: c_int,
            _flags: c_int,
            fmt: Text,
            ap: Arguments,
        ) -> c_int {
            log::text(log::To::Log, &[&formatted(fmt, ap)[..], b"\n"].concat());
            1
        }
    }
}

/// Defines functions with variable arguments: name, number of fixed arguments, the register of the argument after them,
/// and the function that takes a va_list there.
#[macro_export]
macro_rules! variadic {
    ($( $(#[$meta:meta])* $(@$kind:ident)? $name:ident, $fixed:literal, $va:literal, $target:path; )*) => {
        $( $crate::variadic!(@one [$($kind)?] $(#[$meta])* $name, $fixed, $va, $target); )*
        /// The symbol table of the functions with variable arguments.
        pub static VARIADIC: &[$crate::ddi::Symbol] = &[
            $( $crate::ddi::Symbol { name: stringify!($name), address: $crate::ddi::Address(variadic::$name as *const ()), size: 0 }, )*
        ];
        mod variadic {
            $( pub use super::$name::$name; )*
        }
    };
    (@one [] $(#[$meta:meta])* $name:ident, $fixed:literal, $va:literal, $target:path) => {
        $crate::variadic!(@function [#[unsafe(no_mangle)]] $(#[$meta])* $name, $fixed, $va, $target);
    };
    (@one [local] $(#[$meta:meta])* $name:ident, $fixed:literal, $va:literal, $target:path) => {
        $crate::variadic!(@function [] $(#[$meta])* $name, $fixed, $va, $target);
    };
    (@function [$(#[$export:meta])*] $(#[$meta:meta])* $name:ident, $fixed:literal, $va:literal, $target:path) => {
        #[allow(missing_docs)]
        mod $name {
            $(#[$meta])*
            #[unsafe(naked)]
            $(#[$export])*
            pub unsafe extern "C-unwind" fn $name() {
                core::arch::naked_asm!(
                    ".cfi_startproc",
                    "push rbp",
                    ".cfi_def_cfa_offset 16",
                    ".cfi_offset rbp, -16",
                    "mov rbp, rsp",
                    ".cfi_def_cfa_register rbp",
                    "sub rsp, 80",
                    "mov [rsp], rdi",
                    "mov [rsp + 8], rsi",
                    "mov [rsp + 16], rdx",
                    "mov [rsp + 24], rcx",
                    "mov [rsp + 32], r8",
                    "mov [rsp + 40], r9",
                    // The va_list: next general register, no floating point ones, stack, save area.
                    concat!("mov dword ptr [rsp + 48], ", $fixed, " * 8"),
                    "mov dword ptr [rsp + 52], 176",
                    "lea rax, [rbp + 16]",
                    "mov [rsp + 56], rax",
                    "mov [rsp + 64], rsp",
                    concat!("lea ", $va, ", [rsp + 48]"),
                    "call {target}",
                    "leave",
                    ".cfi_def_cfa rsp, 8",
                    "ret",
                    ".cfi_endproc",
                    target = sym $target,
                )
            }
        }
    };
}

variadic! {
    /// cmn_err(9F).
    cmn_err, 2, "rdx", super::vcmn_err;
    /// zcmn_err(9F).
    zcmn_err, 3, "rcx", super::vzcmn_err;
    /// dev_err(9F).
    dev_err, 3, "rcx", super::vdev_err;
    /// ddi_err.
    ddi_err, 3, "rcx", super::targets::vddi_err;
    /// printf of the kernel.
    @local printf, 1, "rsi", super::vprintf;
    /// zprintf: there is one zone.
    zprintf, 2, "rdx", super::vzprintf;
    /// prom_printf: to the console.
    prom_printf, 1, "rsi", super::targets::vprom_printf;
    /// uprintf.
    uprintf, 1, "rsi", super::vuprintf;
    /// snprintf(9F).
    @local snprintf, 3, "rcx", super::vsnprintf;
    /// sprintf(9F).
    @local sprintf, 2, "rdx", super::vsprintf;
    /// kmem_asprintf.
    kmem_asprintf, 1, "rsi", super::targets::vasprintf;
    /// panic(9F).
    panic, 1, "rsi", super::vpanic;
    /// ddi_fm_ereport_post(9F).
    ddi_fm_ereport_post, 4, "r8", super::targets::vereport;
    /// strlog(9F).
    strlog, 5, "r9", super::targets::vstrlog;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_destinations() {
        log::set_quiet(true);
        driver!(ddi_sys::cmn_err(
            ddi_sys::CE_WARN,
            c"messages-test %d %s %lx".as_ptr(),
            7,
            c"seven".as_ptr(),
            u64::MAX,
        ));
        driver!(ddi_sys::cmn_err(
            ddi_sys::CE_NOTE,
            c"!messages-test log %d %d %d %d %d %d".as_ptr(),
            1,
            2,
            3,
            4,
            5,
            6,
        ));
        let lines = log::recent();
        assert!(lines.contains(&"WARNING: messages-test 7 seven ffffffffffffffff".into()));
        assert!(lines.contains(&"NOTICE: messages-test log 1 2 3 4 5 6".into()));
    }

    #[test]
    fn sprintf_family() {
        type Snprintf = unsafe extern "C-unwind" fn(*mut c_char, usize, *const c_char, ...) -> usize;
        // SAFETY: the trampoline has exactly this C type.
        let snprintf: Snprintf = unsafe { std::mem::transmute(snprintf::snprintf as *const ()) };
        let mut buffer = [0x7f as c_char; 8];
        let length = driver!(snprintf(buffer.as_mut_ptr(), 8, c"%s-%05d".as_ptr(), c"abc".as_ptr(), 42));
        assert_eq!(length, 9);
        assert_eq!(buffer.map(|c| c as u8), *b"abc-000\0");
    }

    #[test]
    fn a_panic_unwinds_through_the_trampoline() {
        report::set_policy(report::Policy::Unwind);
        let run = || driver!(ddi_sys::cmn_err(ddi_sys::CE_PANIC, c"down".as_ptr()));
        let caught = std::panic::catch_unwind(run).unwrap_err();
        assert_eq!(caught.downcast_ref::<report::Reported>().unwrap().0, "down");
    }
}
