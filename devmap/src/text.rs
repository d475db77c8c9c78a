//! [`Text`]: a short text that is built piece by piece, or with `write!`, without allocating.
//!
//! Any context: it is a value on the stack, which is small in a kernel. No locking.

use core::ffi::{CStr, c_char};
use core::fmt;

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
pub struct Text<const N: usize> {
    bytes: [u8; N],
    used: usize,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// Creates an empty value.
    pub const fn new() -> Text<N> {
        Text { bytes: [0; N], used: 0, cut: false }
    }

    /// This text, as a C string; nothing when it is too long or has a NUL inside.
    pub(crate) fn name(text: &str) -> Option<Text<N>> {
        let mut name = Text::new();
        name.push(text);
        (!name.cut).then_some(name)
    }

    /// Appends text. What does not fit is dropped, and so are NULs.
    pub fn push(&mut self, text: &str) -> &mut Text<N> {
        self.push_bytes(text.as_bytes());
        self
    }

    /// Appends a number, in decimal.
    pub fn push_number(&mut self, mut number: u64) -> &mut Text<N> {
        let mut digits = [b'0'; 20];
        let mut first = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            first -= 1;
            if number == 0 {
                break;
            }
        }
        self.push_bytes(digits.get(first..).unwrap_or(&[]));
        self
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        let mut used = self.used;
        for &byte in bytes {
            // The last byte stays NUL.
            match self.bytes.get_mut(used) {
                Some(place) if byte != 0 && used + 1 < N => {
                    *place = byte;
                    used += 1;
                }
                _ => self.cut = true,
            }
        }
        self.used = used;
    }

    /// Returns the text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or(&[])
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
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::new()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}
