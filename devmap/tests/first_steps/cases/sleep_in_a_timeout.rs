//~ says: `Interrupt` is no context that may sleep
//~ says: an interrupt handler or a timeout's routine hands what sleeps to a task queue or a thread
#![no_std]

use core::time::Duration;

use devmap::time::sleep;
use devmap::timeout::Timeout;

pub fn later() -> Timeout {
    Timeout::after(Duration::from_secs(1), |cx| sleep(cx, Duration::from_secs(1)))
}
