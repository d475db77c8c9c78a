//! The workloads of the reference's cost table, and how they grow.

use std::hint::black_box;

use segdev::{FaultType, Framework, Handle, MapFlags, MapRequest, Prot, Rw, Segment};
use std::sync::Arc;

use crate::platform::{Behaviour, Count, DeviceSpec, Ops};

const PAGE: u64 = 4096;
const FOUR: u64 = 4 * PAGE;
const SMALL: &[u64] = &[PAGE];
const LARGE: &[u64] = &[PAGE, 2 << 20];

type Seg = Segment<Count>;

/// A kind of operation that is done again and again.
pub trait Workload {
    /// Gets ready for `n` operations; not measured.
    fn prepare(&mut self, n: u64) {
        let _ = n;
    }
    /// Does one.
    fn op(&mut self, i: u64);
    /// Puts away what the operations left; not measured.
    fn clean(&mut self) {}
}

fn device(id: u64, umem: bool, piece: u64, access: Option<Behaviour>) -> &'static DeviceSpec {
    Box::leak(Box::new(DeviceSpec { id, umem, piece, ops: access.map(|access| Ops { access }) }))
}

/// Maps `len` bytes of a device; the address comes from the system, in a few instructions.
fn map(fw: &Framework<Count>, device: &'static DeviceSpec, len: u64) -> Seg {
    let req = MapRequest {
        device: &device,
        off: 0,
        len,
        prot: Prot::from_raw(3),
        maxprot: Prot::from_raw(7),
        flags: MapFlags::SHARED,
        model: 0,
    };
    match fw.setup(&0, &req, |want| Ok(0x1000_0000 + want.offset), |_| {}) {
        Ok(segment) => segment,
        Err(e) => panic!("mmap failed: {e}"),
    }
}

fn unmap(fw: &Framework<Count>, segment: &mut Seg) {
    let (base, len) = (segment.base(), segment.len());
    if let Err(e) = segment.unmap(fw, base, len) {
        panic!("munmap failed: {e}");
    }
}

/// A pseudo-random number below `n`.
#[inline(always)]
fn random(i: u64, n: u64) -> u64 {
    ((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) * n) >> 32
}

/// W1, W1L, W2: faults of one page in one mapping.
pub struct Faults {
    fw: Framework<Count>,
    segment: Seg,
    pages: u64,
    stride: u64,
    first: u64,
}

impl Faults {
    /// W1: in a mapping of 16 pages with one handle; W1L: of 1024, with large pages.
    pub fn one(umem: bool, access: Option<Behaviour>, large: bool) -> Self {
        let pages = if large { 1024 } else { 16 };
        let fw = Framework::new(Count::new(if large { LARGE } else { SMALL }));
        let segment = map(&fw, device(1, umem, pages * PAGE, access), pages * PAGE);
        Self { fw, segment, pages, stride: PAGE, first: 0 }
    }

    /// W2: in the second page of one of `n` handles of 4 pages.
    pub fn many(umem: bool, access: Option<Behaviour>, n: u64) -> Self {
        let fw = Framework::new(Count::new(SMALL));
        let segment = map(&fw, device(1, umem, FOUR, access), n * FOUR);
        Self { fw, segment, pages: n, stride: FOUR, first: PAGE }
    }
}

impl Workload for Faults {
    #[inline(always)]
    fn op(&mut self, i: u64) {
        let addr = self.segment.base() + random(i, self.pages) * self.stride + self.first;
        let rc = self.segment.fault(&self.fw, addr, PAGE, FaultType::Inval, Rw::Read);
        assert!(black_box(rc).is_ok());
    }
}

/// W3: faults go round `n` mappings, each takes the context from the one before.
pub struct PingPong {
    fw: Framework<Count>,
    segments: Vec<Seg>,
    next: usize,
}

impl PingPong {
    /// With this access callback.
    pub fn new(access: Behaviour, n: usize) -> Self {
        let fw = Framework::new(Count::new(SMALL));
        let device = device(1, false, FOUR, Some(access));
        let segments: Vec<Seg> = (0..n).map(|_| map(&fw, device, FOUR)).collect();
        let handles: Vec<Arc<Handle<Count>>> =
            segments.iter().filter_map(|s| s.find(s.base()).cloned()).collect();
        // The map callback could not know how many there are: private data are indices.
        for (i, handle) in handles.iter().enumerate() {
            handle.set_private(i);
        }
        fw.platform().set_handles(handles);
        Self { fw, segments, next: 0 }
    }
}

impl Workload for PingPong {
    #[inline(always)]
    fn op(&mut self, _i: u64) {
        let segment = &self.segments[self.next];
        let rc = segment.fault(&self.fw, segment.base() + PAGE, PAGE, FaultType::Inval, Rw::Read);
        assert!(black_box(rc).is_ok());
        self.next += 1;
        if self.next == self.segments.len() {
            self.next = 0;
        }
    }
}

/// W4, W10: mmap and munmap while others live.
pub struct MapUnmap {
    fw: Framework<Count>,
    device: &'static DeviceSpec,
    len: u64,
    others: Vec<Seg>,
}

impl MapUnmap {
    /// With `same` other mappings on the same device and `apart` on devices of their own.
    pub fn new(access: Option<Behaviour>, same: u64, apart: u64) -> Self {
        let fw = Framework::new(Count::new(SMALL));
        let shared = device(0, false, FOUR, access);
        let mut others: Vec<Seg> = (0..same).map(|_| map(&fw, shared, FOUR)).collect();
        others.extend((0..apart).map(|i| map(&fw, device(i + 1, false, FOUR, access), FOUR)));
        Self { fw, device: shared, len: FOUR, others }
    }

    /// W10: one mapping of `n` handles.
    pub fn handles(n: u64) -> Self {
        Self { len: n * FOUR, ..Self::new(Some(Behaviour::Default), 0, 0) }
    }

    /// The framework's bytes for one more live mapping of one handle, and for the first on a device.
    pub fn bytes(access: Option<Behaviour>) -> (u64, u64) {
        let fw = Framework::new(Count::new(SMALL));
        let shared = device(0, false, FOUR, access);
        let mut all = Vec::with_capacity(101);
        // The tables' first allocation is the framework's own, not a mapping's.
        let mut warm = map(&fw, shared, FOUR);
        unmap(&fw, &mut warm);
        let start = crate::alloc::asked().bytes;
        all.push(map(&fw, shared, FOUR));
        let first = crate::alloc::asked().bytes - start;
        all.extend((0..100).map(|_| map(&fw, shared, FOUR)));
        let more = (crate::alloc::asked().bytes - start - first) / 100;
        let segment = size_of::<Seg>() as u64;
        (more + segment, first + segment)
    }
}

impl Workload for MapUnmap {
    #[inline(always)]
    fn op(&mut self, _i: u64) {
        let mut segment = map(&self.fw, self.device, self.len);
        unmap(&self.fw, black_box(&mut segment));
    }
    fn clean(&mut self) {
        black_box(&self.others);
    }
}

/// W5: fork and exit of a space of `n` segments.
pub struct Fork {
    fw: Framework<Count>,
    segments: Vec<Seg>,
    children: Vec<Seg>,
}

impl Fork {
    /// With or without callbacks.
    pub fn new(access: Option<Behaviour>, n: usize) -> Self {
        let fw = Framework::new(Count::new(SMALL));
        let device = device(1, false, FOUR, access);
        let segments = (0..n).map(|_| map(&fw, device, FOUR)).collect();
        Self { fw, segments, children: Vec::with_capacity(n) }
    }
}

impl Workload for Fork {
    #[inline(always)]
    fn op(&mut self, _i: u64) {
        for segment in &self.segments {
            match segment.dup(&self.fw, &1) {
                Ok(child) => self.children.push(child),
                Err(e) => panic!("fork failed: {e}"),
            }
        }
        while let Some(mut child) = self.children.pop() {
            unmap(&self.fw, &mut child);
        }
    }
}

/// W6, W8: load or unload of a whole handle of 1024 pages.
pub struct Whole {
    fw: Framework<Count>,
    handle: Arc<Handle<Count>>,
    load: bool,
    _segment: Seg,
}

impl Whole {
    /// Of this kind.
    pub fn new(umem: bool, load: bool) -> Self {
        Self::pages(umem, load, 1024)
    }

    /// The same of so many pages.
    pub fn pages(umem: bool, load: bool, n: u64) -> Self {
        let fw = Framework::new(Count::new(SMALL));
        let segment = map(&fw, device(1, umem, n * PAGE, Some(Behaviour::Default)), n * PAGE);
        let Some(handle) = segment.find(segment.base()).cloned() else { panic!("no handle") };
        Self { fw, handle, load, _segment: segment }
    }
}

impl Workload for Whole {
    #[inline(always)]
    fn op(&mut self, _i: u64) {
        let rc = if self.load {
            self.fw.load(&self.handle, 0, 0, FaultType::Inval, Rw::Read)
        } else {
            self.fw.unload(&self.handle, 0, 0)
        };
        assert!(black_box(rc).is_ok());
    }
}

/// W7: a middle munmap that splits a handle of 16 pages.
pub struct Split {
    fw: Framework<Count>,
    device: &'static DeviceSpec,
    ready: Vec<Seg>,
    parts: Vec<Seg>,
}

impl Split {
    /// Of this kind, with or without callbacks.
    pub fn new(umem: bool, access: Option<Behaviour>) -> Self {
        let fw = Framework::new(Count::new(SMALL));
        Self { fw, device: device(1, umem, 16 * PAGE, access), ready: Vec::new(), parts: Vec::new() }
    }
}

impl Workload for Split {
    fn prepare(&mut self, n: u64) {
        self.ready = (0..n).map(|_| map(&self.fw, self.device, 16 * PAGE)).collect();
        self.parts = Vec::with_capacity(n as usize);
        // The new handles come from the allocator's lists, as everything else does.
        for mut warm in (0..n).map(|_| map(&self.fw, self.device, 16 * PAGE)).collect::<Vec<_>>() {
            unmap(&self.fw, &mut warm);
        }
    }
    #[inline(always)]
    fn op(&mut self, i: u64) {
        let segment = &mut self.ready[i as usize];
        let addr = segment.base() + FOUR;
        match segment.unmap(&self.fw, addr, FOUR) {
            Ok(segdev::unmap::Remains::Two(rest)) => self.parts.push(rest),
            _ => panic!("the munmap did not split"),
        }
    }
    fn clean(&mut self) {
        for mut segment in self.ready.drain(..).chain(self.parts.drain(..)) {
            unmap(&self.fw, &mut segment);
        }
    }
}
