//! The arguments of DDI functions, as their bodies get them.
//!
//! [`ddi!`](crate::ddi!) turns what C passes into the types that a function's definition names: numbers and pointers stay what they are; the types here
//! say what a pointer is for, so that bodies need no unsafe code for it. Each rests on one thing, the driver's promise: an argument is what the manual page of
//! the function asks for, and stays so until the function returns. That is why they have a lifetime: none can be kept.
//!
//! | type | C | what the driver promises |
//! | --- | --- | --- |
//! | [`Text`] | `char *` | NULL, or a string with a NUL |
//! | a [`Structure`], or `Option` of one | `T *` | a structure of this type that lives, or NULL |
//! | [`In`] | `T *` | NULL, or a `T` to read |
//! | [`Out`] | `T *` | NULL, or room for a `T`, which may hold anything |
//! | [`InOut`] | `T *` | NULL, or a `T` to read and write |
//! | [`Memory`] | `void *` | memory of the length that the manual page says, initialised where it is read; processes and devices may change it at any time |
//! | [`Span`] | | such memory with its length |
//! | [`Object`] | `T *` | NULL, or what the host gave it, not given back yet |
//! | [`Owned`] | `T *` | what the host gave it, given back with this call |
//! | [`Arguments`] | `va_list` | the calling convention's structure, with the arguments that the function asks for |
//! | [`Word`] | `T *` | a lock of eight aligned bytes, used as a lock only |
//!
//! NULL where the manual page allows none is reported by the methods that need a value, before it is followed.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use ddi_sys::{kmutex_t, krwlock_t, ksema_t};

use crate::board::report;
use crate::kern::fields::Structure;
use crate::kern::printf::{Args, VaList};

/// Reports NULL where the manual page allows none.
fn missing<T>() -> ! {
    report::panic(&format!("NULL is passed where a {} is needed", std::any::type_name::<T>()))
}

/// An argument of a DDI function.
pub trait Argument: Sized {
    /// Type in C.
    type C;

    /// The argument that C passes as `c`.
    ///
    /// # Safety
    /// It is what the manual page of the function asks for, until the function returns.
    unsafe fn of(c: Self::C) -> Self;
}

macro_rules! plain {
    ($($ty:ty),*) => { $(
        impl Argument for $ty {
            type C = $ty;

            unsafe fn of(c: $ty) -> $ty {
                c
            }
        }
    )* };
}

plain!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, ddi_sys::lloff);

impl<T> Argument for *const T {
    type C = *const T;

    unsafe fn of(c: *const T) -> *const T {
        c
    }
}

impl<T> Argument for *mut T {
    type C = *mut T;

    unsafe fn of(c: *mut T) -> *mut T {
        c
    }
}

macro_rules! functions {
    ($($arg:ident)*) => {
        impl<R, $($arg),*> Argument for Option<unsafe extern "C-unwind" fn($($arg),*) -> R> {
            type C = Self;

            unsafe fn of(c: Self) -> Self {
                c
            }
        }
    };
}

functions!();
functions!(A);
functions!(A B);
functions!(A B C);
functions!(A B C D);
functions!(A B C D E);
functions!(A B C D E F);

impl<S: Structure> Argument for S {
    type C = *mut S::C;

    unsafe fn of(c: *mut S::C) -> Self {
        // SAFETY: the caller's promise: what the manual page asks for is what the invariants of the type say.
        unsafe { S::at(c) }.unwrap_or_else(|| missing::<S::C>())
    }
}

impl<S: Structure> Argument for Option<S> {
    type C = *mut S::C;

    unsafe fn of(c: *mut S::C) -> Self {
        // SAFETY: the caller's promise: what the manual page asks for is what the invariants of the type say.
        unsafe { S::at(c) }
    }
}

/// A pointer as C has it: `*const T` or `*mut T`.
pub trait Pointer<T> {
    /// Returns the address.
    fn address(self) -> *mut T;
}

impl<T> Pointer<T> for *const T {
    fn address(self) -> *mut T {
        self.cast_mut()
    }
}

impl<T> Pointer<T> for *mut T {
    fn address(self) -> *mut T {
        self
    }
}

/// A driver's string. `P` is what C passes: `*const c_char`, `*mut c_char`, or a pointer to something else that the manual page says to be a string.
///
/// # Invariants
/// NULL, or a string with a NUL that lives for `'a`.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a, P = *const c_char> {
    at: *const c_char,
    _of: PhantomData<(&'a c_char, P)>,
}

impl<T> Argument for Text<'_, *const T> {
    type C = *const T;

    unsafe fn of(c: *const T) -> Self {
        Text { at: c.cast(), _of: PhantomData }
    }
}

impl<T> Argument for Text<'_, *mut T> {
    type C = *mut T;

    unsafe fn of(c: *mut T) -> Self {
        Text { at: c.cast(), _of: PhantomData }
    }
}

impl<'a, P> Text<'a, P> {
    /// Returns whether it is NULL.
    pub fn is_null(self) -> bool {
        self.at.is_null()
    }

    /// Returns its bytes without the NUL; none for NULL.
    pub fn bytes(self) -> &'a [u8] {
        if self.at.is_null() {
            return b"";
        }
        // SAFETY: the invariant.
        unsafe { CStr::from_ptr(self.at) }.to_bytes()
    }

    /// Returns it with replacement characters for what is not UTF-8; empty for NULL.
    pub fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// Returns the pointer.
    pub fn pointer(self) -> *mut c_char {
        self.at.cast_mut()
    }
}

/// A place for one `T`. `P` is what C passes, `A` what the function may do with it; [`In`], [`Out`] and [`InOut`] are the names of its kinds.
///
/// # Invariants
/// NULL, or room for a `T` that is there for `'a`, aligned. If it may be read, it is initialised, and no other thread changes it meanwhile.
#[derive(Debug)]
pub struct Place<'a, T, P, A> {
    at: *mut T,
    _of: PhantomData<(&'a T, P, A)>,
}

/// The access that [`In`] allows.
#[derive(Debug)]
pub struct Read;
/// The access that [`Out`] allows.
#[derive(Debug)]
pub struct Write;
/// The access that [`InOut`] allows.
#[derive(Debug)]
pub struct ReadWrite;

/// An access that reads.
pub trait Reads {}
impl Reads for Read {}
impl Reads for ReadWrite {}

/// An access that writes.
pub trait Writes {}
impl Writes for Write {}
impl Writes for ReadWrite {}

/// A value to read.
pub type In<'a, T, P = *const T> = Place<'a, T, P, Read>;
/// A place for a result; what is in it may not be initialised.
pub type Out<'a, T, P = *mut T> = Place<'a, T, P, Write>;
/// A value to read and to replace.
pub type InOut<'a, T, P = *mut T> = Place<'a, T, P, ReadWrite>;

impl<T, P, A> Clone for Place<'_, T, P, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, P, A> Copy for Place<'_, T, P, A> {}

impl<T, P: Pointer<T>, A> Argument for Place<'_, T, P, A> {
    type C = P;

    unsafe fn of(c: P) -> Self {
        Place { at: c.address(), _of: PhantomData }
    }
}

impl<T, P, A> Place<'_, T, P, A> {
    /// Returns whether it is NULL.
    pub fn is_null(self) -> bool {
        self.at.is_null()
    }

    /// Returns the pointer.
    pub fn pointer(self) -> *mut T {
        self.at
    }
}

impl<T: Copy, P, A: Reads> Place<'_, T, P, A> {
    /// Returns the value; None for NULL.
    pub fn get(self) -> Option<T> {
        // SAFETY: the invariant, if it is not NULL.
        NonNull::new(self.at).map(|at| unsafe { at.read() })
    }

    /// Returns the value; NULL is reported.
    pub fn value(self) -> T {
        self.get().unwrap_or_else(|| missing::<T>())
    }
}

impl<T, P, A: Writes> Place<'_, T, P, A> {
    /// Stores a value, if there is a place for it.
    pub fn set(self, value: T) {
        if let Some(at) = NonNull::new(self.at) {
            // SAFETY: the invariant.
            unsafe { at.write(value) };
        }
    }

    /// Stores a value; NULL is reported.
    pub fn put(self, value: T) {
        if self.is_null() {
            missing::<T>();
        }
        self.set(value);
    }
}

impl<T, P> InOut<'_, *mut T, P> {
    /// Returns the pointer and stores NULL.
    pub fn take(self) -> *mut T {
        let pointer = self.value();
        self.set(std::ptr::null_mut());
        pointer
    }
}

/// A driver's memory, whose length is another argument's or the manual page's matter. `T` is what C points to, `P` what it passes.
///
/// # Invariants
/// Valid for `'a` for as many bytes as the manual page of the function says; initialised where the function reads. Others may change it at any time, so it is
/// copied, and never seen through a reference.
#[derive(Debug)]
pub struct Memory<'a, T = c_void, P = *mut T> {
    at: *mut T,
    _of: PhantomData<(&'a T, P)>,
}

impl<T, P> Clone for Memory<'_, T, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, P> Copy for Memory<'_, T, P> {}

impl<T, P: Pointer<T>> Argument for Memory<'_, T, P> {
    type C = P;

    unsafe fn of(c: P) -> Self {
        Memory { at: c.address(), _of: PhantomData }
    }
}

impl<'a, T, P> Memory<'a, T, P> {
    /// Returns whether it is NULL.
    pub fn is_null(self) -> bool {
        self.at.is_null()
    }

    /// Returns the pointer.
    pub fn pointer(self) -> *mut T {
        self.at
    }

    /// Returns the memory without the type of its elements.
    pub fn untyped(self) -> Memory<'a> {
        Memory { at: self.at.cast(), _of: PhantomData }
    }

    /// Returns a copy of its first `len` bytes, as many as the manual page says that it has.
    pub fn read(self, len: usize) -> Vec<u8> {
        self.sized(len).read()
    }

    /// Returns the memory with its length, which another argument or the manual page says.
    pub fn sized(self, len: usize) -> Span<'a> {
        Span { at: self.at.cast(), len, _of: PhantomData }
    }

    /// Returns the memory as that of elements of another type, which the manual page says that it holds.
    pub fn cast<U>(self) -> Memory<'a, U, P> {
        Memory { at: self.at.cast(), _of: PhantomData }
    }

    /// Returns the memory from `offset` on.
    pub fn after(self, offset: usize) -> Self {
        Memory { at: self.at.wrapping_byte_add(offset), _of: PhantomData }
    }

    /// Stores bytes at `offset`, no more than the manual page says that it has room for.
    pub fn write(self, offset: usize, bytes: &[u8]) {
        self.after(offset).sized(bytes.len()).write(0, bytes);
    }
}

impl<T: Copy, P> Memory<'_, T, P> {
    /// Returns element `index`, of as many as the manual page says that there are.
    pub fn element(self, index: usize) -> T {
        // SAFETY: the invariant.
        unsafe { self.at.wrapping_add(index).read_unaligned() }
    }

    /// Stores element `index`, of as many as the manual page says that there is room for.
    pub fn set_element(self, index: usize, value: T) {
        // SAFETY: the invariant.
        unsafe { self.at.wrapping_add(index).write_unaligned(value) };
    }
}

/// A driver's memory with its length.
///
/// # Invariants
/// Those of [`Memory`], for `len` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    at: *mut u8,
    len: usize,
    _of: PhantomData<&'a u8>,
}

impl<'a> Span<'a> {
    /// Returns its length.
    pub fn len(self) -> usize {
        self.len
    }

    /// Returns the pointer.
    pub fn pointer(self) -> *mut u8 {
        self.at
    }

    /// Returns whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Returns what follows the first `offset` bytes.
    pub fn after(self, offset: usize) -> Span<'a> {
        let len = self.len.checked_sub(offset).expect("an offset within the memory");
        Span { at: self.at.wrapping_add(offset), len, _of: PhantomData }
    }

    /// Returns its first `len` bytes.
    pub fn first(self, len: usize) -> Span<'a> {
        assert!(len <= self.len, "a length within the memory");
        Span { len, ..self }
    }

    /// Returns a copy of its bytes.
    pub fn read(self) -> Vec<u8> {
        let mut copy = vec![0; self.len];
        if self.len > 0 {
            // SAFETY: the invariant; the copy is new.
            unsafe { std::ptr::copy_nonoverlapping(self.at.cast_const(), copy.as_mut_ptr(), self.len) };
        }
        copy
    }

    /// Stores bytes at `offset`.
    pub fn write(self, offset: usize, bytes: &[u8]) {
        let to = self.after(offset).first(bytes.len());
        if !bytes.is_empty() {
            // SAFETY: the invariant, for as many bytes; `copy` allows that they are the same memory.
            unsafe { std::ptr::copy(bytes.as_ptr(), to.at, bytes.len()) };
        }
    }

    /// Stores as much of a text as there is room for with a NUL; nothing without room. Returns the length of the text.
    pub fn write_text(self, text: &[u8]) -> usize {
        if let Some(most) = self.len.checked_sub(1) {
            let n = text.len().min(most);
            self.write(0, &text[..n]);
            self.write(n, &[0]);
        }
        text.len()
    }

    /// Stores the same byte everywhere.
    pub fn fill(self, byte: u8) {
        if self.len > 0 {
            // SAFETY: the invariant.
            unsafe { self.at.write_bytes(byte, self.len) };
        }
    }

    /// Stores the bytes of memory of the same length, which may be the same memory.
    pub fn copy_from(self, from: Span<'_>) {
        assert_eq!(self.len, from.len, "as many bytes");
        if self.len > 0 {
            // SAFETY: the invariants of both; `copy` allows that they overlap.
            unsafe { std::ptr::copy(from.at.cast_const(), self.at, self.len) };
        }
    }
}

/// Type of a variable argument in C.
pub trait Passed {
    /// Returns the argument in a word.
    fn of(word: u64) -> Self;
}

impl Passed for u32 {
    fn of(word: u64) -> Self {
        word as u32
    }
}

impl Passed for usize {
    fn of(word: u64) -> Self {
        word as usize
    }
}

impl<T> Passed for *const T {
    fn of(word: u64) -> Self {
        std::ptr::with_exposed_provenance(word as usize)
    }
}

impl<T> Passed for *mut T {
    fn of(word: u64) -> Self {
        std::ptr::with_exposed_provenance_mut(word as usize)
    }
}

/// A function's variable arguments.
///
/// # Invariants
/// The calling convention's structure, with as many arguments as the manual page of the function, or the format that comes with it, asks for, and of these types.
#[derive(Debug)]
pub struct Arguments<'a>(&'a mut VaList);

impl Argument for Arguments<'_> {
    type C = *mut ddi_sys::__va_list_tag;

    unsafe fn of(c: Self::C) -> Self {
        // SAFETY: the caller's promise: a `va_list`, whose layout `VaList` has; the driver has handed it over.
        Arguments(unsafe { &mut *c.cast() })
    }
}

impl<'a> Arguments<'a> {
    /// Returns the next argument, which the manual page of the function says to be of this type.
    pub fn argument<A: Argument<C: Passed>>(&mut self) -> A {
        // SAFETY: the invariant.
        unsafe { A::of(A::C::of(self.0.word())) }
    }

    /// Returns the pointer.
    pub fn pointer(self) -> *mut ddi_sys::__va_list_tag {
        std::ptr::from_mut(self.0).cast()
    }

    /// Returns them as the source of a format's arguments.
    pub fn of_format(self) -> &'a mut VaList {
        self.0
    }
}

/// An object of the host's that drivers know by its address. `C` is the type that C points to.
///
/// # Invariants
/// NULL, or the address of a `T` that the host gave to the driver as a `C`, and that is there for `'a`.
#[derive(Debug)]
pub struct Object<'a, T, C, P = *mut C> {
    at: *const T,
    _of: PhantomData<(&'a T, C, P)>,
}

impl<T, C, P> Clone for Object<'_, T, C, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, C, P> Copy for Object<'_, T, C, P> {}

impl<T, C, P: Pointer<C>> Argument for Object<'_, T, C, P> {
    type C = P;

    unsafe fn of(c: P) -> Self {
        Object { at: c.address().cast(), _of: PhantomData }
    }
}

impl<'a, T: Sync, C, P> Object<'a, T, C, P> {
    /// Returns the pointer.
    pub fn pointer(self) -> *mut T {
        self.at.cast_mut()
    }

    /// Returns the object; None for NULL.
    pub fn get(self) -> Option<&'a T> {
        // SAFETY: the invariant.
        unsafe { self.at.as_ref() }
    }

    /// Returns the object; NULL is reported.
    pub fn there(self) -> &'a T {
        self.get().unwrap_or_else(|| missing::<T>())
    }

    /// Returns the address.
    pub fn address(self) -> usize {
        self.at.addr()
    }
}

/// An object of the host's that the driver returns to it. `C` is the type that C points to.
///
/// # Invariants
/// NULL, or what `Box::into_raw` gave for a `Box<T>` that is returned once.
#[derive(Debug)]
pub struct Owned<T, C, P = *mut C> {
    at: *mut T,
    _of: PhantomData<(C, P)>,
}

impl<T, C, P: Pointer<C>> Argument for Owned<T, C, P> {
    type C = P;

    unsafe fn of(c: P) -> Self {
        Owned { at: c.address().cast(), _of: PhantomData }
    }
}

impl<T, C, P> Owned<T, C, P> {
    /// Returns the object; None for NULL.
    pub fn get(self) -> Option<Box<T>> {
        // SAFETY: the invariant, if it is not NULL; this value is used up.
        NonNull::new(self.at).map(|at| unsafe { Box::from_raw(at.as_ptr()) })
    }

    /// Returns the object; NULL is reported.
    pub fn there(self) -> Box<T> {
        self.get().unwrap_or_else(|| missing::<T>())
    }
}

/// A type of lock: eight bytes.
pub trait Lock {}

impl Lock for kmutex_t {}
impl Lock for krwlock_t {}
impl Lock for ksema_t {}

/// A driver's lock. `P` is what C passes.
///
/// # Invariants
/// Eight aligned bytes that are there for `'a`, and that are used as a lock only.
#[derive(Debug)]
pub struct Word<'a, T, P = *mut T> {
    at: *mut T,
    _of: PhantomData<(&'a AtomicU64, P)>,
}

impl<T, P> Clone for Word<'_, T, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, P> Copy for Word<'_, T, P> {}

impl<T: Lock, P: Pointer<T>> Argument for Word<'_, T, P> {
    type C = P;

    unsafe fn of(c: P) -> Self {
        Word { at: c.address(), _of: PhantomData }
    }
}

impl<T: Lock, P: Pointer<T>> Argument for Option<Word<'_, T, P>> {
    type C = P;

    unsafe fn of(c: P) -> Self {
        let at = c.address();
        (!at.is_null()).then_some(Word { at, _of: PhantomData })
    }
}

impl<'a, T, P> Word<'a, T, P> {
    /// Returns the word.
    pub fn word(self) -> &'a AtomicU64 {
        // SAFETY: the invariant.
        unsafe { AtomicU64::from_ptr(self.at.cast()) }
    }

    /// Returns the address.
    pub fn address(self) -> usize {
        self.at as usize
    }

    /// Returns the pointer.
    pub fn pointer(self) -> *mut T {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::report::{Policy, Reported};

    fn span(bytes: &mut [u8]) -> Span<'_> {
        // SAFETY: the bytes, for as long as they are borrowed.
        let memory: Memory<'_, u8> = unsafe { Argument::of(bytes.as_mut_ptr()) };
        memory.sized(bytes.len())
    }

    #[test]
    fn memory_is_not_left() {
        let mut bytes = *b"........";
        let memory = span(&mut bytes).first(6);
        assert_eq!((memory.write_text(b"abcdefgh"), memory.after(4).write_text(b"x")), (8, 1));
        memory.after(6).write_text(b"no room");
        assert_eq!(memory.read(), b"abcdx\0");
        assert!(std::panic::catch_unwind(|| memory.write(4, b"123")).is_err());
        assert!(std::panic::catch_unwind(|| memory.after(7)).is_err());
        assert!(std::panic::catch_unwind(|| memory.copy_from(memory.first(5))).is_err());
        assert_eq!(&bytes, b"abcdx\0..");
    }

    #[test]
    fn null_is_reported_where_the_manual_page_allows_none() {
        report::set_policy(Policy::Unwind);
        let caught =
            std::panic::catch_unwind(|| driver!(ddi_sys::biodone(std::ptr::null_mut()))).unwrap_err();
        let what = &caught.downcast_ref::<Reported>().unwrap().0;
        assert!(what.contains("NULL is passed where a") && what.contains("buf"), "{what}");
    }
}
