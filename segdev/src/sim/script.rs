//! The scripted driver of the conformance corpus: devices made of regions, callbacks with a named behaviour, failures
//! on demand, and a record of every call.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use super::locks::own;
use super::{Locks, Sim, SimUmem};
use crate::platform::{Access, Callbacks, Device, Entries, Node, Unmap};
use crate::setup::{DevmemSetup, Given, UmemSetup};
use crate::types::{FaultType, PAGE_SHIFT, Pfn, Prot, Rw, SetupFlags};
use crate::{Framework, Handle};

/// A register set.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// Its number.
    pub rnumber: u32,
    /// Its first page frame.
    pub pfn: Pfn,
    /// Bytes.
    pub len: u64,
}

/// What a region of a device maps.
#[derive(Clone)]
pub enum RegionKind {
    /// Registers: set and offset.
    Devmem(u32, u64),
    /// Kernel memory, or a NULL cookie, and the offset in it.
    Umem(Option<SimUmem>, u64),
    /// Nothing: the driver reports success without having called a setup function.
    Unset,
}

/// A range of a device's offsets.
#[derive(Clone)]
pub struct Region {
    /// First offset.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// What it maps.
    pub kind: RegionKind,
    /// The maximum protection given to the setup call.
    pub maxprot: Prot,
    /// The flags given to the setup call.
    pub flags: SetupFlags,
    /// Which set of callbacks, if any.
    pub callbacks: Option<usize>,
    /// Call the setup function twice.
    pub twice: bool,
}

/// A driver's access callback written in the test itself.
pub type CustomAccess<L> =
    dyn Fn(&Framework<Sim<L>>, &Arc<Handle<Sim<L>>>, usize, Access) -> i32 + Send + Sync;

/// What an access callback does.
pub enum Behaviour<L: Locks> {
    /// `devmap_default_access`.
    Default,
    /// `devmap_do_ctxmgt` with a routine that unloads every other handle of the device.
    Ctx,
    /// The same, unloading only the handle that got the context last.
    CtxLast,
    /// Loads the whole handle.
    LoadAll,
    /// Loads nothing.
    NoLoad,
    /// Returns this.
    Fail(i32),
    /// Whatever a test wants.
    Custom(Box<CustomAccess<L>>),
}

/// A set of callbacks.
pub struct CallbackSet<L: Locks> {
    /// What the access callback does, if there is one.
    pub access: Option<Behaviour<L>>,
    /// Whether there is a map callback.
    pub map: bool,
    /// Whether there is a dup callback.
    pub dup: bool,
    /// Whether there is an unmap callback.
    pub unmap: bool,
}

/// An entry point that can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryPoint {
    /// `devmap(9E)`.
    Devmap,
    /// The map callback.
    Map,
    /// The access callback.
    Access,
    /// The dup callback.
    Dup,
    /// The context routine.
    Ctxmgt,
}

/// The `nth` call of an entry point (from 1) returns `ret` and does nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Fail {
    /// Which.
    pub entry: EntryPoint,
    /// From 1.
    pub nth: u64,
    /// The value.
    pub ret: i32,
}

/// A device with its driver.
pub struct ScriptDevice<L: Locks> {
    /// Its number: `dev_t` and instance.
    pub index: u64,
    /// Its register sets.
    pub registers: Vec<Registers>,
    /// What it maps.
    pub regions: Vec<Region>,
    /// The sets of callbacks.
    pub callbacks: Vec<CallbackSet<L>>,
    /// What is to fail.
    pub fail: Vec<Fail>,
    /// Reports this length from `devmap(9E)` instead of what was set up.
    pub report: Option<u64>,
}

/// A set of callbacks of a device.
pub struct ScriptCallbacks<L: Locks> {
    device: Arc<ScriptDevice<L>>,
    set: usize,
}

impl<L: Locks> Clone for ScriptCallbacks<L> {
    fn clone(&self) -> Self {
        Self { device: self.device.clone(), set: self.set }
    }
}

impl<L: Locks> PartialEq for ScriptCallbacks<L> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.device, &other.device) && self.set == other.set
    }
}

/// A call, as the corpus records it. Handles and private data by number; 0 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Event {
    Devmap { h: u64, off: u64, len: u64, setup: Vec<i32>, maplen: u64, ret: i32 },
    Map { h: u64, pvt: usize, flags: u32, off: u64, len: u64, ret: i32 },
    Access { h: u64, pvt: usize, range: Access, ret: i32 },
    Ctxmgt { h: u64, pvt: usize, range: Access, ret: i32 },
    Dup { h: u64, pvt: usize, new: u64, newpvt: usize, ret: i32 },
    Unmap { h: u64, pvt: usize, off: u64, len: u64, new1: Option<(u64, usize)>, new2: Option<(u64, usize)> },
    Timeout { ticks: i64 },
    Untimeout,
}

/// A handle that the driver has seen, and its device's number.
type Known<L> = (u64, Arc<Handle<Sim<L>>>);

/// What all drivers of a simulation share: the record, the names of handles, the numbers of private data.
pub struct World<L: Locks> {
    events: Vec<Event>,
    handles: BTreeMap<u64, Known<L>>,
    names: u64,
    pvts: usize,
    calls: BTreeMap<(u64, EntryPoint), u64>,
    /// For each device, the handle that got the context last.
    last: BTreeMap<u64, u64>,
    /// What every map and dup callback does besides.
    on_new: Option<Arc<OnNew<L>>>,
}

type OnNew<L> = dyn Fn(&Framework<Sim<L>>, &Arc<Handle<Sim<L>>>) + Send + Sync;

impl<L: Locks> World<L> {
    pub(crate) fn new() -> Self {
        Self {
            events: Vec::new(),
            handles: BTreeMap::new(),
            names: 0,
            pvts: 0,
            calls: BTreeMap::new(),
            last: BTreeMap::new(),
            on_new: None,
        }
    }

    pub(crate) fn record(&mut self, event: Event) -> usize {
        self.events.push(event);
        self.events.len() - 1
    }

    pub(crate) fn forget(&mut self, handle: &Arc<Handle<Sim<L>>>) {
        self.handles.remove(&handle.data().get());
    }

    fn name(&mut self, device: u64, handle: &Arc<Handle<Sim<L>>>) -> u64 {
        let name = handle.data().get();
        if name != 0 {
            return name;
        }
        self.names += 1;
        handle.data().0.store(self.names, Relaxed);
        self.handles.insert(self.names, (device, handle.clone()));
        self.names
    }

    fn next_pvt(&mut self) -> usize {
        self.pvts += 1;
        self.pvts
    }

    /// Counts a call and answers what it is to fail with.
    fn failing(&mut self, device: &ScriptDevice<L>, entry: EntryPoint) -> Option<i32> {
        let n = self.calls.entry((device.index, entry)).or_insert(0);
        *n += 1;
        device.fail.iter().find(|f| f.entry == entry && f.nth == *n).map(|f| f.ret)
    }

    fn finish(&mut self, event: usize, value: i32) {
        if let Some(
            Event::Devmap { ret, .. }
            | Event::Map { ret, .. }
            | Event::Access { ret, .. }
            | Event::Ctxmgt { ret, .. }
            | Event::Dup { ret, .. },
        ) = self.events.get_mut(event)
        {
            *ret = value;
        }
    }
}

impl<L: Locks> Sim<L> {
    /// Has every map and dup callback do this with the new handle before it returns, also those that fail.
    pub fn set_on_new(&self, f: impl Fn(&Framework<Self>, &Arc<Handle<Self>>) + Send + Sync + 'static) {
        own(&self.world).on_new = Some(Arc::new(f));
    }

    /// Takes the record of calls since the last time.
    pub fn take_events(&self) -> Vec<Event> {
        core::mem::take(&mut own(&self.world).events)
    }

    /// The live handle with this number that the driver has seen, and its device's number.
    pub fn handle(&self, name: u64) -> Option<(u64, Arc<Handle<Self>>)> {
        own(&self.world).handles.get(&name).cloned()
    }

    /// The live handles of a device that the driver has seen, in order.
    pub fn handles_of(&self, device: u64) -> Vec<(u64, Arc<Handle<Self>>)> {
        own(&self.world)
            .handles
            .iter()
            .filter(|(_, (d, _))| *d == device)
            .map(|(name, (_, handle))| (*name, handle.clone()))
            .collect()
    }
}

impl<L: Locks> ScriptDevice<L> {
    fn region_at(&self, off: u64) -> Option<&Region> {
        self.regions.iter().find(|r| off.checked_sub(r.off).is_some_and(|into| into < r.len))
    }
}

impl<L: Locks> Device<Sim<L>> for Arc<ScriptDevice<L>> {
    type Entry = ();

    fn dev(&self) -> u64 {
        self.index
    }

    fn entry(&self) -> Option<()> {
        Some(())
    }

    fn devmap(
        &self,
        _entry: (),
        fw: &Framework<Sim<L>>,
        handle: &Arc<Handle<Sim<L>>>,
        off: u64,
        len: u64,
        _model: u32,
    ) -> (i32, u64) {
        let world = &fw.platform().world;
        let (event, failing) = {
            let mut world = own(world);
            let h = world.name(self.index, handle);
            let event = Event::Devmap { h, off, len, setup: Vec::new(), maplen: 0, ret: 0 };
            (world.record(event), world.failing(self, EntryPoint::Devmap))
        };
        let mut results = Vec::new();
        let mut reported = 0;
        let ret = match (failing, self.region_at(off)) {
            (Some(ret), _) => ret,
            (None, None) => 6,
            (None, Some(region)) => {
                let into = off - region.off;
                let maplen = len.min(region.len - into);
                let once = || {
                    let callbacks = region.callbacks.map(|set| ScriptCallbacks::new(self, set));
                    let callbacks =
                        callbacks.as_ref().map(|callbacks| Given { instance: self.index, callbacks });
                    let (len, maxprot, flags) = (maplen, region.maxprot, region.flags);
                    let done = match &region.kind {
                        RegionKind::Devmem(rnumber, roff) => fw.devmem_setup(
                            handle,
                            self,
                            DevmemSetup {
                                rnumber: *rnumber,
                                off: roff.wrapping_add(into),
                                len,
                                maxprot,
                                flags,
                                attr: 0,
                                callbacks,
                            },
                        ),
                        RegionKind::Umem(umem, koff) => fw.umem_setup(
                            handle,
                            UmemSetup {
                                umem: umem.clone(),
                                off: koff.wrapping_add(into),
                                len,
                                maxprot,
                                flags,
                                attr: 0,
                                callbacks,
                            },
                        ),
                        RegionKind::Unset => Ok(()),
                    };
                    if done.is_ok() { 0 } else { -1 }
                };
                let ret = once();
                results.push(ret);
                if region.twice {
                    results.push(once());
                }
                if ret == 0 {
                    reported = self.report.unwrap_or(maplen);
                }
                ret
            }
        };
        let mut world = own(world);
        if let Some(Event::Devmap { setup, maplen, .. }) = world.events.get_mut(event) {
            *setup = results;
            *maplen = reported;
        }
        world.finish(event, ret);
        (ret, reported)
    }
}

impl<L: Locks> Node for Arc<ScriptDevice<L>> {
    fn registers(&self, rnumber: u32, off: u64, len: u64) -> Option<(Pfn, u32)> {
        let set = self.registers.iter().find(|r| r.rnumber == rnumber)?;
        let end = off.checked_add(len)?;
        (end <= set.len).then_some((set.pfn + (off >> PAGE_SHIFT), 0))
    }
}

impl<L: Locks> ScriptCallbacks<L> {
    /// The callbacks number `set` of a device.
    pub fn new(device: &Arc<ScriptDevice<L>>, set: usize) -> Self {
        Self { device: device.clone(), set }
    }

    fn set(&self) -> &CallbackSet<L> {
        &self.device.callbacks[self.set]
    }

    /// The context routine: unloads other handles, then loads the range.
    fn ctxmgt(
        &self,
        fw: &Framework<Sim<L>>,
        handle: &Arc<Handle<Sim<L>>>,
        pvt: usize,
        range: Access,
        last_only: bool,
    ) -> i32 {
        let device = self.device.index;
        let (event, failing, me, last) = {
            let mut world = own(&fw.platform().world);
            let h = world.name(device, handle);
            let event = world.record(Event::Ctxmgt { h, pvt, range, ret: 0 });
            (event, world.failing(&self.device, EntryPoint::Ctxmgt), h, world.last.get(&device).copied())
        };
        let run = || {
            for (name, other) in fw.platform().handles_of(device) {
                if name == me || (last_only && Some(name) != last) {
                    continue;
                }
                let rc = fw.unload(&other, other.info().off, 0);
                if !rc.is_ok() {
                    return rc.0;
                }
            }
            let rc = fw.load(handle, range.off, range.len, range.ty, range.rw);
            if rc.is_ok() {
                own(&fw.platform().world).last.insert(device, me);
            }
            rc.0
        };
        let ret = failing.unwrap_or_else(run);
        own(&fw.platform().world).finish(event, ret);
        ret
    }
}

impl<L: Locks> Callbacks<Sim<L>> for ScriptCallbacks<L> {
    fn entries(&self) -> Entries {
        let set = self.set();
        Entries { map: set.map, access: set.access.is_some(), dup: set.dup, unmap: set.unmap }
    }

    fn access_id(&self) -> u64 {
        // Every set of every device has functions of its own.
        self.device.index << 32 | self.set as u64
    }

    fn map(
        &self,
        fw: &Framework<Sim<L>>,
        handle: &Arc<Handle<Sim<L>>>,
        _device: &Arc<ScriptDevice<L>>,
        flags: u32,
        off: u64,
        len: u64,
        pvt: &mut usize,
    ) -> i32 {
        let mut world = own(&fw.platform().world);
        let h = world.name(self.device.index, handle);
        let failing = world.failing(&self.device, EntryPoint::Map);
        if failing.is_none() {
            *pvt = world.next_pvt();
        }
        let ret = failing.unwrap_or(0);
        world.record(Event::Map { h, pvt: *pvt, flags, off, len, ret });
        let on_new = world.on_new.clone();
        drop(world);
        if let Some(on_new) = on_new {
            on_new(fw, handle);
        }
        ret
    }

    fn access(&self, fw: &Framework<Sim<L>>, handle: &Arc<Handle<Sim<L>>>, pvt: usize, range: Access) -> i32 {
        let (event, failing) = {
            let mut world = own(&fw.platform().world);
            let h = world.name(self.device.index, handle);
            let event = world.record(Event::Access { h, pvt, range, ret: 0 });
            (event, world.failing(&self.device, EntryPoint::Access))
        };
        let act = || match self.set().access.as_ref() {
            None | Some(Behaviour::NoLoad) => 0,
            Some(Behaviour::Default) => fw.default_access(handle, pvt, range).0,
            Some(Behaviour::LoadAll) => fw.load(handle, handle.info().off, 0, range.ty, range.rw).0,
            Some(Behaviour::Fail(ret)) => *ret,
            Some(Behaviour::Custom(f)) => f(fw, handle, pvt, range),
            Some(behaviour @ (Behaviour::Ctx | Behaviour::CtxLast)) => {
                let last_only = matches!(behaviour, Behaviour::CtxLast);
                let routine =
                    |handle: &Arc<Handle<Sim<L>>>, pvt, range| self.ctxmgt(fw, handle, pvt, range, last_only);
                fw.do_ctxmgt(handle, pvt, range, Some(routine)).0
            }
        };
        let ret = failing.unwrap_or_else(act);
        own(&fw.platform().world).finish(event, ret);
        ret
    }

    fn dup(
        &self,
        fw: &Framework<Sim<L>>,
        old: &Arc<Handle<Sim<L>>>,
        pvt: usize,
        new: &Arc<Handle<Sim<L>>>,
        newpvt: &mut usize,
    ) -> i32 {
        let mut world = own(&fw.platform().world);
        let h = world.name(self.device.index, old);
        let new_name = world.name(self.device.index, new);
        let failing = world.failing(&self.device, EntryPoint::Dup);
        let mut given = 0;
        if failing.is_none() {
            given = world.next_pvt();
            *newpvt = given;
        }
        let ret = failing.unwrap_or(0);
        world.record(Event::Dup { h, pvt, new: new_name, newpvt: given, ret });
        let on_new = world.on_new.clone();
        drop(world);
        if let Some(on_new) = on_new {
            on_new(fw, new);
        }
        ret
    }

    fn unmap_whole(&self, fw: &Framework<Sim<L>>, handle: &Arc<Handle<Sim<L>>>, _space_locked: bool) {
        let (off, len) = (handle.off(), handle.len());
        let mut cut = Unmap { off, len, before: None, behind: None, pvts: [0; 2] };
        self.unmap_part(fw, handle, &mut cut);
    }

    fn unmap_part(&self, fw: &Framework<Sim<L>>, handle: &Arc<Handle<Sim<L>>>, cut: &mut Unmap<'_, Sim<L>>) {
        let pvt = handle.pvt();
        let mut world = own(&fw.platform().world);
        let device = self.device.index;
        let h = world.name(device, handle);
        let mut give = |rest: Option<&Arc<Handle<Sim<L>>>>, pvt: &mut usize| {
            rest.map(|handle| {
                let name = world.name(device, handle);
                *pvt = world.next_pvt();
                (name, *pvt)
            })
        };
        let [pvt1, pvt2] = &mut cut.pvts;
        let new1 = give(cut.before, pvt1);
        let new2 = give(cut.behind, pvt2);
        world.record(Event::Unmap { h, pvt, off: cut.off, len: cut.len, new1, new2 });
    }
}

impl Event {
    /// The entry point's name in the corpus.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Devmap { .. } => "devmap",
            Self::Map { .. } => "map",
            Self::Access { .. } => "access",
            Self::Ctxmgt { .. } => "ctxmgt",
            Self::Dup { .. } => "dup",
            Self::Unmap { .. } => "unmap",
            Self::Timeout { .. } => "timeout",
            Self::Untimeout => "untimeout",
        }
    }
}

impl Behaviour<super::StdLocks> {
    /// The behaviour that the corpus calls so.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "default" => Self::Default,
            "ctx" => Self::Ctx,
            "ctx_last" => Self::CtxLast,
            "load_all" => Self::LoadAll,
            "noload" => Self::NoLoad,
            _ => Self::Fail(name.strip_prefix("fail:")?.parse().ok()?),
        })
    }
}

/// A number for a fault, as the corpus writes it.
pub fn fault_numbers(range: &Access) -> (u32, u32) {
    (range.ty as u32, range.rw as u32)
}

/// The type and access with these numbers.
///
/// # Errors
/// Says which number has no meaning.
pub fn fault_words(ty: u32, rw: u32) -> Result<(FaultType, Rw), String> {
    let ty = FaultType::from_raw(ty).ok_or_else(|| alloc::format!("no fault type {ty}"))?;
    let rw = Rw::from_raw(rw).ok_or_else(|| alloc::format!("no access {rw}"))?;
    Ok((ty, rw))
}
