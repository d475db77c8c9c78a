//! Messages in both directions: what is decoded, encoded again, is the same bytes, and each is of one kind.

use std::fmt::Debug;

use ddi_wire::{
    Answer, Cursor, Error, FromClient, FromHost, MESSAGE_MAX, Message, Reply, Request, Sink, Upcall,
};

/// Most bytes of an input.
pub const MOST: usize = 1024;

/// # Panics
/// An assertion fails.
pub fn target(data: &[u8]) {
    let [request, answer] = [one::<Request<'_>>(data), one::<Answer<'_>>(data)];
    let [reply, upcall] = [one::<Reply<'_>>(data), one::<Upcall<'_>>(data)];
    let all = [request, answer, reply, upcall];
    let kinds = all.into_iter().filter(|foreign| !foreign).count();
    assert!(kinds <= 1 || data.len() < 4, "a tag of two kinds");
    match FromClient::decode(data) {
        Ok(FromClient::Request(message)) => assert_eq!(Request::decode(data), Ok(message)),
        Ok(FromClient::Answer(message)) => assert_eq!(Answer::decode(data), Ok(message)),
        Err(Error::Foreign(_)) => assert!(request && answer),
        Err(_) => assert!(Request::decode(data).is_err() && Answer::decode(data).is_err()),
    }
    match FromHost::decode(data) {
        Ok(FromHost::Reply(message)) => assert_eq!(Reply::decode(data), Ok(message)),
        Ok(FromHost::Upcall(message)) => assert_eq!(Upcall::decode(data), Ok(message)),
        Err(Error::Foreign(_)) => assert!(reply && upcall),
        Err(_) => assert!(Reply::decode(data).is_err() && Upcall::decode(data).is_err()),
    }
}

/// Returns whether the message is of another kind.
fn one<'a, M: Message<'a> + PartialEq + Debug>(data: &'a [u8]) -> bool {
    let message = match M::decode(data) {
        Ok(message) => message,
        Err(error) => return matches!(error, Error::Foreign(_)),
    };
    let mut room = vec![0; MESSAGE_MAX];
    let mut out = Cursor::new(&mut room);
    message.encode(&mut out).and_then(|()| out.put(message.tail())).expect("a message of this length");
    assert_eq!(out.bytes(), data, "{message:?}");
    let short = out.bytes().len() - message.tail().len();
    // Whatever fits is encoded, and nothing is written beyond it.
    assert!(message.encode(&mut Cursor::new(&mut vec![0; short])).is_ok());
    assert_eq!(message.encode(&mut Cursor::new(&mut vec![0; short - 1])), Err(Error::Full));
    false
}
