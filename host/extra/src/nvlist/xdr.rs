//! XDR packing (RFC 4506): every unit is a multiple of 4 bytes with the highest byte first.
//!
//! In front are the list's version and flags. Each pair is its size packed, its size in memory, name, type, number of
//! elements and value; two zero words end a list. An array without elements has no count of its elements in the value,
//! though the packed size has room for it: so such a list is shorter than it says, and zeroes make it up.

use ddi_sys::*;

use super::{DEPTH, Errno, List, Pair, Reader, Shape, Value, number, shape_of};

/// Returns whether it is an array whose value begins with the number of elements.
fn counted(kind: data_type_t) -> bool {
    matches!(shape_of(kind, 2), Some((Shape::Numbers(_), true))) && kind != DATA_TYPE_BYTE_ARRAY
}

fn signed(kind: data_type_t) -> bool {
    // Single bytes of every type are packed as signed ones.
    matches!(
        kind,
        DATA_TYPE_BYTE
            | DATA_TYPE_INT8
            | DATA_TYPE_UINT8
            | DATA_TYPE_INT8_ARRAY
            | DATA_TYPE_UINT8_ARRAY
            | DATA_TYPE_INT16
            | DATA_TYPE_INT16_ARRAY
    )
}

/// Bytes of a packed number that has `width` bytes in memory.
fn unit(width: usize) -> usize {
    width.max(4)
}

/// Bytes that the packed list is said to have.
pub fn size(list: &List) -> usize {
    16 + list.pairs.iter().map(pair_size).sum::<usize>()
}

fn string_size(string: &[u8]) -> usize {
    4 + string.len().next_multiple_of(4)
}

fn pair_size(pair: &Pair) -> usize {
    let n = pair.nelem as usize;
    let value = match &pair.value {
        Value::Strings(strings) => strings.iter().map(|s| string_size(s)).sum(),
        Value::Lists(lists) => lists.iter().map(size).sum(),
        Value::Plain(bytes) if pair.kind == DATA_TYPE_BYTE_ARRAY => bytes.len().next_multiple_of(4),
        Value::Plain(bytes) => {
            let numbers = if n == 0 { 0 } else { n * unit(bytes.len() / n) };
            numbers + if counted(pair.kind) { 4 } else { 0 }
        }
    };
    16 + string_size(&pair.name) + value
}

/// Adds the packed list.
pub fn pack(list: &List, out: &mut Vec<u8>) {
    word(out, list.version as u32);
    word(out, list.nvflag);
    for pair in &list.pairs {
        word(out, pair_size(pair) as u32);
        word(out, pair.size() as u32);
        string(out, &pair.name);
        word(out, pair.kind);
        word(out, pair.nelem);
        value(pair, out);
    }
    out.extend([0; 8]);
}

fn value(pair: &Pair, out: &mut Vec<u8>) {
    match &pair.value {
        Value::Strings(strings) => strings.iter().for_each(|s| string(out, s)),
        Value::Lists(lists) => lists.iter().for_each(|list| pack(list, out)),
        Value::Plain(bytes) if bytes.is_empty() => {}
        Value::Plain(bytes) if pair.kind == DATA_TYPE_BYTE_ARRAY => padded(out, bytes),
        Value::Plain(bytes) => {
            if counted(pair.kind) {
                word(out, pair.nelem);
            }
            let width = bytes.len() / pair.nelem as usize;
            for bytes in bytes.chunks_exact(width) {
                let n = number(bytes);
                match (width, signed(pair.kind)) {
                    (8, _) => out.extend(n.to_be_bytes()),
                    (1, true) => word(out, n as i8 as u32),
                    (2, true) => word(out, n as i16 as u32),
                    _ => word(out, n as u32),
                }
            }
        }
    }
}

fn word(out: &mut Vec<u8>, n: u32) {
    out.extend(n.to_be_bytes());
}

fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.resize(out.len() + bytes.len().next_multiple_of(4) - bytes.len(), 0);
}

fn string(out: &mut Vec<u8>, string: &[u8]) {
    word(out, string.len() as u32);
    padded(out, string);
}

impl<'a> Reader<'a> {
    fn word(&mut self) -> Result<u32, Errno> {
        self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| EFAULT)
    }

    fn padded(&mut self, n: usize) -> Result<&'a [u8], Errno> {
        self.take(n.next_multiple_of(4)).map(|bytes| &bytes[..n])
    }

    /// A string: up to its NUL if it has one.
    fn string(&mut self) -> Result<Vec<u8>, Errno> {
        let n = self.word()? as usize;
        let bytes = self.padded(n)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(n);
        Ok(bytes[..end].to_vec())
    }
}

/// Reads a packed list; more behind its end does not matter.
pub fn unpack(from: &[u8]) -> Result<List, Errno> {
    list(&mut Reader(from), 0)
}

fn list(from: &mut Reader, depth: usize) -> Result<List, Errno> {
    let (version, nvflag) = (from.word()? as i32, from.word()?);
    let mut pairs = Vec::new();
    loop {
        let (_packed, size) = (from.word()?, from.word()?);
        if size == 0 {
            return Ok(List { version, nvflag, pairs });
        }
        let pair = pair(from, depth)?;
        if pair.size() != size as usize || pair.check().is_err() {
            return Err(EFAULT);
        }
        pairs.push(pair);
    }
}

fn pair(from: &mut Reader, depth: usize) -> Result<Pair, Errno> {
    let (name, kind, nelem) = (from.string()?, from.word()? as data_type_t, from.word()?);
    let (shape, _) = shape_of(kind, nelem).ok_or(EFAULT)?;
    let n = nelem as usize;
    // Each element takes at least so much: nobody makes the host allocate what is not there.
    let least = if kind == DATA_TYPE_BYTE_ARRAY { n } else { n * 4 };
    if least > from.0.len() {
        return Err(EFAULT);
    }
    let value = match shape {
        Shape::Strings => Value::Strings((0..n).map(|_| from.string()).collect::<Result<_, _>>()?),
        Shape::Lists if depth >= DEPTH => return Err(EFAULT),
        Shape::Lists => {
            let lists = (0..n).map(|_| list(from, depth + 1)).collect::<Result<_, _>>();
            Value::Lists(lists.map_err(|_| EFAULT)?)
        }
        Shape::Numbers(1) if kind == DATA_TYPE_BYTE_ARRAY => Value::Plain(from.padded(n)?.to_vec()),
        Shape::Numbers(width) if n > 0 => {
            if counted(kind) && from.word()? != nelem {
                return Err(EFAULT);
            }
            let mut bytes = Vec::with_capacity(n * width);
            for _ in 0..n {
                let unit = from.take(unit(width))?;
                bytes.extend(unit.iter().rev().take(width));
            }
            Value::Plain(bytes)
        }
        Shape::Nothing | Shape::Numbers(_) => Value::Plain(Vec::new()),
    };
    Ok(Pair { name, kind, nelem, value })
}
