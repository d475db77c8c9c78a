//! A machine with devices and processes, for tests on the simulated platform.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::sync::Arc;

use segdev::sim::script::{
    Behaviour, CallbackSet, EntryPoint, Event, Fail, Region, RegionKind, Registers, ScriptDevice,
};
use segdev::sim::{Sim, SimUmem, StdLocks};
use segdev::space::AddressSpace;
use segdev::{
    Access, DevmemSetup, Errno, FaultCode, FaultType, Framework, Handle, Live, MapFlags, MapRequest, Prot,
    Rw, SetupError, SetupFlags, UmemKind, UmemSetup,
};

pub const PAGE: u64 = 4096;
pub const BASE: u64 = 0x1000_0000;
pub const LARGE: u64 = 2 << 20;
pub const RW: Prot = Prot::READ.union(Prot::WRITE);
pub const ALL: Prot = RW.union(Prot::EXEC);

pub type Fw = Framework<Sim>;
pub type Handles = Arc<Handle<Sim>>;
pub type Driver = Behaviour<StdLocks>;

/// An unmap callback: handle, first page and pages of what goes, the handles before and behind it.
pub type Unmapped = (u64, u64, u64, Option<u64>, Option<u64>);

/// Registers: the first page and how many.
pub fn devmem(first: u64, pages: u64) -> Region {
    region(first, pages, RegionKind::Devmem(0, first * PAGE))
}

/// Kernel memory from its start.
pub fn umem(first: u64, pages: u64, umem: &SimUmem) -> Region {
    region(first, pages, RegionKind::Umem(Some(umem.clone()), 0))
}

pub fn region(first: u64, pages: u64, kind: RegionKind) -> Region {
    Region {
        off: first * PAGE,
        len: pages * PAGE,
        kind,
        maxprot: ALL,
        flags: SetupFlags::empty(),
        callbacks: Some(0),
        twice: false,
    }
}

pub trait RegionExt: Sized {
    fn flags(self, flags: SetupFlags) -> Self;
    fn remappable(self) -> Self {
        self.flags(SetupFlags::ALLOW_REMAP)
    }
    fn invalid(self) -> Self {
        self.flags(SetupFlags::ALLOW_REMAP | SetupFlags::MAPPING_INVALID)
    }
    /// Without callbacks.
    fn plain(self) -> Self;
}

impl RegionExt for Region {
    fn flags(mut self, flags: SetupFlags) -> Self {
        self.flags = flags;
        self
    }
    fn plain(mut self) -> Self {
        self.callbacks = None;
        self
    }
}

/// An access callback of the test's own.
pub fn custom(f: impl Fn(&Fw, &Handles, usize, Access) -> i32 + Send + Sync + 'static) -> Driver {
    Behaviour::Custom(Box::new(f))
}

/// `nth` call of `entry` returns `ret`.
pub fn fail(entry: EntryPoint, nth: u64, ret: i32) -> Fail {
    Fail { entry, nth, ret }
}

pub fn memory(index: u64, pages: u64) -> SimUmem {
    SimUmem::new(index, UmemKind::Locked, pages * PAGE, 1)
}

/// One machine, one device, as many processes as wanted.
pub struct Rig {
    pub fw: Fw,
    pub device: Arc<ScriptDevice<StdLocks>>,
    spaces: Vec<Arc<AddressSpace<Sim>>>,
}

impl Rig {
    /// A machine of one processor.
    pub fn new(regions: Vec<Region>, access: Driver) -> Self {
        Self::build(1, regions, access, Vec::new(), None)
    }

    pub fn failing(regions: Vec<Region>, access: Driver, fail: Vec<Fail>) -> Self {
        Self::build(1, regions, access, fail, None)
    }

    pub fn build(
        ncpus: u32,
        regions: Vec<Region>,
        access: Driver,
        fail: Vec<Fail>,
        report: Option<u64>,
    ) -> Self {
        let device = ScriptDevice {
            index: 0,
            registers: vec![Registers { rnumber: 0, pfn: 0x10_0000, len: 8 * LARGE }],
            regions,
            callbacks: vec![CallbackSet { access: Some(access), map: true, dup: true, unmap: true }],
            fail,
            report,
        };
        let fw = Framework::new(Sim::new(ncpus, &[PAGE, LARGE]));
        // No test is to hang: whoever would wait is interrupted.
        fw.platform().set_interrupted(true);
        let spaces = (0..4).map(|id| Arc::new(AddressSpace::new(id))).collect();
        Self { fw, device: Arc::new(device), spaces }
    }

    pub fn space(&self, id: u32) -> &Arc<AddressSpace<Sim>> {
        &self.spaces[id as usize]
    }

    /// Maps pages of the device for process `id`, where there is room.
    pub fn mmap(&self, id: u32, first: u64, pages: u64) -> Result<u64, Errno> {
        self.mmap_prot(id, first, pages, RW)
    }

    pub fn mmap_prot(&self, id: u32, first: u64, pages: u64, prot: Prot) -> Result<u64, Errno> {
        let req = self.request(first, pages, prot);
        self.space(id).mmap(&self.fw, &req, None)
    }

    pub fn request(&self, first: u64, pages: u64, prot: Prot) -> MapRequest<'_, Sim> {
        MapRequest {
            device: &self.device,
            off: first * PAGE,
            len: pages * PAGE,
            prot,
            maxprot: ALL,
            flags: MapFlags::SHARED,
            model: 0,
        }
    }

    /// Unmaps pages, counted from the first mapped address.
    pub fn munmap(&self, id: u32, first: u64, pages: u64) -> Result<(), Errno> {
        self.space(id).munmap(&self.fw, BASE + first * PAGE, pages * PAGE)
    }

    pub fn fault(&self, id: u32, first: u64, pages: u64, ty: FaultType, rw: Rw) -> FaultCode {
        self.space(id).fault(&self.fw, BASE + first * PAGE, pages * PAGE, ty, rw)
    }

    /// A read that finds no translation.
    pub fn read(&self, id: u32, page: u64) -> FaultCode {
        self.fault(id, page, 1, FaultType::Inval, Rw::Read)
    }

    pub fn softlock(&self, id: u32, first: u64, pages: u64) -> FaultCode {
        self.fault(id, first, pages, FaultType::Softlock, Rw::Write)
    }

    pub fn softunlock(&self, id: u32, first: u64, pages: u64) -> FaultCode {
        self.fault(id, first, pages, FaultType::Softunlock, Rw::Write)
    }

    /// The handle that the driver knows by this number.
    pub fn handle(&self, number: u64) -> Handles {
        self.fw.platform().handle(number).expect("the handle lives").1
    }

    /// The unmap callbacks since the last time.
    pub fn unmaps(&self) -> Vec<Unmapped> {
        let pick = |event| match event {
            Event::Unmap { h, off, len, new1, new2, .. } => {
                Some((h, off / PAGE, len / PAGE, new1.map(|n| n.0), new2.map(|n| n.0)))
            }
            _ => None,
        };
        self.fw.platform().take_events().into_iter().filter_map(pick).collect()
    }

    /// The translations of a process, as `(page counted from the first mapped address, page frame, locks)`.
    pub fn pages(&self, id: u32) -> Vec<(u64, u64, u32)> {
        let runs = self.fw.platform().pages();
        let runs = runs.iter().filter(|r| r.space == id);
        runs.flat_map(|r| (0..r.pages).map(|n| ((r.va - BASE) / PAGE + n, r.pfn + n, r.locks))).collect()
    }

    /// The arguments of a remap to `pages` pages of registers from page `first` on.
    pub fn registers(first: u64, pages: u64) -> DevmemSetup<'static, Sim> {
        DevmemSetup {
            rnumber: 0,
            off: first * PAGE,
            len: pages * PAGE,
            maxprot: ALL,
            flags: SetupFlags::empty(),
            attr: 0,
            callbacks: None,
        }
    }

    pub fn devmem_remap(&self, handle: u64, args: DevmemSetup<'_, Sim>) -> Result<(), SetupError> {
        self.fw.devmem_remap(&self.handle(handle), &self.device, args)
    }

    pub fn umem_remap(
        &self,
        handle: u64,
        umem: Option<&SimUmem>,
        off: u64,
        pages: u64,
    ) -> Result<(), SetupError> {
        let args = UmemSetup {
            umem: umem.cloned(),
            off,
            len: pages * PAGE,
            maxprot: ALL,
            flags: SetupFlags::empty(),
            attr: 0,
            callbacks: None,
        };
        self.fw.umem_remap(&self.handle(handle), args)
    }

    /// Ends every process. Nothing of the framework may be left.
    pub fn end(self, cookies: &[SimUmem]) {
        for space in &self.spaces {
            assert_eq!(space.exit(&self.fw), Ok(()), "every process can exit");
        }
        self.left_over_nothing(cookies);
    }

    /// Asserts that nothing is live, pending, loaded or locked.
    pub fn left_over_nothing(self, cookies: &[SimUmem]) {
        assert_eq!(self.fw.live(), Live::default(), "objects are left");
        assert_eq!(self.fw.platform().pending_timers(), 0, "timers are left");
        assert_eq!(self.fw.platform().pages(), [], "translations are left");
        drop((self.device, self.spaces, self.fw));
        for cookie in cookies {
            assert_eq!(cookie.check_free(), Ok(()), "a cookie cannot be freed");
        }
    }
}
