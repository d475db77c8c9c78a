//! Lists of name-value pairs as plain data, and the two ways of packing them: [`native`] and [`xdr`].
//!
//! Drivers hold lists in memory of another layout ([`crate::nvpairs`]); those are turned into these to be
//! packed, copied and unpacked. No locking, no memory but Rust's.

pub mod native;
pub mod xdr;

use ddi_sys::*;

/// An errno.
pub type Errno = i32;

/// The flags of a list that are kept: unique names.
pub const FLAGS: u32 = (NV_UNIQUE_NAME | NV_UNIQUE_NAME_TYPE) as u32;
/// Bytes of a packed list's header: encoding, byte order, two zeroes.
pub const PREFIX: usize = 4;
/// Bytes of a pair before its name.
pub const PAIR_HEAD: usize = size_of::<nvpair_t>();
/// Bytes of a list's head.
pub const LIST_HEAD: usize = size_of::<nvlist>();
/// Lists within lists at most.
pub const DEPTH: usize = 20;

/// A list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    /// `NV_VERSION`.
    pub version: i32,
    /// `NV_UNIQUE_NAME` and the like.
    pub nvflag: u32,
    /// In the order in which they were added.
    pub pairs: Vec<Pair>,
}

/// A pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Without the NUL.
    pub name: Vec<u8>,
    /// `DATA_TYPE_...`.
    pub kind: data_type_t,
    /// Elements of an array, 0 for `DATA_TYPE_BOOLEAN`, 1 for others.
    pub nelem: u32,
    /// The value.
    pub value: Value,
}

/// The value of a pair.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Numbers, one or many, as they lie in memory; nothing for `DATA_TYPE_BOOLEAN`.
    Plain(Vec<u8>),
    /// One string or many, without their NULs.
    Strings(Vec<Vec<u8>>),
    /// One list or many.
    Lists(Vec<List>),
}

/// Elements of the values of a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// The name says all.
    Nothing,
    /// Numbers of this many bytes.
    Numbers(usize),
    /// Strings.
    Strings,
    /// Lists.
    Lists,
}

/// The shape of a type and whether it is an array; None for a type that is none.
pub fn shape(kind: data_type_t) -> Option<(Shape, bool)> {
    Some(match kind {
        DATA_TYPE_BOOLEAN => (Shape::Nothing, false),
        DATA_TYPE_BYTE | DATA_TYPE_INT8 | DATA_TYPE_UINT8 => (Shape::Numbers(1), false),
        DATA_TYPE_INT16 | DATA_TYPE_UINT16 => (Shape::Numbers(2), false),
        DATA_TYPE_INT32 | DATA_TYPE_UINT32 | DATA_TYPE_BOOLEAN_VALUE => (Shape::Numbers(4), false),
        DATA_TYPE_INT64 | DATA_TYPE_UINT64 | DATA_TYPE_HRTIME => (Shape::Numbers(8), false),
        DATA_TYPE_STRING => (Shape::Strings, false),
        DATA_TYPE_NVLIST => (Shape::Lists, false),
        DATA_TYPE_BYTE_ARRAY | DATA_TYPE_INT8_ARRAY | DATA_TYPE_UINT8_ARRAY => (Shape::Numbers(1), true),
        DATA_TYPE_INT16_ARRAY | DATA_TYPE_UINT16_ARRAY => (Shape::Numbers(2), true),
        DATA_TYPE_INT32_ARRAY | DATA_TYPE_UINT32_ARRAY | DATA_TYPE_BOOLEAN_ARRAY => (Shape::Numbers(4), true),
        DATA_TYPE_INT64_ARRAY | DATA_TYPE_UINT64_ARRAY => (Shape::Numbers(8), true),
        DATA_TYPE_STRING_ARRAY => (Shape::Strings, true),
        DATA_TYPE_NVLIST_ARRAY => (Shape::Lists, true),
        _ => return None,
    })
}

/// The shape of a type that can have this many elements: 0 for nothing, 1 for what is no array.
pub fn shape_of(kind: data_type_t, nelem: u32) -> Option<(Shape, bool)> {
    let found = shape(kind)?;
    let right = match found {
        (Shape::Nothing, _) => nelem == 0,
        (_, false) => nelem == 1,
        (_, true) => nelem <= i32::MAX as u32,
    };
    right.then_some(found)
}

/// Up to the next multiple of 8.
pub fn align(n: usize) -> usize {
    n.next_multiple_of(8)
}

impl Pair {
    /// Returns the offset of the value in memory, from the pair's start.
    pub fn value_offset(&self) -> usize {
        align(PAIR_HEAD + self.name.len() + 1)
    }

    /// Bytes of the value in memory, without what is behind pointers outside the pair.
    pub fn value_size(&self) -> usize {
        let n = self.nelem as usize;
        match &self.value {
            Value::Plain(bytes) => bytes.len(),
            Value::Strings(strings) => {
                let pointers = if self.kind == DATA_TYPE_STRING_ARRAY { n * 8 } else { 0 };
                pointers + strings.iter().map(|s| s.len() + 1).sum::<usize>()
            }
            Value::Lists(_) if self.kind == DATA_TYPE_NVLIST => LIST_HEAD,
            Value::Lists(_) => n * (8 + LIST_HEAD),
        }
    }

    /// Bytes of the pair in memory.
    pub fn size(&self) -> usize {
        self.value_offset() + align(self.value_size())
    }

    /// Checks that it can be added: its type exists, name and value are not too long, booleans are 0 or 1.
    pub fn check(&self) -> Result<(), Errno> {
        if shape_of(self.kind, self.nelem).is_none()
            || self.name.len() >= i16::MAX as usize
            || self.size() > i32::MAX as usize
        {
            return Err(EINVAL);
        }
        let booleans = [DATA_TYPE_BOOLEAN_VALUE, DATA_TYPE_BOOLEAN_ARRAY].contains(&self.kind);
        match &self.value {
            Value::Plain(bytes) if booleans && bytes.chunks_exact(4).any(|b| number(b) > 1) => Err(EINVAL),
            _ => Ok(()),
        }
    }

    /// The pair as it lies in memory, with zeroes where pointers are.
    pub fn image(&self) -> Vec<u8> {
        let mut image = Vec::with_capacity(self.size());
        image.extend((self.size() as i32).to_le_bytes());
        image.extend((self.name.len() as i16 + 1).to_le_bytes());
        image.extend([0; 2]);
        image.extend(self.nelem.to_le_bytes());
        image.extend(self.kind.to_le_bytes());
        image.extend(&self.name);
        image.resize(self.value_offset(), 0);
        match &self.value {
            Value::Plain(bytes) => image.extend(bytes),
            Value::Strings(strings) => {
                if self.kind == DATA_TYPE_STRING_ARRAY {
                    image.resize(image.len() + 8 * strings.len(), 0);
                }
                for string in strings {
                    image.extend(string);
                    image.push(0);
                }
            }
            Value::Lists(lists) => {
                if self.kind == DATA_TYPE_NVLIST_ARRAY {
                    image.resize(image.len() + 8 * lists.len(), 0);
                }
                for list in lists {
                    image.extend(list.version.to_le_bytes());
                    image.extend(list.nvflag.to_le_bytes());
                    image.extend([0; 16]);
                }
            }
        }
        image.resize(self.size(), 0);
        image
    }
}

/// A number of up to 8 bytes as it lies in memory.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// Packed form: `NV_ENCODE_NATIVE` or `NV_ENCODE_XDR`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoding {
    /// As on this machine.
    Native,
    /// As on any.
    Xdr,
}

impl Encoding {
    /// ENOTSUP for one that is none.
    pub fn new(encoding: i32) -> Result<Self, Errno> {
        match encoding {
            NV_ENCODE_NATIVE => Ok(Encoding::Native),
            NV_ENCODE_XDR => Ok(Encoding::Xdr),
            _ => Err(ENOTSUP),
        }
    }
}

/// A packed list, and the size that nvlist_size says, which can be a little more.
pub fn pack(list: &List, encoding: Encoding) -> Result<(Vec<u8>, usize), Errno> {
    let mut out = vec![u8::from(encoding == Encoding::Xdr), 1, 0, 0];
    let size = match encoding {
        Encoding::Native => {
            native::pack(list, &mut out);
            out.len()
        }
        Encoding::Xdr => {
            xdr::pack(list, &mut out);
            PREFIX + xdr::size(list)
        }
    };
    if size > i32::MAX as usize { Err(EINVAL) } else { Ok((out, size)) }
}

/// The list that was packed. EINVAL when there is not even a prefix, ENOTSUP for one of another machine's, EFAULT for what is none.
pub fn unpack(from: &[u8]) -> Result<List, Errno> {
    let (prefix, rest) = from.split_at_checked(PREFIX).ok_or(EINVAL)?;
    match (Encoding::new(prefix[0].into())?, prefix[1]) {
        (Encoding::Native, 1) => native::unpack(rest),
        (Encoding::Native, _) => Err(ENOTSUP),
        (Encoding::Xdr, _) => xdr::unpack(rest),
    }
}

/// Bytes that are read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Errno> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(EFAULT)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
