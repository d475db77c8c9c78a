//! Error numbers as illumos has them, and errors that say which call refused and why.
//!
//! No locking. Values above 34 differ from Linux: a driver uses the constants, never numbers.

use core::ffi::c_int;
use core::fmt;
use core::hint;
use core::num::NonZeroI32;

use ddi_sys as sys;

/// An illumos error number: never zero, in the range that the kernel accepts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(NonZeroI32);

macro_rules! errnos {
    ($($name:ident: $text:literal,)*) => {
        impl Errno {
            $(#[doc = concat!($text, ".")]
            pub const $name: Errno = Errno::constant(sys::$name);)*

        }

        /// Numbers, in the order of [`NAMES`].
        static NUMBERS: [u8; [$(sys::$name),*].len()] = [$(sys::$name as u8),*];
        /// Names, each with a blank behind it: a table of them would be larger than they are.
        static NAMES: &str = concat!($(stringify!($name), " "),*);
    };
}

errnos! {
    EPERM: "Not the owner, or not privileged",
    ENOENT: "No such thing",
    ESRCH: "No such process",
    EINTR: "A signal came; from an access callback it makes the process repeat the access",
    EIO: "The device failed",
    ENXIO: "No such device, or an address that it has not",
    EAGAIN: "Not now, or no more of it",
    ENOMEM: "No memory",
    EACCES: "Not with these protections",
    EFAULT: "An address that is not mapped",
    EBUSY: "In use",
    EEXIST: "Exists already",
    ENODEV: "Not for this device",
    EINVAL: "Wrong argument",
    ENFILE: "Table full",
    EMFILE: "Too many",
    ENOTTY: "No such ioctl",
    ENOSPC: "No space",
    ERANGE: "Result too large",
    ECANCELED: "Cancelled",
    ENOTSUP: "Not supported",
    EOVERFLOW: "A value does not fit",
    EDEADLK: "Would wait for itself",
    ENAMETOOLONG: "A name or text is too long",
    ETIMEDOUT: "Took too long",
    EALREADY: "Under way already",
    ESTALE: "What the handle meant is gone",
}

/// The greatest error number that illumos defines.
const LAST: c_int = sys::ESTALE;

impl Errno {
    const fn constant(raw: c_int) -> Errno {
        match NonZeroI32::new(raw) {
            Some(raw) => Errno(raw),
            None => panic!("an error number is not zero"),
        }
    }

    /// Returns the error number `raw`, or None if there is none (zero, negative, or beyond the last).
    pub const fn new(raw: c_int) -> Option<Errno> {
        if raw < 1 || raw > LAST {
            return None;
        }
        match NonZeroI32::new(raw) {
            Some(raw) => Some(Errno(raw)),
            None => None,
        }
    }

    /// Returns the name in capitals, or `"errno"` for a number that a driver rarely uses.
    #[cold]
    #[inline(never)]
    pub fn name(self) -> &'static str {
        let mut start = 0;
        for &number in &NUMBERS {
            let rest = NAMES.as_bytes().get(start..).unwrap_or(&[]);
            let len = rest.iter().take_while(|&&byte| byte != b' ').count();
            if c_int::from(number) == self.raw() {
                return NAMES.get(start..start + len).unwrap_or("");
            }
            start += len + 1;
        }
        "errno"
    }

    /// Returns the number that the kernel wants.
    pub const fn raw(self) -> c_int {
        self.0.get()
    }

    /// Converts the result of a DDI function that returns 0 or an error number.
    #[inline(always)]
    pub(crate) fn check(raw: c_int) -> Result<(), Errno> {
        match NonZeroI32::new(raw) {
            None => Ok(()),
            Some(raw) => Err(Errno(raw)),
        }
    }

    /// The number that the kernel wants, where it is rarely wanted: what is usual does not prepare for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn refused(self) -> c_int {
        // Else the compiler knows the result, and has it ready before it looks.
        hint::black_box(self.raw())
    }

    /// The same, where it is rare that there is an error: what is usual does not prepare for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn rare(self) -> Errno {
        hint::black_box(self)
    }

    /// A fault code as the error number that says the same.
    ///
    /// The framework takes whatever devmap_access(9E) returns for an error number: a fault code passed on would turn
    /// "no permission" (`FC_PROT`, 4) into `EINTR`, and the process would repeat the access for ever.
    pub(crate) fn from_fault(code: sys::faultcode_t) -> Errno {
        match sys::FC_CODE(code) {
            sys::FC_HWERR => Errno::EIO,
            sys::FC_ALIGN => Errno::EINVAL,
            sys::FC_OBJERR => Errno::new(sys::FC_ERRNO(code)).unwrap_or(Errno::EFAULT),
            sys::FC_PROT => Errno::EACCES,
            sys::FC_NOSUPPORT => Errno::ENOTSUP,
            _ => Errno::EFAULT,
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.raw())
    }
}

impl core::error::Error for Errno {}

/// A DDI call that was refused: by the kernel, or by this crate before the kernel was asked.
///
/// Converts into [`Errno`], so that `?` works in a driver's entry points; print it to learn what was wrong. An `Errno` converts into an `Error`
/// without a call and a reason, so that `?` takes both in a function that returns either.
///
/// ```no_run
/// # use devmap::prelude::*;
/// # fn f() -> Result<(), Errno> {
/// let error = Umem::try_new(Kind::Locked, 0).err();
/// if let Some(error) = error {
///     devmap::warn!("{error}"); // ddi_umem_alloc(9F): no such length: EINVAL (22)
/// }
/// let ring = Umem::try_new(Kind::Locked, 4096)?; // an Errno in the function's result
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    errno: Errno,
    /// None if it was no call.
    words: Option<&'static Words>,
}

/// The call that was refused, by its manual page, and why. Constants, so that an error is two words in registers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) page: &'static str,
    pub(crate) why: &'static str,
}

/// An [`Error`] of an error number, a manual page and a reason; the last two are constants.
macro_rules! error {
    ($errno:expr, $page:expr, $why:expr $(,)?) => {
        $crate::errno::Error::new($errno, const { &$crate::errno::Words { page: $page, why: $why } })
    };
}
pub(crate) use error;

impl Error {
    pub(crate) const fn new(errno: Errno, words: &'static Words) -> Error {
        Error { errno, words: Some(words) }
    }

    /// Returns the error number.
    pub const fn errno(&self) -> Errno {
        self.errno
    }

    /// Returns the manual page of the call, for example `devmap_umem_setup(9F)`; empty if it was no call.
    pub const fn page(&self) -> &'static str {
        match self.words {
            Some(words) => words.page,
            None => "",
        }
    }

    /// Returns the problem in words.
    pub const fn why(&self) -> &'static str {
        match self.words {
            Some(words) => words.why,
            None => "",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words {
            Some(words) => write!(f, "{}: {}: {}", words.page, words.why, self.errno),
            None => fmt::Display::fmt(&self.errno, f),
        }
    }
}

impl core::error::Error for Error {}

impl From<Error> for Errno {
    fn from(error: Error) -> Errno {
        error.errno
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        Error { errno, words: None }
    }
}
