//! Properties of device nodes: the values that driver.conf(5) and drivers give, kept as ddi_prop(9F) sees them.
//!
//! A value is its bytes: integers of 4 (or 8) bytes in memory order, strings with their NUL, one after the other. No
//! locks here; the node that owns the list has one.

/// What a property's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ddi_prop_create(9F): the driver knows.
    Untyped,
    /// 32-bit integers.
    Int,
    /// 64-bit integers.
    Int64,
    /// NUL-terminated strings.
    String,
    /// Bytes.
    Byte,
}

/// One property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// The device number it is for; [`ANY_DEV`] when for all.
    pub dev: u64,
    /// What its bytes are.
    pub kind: Kind,
    /// The value; empty for a boolean property.
    pub bytes: Vec<u8>,
    /// ddi_prop_undefine(9F): hides properties of this name further on in the search.
    pub undefined: bool,
}

/// DDI_DEV_T_NONE: a property for no device number in particular.
pub const ANY_DEV: u64 = u64::MAX;

impl Property {
    /// An integer array property for every device number.
    pub fn ints(name: &str, values: &[i32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        Property { name: name.into(), dev: ANY_DEV, kind: Kind::Int, bytes, undefined: false }
    }

    /// A string array property for every device number.
    pub fn strings<S: AsRef<[u8]>>(name: &str, values: &[S]) -> Self {
        let mut bytes = Vec::new();
        for value in values {
            bytes.extend_from_slice(value.as_ref());
            bytes.push(0);
        }
        Property { name: name.into(), dev: ANY_DEV, kind: Kind::String, bytes, undefined: false }
    }

    /// The integers; None when it holds something else or a broken number of bytes.
    pub fn as_ints(&self) -> Option<Vec<i32>> {
        if !matches!(self.kind, Kind::Int | Kind::Untyped) || !self.bytes.len().is_multiple_of(4) {
            return None;
        }
        Some(
            self.bytes
                .chunks_exact(4)
                .map(|c| i32::from_ne_bytes(c.try_into().expect("four bytes")))
                .collect(),
        )
    }

    /// The 64-bit integers; 32-bit ones are widened.
    pub fn as_int64s(&self) -> Option<Vec<i64>> {
        if self.kind != Kind::Int64 {
            return Some(self.as_ints()?.into_iter().map(i64::from).collect());
        }
        let (words, rest) = self.bytes.as_chunks::<8>();
        rest.is_empty().then(|| words.iter().map(|w| i64::from_ne_bytes(*w)).collect())
    }

    /// The strings, without their NULs; None when it holds something else or the last NUL is missing.
    pub fn as_strings(&self) -> Option<Vec<&[u8]>> {
        if !matches!(self.kind, Kind::String | Kind::Untyped) || self.bytes.last() != Some(&0) {
            return None;
        }
        Some(self.bytes[..self.bytes.len() - 1].split(|&b| b == 0).collect())
    }
}

/// A list of properties, newest first.
#[derive(Clone, Debug, Default)]
pub struct List(Vec<Property>);

impl List {
    /// The property `name` for `dev` (`None`: whatever device number it has).
    pub fn find(&self, name: &str, dev: Option<u64>) -> Option<&Property> {
        self.0.iter().find(|p| p.name == name && (dev.is_none() || dev == Some(p.dev) || p.dev == ANY_DEV))
    }

    /// Adds a property in front, or replaces the one of the same name and device number.
    pub fn set(&mut self, property: Property) {
        match self.0.iter_mut().find(|p| p.name == property.name && p.dev == property.dev) {
            Some(old) => *old = property,
            None => self.0.insert(0, property),
        }
    }

    /// Removes a property. False: there was none.
    pub fn remove(&mut self, name: &str, dev: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|p| p.name != name || p.dev != dev);
        self.0.len() < before
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Property> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_kind() {
        let mut list = List::default();
        list.set(Property::ints("n", &[1, -2]));
        list.set(Property::strings("s", &["a", "", "bc"]));
        assert_eq!(list.find("n", None).unwrap().as_ints(), Some(vec![1, -2]));
        assert_eq!(list.find("n", Some(7)).unwrap().as_int64s(), Some(vec![1, -2]));
        assert_eq!(list.find("n", None).unwrap().as_strings(), None);
        assert_eq!(list.find("s", None).unwrap().as_strings(), Some(vec![&b"a"[..], b"", b"bc"]));
        assert_eq!(list.find("s", None).unwrap().as_ints(), None);
        list.set(Property::ints("n", &[5]));
        assert_eq!(list.find("n", None).unwrap().as_ints(), Some(vec![5]));
        assert!(list.remove("n", ANY_DEV) && !list.remove("n", ANY_DEV));
    }
}
