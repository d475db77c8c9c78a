//! Parts of scenarios: a framework, devices with a driver of a few lines, processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use segdev::sim::script::{Behaviour, CallbackSet, Fail, Region, RegionKind, Registers, ScriptDevice};
use segdev::sim::{Sim, SimUmem};
use segdev::space::AddressSpace;
use segdev::{Errno, FaultCode, FaultType, Framework, Handle, MapFlags, MapRequest, Prot, Rw, SetupFlags};

use crate::{Model, assert_no_inner_lock};

/// The platform that is checked.
pub type Checked = Sim<Model>;
/// A page.
const PAGE: u64 = 0x1000;
/// Both kinds of access.
const RW: Prot = Prot::READ.union(Prot::WRITE);

/// A device of one region of `pages` pages of device memory, with this access behaviour.
pub fn device(pages: u64, regions: u64, access: Behaviour<Model>) -> Arc<ScriptDevice<Model>> {
    let region = |n: u64| Region {
        off: n * pages * PAGE,
        len: pages * PAGE,
        kind: RegionKind::Devmem(0, n * pages * PAGE),
        maxprot: Prot::READ | Prot::WRITE | Prot::EXEC,
        flags: SetupFlags::empty(),
        callbacks: Some(0),
        twice: false,
    };
    with_regions((0..regions).map(region).collect(), access, Vec::new())
}

/// A device of one region of kernel memory that may be remapped.
pub fn umem_device(umem: &SimUmem, pages: u64, access: Behaviour<Model>) -> Arc<ScriptDevice<Model>> {
    let region = Region {
        off: 0,
        len: pages * PAGE,
        kind: RegionKind::Umem(Some(umem.clone()), 0),
        maxprot: Prot::READ | Prot::WRITE | Prot::EXEC,
        flags: SetupFlags::ALLOW_REMAP,
        callbacks: Some(0),
        twice: false,
    };
    with_regions(vec![region], access, Vec::new())
}

fn with_regions(regions: Vec<Region>, access: Behaviour<Model>, fail: Vec<Fail>) -> Arc<ScriptDevice<Model>> {
    Arc::new(ScriptDevice {
        index: 0,
        registers: vec![Registers { rnumber: 0, pfn: 0x10_0000, len: 64 * PAGE }],
        regions,
        callbacks: vec![CallbackSet { access: Some(access), map: true, dup: true, unmap: true }],
        fail,
        report: None,
    })
}

/// A framework, a device that is mapped, processes that share them.
pub struct Scene {
    /// The framework under test.
    pub fw: Framework<Checked>,
    device: Arc<ScriptDevice<Model>>,
    done: AtomicBool,
}

/// Pages of a space that have translations, by address.
pub type Ptes = Vec<(u64, u64)>;

impl Scene {
    /// A machine of two processors with one device.
    pub fn new(device: Arc<ScriptDevice<Model>>) -> Arc<Self> {
        let fw = Framework::new(Sim::new(2, &[PAGE]));
        Arc::new(Self { fw, device, done: AtomicBool::new(false) })
    }

    /// A process that maps the device's first `pages` pages. Answers its space and the address.
    pub fn process(&self, id: u32, pages: u64) -> (Arc<AddressSpace<Checked>>, u64) {
        let space = Arc::new(AddressSpace::new(id));
        let addr = self.map(&space, pages);
        (space, addr)
    }

    /// Maps the device's first `pages` pages in a space.
    pub fn map(&self, space: &AddressSpace<Checked>, pages: u64) -> u64 {
        self.try_map(space, pages).expect("the device can be mapped")
    }

    /// The same, where it may be refused.
    ///
    /// # Errors
    /// Answer of mmap.
    pub fn try_map(&self, space: &AddressSpace<Checked>, pages: u64) -> Result<u64, Errno> {
        self.map_at(space, pages, None)
    }

    /// The same at a fixed address.
    ///
    /// # Errors
    /// Address that mmap returned.
    pub fn map_at(&self, space: &AddressSpace<Checked>, pages: u64, addr: Option<u64>) -> Result<u64, Errno> {
        let req = MapRequest {
            device: &self.device,
            off: 0,
            len: pages * PAGE,
            prot: RW,
            maxprot: RW,
            flags: MapFlags::SHARED,
            model: 0,
        };
        space.mmap(&self.fw, &req, addr)
    }

    /// Reads a page, as a process does: tries again while nothing answers that it never will.
    pub fn touch(&self, space: &AddressSpace<Checked>, addr: u64) -> FaultCode {
        space.fault(&self.fw, addr, PAGE, FaultType::Inval, Rw::Read)
    }

    /// The driver's live handles, in the order in which it saw them.
    pub fn handles(&self) -> Vec<Arc<Handle<Checked>>> {
        self.fw.platform().handles_of(self.device.index).into_iter().map(|(_, handle)| handle).collect()
    }

    /// The translations of a space: address and page frame of each page.
    pub fn ptes(&self, space: u32) -> Ptes {
        let runs = self.fw.platform().pages();
        let runs = runs.iter().filter(|run| run.space == space);
        runs.flat_map(|run| (0..run.pages).map(|n| (run.va + n * PAGE, run.pfn + n))).collect()
    }

    /// Fires timers until [`Scene::finish`] is called: what the clock does.
    pub fn clock(self: &Arc<Self>) -> shuttle::thread::JoinHandle<()> {
        let scene = self.clone();
        shuttle::thread::spawn(move || {
            while !scene.done.load(SeqCst) {
                scene.fw.platform().fire_timer(&scene.fw);
                shuttle::thread::yield_now();
            }
        })
    }

    /// Stops the clock.
    pub fn finish(&self) {
        self.done.store(true, SeqCst);
    }

    /// The end of every process: nothing may be left of anything.
    pub fn end(&self, spaces: &[&AddressSpace<Checked>]) {
        for space in spaces {
            space.exit(&self.fw).expect("nothing is locked at the end");
        }
        assert_eq!(self.fw.live(), segdev::Live::default(), "something lives on after every exit");
        assert_eq!(self.fw.platform().pages(), [], "translations are left after every exit");
        assert_eq!(self.fw.platform().pending_timers(), 0, "a timer is pending after every exit");
    }
}

/// A driver that gives its device to one handle at a time, under a mutex of its own: others' translations go, the faulting
/// handle's come, and at that moment no one else has any.
pub fn exclusive(ticks: i64) -> Behaviour<Model> {
    let driver = shuttle::sync::Mutex::new(());
    let access = move |fw: &Framework<Checked>, handle: &Arc<Handle<Checked>>, pvt: usize, range| {
        assert_no_inner_lock();
        fw.set_ctx_timeout(handle, ticks);
        let routine = |handle: &Arc<Handle<Checked>>, _: usize, range: segdev::Access| {
            assert_no_inner_lock();
            let _held = driver.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let others = fw.platform().handles_of(0).into_iter().map(|(_, h)| h);
            for other in others.filter(|h| !Arc::ptr_eq(h, handle)) {
                // A handle that goes at this moment has no translations any more.
                let _ = fw.unload(&other, other.info().off, 0);
            }
            let rc = fw.load(handle, range.off, range.len, range.ty, range.rw);
            let owners = fw.platform().pages();
            let foreign = owners.iter().any(|run| run.space != *handle.space());
            assert!(!foreign, "two processes have the device at once: {owners:?}");
            rc.0
        };
        fw.do_ctxmgt(handle, pvt, range, Some(routine)).0
    };
    Behaviour::Custom(Box::new(access))
}
