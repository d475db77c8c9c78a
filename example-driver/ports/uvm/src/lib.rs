//! upager: a cloning device; each open has a memory object of its own, with a pager that fills its pages.
//!
//! docs/porting.md says what it has of NetBSD's model. The pages of an object's first half are filled all at once, the others one by one; one is never filled. No locks.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use devmap::fault::Access;
use devmap::prelude::*;
use ports::page::vmalloc_to_page;
use ports::uvm::{Mapped, Object, Pager, Window};
use ports_user::{self as user, Status};

devmap::counters! {
    /// Counters; `kstat -m upager` shows them.
    pub struct Counts { mmaps, references, detaches, gets, puts }
}

/// State that the opens share.
struct Shared {
    counts: Counts,
    objects: AtomicU64,
}

/// The memory behind an object.
pub struct Store {
    shared: Arc<Shared>,
    memory: Umem,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.objects.fetch_sub(1, Relaxed);
    }
}

impl Pager for Store {
    fn reference(&self) {
        self.shared.counts.references().add(1);
    }

    fn detach(&self) {
        self.shared.counts.detaches().add(1);
    }

    fn get(&self, window: &mut Window) -> Result<(), Errno> {
        self.shared.counts.gets().add(1);
        let half = user::UPAGER_LEN / 2;
        for index in window.wanted() {
            let offset = window.offset(index);
            let refused = offset == user::UPAGER_LEN - 4096;
            if refused || (offset >= half && index != window.centre()) {
                continue;
            }
            let page = vmalloc_to_page(&self.memory, offset)?;
            let written = index == window.centre() && window.access() == Access::Write;
            match offset {
                user::UPAGER_READ_ONLY => window.set_read_only(index, page),
                user::UPAGER_UPGRADED if !written => window.set_read_only(index, page),
                _ => window.set(index, page),
            }
        }
        Ok(())
    }

    fn put(&self, _: Range<u64>) -> Result<(), Errno> {
        self.shared.counts.puts().add(1);
        Ok(())
    }
}

/// An instance of the device.
pub struct Upager(Arc<Shared>);

impl Device for Upager {
    type Mapping = Mapped<Store>;
    type Open = Object<Store>;
    const MINORS: u32 = 2;

    fn minor(&self, node: &Node<'_>, index: u32) -> Option<MinorNode> {
        let name = if index == 0 { "upager" } else { "upagerb" };
        Some(MinorNode::new(format_args!("{name}{}", node.instance())))
    }

    fn attach(attach: &Attach<'_>) -> Result<Upager, Errno> {
        let counts = Counts::new(attach.node(), "upager")?;
        Ok(Upager(Arc::new(Shared { counts, objects: AtomicU64::new(0) })))
    }

    fn open(&self, how: Open<'_>) -> Result<Object<Store>, Errno> {
        let memory = Umem::new(&how, Kind::Locked, user::UPAGER_LEN as usize)?;
        self.0.objects.fetch_add(1, Relaxed);
        let store = Store { shared: Arc::clone(&self.0), memory };
        if how.minor() == 0 {
            Object::new(store, user::UPAGER_LEN)
        } else {
            Object::per_page(store, user::UPAGER_LEN)
        }
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Upager>) -> Result<Setup<'a, Upager>, Errno> {
        let offset = request.offset();
        let setup = request.open().map(request, offset)?;
        self.0.counts.mmaps().add(1);
        Ok(setup)
    }

    fn ioctl(&self, object: &Object<Store>, command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        let counts = &self.0.counts;
        match command {
            user::PORTS_STATUS => argument.copyout(&Status {
                kind: user::UVM,
                mappings: object.mappings() as u64,
                objects: self.0.objects.load(Relaxed),
                mmaps: counts.mmaps().get(),
                opens: counts.references().get(),
                closes: counts.detaches().get(),
                faults: counts.gets().get(),
                freed: counts.puts().get(),
                each_page: devmap::each_page::available().into(),
                ..Status::default()
            })?,
            user::UPAGER_PUT => {
                let span: user::Span = argument.copyin()?;
                object.put(span.start..span.start.checked_add(span.len).ok_or(Errno::EINVAL)?)?;
            }
            user::UPAGER_PROTECT | user::UPAGER_ALLOW => {
                let span: user::Span = argument.copyin()?;
                let end = span.start.checked_add(span.len).ok_or(Errno::EINVAL)?;
                object.protect(span.start..end, command == user::UPAGER_ALLOW)?;
            }
            // Those that show this byte of the object. Says how many.
            user::UPAGER_REMOVE => {
                let span: user::Span = argument.copyin()?;
                let removed = object.remove_if(|entry| entry.bytes.contains(&span.start))?;
                return i32::try_from(removed).map_err(|_| Errno::EOVERFLOW);
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }
}

devmap::module! { device: Upager, name: "upager", description: "memory objects 0.1" }
