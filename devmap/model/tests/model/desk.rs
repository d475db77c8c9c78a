//! A driver whose opens have private data: a number each, by which a process maps its page.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use devmap::context::Kernel;
use devmap::prelude::*;
use devmap_mock::{Booted, Config, PAGE};
use devmap_model::assert_no_lock_of_the_layer;

static NEXT: AtomicU32 = AtomicU32::new(0);
static LIVE: AtomicU32 = AtomicU32::new(0);

/// Number of values of private data that live.
pub fn live() -> u32 {
    LIVE.load(SeqCst)
}

/// Private data of an open.
pub struct Client {
    number: u32,
    memory: Umem,
    closed: AtomicU32,
}

impl Drop for Client {
    fn drop(&mut self) {
        assert_eq!(self.closed.load(SeqCst), 1, "closed once, and then dropped");
        LIVE.fetch_sub(1, SeqCst);
    }
}

pub struct Desk;

impl Device for Desk {
    type Mapping = ();
    type Open = Client;

    fn attach(_: &Attach<'_>) -> Result<Desk, Errno> {
        Ok(Desk)
    }

    fn open(&self, how: Open<'_>) -> Result<Client, Errno> {
        assert_no_lock_of_the_layer();
        let memory = Umem::new(&how, Kind::Locked, PAGE)?;
        LIVE.fetch_add(1, SeqCst);
        Ok(Client { number: NEXT.fetch_add(1, SeqCst), memory, closed: AtomicU32::new(0) })
    }

    fn close(&self, open: &Client, _: &mut Kernel) {
        assert_no_lock_of_the_layer();
        open.closed.fetch_add(1, SeqCst);
    }

    fn ioctl(&self, open: &Client, _: i32, _: Argument<'_>) -> Result<i32, Errno> {
        Ok(open.number as i32)
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Desk>) -> Result<Setup<'a, Desk>, Errno> {
        let open = request.open();
        assert_eq!(request.offset() / PAGE as u64, u64::from(open.number), "another open's data");
        Ok(request.map(&open.memory, 0).with(())?)
    }
}

devmap::module! { device: Desk, name: "desk", description: "opens with private data" }

/// A booted kernel with an instance.
pub fn boot() -> Booted {
    let mut booted = devmap_mock::boot(&MODULE);
    NEXT.store(0, SeqCst);
    LIVE.store(0, SeqCst);
    assert!(booted.attach(Config::default()).is_some());
    booted
}
