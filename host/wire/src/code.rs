//! Encoding: a message is its tag and then its fields in order, without padding. A list or a byte string is the last field and takes the rest of the message.

use core::fmt;
use core::marker::PhantomData;

/// Reason why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It ends before its last field.
    Short,
    /// It goes on after its last field.
    Long,
    /// The tag is no message's of this kind.
    Foreign(u32),
    /// A field has a value that its type does not have.
    Value(u64),
    /// It does not fit in the buffer it is encoded to.
    Full,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Short => f.write_str("the message is too short"),
            Error::Long => f.write_str("the message is too long"),
            Error::Foreign(tag) => write!(f, "no message of this kind has the tag {tag}"),
            Error::Value(value) => write!(f, "{value} is no value of its field"),
            Error::Full => f.write_str("the message does not fit in its buffer"),
        }
    }
}

impl core::error::Error for Error {}

/// Destination of an encoded message.
pub trait Sink {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Full`].
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error>;
}

/// A sink in a buffer.
#[derive(Debug)]
pub struct Cursor<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl<'a> Cursor<'a> {
    /// Returns an empty sink that has the whole of `room`.
    pub fn new(room: &'a mut [u8]) -> Cursor<'a> {
        Cursor { room, len: 0 }
    }

    /// Returns what has been put.
    pub fn bytes(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }
}

impl Sink for Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.len.checked_add(bytes.len()).ok_or(Error::Full)?;
        self.room.get_mut(self.len..end).ok_or(Error::Full)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

/// The rest of a message that is being decoded.
#[derive(Debug)]
pub struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Error::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }
}

/// Something that can be sent as one message.
pub trait Message<'a>: Sized {
    /// Appends the message to `out`, without its [`tail`](Message::tail).
    ///
    /// # Errors
    /// [`Error::Full`].
    fn encode(&self, out: &mut impl Sink) -> Result<(), Error>;

    /// Returns the bytes that follow what [`encode`](Message::encode) writes, so that they need not be copied to be sent.
    fn tail(&self) -> &'a [u8];

    /// Decodes a whole message.
    ///
    /// # Errors
    /// See [`Error`].
    fn decode(bytes: &'a [u8]) -> Result<Self, Error>;
}

/// A field of a message.
pub trait Field<'a>: Sized {
    /// Appends the field.
    fn put(&self, out: &mut impl Sink) -> Result<(), Error>;

    /// Takes the field off the front.
    fn take(from: &mut Reader<'a>) -> Result<Self, Error>;

    /// Returns the bytes of the field that are sent from where they are.
    fn tail(&self) -> &'a [u8] {
        &[]
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl<'a> Field<'a> for $type {
            fn put(&self, out: &mut impl Sink) -> Result<(), Error> {
                out.put(&self.to_ne_bytes())
            }

            fn take(from: &mut Reader<'a>) -> Result<Self, Error> {
                Ok(<$type>::from_ne_bytes(from.take()?))
            }
        }
    )*};
}

numbers!(u32, i32, u64, i64);

impl<'a> Field<'a> for bool {
    fn put(&self, out: &mut impl Sink) -> Result<(), Error> {
        u32::from(*self).put(out)
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, Error> {
        match u32::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::Value(other.into())),
        }
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn put(&self, out: &mut impl Sink) -> Result<(), Error> {
        self.is_some().put(out)?;
        self.as_ref().map_or(Ok(()), |value| value.put(out))
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, Error> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn put(&self, _: &mut impl Sink) -> Result<(), Error> {
        Ok(())
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(from.rest())
    }

    fn tail(&self) -> &'a [u8] {
        self
    }
}

/// An item of a list. Every item of one type has the same number of bytes.
pub trait Item: Copy + fmt::Debug + PartialEq + for<'a> Field<'a> {
    /// Bytes of an encoded item.
    const LEN: usize;
}

/// A list of items, either to be encoded or as it was received.
#[derive(Clone, Copy)]
pub struct Items<'a, T>(List<'a, T>);

#[derive(Clone, Copy)]
enum List<'a, T> {
    Values(&'a [T]),
    Bytes(&'a [u8], PhantomData<T>),
}

impl<'a, T: Item> Items<'a, T> {
    /// Most items of one message.
    pub const MOST: usize = crate::PAYLOAD_MAX / T::LEN;

    /// Returns the list of these items.
    pub fn of(items: &'a [T]) -> Items<'a, T> {
        Items(List::Values(items))
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        match self.0 {
            List::Values(items) => items.len(),
            List::Bytes(bytes, _) => bytes.len() / T::LEN,
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns an item.
    pub fn get(&self, i: usize) -> Option<T> {
        match self.0 {
            List::Values(items) => items.get(i).copied(),
            List::Bytes(bytes, _) => T::take(&mut Reader(bytes.get(i.checked_mul(T::LEN)?..)?)).ok(),
        }
    }

    /// Returns the items in order.
    pub fn iter(self) -> impl Iterator<Item = T> + use<'a, T> {
        (0..self.len()).map_while(move |i| self.get(i))
    }
}

impl<T: Item> PartialEq for Items<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Item + Eq> Eq for Items<'_, T> {}

impl<T: Item> fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Item> Field<'a> for Items<'a, T> {
    fn put(&self, out: &mut impl Sink) -> Result<(), Error> {
        self.iter().try_for_each(|item| item.put(out))
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, Error> {
        let bytes = from.rest();
        if !bytes.len().is_multiple_of(T::LEN) {
            return Err(Error::Short);
        }
        // So that each item that is asked for later is there.
        bytes.chunks_exact(T::LEN).try_for_each(|item| T::take(&mut Reader(item)).map(drop))?;
        Ok(Items(List::Bytes(bytes, PhantomData)))
    }
}

/// Defines the messages of one kind: each has a tag that no message of another kind has.
macro_rules! messages {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$vdoc:meta])* $variant:ident = $tag:literal $({ $($(#[$fdoc:meta])* $field:ident : $type:ty),* $(,)? })?,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name<'a> {
            $($(#[$vdoc])* $variant $({ $($(#[$fdoc])* $field: $type),* })?,)*
        }

        #[cfg(test)]
        impl $name<'_> {
            const TAGS: [u32; [$($tag),*].len()] = [$($tag),*];
        }

        impl<'a> Message<'a> for $name<'a> {
            fn encode(&self, out: &mut impl Sink) -> Result<(), Error> {
                match self {
                    $($name::$variant { $($($field),*)? } => {
                        <u32 as Field<'_>>::put(&$tag, out)?;
                        $($(Field::put($field, out)?;)*)?
                    })*
                }
                Ok(())
            }

            fn tail(&self) -> &'a [u8] {
                match self {
                    $($name::$variant { $($($field),*)? } => {
                        let tails: &[&'a [u8]] = &[$($(Field::tail($field)),*)?];
                        tails.last().copied().unwrap_or_default()
                    })*
                }
            }

            fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
                let mut from = Reader(bytes);
                let message = match <u32 as Field<'_>>::take(&mut from)? {
                    $($tag => $name::$variant { $($($field: Field::take(&mut from)?),*)? },)*
                    other => return Err(Error::Foreign(other)),
                };
                if from.0.is_empty() { Ok(message) } else { Err(Error::Long) }
            }
        }
    };
}

/// Defines the items of lists: plain structures.
macro_rules! items {
    ($($(#[$doc:meta])* $name:ident[$len:literal] { $($(#[$fdoc:meta])* $field:ident : $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $type,)*
        }

        impl<'a> Field<'a> for $name {
            fn put(&self, out: &mut impl Sink) -> Result<(), Error> {
                $(self.$field.put(out)?;)*
                Ok(())
            }

            fn take(from: &mut Reader<'a>) -> Result<Self, Error> {
                Ok($name { $($field: Field::take(from)?),* })
            }
        }

        impl Item for $name {
            const LEN: usize = $len;
        }
    )*};
}
