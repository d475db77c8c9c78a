//~ says: cannot be shared between threads safely
#![no_std]

use devmap::prelude::*;
use devmap::task::TaskQueue;

struct Page {
    queue: TaskQueue,
}

impl Device for Page {
    type Mapping = ();
    type Open = ();

    fn attach(attach: &Attach<'_>) -> Result<Page, Errno> {
        Ok(Page { queue: TaskQueue::new(attach.node(), "page", 1)? })
    }

    fn read(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        self.queue.dispatch(&*uio, |_| devmap::time::sleep(&*uio, core::time::Duration::ZERO))?;
        Ok(())
    }
}

devmap::module! { device: Page, name: "page", description: "one page" }
