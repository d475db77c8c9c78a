//! The relocations that krtld supports, applied as it applies them: computed, checked for range, added to what a 32- or 64-bit field
//! holds. What krtld rejects and what it accepts and gets wrong is refused.
//!
//! No locking: works on an image that one thread is loading.

use object::elf::{NAMES_R_X86_64, RelocationType};

/// Why an address cannot be in a field that is zero-extended.
pub const ZERO_EXTENDED: &str = "an address in a zero-extended field is out of range in the kernel, whose addresses are in the \
                                 upper 2 GiB; compile with -mcmodel=kernel";

/// Name of a relocation type, for messages.
pub fn name(kind: u32) -> String {
    let known = NAMES_R_X86_64.name(RelocationType(kind));
    known.map_or_else(|| format!("relocation type {kind}"), str::to_owned)
}

/// How a supported relocation changes its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Nothing.
    None,
    /// Eight bytes, absolute.
    Abs64,
    /// Eight bytes, relative to the field.
    Rel64,
    /// Four bytes, absolute, sign-extended by the instruction.
    Abs32S,
    /// Four bytes, absolute, zero-extended: fails in the kernel for every address.
    Abs32,
    /// Four bytes, relative to the field.
    Rel32,
    /// Eight bytes: address of the section plus the addend.
    Section64,
    /// One or two bytes, overwritten; the kernel does not check the range.
    Small {
        /// Bytes.
        size: usize,
        /// Relative to the field.
        relative: bool,
    },
}

impl Field {
    /// Bytes of the field.
    pub fn size(self) -> usize {
        match self {
            Field::None => 0,
            Field::Abs64 | Field::Rel64 | Field::Section64 => 8,
            Field::Abs32 | Field::Abs32S | Field::Rel32 => 4,
            Field::Small { size, .. } => size,
        }
    }
    /// Is the value relative to the field's address.
    pub fn relative(self) -> bool {
        matches!(self, Field::Rel64 | Field::Rel32 | Field::Small { relative: true, .. })
    }
}

/// What to do for a relocation type; an error says why it is refused.
///
/// # Errors
/// The type is rejected by the kernel, or accepted by it and got wrong.
pub fn field(kind: u32) -> Result<Field, &'static str> {
    const GOT: &str = "needs a global offset table, which the kernel has not: it stores the plain address, or refuses; \
                       compile with -mcmodel=kernel -fno-pic (rustc: relocation-model=static)";
    const TLS: &str = "thread-local storage does not work in the kernel";
    Ok(match kind {
        0 => Field::None,
        1 | 6 => Field::Abs64,
        2 | 4 => Field::Rel32,
        8 => Field::Section64,
        10 => Field::Abs32,
        11 => Field::Abs32S,
        12 => Field::Small { size: 2, relative: false },
        13 => Field::Small { size: 2, relative: true },
        14 => Field::Small { size: 1, relative: false },
        15 => Field::Small { size: 1, relative: true },
        24 => Field::Rel64,
        3 | 9 | 25..=31 | 41 | 42 => return Err(GOT),
        16..=23 | 34..=36 => return Err(TLS),
        32 | 33 => return Err("the kernel stores the address where the size is wanted"),
        _ => return Err("the kernel does not support this type"),
    })
}

/// A value that its field does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfitting {
    /// An address in a field that is zero-extended.
    #[error("{ZERO_EXTENDED}")]
    Address,
    /// Four bytes are too few.
    #[error("value {value:#x} out of range ({extended}-extended 32 bits)")]
    Range {
        /// The value.
        value: i64,
        /// Extension of the field by the instruction: "sign" or "zero".
        extended: &'static str,
    },
    /// One or two bytes are too few.
    #[error("value {value:#x} does not fit {bits} bits; the kernel truncates it silently")]
    Small {
        /// The value.
        value: i64,
        /// Bits of the field.
        bits: u32,
    },
}

/// Applies one relocation to the bytes of its field. `value` is S + A (absolute) or S + A - P.
///
/// # Errors
/// The value does not fit the field; `absolute_constant` says that S is no address (SHN_ABS), the one case in which a zero-extended
/// field works in the kernel.
pub fn apply(field: Field, bytes: &mut [u8], value: i64, absolute_constant: bool) -> Result<(), Unfitting> {
    match field {
        Field::None => Ok(()),
        Field::Abs64 | Field::Rel64 | Field::Section64 => {
            let bytes: &mut [u8; 8] = bytes.try_into().expect("an eight-byte field");
            *bytes = i64::from_le_bytes(*bytes).wrapping_add(value).to_le_bytes();
            Ok(())
        }
        Field::Abs32 => {
            if !absolute_constant {
                return Err(Unfitting::Address);
            }
            let bytes: &mut [u8; 4] = bytes.try_into().expect("a four-byte field");
            let sum = u32::try_from(value).ok().and_then(|v| v.checked_add(u32::from_le_bytes(*bytes)));
            let sum = sum.ok_or(Unfitting::Range { value, extended: "zero" })?;
            *bytes = sum.to_le_bytes();
            Ok(())
        }
        Field::Abs32S | Field::Rel32 => {
            let bytes: &mut [u8; 4] = bytes.try_into().expect("a four-byte field");
            let sum = i32::try_from(value).ok().and_then(|v| v.checked_add(i32::from_le_bytes(*bytes)));
            let sum = sum.ok_or(Unfitting::Range { value, extended: "sign" })?;
            *bytes = sum.to_le_bytes();
            Ok(())
        }
        Field::Small { size, .. } => {
            let bits = 8 * size as u32;
            let range = -(1_i64 << (bits - 1))..1_i64 << bits;
            if !range.contains(&value) {
                return Err(Unfitting::Small { value, bits });
            }
            bytes.copy_from_slice(&value.to_le_bytes()[..size]);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_added_to_what_the_field_holds() {
        let mut field = 5_u64.to_le_bytes();
        apply(Field::Abs64, &mut field, 100, false).unwrap();
        assert_eq!(u64::from_le_bytes(field), 105);
        let mut field = 5_u32.to_le_bytes();
        apply(Field::Rel32, &mut field, -7, false).unwrap();
        assert_eq!(i32::from_le_bytes(field), -2);
    }

    #[test]
    fn small_fields_are_overwritten_and_must_fit() {
        let mut field = [9_u8];
        let byte = Field::Small { size: 1, relative: false };
        apply(byte, &mut field, 3, true).unwrap();
        assert_eq!(field, [3]);
        assert!(apply(byte, &mut field, 300, true).is_err());
    }

    #[test]
    fn zero_extended_fields_take_constants_only() {
        let mut field = [0; 4];
        assert!(apply(Field::Abs32, &mut field, 0x1000, false).is_err());
        apply(Field::Abs32, &mut field, 0xffff_fff0, true).unwrap();
        assert_eq!(u32::from_le_bytes(field), 0xffff_fff0);
    }

    #[test]
    fn out_of_range_values_are_refused() {
        let mut field = [0; 4];
        assert!(apply(Field::Abs32S, &mut field, 1 << 31, false).is_err());
        let mut field = i32::MAX.to_le_bytes();
        assert!(apply(Field::Rel32, &mut field, 1, false).is_err());
    }

    #[test]
    fn the_verdict_on_every_type() {
        let good: Vec<u32> = (0..64).filter(|&kind| field(kind).is_ok()).collect();
        assert_eq!(good, [0, 1, 2, 4, 6, 8, 10, 11, 12, 13, 14, 15, 24]);
        assert_eq!(name(42), "R_X86_64_REX_GOTPCRELX");
        assert_eq!(name(99), "relocation type 99");
    }
}
