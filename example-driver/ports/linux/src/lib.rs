//! vmops: a driver as Linux has them, with areas and operations; by LinuxKPI's rules where the property `linuxkpi` is 1.
//!
//! docs/porting.md puts it beside its original. Each region of the device is an object, made by the first mmap(2) of it and freed when the last area of it is closed, which is counted as Linux
//! drivers do: in mmap and open, and back in close. What is freed is filled with a byte that no process must ever see.
//!
//! Locks: `objects`, over making and ending one; then devmap's. `meeting`, over nothing.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use core::time::Duration;

use devmap::access::Order;
use devmap::context::MaySleep;
use devmap::kmem::try_push;
use devmap::pinned::Pins;
use devmap::prelude::*;
use devmap::sync::Condvar;
use ports::linux::{self, AddressSpace, Answer, Area, Failure, Flags, Mode, Operations, UserPages, Vma, Vmf};
use ports::page::{Page, vmalloc_to_page};
use ports_user::{self as user, Region, Status};

/// Longest wait of an operation of [`Region::Meet`] for another.
const MEETING: Duration = Duration::from_millis(100);

devmap::counters! {
    /// Counters; `kstat -m vmops` shows them.
    pub struct Counts { mmaps, opens, closes, faults, notified, freed }
}

/// State of the device, which objects refer to.
struct Board {
    counts: Counts,
    objects: Mutex<[Option<Arc<Object>>; Region::ALL.len()]>,
    registers: Option<Registers>,
    lost: AtomicBool,
    mode: Mode,
    meeting: Mutex<Meeting>,
    /// Two have met.
    met: Condvar,
}

/// Operations that wait for one another.
#[derive(Default)]
struct Meeting {
    inside: u64,
    /// Number of those that have met another one.
    met: u64,
}

/// Private data of an area.
pub struct Object {
    board: Arc<Board>,
    region: Region,
    memory: Umem,
    /// Memory of the board for it, and which of its pages are there.
    board_memory: Umem,
    moved: Mutex<u64>,
    users: AtomicU64,
}

impl Object {
    fn page(&self, vmf: &Vmf<'_>) -> Result<Page, Failure> {
        self.board.counts.faults().add(1);
        if self.board.lost.load(Relaxed) {
            return Err(Failure::Sigbus);
        }
        let offset = vmf.offset() - self.region.start();
        let moved = self.moved.lock();
        let memory = if *moved >> (offset >> 12) & 1 == 0 { &self.memory } else { &self.board_memory };
        Ok(vmalloc_to_page(memory, offset)?)
    }

    /// Inserts the first three pages of an area that there are, which begins at this byte of the object.
    fn insert_pages(&self, area: &Area<Object>, from: u64) -> Result<(), Errno> {
        let count = ((area.end() - area.start()) >> 12).min(3);
        let mut pages = Vec::new();
        for page in 0..count {
            try_push(&mut pages, vmalloc_to_page(&self.memory, from + (page << 12))?)?;
        }
        let inserted = area.vm_insert_pages(area.start(), &pages)?;
        // They are there now, so they cannot be inserted.
        let again = area.vm_insert_pages(area.start(), &pages);
        if inserted == pages.len() && again == Err(Errno::EBUSY) { Ok(()) } else { Err(Errno::EIO) }
    }

    /// Moves pages to the other memory while processes have them mapped: they wait in `fault` until it is done.
    fn migrate(&self, space: &AddressSpace<Object>, start: u64, len: u64) -> Result<(), Errno> {
        let mut moved = self.moved.lock();
        space.unmap_mapping_range(self.region.start() + start, len)?;
        for page in start >> 12..(start + len) >> 12 {
            let (from, to) = match *moved >> page & 1 {
                0 => (&self.memory, &self.board_memory),
                _ => (&self.board_memory, &self.memory),
            };
            to.copy_from(page << 12, from, page << 12, 4096)?;
            *moved ^= 1 << page;
        }
        Ok(())
    }
}

impl Board {
    /// The object of a region, with one user more.
    fn object(
        self: &Arc<Board>,
        request: &MapRequest<'_, Vmops>,
        region: Region,
    ) -> Result<Arc<Object>, Errno> {
        let mut objects = self.objects.lock();
        let place = objects.get_mut(region as usize).ok_or(Errno::ENXIO)?;
        if let Some(object) = place {
            if self.mode == Mode::Linux {
                object.users.fetch_add(1, Relaxed);
            }
            return Ok(Arc::clone(object));
        }
        let memory = Umem::new(request, Kind::Locked, user::REGION_LEN as usize)?;
        let board_memory = Umem::new(request, Kind::Locked, user::REGION_LEN as usize)?;
        let (moved, users) = (Mutex::new(0), AtomicU64::new(1));
        let object = Object { board: Arc::clone(self), region, memory, board_memory, moved, users };
        Ok(Arc::clone(place.insert(Arc::new(object))))
    }

    /// The object has a user less; it is freed with the last.
    fn release(&self, object: &Object) {
        let mut objects = self.objects.lock();
        if object.users.fetch_sub(1, Relaxed) != 1 {
            return;
        }
        let freed = objects.get_mut(object.region as usize).and_then(Option::take);
        drop(objects);
        self.counts.freed().add(1);
        for at in (0..user::REGION_LEN).step_by(8) {
            for memory in [&object.memory, &object.board_memory] {
                let _ = memory.write(at, u64::from_ne_bytes([user::POISON; 8]));
            }
        }
        drop(freed);
    }
}

/// Whether it is memory of the board, and not the kernel's.
fn is_board(registers: &Registers) -> bool {
    Page::of(registers, 0).is_ok_and(|page| !page.is_kernel())
}

/// Opened and closed alike, whatever the area.
fn opened(area: &Area<Object>) {
    if let Some(object) = area.private() {
        object.board.counts.opens().add(1);
        object.users.fetch_add(1, Relaxed);
    }
}

fn closed(area: &Area<Object>) {
    if let Some(object) = area.private() {
        object.board.counts.closes().add(1);
        object.board.release(object);
    }
}

fn object(area: &Area<Object>) -> Result<&Arc<Object>, Failure> {
    area.private().ok_or(Failure::Sigbus)
}

impl Board {
    /// Waits until another operation is inside, but not for long.
    fn meet(&self, cx: &impl MaySleep) {
        let mut meeting = self.meeting.lock();
        meeting.inside += 1;
        if meeting.inside > 1 {
            meeting.met += 1;
            self.met.notify_all();
        } else {
            let before = meeting.met;
            while meeting.met == before && self.met.wait_for(cx, &mut meeting, MEETING).is_ok() {}
        }
        meeting.inside -= 1;
    }
}

/// Pages come by fault.
struct ByFault;

impl Operations<Object> for ByFault {
    fn open(&self, area: &mut Area<Object>) {
        opened(area);
    }

    fn close(&self, area: &Area<Object>) {
        closed(area);
    }

    fn fault(&self, area: &Area<Object>, vmf: &Vmf<'_>) -> Result<Answer, Failure> {
        if vmf.offset() == Region::Fault.start() {
            vmf.major();
        }
        let object = object(area)?;
        if matches!(object.region, Region::Meet | Region::MeetToo) {
            object.board.meet(vmf.context());
        }
        Ok(Answer::Page(object.page(vmf)?))
    }

    fn page_mkwrite(&self, area: &Area<Object>, vmf: &Vmf<'_>) -> Result<(), Failure> {
        object(area)?.board.counts.notified().add(1);
        let refused = Region::Notify.start() + user::REFUSED * 4096;
        if vmf.offset() == refused { Err(Failure::Sigbus) } else { Ok(()) }
    }
}

/// Faults insert pages.
struct ByInsertion;

impl Operations<Object> for ByInsertion {
    fn open(&self, area: &mut Area<Object>) {
        opened(area);
    }

    fn close(&self, area: &Area<Object>) {
        closed(area);
    }

    fn fault(&self, area: &Area<Object>, vmf: &Vmf<'_>) -> Result<Answer, Failure> {
        let page = object(area)?.page(vmf)?;
        if vmf.offset() == Region::Insert.start() + user::REFUSED * 4096 {
            return Err(Failure::Sigbus);
        }
        match area.vm_insert_page(vmf.offset(), &page) {
            // Another thread was first.
            Ok(()) | Err(Errno::EBUSY) => Ok(Answer::Inserted),
            Err(error) => Err(error.into()),
        }
    }
}

/// All pages are there from mmap on.
struct AtOnce;

impl Operations<Object> for AtOnce {
    fn open(&self, area: &mut Area<Object>) {
        opened(area);
    }

    fn close(&self, area: &Area<Object>) {
        closed(area);
    }
}

/// An instance of the device.
pub struct Vmops {
    space: AddressSpace<Object>,
    board: Arc<Board>,
    pins: Pins,
}

impl Vmops {
    /// Linux's `file_operations.mmap`.
    fn mmap(&self, file: &MapRequest<'_, Vmops>, area: &mut Area<Object>) -> Result<(), Errno> {
        let region = Region::of(area.start()).ok_or(Errno::ENXIO)?;
        let from = area.start() - region.start();
        if area.end() - region.start() > user::REGION_LEN {
            return Err(Errno::ENXIO);
        }
        let len = area.end() - area.start();
        match region {
            Region::Fault | Region::Move | Region::Meet | Region::MeetToo => area.set_ops(&ByFault),
            Region::Mixed => {
                area.set_ops(&ByFault);
                area.mix()?; // an error where the pages of a mapping move all together
                area.want_writenotify();
            }
            Region::Insert => area.set_ops(&ByInsertion),
            Region::Remap | Region::Half | Region::Pages => area.set_ops(&AtOnce),
            Region::Notify => {
                area.set_ops(&ByFault);
                area.want_writenotify();
            }
            Region::Populate => {
                area.set_ops(&ByFault);
                area.populate(area.start()..area.end().min(area.start() + 0x4000))?;
            }
            Region::DontCopy => {
                area.set_ops(&ByFault);
                area.set_flags(Flags::DONTCOPY);
            }
        }
        let object = self.board.object(file, region)?;
        let mapped = match (region, &self.board.registers) {
            (Region::Remap, Some(registers)) => {
                area.set_order(Order::Merging); // pgprot_writecombine
                Page::of(registers, from).and_then(|page| area.remap_pfn_range(area.start(), &page, len))
            }
            (Region::Remap, None) => vmalloc_to_page(&object.memory, from)
                .and_then(|page| area.remap_pfn_range(area.start(), &page, len)),
            (Region::Half, _) => vmalloc_to_page(&object.memory, from)
                .and_then(|page| area.remap_pfn_range(area.start(), &page, (len / 2).next_multiple_of(4096))),
            (Region::Pages, _) => object.insert_pages(area, from),
            _ => Ok(()),
        };
        if let Err(error) = mapped {
            // What fails is not closed.
            self.board.release(&object);
            return Err(error);
        }
        area.set_private(object);
        self.board.counts.mmaps().add(1);
        Ok(())
    }

    fn status(&self) -> Status {
        let (minor, major) = self.space.faults();
        let (mut objects, mut users) = (0, 0);
        for object in self.board.objects.lock().iter().flatten() {
            objects += 1;
            users += object.users.load(Relaxed);
        }
        let counts = &self.board.counts;
        Status {
            kind: if self.board.mode == Mode::Linux { user::LINUX } else { user::LINUXKPI },
            mappings: self.space.len() as u64,
            objects,
            users,
            mmaps: counts.mmaps().get(),
            opens: counts.opens().get(),
            closes: counts.closes().get(),
            faults: counts.faults().get(),
            notified: counts.notified().get(),
            minor,
            major,
            freed: counts.freed().get(),
            met: self.board.meeting.lock().met,
            registers: u64::from(self.board.registers.as_ref().is_some_and(is_board)),
            each_page: devmap::each_page::available().into(),
        }
    }
}

impl Vmops {
    /// Pages of the process, copied to others of it by way of kernel memory. Returns how many were not the kernel's.
    fn copy(&self, argument: &Argument<'_>) -> Result<i32, Errno> {
        let user::CopyPages { from, to, pages } = argument.copyin()?;
        let count = usize::try_from(pages).map_err(|_| Errno::EINVAL)?;
        let source = UserPages::hold(&self.pins, argument, from, count, false)?;
        let target = UserPages::hold(&self.pins, argument, to, count, true)?;
        let between = vmalloc_to_page(&Umem::new(argument, Kind::Locked, 4096)?, 17)?;
        let mut own = i32::from(!between.is_kernel());
        for number in 0..source.len() {
            let (from, to) = (source.page(number)?, target.page(number)?);
            own += i32::from(!from.is_kernel());
            if number % 2 == 0 {
                between.copy_from(argument, &from)?;
                to.copy_from(argument, &between)?;
            } else {
                to.copy_from(argument, &from)?;
            }
        }
        Ok(own)
    }
}

impl Device for Vmops {
    type Mapping = Vma<Object>;
    type Open = ();
    const MINORS: u32 = 2;

    // The second one shows the same objects.
    fn minor(&self, node: &Node<'_>, index: u32) -> Option<MinorNode> {
        let name = if index == 0 { "vmops" } else { "vmopsb" };
        Some(MinorNode::new(format_args!("{name}{}", node.instance())))
    }

    fn attach(attach: &Attach<'_>) -> Result<Vmops, Errno> {
        let node = attach.node();
        let linuxkpi = node.unsigned_property("linuxkpi", 0)? != 0;
        let mode = if linuxkpi { Mode::LinuxKpi } else { Mode::Linux };
        // The first set that has room: of a PCI device the very first is its configuration space.
        let has_room = |set: &u32| node.register_set_len(*set).is_ok_and(|len| len >= user::REGION_LEN);
        let registers = match (0..node.register_sets()).find(has_room) {
            Some(set) => Some(Registers::map(node, set, Order::Merging)?),
            None => None,
        };
        let board = Board {
            counts: Counts::new(node, "vmops")?,
            objects: Mutex::new([const { None }; Region::ALL.len()]),
            registers,
            lost: AtomicBool::new(false),
            mode,
            meeting: Mutex::new(Meeting::default()),
            met: Condvar::new(),
        };
        let pins = Pins::new(attach)?;
        Ok(Vmops { space: AddressSpace::new(attach, mode), board: Arc::new(board), pins })
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Vmops>) -> Result<Setup<'a, Vmops>, Errno> {
        linux::mmap(&self.space, request, |file, area| self.mmap(file, area))
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            user::PORTS_STATUS => argument.copyout(&self.status())?,
            user::VMOPS_UNMAP => {
                let span: user::Span = argument.copyin()?;
                self.space.unmap_mapping_range(span.start, span.len)?;
            }
            user::VMOPS_LOSE => {
                self.board.lost.store(argument.value() != 0, Relaxed);
                self.space.unmap_mapping_range(0, 0)?;
            }
            user::VMOPS_MOVE => {
                let span: user::Span = argument.copyin()?;
                let region = Region::of(span.start).ok_or(Errno::EINVAL)?;
                let start = span.start - region.start();
                if start.checked_add(span.len).is_none_or(|end| end > user::REGION_LEN) {
                    return Err(Errno::EINVAL);
                }
                let object = self.board.objects.lock().get(region as usize).and_then(Clone::clone);
                object.ok_or(Errno::ENXIO)?.migrate(&self.space, start, span.len)?;
            }
            user::VMOPS_COPY => return self.copy(&argument),
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }
}

devmap::module! { device: Vmops, name: "vmops", description: "Linux's areas 0.1" }
