//! Users of instances: processes that have opened it, or its detach(9E), as the kernel sees to it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ddi_sys::dev_t;

#[derive(Default)]
struct Door {
    opens: u32,
    /// It is being detached, or was.
    is_closed: bool,
}

/// The doors of all instances. Locked for an instant, in which no other thread can run.
#[derive(Default)]
pub struct Doors(Mutex<BTreeMap<dev_t, Door>>);

impl Doors {
    fn door<R>(&self, dev: dev_t, what: impl FnOnce(&mut Door) -> R) -> R {
        what(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(dev).or_default())
    }

    /// Opens the device, does something, and closes it. Returns false if it is being detached.
    pub fn visit(&self, dev: dev_t, what: impl FnOnce()) -> bool {
        let is_closed = self.door(dev, |door| {
            door.opens += u32::from(!door.is_closed);
            door.is_closed
        });
        if is_closed {
            return false;
        }
        assert_eq!(devmap_mock::open(dev, 0), 0);
        what();
        assert_eq!(devmap_mock::close(dev), 0);
        self.door(dev, |door| door.opens -= 1);
        true
    }

    /// Detaches the instance, if nobody has it open and nobody detaches it.
    pub fn leave(&self, dev: dev_t, detach: impl FnOnce() -> bool) -> bool {
        let may = self.door(dev, |door| {
            let may = door.opens == 0 && !door.is_closed;
            door.is_closed |= may;
            may
        });
        may && {
            let done = detach();
            self.door(dev, |door| door.is_closed = done);
            done
        }
    }
}
