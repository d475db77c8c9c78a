//! [`Text`]: a short text that is built piece by piece, or with `write!`, without allocating.
//!
//! Any context: it is a value on the stack, which is small in a kernel. No locking.

use core::ffi::{CStr, c_char};
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

/// At most `N` - 1 bytes of text, followed by a NUL; longer text is truncated.
///
/// ```
/// use core::fmt::Write;
/// use devmap::text::Text;
///
/// let mut line = Text::<64>::new();
/// let _ = write!(line, "{} of {}", 3, 4);
/// assert_eq!(line.as_bytes(), b"3 of 4");
/// line.push(", ").push_number(75).push("%"); // a fraction of the code and of the time
/// assert_eq!(line.as_bytes(), b"3 of 4, 75%");
/// ```
///
/// # Invariants
/// The first `used` bytes are the text, without NULs, and all behind them are NUL; `used` is less than `N`.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    used: usize,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// Creates an empty value.
    pub const fn new() -> Text<N> {
        const { assert!(N > 0, "a text has room for its NUL") };
        Text { bytes: [0; N], used: 0, cut: false }
    }

    /// This text, as a C string; nothing when it is too long or has a NUL inside.
    #[inline(always)]
    pub(crate) fn name(text: &str) -> Option<Text<N>> {
        let mut name = Text::new();
        name.add(text.as_bytes());
        (!name.cut).then_some(name)
    }

    /// Returns the text without its length in the type, for functions that are the same for all lengths.
    #[inline(always)]
    pub(crate) fn end(&mut self) -> End<'_> {
        End { bytes: &mut self.bytes, used: &mut self.used, cut: &mut self.cut }
    }

    /// Appends text. What does not fit is dropped, and so are NULs.
    pub fn push(&mut self, text: &str) -> &mut Text<N> {
        self.push_bytes::<true>(text.as_bytes());
        self
    }

    /// As [`push`](Text::push), where a message is made that nobody waits for.
    #[inline(always)]
    pub(crate) fn add(&mut self, text: &[u8]) -> &mut Text<N> {
        self.end().add(text);
        self
    }

    /// Appends a number, in decimal.
    pub fn push_number(&mut self, mut number: u64) -> &mut Text<N> {
        if number < 10 {
            self.push_bytes::<false>(&[b'0' + number as u8]);
            return self;
        }
        const DIGITS: usize = 20;
        let mut digits = [const { MaybeUninit::<u8>::uninit() }; DIGITS];
        let mut first = DIGITS;
        for digit in digits.iter_mut().rev() {
            *digit = MaybeUninit::new(b'0' + (number % 10) as u8);
            number /= 10;
            first -= 1;
            if number == 0 {
                break;
            }
        }
        // SAFETY: it was counted down from that.
        let digits = unsafe { digits.get_unchecked(first..) };
        // SAFETY: written from `first` on.
        self.push_bytes::<false>(unsafe { &*(ptr::from_ref(digits) as *const [u8]) });
        self
    }

    /// Appends bytes, among which there may be NULs or not.
    #[inline(always)]
    fn push_bytes<const NULS: bool>(&mut self, bytes: &[u8]) {
        let used = self.used;
        // The last byte stays NUL.
        let fit = bytes.len().min(N - 1 - used);
        if fit < bytes.len() {
            self.cut = true;
        }
        let (from, to) = (bytes.as_ptr(), self.bytes.as_mut_ptr().wrapping_add(used));
        let mut at = 0;
        while at < fit {
            // SAFETY: within `bytes`.
            let byte = unsafe { *from.wrapping_add(at) };
            if NULS && byte == 0 {
                self.used = used + at;
                self.add(bytes.get(at..).unwrap_or(&[]));
                return;
            }
            // SAFETY: there is room for `fit` bytes.
            unsafe { *to.wrapping_add(at) = byte };
            at += 1;
        }
        self.used = used + fit;
    }

    /// Returns the text.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the invariant.
        unsafe { self.bytes.get_unchecked(..self.used) }
    }

    /// Returns whether the text was truncated.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The text, ended by a NUL, for as long as it lives.
    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    /// Returns the text as a C string.
    pub fn as_c_str(&self) -> &CStr {
        // SAFETY: by the invariant a NUL ends the text, which lives as long as this.
        unsafe { CStr::from_ptr(self.as_ptr()) }
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::new()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.end().write_str(text)
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        self.end().write_char(character)
    }

    fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) -> fmt::Result {
        fmt::write(&mut self.end(), arguments)
    }
}

/// The end of a text of any length, to append to: one function for all of them.
pub(crate) struct End<'a> {
    bytes: &'a mut [u8],
    used: &'a mut usize,
    cut: &'a mut bool,
}

impl End<'_> {
    #[cold]
    #[inline(never)]
    pub(crate) fn add(&mut self, text: &[u8]) {
        for &byte in text {
            // The last byte stays NUL.
            match self.bytes.get_mut(*self.used..) {
                Some([place, _, ..]) if byte != 0 => {
                    *place = byte;
                    *self.used += 1;
                }
                _ => *self.cut = true,
            }
        }
    }

    /// Appends a name for the kernel to an empty text. Returns it as a C string; nothing when it is too long or has a NUL inside.
    #[cold]
    #[inline(never)]
    pub(crate) fn name(&mut self, name: &str) -> Option<NonNull<c_char>> {
        self.add(name.as_bytes());
        if *self.cut { None } else { Some(NonNull::from(&mut *self.bytes).cast()) }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn add_number(&mut self, number: u32) {
        let mut digits = [0; 10];
        let (mut rest, mut first) = (number, digits.len());
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            first -= 1;
            if rest == 0 {
                break;
            }
        }
        self.add(digits.get(first..).unwrap_or(&[]));
    }

    /// Appends a word behind a colon, if there is any.
    #[cold]
    #[inline(never)]
    pub(crate) fn add_word(&mut self, word: &str) {
        if !word.is_empty() {
            self.add(b": ");
            self.add(word.as_bytes());
        }
    }
}

impl fmt::Write for End<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}
