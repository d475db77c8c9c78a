//! Native packing: pairs as they lie in memory, pointers zeroed, lists within lists behind the pair that holds them.
//!
//! In front are the list's version and flags, at the end of each list 4 zero bytes, where the size of a pair would be.

use ddi_sys::*;

use super::{
    DEPTH, Errno, FLAGS, LIST_HEAD, List, PAIR_HEAD, Pair, Reader, Shape, Value, align, number, shape_of,
};

/// Adds the packed list.
pub fn pack(list: &List, out: &mut Vec<u8>) {
    out.extend(list.version.to_le_bytes());
    out.extend(list.nvflag.to_le_bytes());
    pairs(list, out);
}

fn pairs(list: &List, out: &mut Vec<u8>) {
    for pair in &list.pairs {
        out.extend(pair.image());
        if let Value::Lists(lists) = &pair.value {
            lists.iter().for_each(|list| pairs(list, out));
        }
    }
    out.extend([0; 4]);
}

/// Reads a packed list; more behind its end does not matter.
pub fn unpack(from: &[u8]) -> Result<List, Errno> {
    let mut from = Reader(from);
    let version = number(from.take(4)?) as i32;
    let nvflag = number(from.take(4)?) as u32;
    Ok(List { version, nvflag, pairs: unpack_pairs(&mut from, 0)? })
}

fn unpack_pairs(from: &mut Reader, depth: usize) -> Result<Vec<Pair>, Errno> {
    let mut pairs = Vec::new();
    loop {
        let Some(size) = from.0.first_chunk() else { return Err(EFAULT) };
        let size = i32::from_le_bytes(*size);
        if size == 0 {
            from.take(4)?;
            return Ok(pairs);
        }
        let image = from.take(usize::try_from(size).map_err(|_| EFAULT)?)?;
        pairs.push(pair(image, from, depth)?);
    }
}

/// A pair from its image; its lists are read from behind it.
fn pair(image: &[u8], from: &mut Reader, depth: usize) -> Result<Pair, Errno> {
    let mut head = Reader(image);
    head.take(4)?;
    let name_size = number(head.take(2)?) as i16;
    head.take(2)?;
    let nelem = number(head.take(4)?) as u32;
    let kind = number(head.take(4)?) as data_type_t;
    let name_size = usize::try_from(name_size).map_err(|_| EFAULT)?;
    let Some((0, name)) = head.take(name_size)?.split_last() else { return Err(EFAULT) };
    let area = image.get(align(PAIR_HEAD + name_size)..).ok_or(EFAULT)?;
    let (shape, array) = shape_of(kind, nelem).ok_or(EFAULT)?;
    let mut value = Reader(area);
    let n = nelem as usize;
    let value = match shape {
        Shape::Nothing => Value::Plain(Vec::new()),
        Shape::Numbers(width) => Value::Plain(value.take(n * width)?.to_vec()),
        Shape::Strings => {
            value.take(if array { n * 8 } else { 0 })?;
            let string = |_| {
                let end = value.0.iter().position(|byte| *byte == 0).ok_or(EFAULT)?;
                value.take(end + 1).map(|string| string[..end].to_vec())
            };
            Value::Strings((0..n).map(string).collect::<Result<_, _>>()?)
        }
        Shape::Lists => {
            value.take(if array { n * 8 } else { 0 })?;
            let list = |_| list(value.take(LIST_HEAD)?, from, depth);
            // What is wrong with a list in an array is EFAULT, whatever it is.
            let lists: Result<_, _> = (0..n).map(list).collect();
            Value::Lists(lists.map_err(|error| if array { EFAULT } else { error })?)
        }
    };
    let pair = Pair { name: name.to_vec(), kind, nelem, value };
    // A name that ends early, a size that is not the value's, a boolean that is neither.
    if name.contains(&0) || pair.size() != image.len() || pair.check().is_err() {
        return Err(EFAULT);
    }
    Ok(pair)
}

/// A list within a list: its head is in the pair, its pairs come behind.
fn list(head: &[u8], from: &mut Reader, depth: usize) -> Result<List, Errno> {
    let mut head = Reader(head);
    let version = number(head.take(4)?) as i32;
    let nvflag = number(head.take(4)?) as u32 & FLAGS;
    if version != NV_VERSION {
        return Err(ENOTSUP);
    }
    if depth >= DEPTH {
        return Err(EINVAL);
    }
    Ok(List { version, nvflag, pairs: unpack_pairs(from, depth + 1)? })
}
