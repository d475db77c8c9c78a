//! cmn_err(9F) and its family, sprintf(9F), panic(9F), assertions. Any context; the log's lock is a leaf.
//!
//! The functions with variable arguments are small trampolines: they store the argument registers as the calling
//! convention's `va_list` wants them and call the variant that takes one.

use std::ffi::{c_char, c_int};

use ddi_sys::{ddi_err_t, dev_info_t, zoneid_t};

use super::args::{Arguments, Memory, Text};
use super::memory;
use crate::board::{log, report};
use crate::kern::nodes;
use crate::kern::printf::format;

/// Formats with a driver's format and arguments.
fn formatted<P>(fmt: Text<'_, P>, ap: Arguments<'_>) -> Vec<u8> {
    format(fmt.bytes(), ap.of_format())
}

/// Prints a message as cmn_err does, after `name` (an instance).
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

/// Prints a message with the name of a node's instance.
fn device_message(dip: *mut dev_info_t, level: c_int, text: &[u8]) {
    let name =
        nodes::of(dip).map_or(String::new(), |node| format!("{}{}: ", node.driver_name(), node.instance()));
    // A leading !, ^ or ? stays first.
    match text.split_first() {
        Some((&first @ (b'!' | b'^' | b'?'), rest)) => {
            let text = [&[first], name.as_bytes(), rest].concat();
            message(level, "", &text);
        }
        _ => message(level, &name, text),
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
        device_message(dip, level, &formatted(fmt, ap));
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

/// Defines functions with variable arguments: by the types of their fixed arguments and the function that takes a va_list behind them, or
/// by a body, as in [`ddi!`](crate::ddi!), whose last argument is the va_list. What `ddi-sys` declares is checked.
#[macro_export]
macro_rules! variadic {
    ($( $(#[$meta:meta])* $(@$kind:ident)? fn $name:ident $args:tt $(-> $ret:ty)? $(=> $target:path;)? $($body:block)? )*) => {
        $( $crate::variadic!(@one [$($kind)?] [$(#[$meta])*] $name $args [$($ret)?] $($target)? $($body)?); )*
        /// The symbol table of the functions with variable arguments.
        pub static VARIADIC: $crate::ddi::Group = &[&[
            $( $crate::ddi::Symbol::function(stringify!($name), variadic::$name as *const ()), )*
        ]];
        mod variadic {
            $( pub use super::$name::$name; )*
        }
    };
    (@one $kind:tt $meta:tt $name:ident ($($arg:ident: $ty:ty),+; $ap:ident: $va:ty) [$($ret:ty)?] $body:block) => {
        $crate::variadic!(@kind $kind $meta $name ($(<$ty as $crate::ddi::args::Argument>::C),+) [$($ret)?] [
            unsafe extern "C-unwind" fn target(
                $($arg: <$ty as $crate::ddi::args::Argument>::C,)+
                $ap: <$va as $crate::ddi::args::Argument>::C
            ) $(-> $ret)? {
                $crate::ddi!(@body $name ($($arg: $ty,)+ $ap: $va) [$($ret)?] $body)
            }
        ] target);
    };
    (@one $kind:tt $meta:tt $name:ident $types:tt $ret:tt $target:path) => {
        $crate::variadic!(@kind $kind $meta $name $types $ret [] $target);
    };
    (@kind [] $($rest:tt)*) => { $crate::variadic!(@place [#[unsafe(no_mangle)]] $($rest)*); };
    (@kind [local] $($rest:tt)*) => { $crate::variadic!(@place [] $($rest)*); };
    // The place of the first variable argument: how many are before it, and its register.
    (@place $export:tt $meta:tt $name:ident ($a:ty) $($rest:tt)*) => {
        $crate::variadic!(@function $export $meta $name (1, "rsi") ($a) $($rest)*);
    };
    (@place $export:tt $meta:tt $name:ident ($a:ty, $b:ty) $($rest:tt)*) => {
        $crate::variadic!(@function $export $meta $name (2, "rdx") ($a, $b) $($rest)*);
    };
    (@place $export:tt $meta:tt $name:ident ($a:ty, $b:ty, $c:ty) $($rest:tt)*) => {
        $crate::variadic!(@function $export $meta $name (3, "rcx") ($a, $b, $c) $($rest)*);
    };
    (@place $export:tt $meta:tt $name:ident ($a:ty, $b:ty, $c:ty, $d:ty) $($rest:tt)*) => {
        $crate::variadic!(@function $export $meta $name (4, "r8") ($a, $b, $c, $d) $($rest)*);
    };
    (@place $export:tt $meta:tt $name:ident ($a:ty, $b:ty, $c:ty, $d:ty, $e:ty) $($rest:tt)*) => {
        $crate::variadic!(@function $export $meta $name (5, "r9") ($a, $b, $c, $d, $e) $($rest)*);
    };
    (@function [$($export:tt)*] [$($meta:tt)*] $name:ident ($fixed:literal, $va:literal) ($($ty:ty),*) [$($ret:ty)?]
        [$($own:tt)*] $target:path) => {
        #[allow(missing_docs)]
        mod $name {
            use super::*;

            const _: unsafe extern "C-unwind" fn($($ty),*, ...) $(-> $ret)? = $crate::ddi::sys::$name;
            const _: unsafe extern "C-unwind" fn($($ty),*, *mut $crate::ddi::sys::__va_list_tag) $(-> $ret)? = $target;

            $($own)*

            $($meta)*
            #[unsafe(naked)]
            $($export)*
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
    fn cmn_err(c_int, *const c_char) => vcmn_err;
    /// zcmn_err(9F).
    fn zcmn_err(zoneid_t, c_int, *const c_char) => vzcmn_err;
    /// dev_err(9F).
    fn dev_err(dip: *mut dev_info_t, level: c_int, fmt: Text<*mut c_char>; ap: Arguments) {
        device_message(dip, level, &formatted(fmt, ap));
    }
    /// ddi_err: like dev_err, with levels of its own.
    fn ddi_err(level: ddi_err_t, dip: *mut dev_info_t, fmt: Text; ap: Arguments) {
        let text = formatted(fmt, ap);
        let (level, prefix): (_, &[u8]) = match level {
            ddi_sys::DER_CONT => (ddi_sys::CE_CONT, b""),
            ddi_sys::DER_CONS => (ddi_sys::CE_CONT, b"^"),
            ddi_sys::DER_LOG => (ddi_sys::CE_CONT, b"!"),
            ddi_sys::DER_VERB => (ddi_sys::CE_CONT, b"?"),
            ddi_sys::DER_NOTE => (ddi_sys::CE_NOTE, b""),
            ddi_sys::DER_PANIC => (ddi_sys::CE_PANIC, b""),
            // For kernels with DEBUG.
            ddi_sys::DER_DEBUG => return,
            _ => (ddi_sys::CE_WARN, b""),
        };
        // A message of one of these three is a line.
        let end: &[u8] = if prefix.is_empty() || text.ends_with(b"\n") { b"" } else { b"\n" };
        device_message(dip, level, &[prefix, &text, end].concat());
    }
    /// printf of the kernel.
    @local fn printf(*const c_char) => vprintf;
    /// zprintf: there is one zone.
    fn zprintf(zoneid_t, *const c_char) => vzprintf;
    /// prom_printf: to the console.
    fn prom_printf(fmt: Text; ap: Arguments) {
        log::text(log::To::Console, &formatted(fmt, ap));
    }
    /// uprintf.
    fn uprintf(*const c_char) => vuprintf;
    /// snprintf(9F).
    @local fn snprintf(*mut c_char, usize, *const c_char) -> usize => vsnprintf;
    /// sprintf(9F).
    @local fn sprintf(*mut c_char, *const c_char) -> *mut c_char => vsprintf;
    /// kmem_asprintf: a string from kmem, freed with strfree.
    fn kmem_asprintf(fmt: Text; ap: Arguments) -> *mut c_char {
        let text = [&formatted(fmt, ap)[..], b"\0"].concat();
        memory::copy_of(&text, ddi_sys::KM_SLEEP).cast()
    }
    /// panic(9F).
    fn panic(*const c_char) -> ! => vpanic;
    /// ddi_fm_ereport_post(9F): the event's class is logged, its payload is not.
    fn ddi_fm_ereport_post(dip: *mut dev_info_t, class: Text, _ena: u64, _flag: c_int; _ap: Arguments) {
        let name = nodes::of(dip).map_or(String::new(), |node| node.path());
        log::line(log::To::Log, &format!("ereport {} from {name}", class.text()));
    }
    /// strlog(9F): everything is logged.
    fn strlog(_mid: i16, _sid: i16, _level: c_char, _flags: u16, fmt: Text<*mut c_char>; ap: Arguments) -> c_int {
        log::text(log::To::Log, &[&formatted(fmt, ap)[..], b"\n"].concat());
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null_mut;

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
    fn levels_of_ddi_err() {
        log::set_quiet(true);
        for (level, text) in
            [(ddi_sys::DER_WARN, c"w%d"), (ddi_sys::DER_NOTE, c"n%d"), (ddi_sys::DER_LOG, c"l%d")]
        {
            driver!(ddi_sys::ddi_err(level, null_mut(), text.as_ptr(), 17));
        }
        driver!(ddi_sys::ddi_err(ddi_sys::DER_DEBUG, null_mut(), c"d%d".as_ptr(), 17));
        let lines = log::recent();
        let has = |line: &str| lines.iter().any(|l| l == line);
        assert!(has("WARNING: w17") && has("NOTICE: n17") && has("l17") && !has("d17"), "{lines:?}");
        report::set_policy(report::Policy::Unwind);
        let run = || driver!(ddi_sys::ddi_err(ddi_sys::DER_PANIC, null_mut(), c"p%d".as_ptr(), 17));
        let caught = std::panic::catch_unwind(run).unwrap_err();
        assert_eq!(caught.downcast_ref::<report::Reported>().unwrap().0, "p17");
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
