//! [`Properties`] of a node: of its hardware, of its `.conf` file, and of the driver's own making.
//!
//! A lookup returns the kernel's copy, which is freed with the value; nothing is copied again. User or kernel context (a look-up may sleep for memory), with any
//! mutex held.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::slice;

use ddi_sys as sys;

use crate::errno::{Errno, Error, Words, error};
use crate::kmem::{try_push, try_words};
use crate::node::Node;

const LOOKUP: &str = "ddi_prop_lookup(9F)";
const NO_NAME: Error = error!(Errno::ENOENT, LOOKUP, "no property has such a name");
const UPDATE: &str = "ddi_prop_update(9F)";

/// Calls a function with a name for the kernel; one with a NUL inside is the name of nothing.
#[inline(always)]
fn with<R>(name: &str, f: impl FnOnce(*mut c_char) -> R) -> Option<R> {
    let name = terminated(name)?;
    Some(f(name.as_ptr().cast_mut().cast()))
}

/// Returns a copy of a name that ends in NUL, or nothing if there is a NUL inside. Allocates: on the stack, room for the longest name would be taken for each.
#[cold]
#[inline(never)]
fn terminated(name: &str) -> Option<Box<[u64]>> {
    // Of zeros, more than the name has bytes.
    let mut words = try_words(name.len() / 8 + 1).ok()?;
    if name.bytes().any(|byte| byte == 0) {
        return None;
    }
    // SAFETY: there is room for the name, which is elsewhere.
    unsafe { ptr::copy_nonoverlapping(name.as_ptr(), words.as_mut_ptr().cast::<u8>(), name.len()) };
    Some(words)
}

/// Why the kernel refuses, by a function with this manual page.
const fn refusals(page: &'static str) -> [Words; 4] {
    [
        Words { page, why: "the node has no such property" },
        Words { page, why: "no memory" },
        Words { page, why: "no such name, or no such value" },
        Words { page, why: "the property is of another type" },
    ]
}

static LOOKUPS: [Words; 4] = refusals(LOOKUP);
static UPDATES: [Words; 4] = refusals(UPDATE);

fn checked(code: c_int, [none, memory, name, other]: &'static [Words; 4]) -> Result<(), Error> {
    Err(match code {
        sys::DDI_PROP_SUCCESS => return Ok(()),
        sys::DDI_PROP_NOT_FOUND | sys::DDI_PROP_UNDEFINED => Error::new(Errno::ENOENT, none),
        sys::DDI_PROP_NO_MEMORY => Error::new(Errno::ENOMEM, memory),
        sys::DDI_PROP_INVAL_ARG => Error::new(Errno::EINVAL, name),
        _ => Error::new(Errno::EINVAL, other),
    })
}

/// The numbers of a property: `i32`, `i64` or bytes. Derefs to a slice.
pub struct Values<T> {
    start: NonNull<T>,
    count: usize,
}

impl<T> Deref for Values<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the kernel's copy of the property: so many numbers, which stay until they are freed in `drop`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T> Drop for Values<T> {
    fn drop(&mut self) {
        // SAFETY: from a look-up, freed once.
        unsafe { sys::ddi_prop_free(self.start.as_ptr().cast()) };
    }
}

/// The text of a property. Derefs to a C string.
pub struct Value(NonNull<c_char>);

impl Deref for Value {
    type Target = CStr;
    fn deref(&self) -> &CStr {
        // SAFETY: the kernel's copy of the property, which ends in NUL and stays until it is freed in `drop`.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: from a look-up, freed once.
        unsafe { sys::ddi_prop_free(self.0.as_ptr().cast()) };
    }
}

/// The texts of a property.
pub struct Texts(Values<*mut c_char>);

impl Texts {
    /// Returns the texts, in order.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        // SAFETY: a pointer of the kernel's copy, to a string that ends in NUL and is freed with it.
        self.0.iter().map(|text| unsafe { CStr::from_ptr(*text) })
    }
}

impl<'a> Node<'a> {
    /// Returns the properties of all types, to be read and set.
    pub fn properties(&self) -> Properties<'a> {
        Properties::new(*self)
    }
}

/// The properties of a node: [`Node::properties`].
///
/// ```no_run
/// # use devmap::prelude::*;
/// # fn f(node: &Node<'_>) -> Result<(), devmap::Error> {
/// let properties = node.properties();
/// let registers = properties.ints("reg")?; // ENOENT: there is none
/// devmap::note!("{} numbers", registers.len());
/// properties.set_int64("booted", 1)?; // prtconf -v shows it
/// for name in properties.with_parents().texts("compatible")?.iter() {
///     devmap::note!("{}", name.to_str().unwrap_or("?"));
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy)]
pub struct Properties<'a> {
    node: Node<'a>,
    flags: u32,
}

/// The lookups' common shape.
type Lookup<T> = unsafe extern "C-unwind" fn(
    sys::dev_t,
    *mut sys::dev_info_t,
    u32,
    *mut c_char,
    *mut *mut T,
    *mut u32,
) -> c_int;

impl<'a> Properties<'a> {
    pub(crate) fn new(node: Node<'a>) -> Properties<'a> {
        Properties { node, flags: sys::DDI_PROP_DONTPASS }
    }

    /// Looks up properties in the node and then in its parents, up to the root.
    #[must_use]
    pub fn with_parents(self) -> Properties<'a> {
        Properties { flags: 0, ..self }
    }

    fn lookup<T>(&self, name: &str, lookup: Lookup<T>) -> Result<Values<T>, Error> {
        // SAFETY: a string that ends in NUL.
        with(name, |name| unsafe { self.look_up(name, lookup) }).ok_or(NO_NAME)?
    }

    /// # Safety
    /// The name is a string that ends in NUL.
    unsafe fn look_up<T>(&self, name: *mut c_char, lookup: Lookup<T>) -> Result<Values<T>, Error> {
        let (mut start, mut count): (*mut T, u32) = (ptr::null_mut(), 0);
        let (node, flags) = (self.node.as_ptr(), self.flags);
        // SAFETY: a live node and the caller's string, which the call does not keep or change; the answers go to locals.
        let code = unsafe { lookup(sys::DDI_DEV_T_ANY, node, flags, name, &raw mut start, &raw mut count) };
        checked(code, &LOOKUPS)?;
        let start = NonNull::new(start).ok_or(error!(Errno::EINVAL, LOOKUP, "the property is empty"))?;
        Ok(Values { start, count: count as usize })
    }

    /// Returns an array of integers: `ddi_prop_lookup_int_array(9F)`. Fails with `ENOENT` if there is none, and with `EINVAL` if it is of another type.
    pub fn ints(&self, name: &str) -> Result<Values<i32>, Error> {
        self.lookup(name, sys::ddi_prop_lookup_int_array)
    }

    /// As [`ints`](Properties::ints); copies no name.
    pub(crate) fn ints_named(&self, name: &CStr) -> Result<Values<i32>, Error> {
        // SAFETY: a C string.
        unsafe { self.look_up(name.as_ptr().cast_mut(), sys::ddi_prop_lookup_int_array) }
    }

    /// Returns an array of 64-bit integers: `ddi_prop_lookup_int64_array(9F)`.
    pub fn int64s(&self, name: &str) -> Result<Values<i64>, Error> {
        self.lookup(name, sys::ddi_prop_lookup_int64_array)
    }

    /// Returns an array of bytes: `ddi_prop_lookup_byte_array(9F)`.
    pub fn bytes(&self, name: &str) -> Result<Values<u8>, Error> {
        self.lookup(name, sys::ddi_prop_lookup_byte_array)
    }

    /// Returns an array of texts: `ddi_prop_lookup_string_array(9F)`.
    pub fn texts(&self, name: &str) -> Result<Texts, Error> {
        self.lookup(name, sys::ddi_prop_lookup_string_array).map(Texts)
    }

    /// Returns a text: `ddi_prop_lookup_string(9F)`.
    pub fn text(&self, name: &str) -> Result<Value, Error> {
        let (mut text, node): (*mut c_char, _) = (ptr::null_mut(), self.node.as_ptr());
        // SAFETY: as in `lookup`.
        let code = with(name, |name| unsafe {
            sys::ddi_prop_lookup_string(sys::DDI_DEV_T_ANY, node, self.flags, name, &raw mut text)
        });
        checked(code.ok_or(NO_NAME)?, &LOOKUPS)?;
        NonNull::new(text).map(Value).ok_or(error!(Errno::EINVAL, LOOKUP, "the property is empty"))
    }

    /// Returns an integer, or `default`: `ddi_prop_get_int(9F)`.
    pub fn int(&self, name: &str, default: i32) -> i32 {
        let node = self.node.as_ptr();
        // SAFETY: as in `lookup`.
        let value = with(name, |name| unsafe {
            sys::ddi_prop_get_int(sys::DDI_DEV_T_ANY, node, self.flags, name, default)
        });
        value.unwrap_or(default)
    }

    /// Returns a 64-bit integer, or `default`: `ddi_prop_get_int64(9F)`.
    pub fn int64(&self, name: &str, default: i64) -> i64 {
        let node = self.node.as_ptr();
        // SAFETY: as in `lookup`.
        let value = with(name, |name| unsafe {
            sys::ddi_prop_get_int64(sys::DDI_DEV_T_ANY, node, self.flags, name, default)
        });
        value.unwrap_or(default)
    }

    /// Returns whether a property of this name exists, of any type: `ddi_prop_exists(9F)`. For boolean properties.
    pub fn has(&self, name: &str) -> bool {
        let node = self.node.as_ptr();
        // SAFETY: as in `lookup`.
        let there =
            with(name, |name| unsafe { sys::ddi_prop_exists(sys::DDI_DEV_T_ANY, node, self.flags, name) });
        there.is_some_and(|there| there != 0)
    }

    /// As [`has`](Properties::has); copies no name.
    pub(crate) fn has_named(&self, name: &CStr) -> bool {
        let (node, name) = (self.node.as_ptr(), name.as_ptr().cast_mut());
        // SAFETY: as in `lookup`.
        let there = unsafe { sys::ddi_prop_exists(sys::DDI_DEV_T_ANY, node, self.flags, name) };
        there != 0
    }

    /// Sets a property of the driver's own, whose type `set` knows.
    fn set(
        &self,
        name: &str,
        set: impl FnOnce(*mut sys::dev_info_t, *mut c_char) -> c_int,
    ) -> Result<(), Error> {
        let code = with(name, |name| set(self.node.as_ptr(), name));
        checked(code.ok_or(error!(Errno::EINVAL, UPDATE, "no property has such a name"))?, &UPDATES)
    }

    /// Sets an integer, which hides that of the `.conf` file until the node is detached: `ddi_prop_update_int(9F)`.
    pub fn set_int(&self, name: &str, value: i32) -> Result<(), Error> {
        // SAFETY: a live node and a string that ends in NUL; the value is copied. Likewise below.
        self.set(name, |dip, name| unsafe { sys::ddi_prop_update_int(sys::DDI_DEV_T_NONE, dip, name, value) })
    }

    /// Sets a 64-bit integer: `ddi_prop_update_int64(9F)`.
    pub fn set_int64(&self, name: &str, value: i64) -> Result<(), Error> {
        // SAFETY: as in `set_int`.
        self.set(name, |dip, name| unsafe {
            sys::ddi_prop_update_int64(sys::DDI_DEV_T_NONE, dip, name, value)
        })
    }

    /// Sets an array of integers: `ddi_prop_update_int_array(9F)`.
    pub fn set_ints(&self, name: &str, values: &[i32]) -> Result<(), Error> {
        let count = count(values.len())?;
        // SAFETY: as in `set_int`; so many numbers, which are only read.
        self.set(name, |dip, name| unsafe {
            let values = values.as_ptr().cast_mut();
            sys::ddi_prop_update_int_array(sys::DDI_DEV_T_NONE, dip, name, values, count)
        })
    }

    /// Sets an array of 64-bit integers: `ddi_prop_update_int64_array(9F)`.
    pub fn set_int64s(&self, name: &str, values: &[i64]) -> Result<(), Error> {
        let count = count(values.len())?;
        // SAFETY: as in `set_ints`.
        self.set(name, |dip, name| unsafe {
            let values = values.as_ptr().cast_mut();
            sys::ddi_prop_update_int64_array(sys::DDI_DEV_T_NONE, dip, name, values, count)
        })
    }

    /// Sets an array of bytes: `ddi_prop_update_byte_array(9F)`.
    pub fn set_bytes(&self, name: &str, values: &[u8]) -> Result<(), Error> {
        let count = count(values.len())?;
        // SAFETY: as in `set_ints`.
        self.set(name, |dip, name| unsafe {
            let values = values.as_ptr().cast_mut();
            sys::ddi_prop_update_byte_array(sys::DDI_DEV_T_NONE, dip, name, values, count)
        })
    }

    /// Sets a text: `ddi_prop_update_string(9F)`.
    pub fn set_text(&self, name: &str, text: &CStr) -> Result<(), Error> {
        // SAFETY: as in `set_int`; a string that ends in NUL and is only read.
        self.set(name, |dip, name| unsafe {
            sys::ddi_prop_update_string(sys::DDI_DEV_T_NONE, dip, name, text.as_ptr().cast_mut())
        })
    }

    /// Sets an array of texts: `ddi_prop_update_string_array(9F)`.
    pub fn set_texts(&self, name: &str, texts: &[&CStr]) -> Result<(), Error> {
        let count = count(texts.len())?;
        let mut all = Vec::new();
        for text in texts {
            let no_memory = |_| error!(Errno::ENOMEM, UPDATE, "no memory for so many texts");
            try_push(&mut all, text.as_ptr().cast_mut()).map_err(no_memory)?;
        }
        // SAFETY: as in `set_text`; so many pointers.
        self.set(name, |dip, name| unsafe {
            sys::ddi_prop_update_string_array(sys::DDI_DEV_T_NONE, dip, name, all.as_mut_ptr(), count)
        })
    }

    /// Removes a property that was set: `ddi_prop_remove(9F)`. The value that it hid is visible again. Fails with `ENOENT` if there is none.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        // SAFETY: as in `set_int`.
        self.set(name, |dip, name| unsafe { sys::ddi_prop_remove(sys::DDI_DEV_T_NONE, dip, name) })
    }
}

fn count(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| error!(Errno::EINVAL, UPDATE, "too many values"))
}
