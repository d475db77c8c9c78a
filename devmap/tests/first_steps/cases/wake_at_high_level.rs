//~ says: a high-level interrupt must not block: `HighLevel`
//~ says: let the handler trigger a soft interrupt, and do the rest there
#![no_std]

use devmap::context::HighLevel;
use devmap::{Events, PollHead};

pub fn handler(cx: &mut HighLevel, head: &PollHead) {
    head.wake(cx, Events::READABLE);
}
