//! Events as types, and their form in a ring: a number for the kind, and up to [`ARGUMENTS`] words. Plain data.

use serde::Serialize;

/// Words of an event's arguments.
pub const ARGUMENTS: usize = 5;

/// A value that fits into a word.
trait Word: Copy {
    fn word(self) -> u64;
    fn of(word: u64) -> Self;
}

impl Word for u64 {
    fn word(self) -> u64 {
        self
    }
    fn of(word: u64) -> u64 {
        word
    }
}

impl Word for i32 {
    fn word(self) -> u64 {
        i64::from(self).cast_unsigned()
    }
    fn of(word: u64) -> i32 {
        word as i32
    }
}

impl Word for u32 {
    fn word(self) -> u64 {
        self.into()
    }
    fn of(word: u64) -> u32 {
        word as u32
    }
}

impl Word for bool {
    fn word(self) -> u64 {
        self.into()
    }
    fn of(word: u64) -> bool {
        word != 0
    }
}

/// An access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Exec,
}

impl Word for Access {
    fn word(self) -> u64 {
        self as u64
    }
    fn of(word: u64) -> Access {
        match word {
            1 => Access::Write,
            2 => Access::Exec,
            _ => Access::Read,
        }
    }
}

/// Kind of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum For {
    /// The framework: a context or soft-locked pages that another mapping has.
    Turn,
    /// A condition variable of the driver's (condvar(9F)).
    Driver,
}

impl Word for For {
    fn word(self) -> u64 {
        self as u64
    }
    fn of(word: u64) -> For {
        if word == 1 { For::Driver } else { For::Turn }
    }
}

/// The end of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The access is tried again.
    Served,
    /// A signal has ended the driver's work.
    Interrupted,
    /// The access fails.
    Signal {
        /// `SIGSEGV` or `SIGBUS`.
        signo: u32,
        /// `si_errno`, a Linux number.
        errno: u32,
    },
}

impl Word for Outcome {
    fn word(self) -> u64 {
        match self {
            Outcome::Served => 0,
            Outcome::Interrupted => 1,
            Outcome::Signal { signo, errno } => 2 | u64::from(signo & 0xff) << 8 | u64::from(errno) << 32,
        }
    }
    fn of(word: u64) -> Outcome {
        match word & 0xff {
            0 => Outcome::Served,
            1 => Outcome::Interrupted,
            _ => Outcome::Signal { signo: (word >> 8 & 0xff) as u32, errno: (word >> 32) as u32 },
        }
    }
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Number of the kind.
    pub number: u16,
    /// Name of the variant.
    pub name: &'static str,
    /// Name and type of each field.
    pub fields: &'static [(&'static str, &'static str)],
}

/// Defines [`Event`], [`KINDS`], and the form in a ring.
macro_rules! events {
    ($($(#[doc = $doc:literal])* $name:ident = $kind:literal {
        $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)*
    })*) => {
        /// An event of the kernel. What all have in common is in [`Stamp`](crate::Stamp).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(tag = "event", rename_all = "snake_case")]
        pub enum Event {
            $($(#[doc = $doc])* $name { $($(#[doc = $field_doc])* $field: $type,)* },)*
        }

        /// The kinds of events, in the order of their numbers.
        pub const KINDS: &[Kind] = &[$(Kind {
            number: $kind,
            name: stringify!($name),
            fields: &[$((stringify!($field), stringify!($type)),)*],
        },)*];

        impl Event {
            /// Returns the [number](Kind::number) of the kind, and the arguments in the order of its [fields](Kind::fields).
            #[inline]
            pub fn encode(self) -> (u16, [u64; ARGUMENTS]) {
                match self {
                    $(Event::$name { $($field,)* } => {
                        #[allow(unused_mut, unused_assignments)]
                        {
                            let (mut words, mut _at) = ([0; ARGUMENTS], 0);
                            $(words[_at] = Word::word($field); _at += 1;)*
                            ($kind, words)
                        }
                    })*
                }
            }

            /// Returns the event; `None` if there is no such kind.
            pub(crate) fn decode(kind: u16, words: [u64; ARGUMENTS]) -> Option<Event> {
                let mut _words = words.into_iter();
                Some(match kind {
                    $($kind => Event::$name { $($field: <$type as Word>::of(_words.next()?),)* },)*
                    _ => return None,
                })
            }

            /// Returns one event of each kind, with arguments that differ.
            #[cfg(test)]
            pub(crate) fn each() -> Vec<Event> {
                let kinds = [$($kind),*];
                kinds.into_iter().filter_map(|kind| Event::decode(kind, [1, 2, 3, 4, 5])).collect()
            }
        }
    };
}

events! {
    /// open(2) of a device.
    Open = 1 {
        /// Number of the open; 0 if it failed.
        open: u64,
        /// Linux `O_*` flags.
        flags: u32,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// The last close of an open.
    Close = 2 {
        /// Number of the open.
        open: u64,
    }
    /// read(2).
    Read = 3 {
        /// Number of the open.
        open: u64,
        /// Bytes asked for.
        length: u64,
        /// Bytes read.
        done: u64,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// write(2).
    Write = 4 {
        /// Number of the open.
        open: u64,
        /// Bytes asked for.
        length: u64,
        /// Bytes written.
        done: u64,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// ioctl(2).
    Ioctl = 5 {
        /// Number of the open.
        open: u64,
        /// The command.
        command: u64,
        /// The argument.
        argument: u64,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// poll(2) and its relatives: one look at a device.
    Poll = 6 {
        /// Number of the open.
        open: u64,
        /// Linux events asked for.
        asked: u32,
        /// Linux events that are so.
        ready: u32,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// mmap(2) of a device.
    Mmap = 7 {
        /// Address of the mapping.
        address: u64,
        /// Bytes.
        length: u64,
        /// Device offset.
        offset: u64,
        /// `PROT_*`.
        protection: u32,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// munmap(2) of device memory.
    Munmap = 8 {
        /// Address.
        address: u64,
        /// Bytes.
        length: u64,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// mprotect(2) of device memory.
    Mprotect = 9 {
        /// Address.
        address: u64,
        /// Bytes.
        length: u64,
        /// `PROT_*`.
        protection: u32,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// fork(2).
    Fork = 10 {
        /// Number of the child's address space.
        child: u64,
        /// Linux errno; 0: it succeeded.
        errno: i32,
    }
    /// The end of a process, or of the program in it (exec(2)).
    Exit = 11 {
    }
    /// An access without a translation.
    Fault = 12 {
        /// Address of the access.
        address: u64,
        /// Device offset of the access; [`UNKNOWN`](crate::UNKNOWN) where no device is mapped.
        offset: u64,
        /// Address of the instruction; 0 if it was not looked for.
        code: u64,
        /// The access.
        access: Access,
        /// The end.
        outcome: Outcome,
    }
    /// devmap_map(9E).
    Map = 13 {
        /// Device offset.
        offset: u64,
        /// Bytes.
        length: u64,
        /// The driver's error (an illumos number); 0: it succeeded.
        error: i32,
    }
    /// devmap_access(9E).
    Access = 14 {
        /// Device offset.
        offset: u64,
        /// Bytes.
        length: u64,
        /// The access.
        access: Access,
        /// Return value of the driver.
        error: i32,
    }
    /// devmap_dup(9E).
    Dup = 15 {
        /// Device offset.
        offset: u64,
        /// Bytes.
        length: u64,
        /// Number of the child's address space.
        child: u64,
        /// The driver's error (an illumos number); 0: it succeeded.
        error: i32,
    }
    /// devmap_unmap(9E).
    Cut = 16 {
        /// Device offset of what goes.
        offset: u64,
        /// Bytes of what goes.
        length: u64,
        /// Part of the mapping stays before it.
        before: bool,
        /// Part of the mapping stays behind it.
        behind: bool,
    }
    /// devmap_do_ctxmgt(9F): a mapping asks for its context.
    Request = 17 {
        /// The mapping: its address minus its device offset.
        mapping: u64,
        /// The context: address of the access callback.
        context: u64,
        /// Device offset.
        offset: u64,
        /// A fault code; 0: it succeeded.
        error: i32,
    }
    /// devmap_contextmgt(9E) runs: the mapping has the context.
    Grant = 18 {
        /// The mapping: its address minus its device offset.
        mapping: u64,
        /// The context: address of the access callback.
        context: u64,
        /// Device offset.
        offset: u64,
        /// Return value of the driver; 0: it succeeded.
        error: i32,
    }
    /// A wait.
    Wait = 19 {
        /// Kind of the wait.
        what: For,
        /// A signal, or the process's end, ended it.
        interrupted: bool,
    }
    /// Translations are loaded.
    Load = 20 {
        /// Number of the address space.
        of: u64,
        /// The process of it; 0 for a forked child that does not run yet.
        of_pid: u32,
        /// Address.
        address: u64,
        /// Pages.
        pages: u64,
        /// Page frame of the first one.
        frame: u64,
    }
    /// Translations are unloaded.
    Unload = 21 {
        /// Number of the address space.
        of: u64,
        /// The process of it; 0 for a forked child that does not run yet.
        of_pid: u32,
        /// Address.
        address: u64,
        /// Pages of the range, loaded or not.
        pages: u64,
    }
    /// A driver takes pages from a process outside of a fault: devmap_unload(9F), or a remap without memory (`DEVMAP_MAPPING_INVALID`).
    Revoke = 22 {
        /// Number of the address space.
        of: u64,
        /// The process of it; 0 for a forked child that does not run yet.
        of_pid: u32,
        /// Device offset.
        offset: u64,
        /// Bytes.
        length: u64,
    }
    /// devmap_devmem_remap(9F), devmap_umem_remap(9F).
    Remap = 23 {
        /// Number of the address space.
        of: u64,
        /// The process of it; 0 for a forked child that does not run yet.
        of_pid: u32,
        /// Device offset.
        offset: u64,
        /// Bytes.
        length: u64,
    }
    /// An interrupt handler has run.
    Interrupt = 24 {
        /// Number of the interrupt.
        number: u32,
        /// The handler claimed it.
        claimed: bool,
    }
    /// A simulated device moves memory.
    Dma = 25 {
        /// Bus address that it reads.
        source: u64,
        /// Bus address that it writes.
        target: u64,
        /// Bytes.
        length: u64,
        /// It was allowed.
        done: bool,
    }
    /// pollwakeup(9F).
    PollWake = 26 {
        /// illumos events.
        events: u32,
        /// Polls that it wakes.
        woken: u32,
    }
    /// A report of a driver's mistake.
    Mistake = 27 {
        /// Number of the report's text.
        text: u64,
    }
    /// A static probe of a module (DTrace's sdt provider), of a name that is none of the events above.
    Probe = 28 {
        /// Number of its name.
        name: u64,
        /// The first argument.
        first: u64,
        /// The second argument.
        second: u64,
        /// The third argument.
        third: u64,
        /// The fourth argument.
        fourth: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_comes_back() {
        let all = Event::each();
        assert_eq!(all.len(), 28);
        for event in all {
            let (kind, words) = event.encode();
            assert_eq!(Event::decode(kind, words), Some(event));
            let schema = KINDS[usize::from(kind) - 1];
            assert_eq!(schema.number, kind);
            assert!(format!("{event:?}").starts_with(schema.name));
            assert!(words[schema.fields.len()..].iter().all(|word| *word == 0));
        }
        assert_eq!(Event::decode(0, [0; ARGUMENTS]), None);
        let outcome = Outcome::Signal { signo: 7, errno: 5 };
        assert_eq!(Outcome::of(outcome.word()), outcome);
        assert_eq!(i32::of((-1).word()), -1);
    }
}
