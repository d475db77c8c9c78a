//! Packed lists, byte by byte.

use super::*;

fn plain(name: &str, kind: data_type_t, nelem: u32, bytes: &[u8]) -> Pair {
    Pair { name: name.into(), kind, nelem, value: Value::Plain(bytes.to_vec()) }
}

fn strings(name: &str, kind: data_type_t, strings: &[&str]) -> Pair {
    let value = Value::Strings(strings.iter().map(|s| s.as_bytes().to_vec()).collect());
    Pair { name: name.into(), kind, nelem: strings.len() as u32, value }
}

fn lists(name: &str, kind: data_type_t, lists: &[List]) -> Pair {
    Pair { name: name.into(), kind, nelem: lists.len() as u32, value: Value::Lists(lists.to_vec()) }
}

fn unique(pairs: &[Pair]) -> List {
    List { version: 0, nvflag: NV_UNIQUE_NAME as u32, pairs: pairs.to_vec() }
}

/// One of everything.
fn everything() -> List {
    let inner = unique(&[plain("n", DATA_TYPE_UINT8, 1, &[0xff]), plain("yes", DATA_TYPE_BOOLEAN, 0, &[])]);
    unique(&[
        plain("flag", DATA_TYPE_BOOLEAN, 0, &[]),
        plain("truth", DATA_TYPE_BOOLEAN_VALUE, 1, &1u32.to_le_bytes()),
        plain("byte", DATA_TYPE_BYTE, 1, &[0x80]),
        plain("short", DATA_TYPE_INT16, 1, &(-2i16).to_le_bytes()),
        plain("ushort", DATA_TYPE_UINT16, 1, &0xfffeu16.to_le_bytes()),
        plain("int", DATA_TYPE_INT32, 1, &(-3i32).to_le_bytes()),
        plain("long", DATA_TYPE_UINT64, 1, &0x0102_0304_0506_0708u64.to_le_bytes()),
        plain("time", DATA_TYPE_HRTIME, 1, &7i64.to_le_bytes()),
        strings("text", DATA_TYPE_STRING, &["hello"]),
        strings("empty", DATA_TYPE_STRING, &[""]),
        plain("bytes", DATA_TYPE_BYTE_ARRAY, 5, b"abcde"),
        plain("chars", DATA_TYPE_INT8_ARRAY, 2, &[1, 0xff]),
        plain("truths", DATA_TYPE_BOOLEAN_ARRAY, 2, &[0, 0, 0, 0, 1, 0, 0, 0]),
        plain("none", DATA_TYPE_UINT32_ARRAY, 0, &[]),
        plain("shorts", DATA_TYPE_UINT16_ARRAY, 3, &[1, 0, 2, 0, 3, 0]),
        plain("longs", DATA_TYPE_INT64_ARRAY, 1, &[9, 0, 0, 0, 0, 0, 0, 0]),
        strings("texts", DATA_TYPE_STRING_ARRAY, &["a", "", "ccc"]),
        lists("list", DATA_TYPE_NVLIST, std::slice::from_ref(&inner)),
        lists(
            "lists",
            DATA_TYPE_NVLIST_ARRAY,
            &[inner.clone(), unique(&[lists("deep", DATA_TYPE_NVLIST, &[inner])])],
        ),
    ])
}

#[test]
fn what_is_packed_is_unpacked() {
    for encoding in [Encoding::Native, Encoding::Xdr] {
        let (packed, size) = pack(&everything(), encoding).unwrap();
        assert_eq!(unpack(&packed).unwrap(), everything(), "{encoding:?}");
        // The array without elements: 4 bytes that are said to be there are not.
        assert_eq!(size - packed.len(), if encoding == Encoding::Xdr { 4 } else { 0 });
    }
}

/// `example = 5` as int32, `name = "ab"`, in a list with unique names.
fn example() -> List {
    unique(&[
        plain("example", DATA_TYPE_INT32, 1, &5i32.to_le_bytes()),
        strings("name", DATA_TYPE_STRING, &["ab"]),
    ])
}

#[test]
fn xdr_byte_by_byte() {
    let (packed, size) = pack(&example(), Encoding::Xdr).unwrap();
    #[rustfmt::skip]
    let expected: &[u8] = &[
        1, 1, 0, 0,
        0, 0, 0, 0,  0, 0, 0, 1,
        0, 0, 0, 32,  0, 0, 0, 32,  0, 0, 0, 7,  b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0,  0, 0, 0, 5,  0, 0, 0, 1,
        0, 0, 0, 5,
        0, 0, 0, 32,  0, 0, 0, 32,  0, 0, 0, 4,  b'n', b'a', b'm', b'e',  0, 0, 0, 9,  0, 0, 0, 1,
        0, 0, 0, 2,  b'a', b'b', 0, 0,
        0, 0, 0, 0,  0, 0, 0, 0,
    ];
    assert_eq!(packed, expected);
    assert_eq!(size, expected.len());
}

#[test]
fn native_byte_by_byte() {
    let inner = List { version: 0, nvflag: 2, pairs: vec![plain("b", DATA_TYPE_BOOLEAN, 0, &[])] };
    let list = unique(&[
        plain("example", DATA_TYPE_INT32, 1, &5i32.to_le_bytes()),
        strings("name", DATA_TYPE_STRING_ARRAY, &["ab", "c"]),
        lists("in", DATA_TYPE_NVLIST, &[inner]),
    ]);
    let (packed, size) = pack(&list, Encoding::Native).unwrap();
    #[rustfmt::skip]
    let expected: &[u8] = &[
        0, 1, 0, 0,
        0, 0, 0, 0,  1, 0, 0, 0,
        32, 0, 0, 0,  8, 0, 0, 0,  1, 0, 0, 0,  5, 0, 0, 0,  b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0,
        5, 0, 0, 0, 0, 0, 0, 0,
        48, 0, 0, 0,  5, 0, 0, 0,  2, 0, 0, 0,  17, 0, 0, 0,  b'n', b'a', b'm', b'e', 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,  b'a', b'b', 0, b'c', 0, 0, 0, 0,
        48, 0, 0, 0,  3, 0, 0, 0,  1, 0, 0, 0,  19, 0, 0, 0,  b'i', b'n', 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0,  2, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        24, 0, 0, 0,  2, 0, 0, 0,  0, 0, 0, 0,  1, 0, 0, 0,  b'b', 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0,
        0, 0, 0, 0,
    ];
    assert_eq!(packed, expected);
    assert_eq!(size, expected.len());
}

#[test]
fn what_is_no_list_is_refused() {
    assert_eq!(unpack(&[0, 1]), Err(EINVAL));
    assert_eq!(unpack(&[2, 1, 0, 0]), Err(ENOTSUP));
    assert_eq!(unpack(&[0, 0, 0, 0]), Err(ENOTSUP), "of a machine with the other byte order");
    for encoding in [Encoding::Native, Encoding::Xdr] {
        let (packed, _) = pack(&everything(), encoding).unwrap();
        for end in PREFIX..packed.len() {
            assert_eq!(unpack(&packed[..end]), Err(EFAULT), "{encoding:?} cut at {end}");
        }
        // Whatever byte is wrong: an error or another list, and no more.
        for at in PREFIX..packed.len() {
            for wrong in [0, 1, 0x7f, 0x80, 0xff] {
                let mut packed = packed.clone();
                packed[at] = wrong;
                if let Ok(list) = unpack(&packed) {
                    assert!(pack(&list, encoding).is_ok());
                }
            }
        }
    }
    // Lists in lists in lists.
    let deep = (0..DEPTH).fold(unique(&[]), |list, _| unique(&[lists("x", DATA_TYPE_NVLIST, &[list])]));
    let deeper = unique(&[lists("x", DATA_TYPE_NVLIST, std::slice::from_ref(&deep))]);
    for (encoding, error) in [(Encoding::Native, EINVAL), (Encoding::Xdr, EFAULT)] {
        assert!(unpack(&pack(&deep, encoding).unwrap().0).is_ok());
        assert_eq!(unpack(&pack(&deeper, encoding).unwrap().0), Err(error));
    }
}
