//! Upcalls: what the host has done by a thread that waits for its reply.

use core::sync::atomic::Ordering;

use ddi_wire::{Answer, Behind, FromHost, HEAD_MAX, Items, MapPiece, PAYLOAD_MAX, Upcall};

use crate::line::Talk;
use crate::{copy, msg, space, state};

/// Makes the changes that have come with a reply.
pub fn make_changes(pieces: Items<'_, MapPiece>) -> Result<(), i32> {
    pieces.iter().try_for_each(|p| match p.behind {
        Behind::Unmapped => space::unmap(p.va, p.len),
        _ => space::map(&p, state::MEMORY.load(Ordering::Relaxed), state::UFFD.load(Ordering::Relaxed)),
    })
}

/// Executes the upcall in the first `len` bytes of the buffer, and sends the answer. Fails if the host has exited, or the message cannot be decoded.
pub fn serve(talk: &mut Talk<'_>, len: usize) -> Result<(), i32> {
    let (memory, uffd) = (state::MEMORY.load(Ordering::Relaxed), state::UFFD.load(Ordering::Relaxed));
    let bytes = talk.buf.get(..len).unwrap_or_default();
    let Ok(FromHost::Upcall(upcall)) = FromHost::decode(bytes) else { return Err(libc::EPROTO) };
    let done = match upcall {
        Upcall::Reserve { len, align, offset, hint } => {
            let answer = match space::reserve(len, align, offset, hint) {
                Ok(addr) => Answer::Room { addr },
                Err(errno) => Answer::Failed { errno },
            };
            return msg::send(talk.fd, &answer);
        }
        Upcall::CopyIn { addr, len } => {
            return read_user(talk, len, |to| copy::read(to, addr));
        }
        Upcall::CopyInStr { addr, max } => return read_user(talk, max, |to| copy::string(to, addr)),
        Upcall::CopyOut { addr, bytes } => {
            // SAFETY: the other side is what the program named.
            let count = unsafe { copy::write(addr, bytes) } as u64;
            return msg::send(talk.fd, &Answer::Copied { why: copy::why(), count });
        }
        Upcall::Map { pieces } => pieces.iter().try_for_each(|p| space::map(&p, memory, uffd)),
        Upcall::Clear { addr, len } => space::clear(addr, len),
        Upcall::Unmap { addr, len } => space::unmap(addr, len),
        Upcall::Protect { ranges } => space::protect(ranges),
        Upcall::Pin { addr, len, offset, prot } => space::pin(addr, len, memory, offset, prot),
        // An agent's, and what the connection itself sees to.
        Upcall::Zap { .. }
        | Upcall::Enlist
        | Upcall::Ping
        | Upcall::Exit
        | Upcall::Await { .. }
        | Upcall::Wake => Err(libc::ENOSYS),
    };
    answer(talk, done)
}

/// Replies to an upcall without a result.
pub fn answer(talk: &Talk<'_>, done: Result<(), i32>) -> Result<(), i32> {
    msg::send(talk.fd, &done.map_or_else(|errno| Answer::Failed { errno }, |()| Answer::Done))
}

/// Sends an answer with at most `len` bytes of user memory. `read` puts them in the buffer and returns their number.
fn read_user(talk: &mut Talk<'_>, len: u64, read: impl FnOnce(&mut [u8]) -> usize) -> Result<(), i32> {
    let want = (len as usize).min(PAYLOAD_MAX).min(talk.buf.len());
    let room = talk.buf.get_mut(..want).unwrap_or_default();
    let n = read(room);
    let bytes = room.get(..n).unwrap_or_default();
    msg::send_with(talk.fd, &Answer::Bytes { why: copy::why(), bytes }, &mut [0; HEAD_MAX], &[])
}
