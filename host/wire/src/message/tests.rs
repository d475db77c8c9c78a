//! Each message survives its encoding, and is refused where it is cut short, too long or another kind's.

use super::*;
use crate::{Cursor, HEAD_MAX, MESSAGE_MAX};

/// The end of a message.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Fixed,
    List,
    Bytes,
}

/// Sends a message, and refuses it where it is too short, too long or another kind's. Returns its tag.
fn round_trip<'a, M: Message<'a> + PartialEq + fmt::Debug>(message: M, end: End, room: &'a mut [u8]) -> u32 {
    let mut out = Cursor::new(room);
    message.encode(&mut out).unwrap();
    let head = out.bytes().len();
    out.put(message.tail()).unwrap();
    let len = out.bytes().len();
    assert!(head <= HEAD_MAX || end == End::List);
    assert_eq!(message.encode(&mut Cursor::new(&mut [0; MESSAGE_MAX][..head - 1])), Err(Error::Full));
    let room: &'a [u8] = room;
    assert_eq!(M::decode(&room[..len]).as_ref(), Ok(&message));
    assert_eq!(M::decode(&room[..3]), Err(Error::Short));
    match end {
        End::Fixed => {
            assert!((4..len).all(|short| M::decode(&room[..short]) == Err(Error::Short)));
            assert_eq!(M::decode(&room[..len + 1]), Err(Error::Long));
        }
        End::List => {
            assert_eq!(M::decode(&room[..len - 1]), Err(Error::Short));
            assert_eq!(M::decode(&room[..len + 1]), Err(Error::Short));
        }
        End::Bytes => {
            assert!((4..head).all(|short| M::decode(&room[..short]) == Err(Error::Short)));
            assert_ne!(M::decode(&room[..len + 1]), Ok(message));
        }
    }
    u32::from_ne_bytes(*room.first_chunk().unwrap())
}

macro_rules! all {
    ($name:ident: $($message:expr => $end:ident,)*) => {{
        let mut tags = [$(round_trip($message, End::$end, &mut [0; MESSAGE_MAX])),*];
        tags.sort_unstable();
        let mut known = $name::TAGS;
        known.sort_unstable();
        assert_eq!(tags, known);
    }};
}

const PIECE: MapPiece = MapPiece { va: 1 << 45, len: 4096, prot: 3, behind: Behind::Frames(8192) };
const PIECES: &[MapPiece] =
    &[PIECE, MapPiece { behind: Behind::Hidden, ..PIECE }, MapPiece { behind: Behind::Unmapped, ..PIECE }];
const RANGES: &[Range] = &[Range { va: 1 << 44, len: 8192, prot: 1 }];
const BUFFERS: &[Buffer] = &[Buffer { base: 1, len: 2 }, Buffer { base: u64::MAX, len: 0 }];
const POLLED: &[PollItem] = &[PollItem { open: 7, events: 1, ready: 4, stamp: 1 << 40 }];

#[test]
fn requests_survive_their_encoding() {
    all! { Request:
        Request::Hello => Fixed,
        Request::Thread { process: 1 << 40, tid: -1 } => Fixed,
        Request::Child { pid: 2, mode: FaultMode::Signal } => Fixed,
        Request::Attach { mode: FaultMode::UserfaultfdUserOnly } => Fixed,
        Request::Open { flags: -3, path: b"/dev/ctxdev0" } => Bytes,
        Request::Read { open: 5, offset: None, buffers: Items::of(BUFFERS) } => List,
        Request::Write { open: 5, offset: Some(-1), buffers: Items::of(&[]) } => List,
        Request::Ioctl { open: 5, command: 6, argument: 7 } => Fixed,
        Request::Seek { open: 5, offset: i64::MIN, whence: 2 } => Fixed,
        Request::Stat { open: 5 } => Fixed,
        Request::Mmap {
            open: 5, addr: 6, len: 7, prot: 3, flags: 1, offset: 4096, room: Some(Room { addr: 8, len: 9 })
        } => Fixed,
        Request::Munmap { addr: 1, len: 2, replace: true } => Fixed,
        Request::Mprotect { addr: 1, len: 2, prot: u32::MAX } => Fixed,
        Request::Query { addr: 1, len: 2 } => Fixed,
        Request::Fork { alone: true, stack: 3 } => Fixed,
        Request::Fault { addr: 1, access: 2, code: 3 } => Fixed,
        Request::Forked { child: 1, pid: 2 } => Fixed,
        Request::Poll { items: Items::of(POLLED) } => List,
        Request::SetFlags { open: 1, flags: 2 } => Fixed,
        Request::Refused { addr: 1, len: 2 } => Fixed,
        Request::Control { control: Control::Advise, addr: 1, len: 2, argument: 3 } => Fixed,
        Request::Incore { addr: 1, len: 2, vec: 3 } => Fixed,
        Request::Interrupt => Fixed,
    }
}

#[test]
fn replies_survive_their_encoding() {
    all! { Reply:
        Reply::Failed { errno: 14 } => Fixed,
        Reply::Done => Fixed,
        Reply::Welcome { process: 3, policy: FaultPolicy::Userfaultfd, low: true } => Fixed,
        Reply::Transferred { count: 3 } => Fixed,
        Reply::Returned { value: -3 } => Fixed,
        Reply::Offset { offset: 3 } => Fixed,
        Reply::Node { major: 1, minor: 2, mode: 3, uid: 4, gid: 5, flags: 6 } => Fixed,
        Reply::Mapped { addr: 3 } => Fixed,
        Reply::Finish { addr: 3, turn: u32::MAX, pieces: Items::of(PIECES) } => List,
        Reply::Stretch { start: 3, end: 4 } => Fixed,
        Reply::Child { child: 3, turn: 4 } => Fixed,
        Reply::Ready { count: 3, items: Items::of(POLLED) } => List,
        Reply::Retry { idle: true } => Fixed,
        Reply::Signal { signo: 1, code: 2, errno: 3 } => Fixed,
        Reply::Foreign => Fixed,
        Reply::Refusal { errno: 3 } => Fixed,
    }
}

#[test]
fn upcalls_survive_their_encoding() {
    all! { Upcall:
        Upcall::Reserve { len: 1, align: 2, offset: 3, hint: 4 } => Fixed,
        Upcall::Map { pieces: Items::of(PIECES) } => List,
        Upcall::Unmap { addr: 1, len: 2 } => Fixed,
        Upcall::Protect { ranges: Items::of(RANGES) } => List,
        Upcall::CopyIn { addr: 1, len: 2 } => Fixed,
        Upcall::CopyOut { addr: 1, bytes: b"some" } => Bytes,
        Upcall::CopyInStr { addr: 1, max: 2 } => Fixed,
        Upcall::Zap { ranges: Items::of(RANGES) } => List,
        Upcall::Ping => Fixed,
        Upcall::Exit => Fixed,
        Upcall::Enlist => Fixed,
        Upcall::Pin { addr: 1, len: 2, offset: 3, prot: 4 } => Fixed,
        Upcall::Clear { addr: 1, len: 2 } => Fixed,
        Upcall::Await { turn: 1 } => Fixed,
        Upcall::Wake => Fixed,
    }
}

#[test]
fn answers_survive_their_encoding() {
    all! { Answer:
        Answer::Failed { errno: 3 } => Fixed,
        Answer::Done => Fixed,
        Answer::Room { addr: 3 } => Fixed,
        Answer::Bytes { why: 14, bytes: b"some" } => Bytes,
        Answer::Copied { why: 14, count: 3 } => Fixed,
        Answer::Agent { pid: 3 } => Fixed,
    }
}

#[test]
fn a_tag_is_one_kinds() {
    let kinds: [&[u32]; 4] = [&Request::TAGS, &Reply::TAGS, &Upcall::TAGS, &Answer::TAGS];
    for (i, tags) in kinds.into_iter().enumerate() {
        for tag in tags {
            let known = kinds.iter().enumerate().filter(|(_, other)| other.contains(tag)).map(|(k, _)| k);
            assert!(known.eq([i]));
        }
    }
    let foreign = 4711u32.to_ne_bytes();
    assert_eq!(FromHost::decode(&foreign), Err(Error::Foreign(4711)));
    assert_eq!(FromClient::decode(&foreign), Err(Error::Foreign(4711)));
    assert_eq!(FromHost::decode(&62u32.to_ne_bytes()), Ok(FromHost::Upcall(Upcall::Wake)));
    assert_eq!(FromClient::decode(&201u32.to_ne_bytes()), Ok(FromClient::Answer(Answer::Done)));
    assert_eq!(FromClient::decode(&62u32.to_ne_bytes()), Err(Error::Foreign(62)));
}

#[test]
fn values_that_a_field_does_not_have_are_refused() {
    let words = |tag: u32, rest: &[u32]| {
        let mut out = [0; 64];
        let all = [&[tag], rest].concat();
        all.iter()
            .zip(out.chunks_exact_mut(4))
            .for_each(|(word, to)| to.copy_from_slice(&word.to_ne_bytes()));
        (out, all.len() * 4)
    };
    let refused = |(bytes, len): ([u8; 64], usize)| FromClient::decode(&bytes[..len]).err();
    assert_eq!(refused(words(9, &[4])), Some(Error::Value(4)));
    assert_eq!(refused(words(26, &[2, 0, 0])), Some(Error::Value(2)));
    assert_eq!(refused(words(17, &[0, 0, 7])), Some(Error::Value(7)));
    // A piece with nothing known behind it.
    let (bytes, len) = words(41, &[0, 0, 0, 0, 0, 3, 0, 0]);
    assert_eq!(Upcall::decode(&bytes[..len]), Err(Error::Value(3)));
    // An offset of nothing.
    let (bytes, len) = words(41, &[0, 0, 0, 0, 0, 1, 5, 0]);
    assert_eq!(Upcall::decode(&bytes[..len]), Err(Error::Value(5)));
}
