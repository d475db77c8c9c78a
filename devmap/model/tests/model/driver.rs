//! A driver that says what it relies on: what its callbacks are called with, and never at the same time.

use std::collections::BTreeMap;
use std::sync::{Mutex as Plain, MutexGuard as PlainGuard, PoisonError};
use std::time::Duration;

use ddi_sys as sys;
use devmap::Protection;
use devmap::pinned::{Held, Pins};
use devmap::prelude::*;
use devmap_mock::{Booted, Config, Object, PAGE, RW, SHARED, kernel, mmap, touch};
use devmap_model::assert_no_lock_of_the_layer;

/// Bytes of a mapping.
pub const LEN: usize = 3 * PAGE;

/// Ways of serving a mapping, by its first page's number in the device.
const LOADS: u64 = 0;
/// As [`LOADS`], in parts: a mapping of a page each.
pub const IN_PARTS: u64 = 8;
/// After it has switched the device's context to the mapping.
pub const SWITCHES: u64 = 16;
/// Memory of a process that is pinned.
pub const PINNED: u64 = 24;
/// Memory whose mappings the driver keeps handles of, for ever.
pub const KEPT: u64 = 32;
/// Memory whose mappings are copied without a look at the copy, which is in the set of all mappings only.
pub const UNSEEN: u64 = 40;
/// Memory that one mapping at a time can use, copied likewise.
pub const ALONE: u64 = 48;
/// The same, of whose mappings parts are unmapped, so that what is left may be loaded for a moment.
pub const ALONE_CUT: u64 = 56;
/// Pages of the device's memory, which is seen in each way of serving.
const PAGES: u64 = 8;

/// Drops all translations.
pub const REVOKE: i32 = 1;
/// Sets the hysteresis, in milliseconds.
pub const HYSTERESIS: i32 = 2;
/// Drops all translations, by the driver's own set.
pub const UNLOAD: i32 = 3;
/// Points all mappings at other memory.
pub const REMAP: i32 = 4;
/// The same, by the set of all mappings.
pub const REMAP_ALL: i32 = 14;
/// As [`REMAP`], while others set mappings up.
pub const REMAP_CARELESSLY: i32 = 5;
/// Makes accesses fail.
pub const INVALIDATE: i32 = 6;
/// The same, by the set of all mappings.
pub const INVALIDATE_ALL: i32 = 7;
/// Makes accesses succeed again.
pub const VALIDATE: i32 = 8;
/// Takes away the permission to execute.
pub const LOWER: i32 = 9;

/// Unloads by the handles that are kept, makes them invalid and valid, and points them at other memory.
pub const KEEP_AT_IT: i32 = 12;
/// Goes through all mappings.
pub const LOOK: i32 = 13;
/// Pins memory of the caller's, at this address.
pub const PIN: i32 = 10;
/// Gives it back.
pub const UNPIN: i32 = 11;

/// Argument of those that drop translations: nothing is cut at this moment, so that none are left.
pub const AT_ONCE: isize = 1;

/// The offset in the memory of one in the device.
fn in_memory(offset: u64) -> u64 {
    offset % (PAGES * PAGE as u64)
}

/// Calls under way for a mapping's data.
#[derive(Default)]
struct Calls {
    /// Accesses.
    accesses: u32,
    /// Whether dup or unmap is called.
    alone: bool,
}

/// The data of all mappings, and what is called for it. Locked for an instant, in which no other thread can run.
static DATA: Plain<BTreeMap<u64, Calls>> = Plain::new(BTreeMap::new());

fn data() -> PlainGuard<'static, BTreeMap<u64, Calls>> {
    DATA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Number of values of private data that live.
pub fn live() -> usize {
    data().len()
}

/// Private data of a mapping.
pub struct View {
    id: u64,
    _member: Option<Member>,
}

impl View {
    fn new(board: &Board, handle: &Handle) -> View {
        View::of(Some(board.own.insert(handle)))
    }

    fn of(member: Option<Member>) -> View {
        let mut data = data();
        let id = data.last_key_value().map_or(1, |(last, _)| last + 1);
        data.insert(id, Calls::default());
        drop(data);
        View { id, _member: member }
    }

    fn calls<R>(&self, what: impl FnOnce(&mut Calls) -> R) -> R {
        what(data().get_mut(&self.id).expect("data that lives"))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        assert!(data().remove(&self.id).is_some_and(|calls| calls.accesses == 0), "dropped while it is used");
    }
}

/// The device: memory that all processes share.
pub struct Board {
    memory: Umem,
    all: devmap::Mappings,
    /// The same mappings, as the driver knows them.
    own: MappingSet,
    /// The mapping to which the device is switched; held while pages are loaded and unloaded.
    owner: Mutex<u64>,
    spare: Umem,
    /// Whether mappings are of `spare` now; held while one is set up, and while they are remapped.
    moved: Mutex<Moved>,
    pinned: Mutex<Lent>,
    kept: Mutex<Kept>,
    pins: Option<Pins>,
}

/// Handles that the driver keeps.
struct Kept(Vec<Handle>);

/// Memory of a process.
struct Lent(Option<Held>);

struct Moved(bool);

impl Board {
    /// The framework's handles, each with its process.
    pub fn handles() -> Vec<(u32, usize)> {
        kernel().handles.iter().map(|(handle, state)| (state.process, *handle)).collect()
    }

    /// Returns whether any mapping has translations. The caller holds the lock under which they are loaded.
    pub fn has_loaded() -> bool {
        kernel().handles.values().any(|handle| !handle.loaded.is_empty())
    }
}

impl Device for Board {
    type Mapping = View;
    type Open = ();

    fn attach(attach: &Attach<'_>) -> Result<Board, Errno> {
        let memory = Umem::new(attach, Kind::Locked, PAGES as usize * PAGE)?;
        let spare = Umem::new(attach, Kind::Locked, PAGES as usize * PAGE)?;
        let moved = Mutex::new(Moved(false));
        let (all, own) = (attach.mappings(), MappingSet::new());
        let pins = if attach.node().property("pins", 0) != 0 { Some(Pins::new(attach)?) } else { None };
        let (pinned, kept) = (Mutex::new(Lent(None)), Mutex::new(Kept(Vec::new())));
        Ok(Board { memory, all, own, owner: Mutex::new(0), spare, moved, pinned, kept, pins })
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Board>) -> Result<Setup<'a, Board>, Errno> {
        assert_no_lock_of_the_layer();
        let view = View::new(self, request.handle());
        let page = request.offset() / PAGE as u64;
        let len = if (IN_PARTS..SWITCHES).contains(&page) { PAGE } else { request.len() };
        if (KEPT..UNSEEN).contains(&page) {
            self.kept.lock().0.push(request.handle().clone());
        } else if (PINNED..KEPT).contains(&page) {
            let memory = self.pinned.lock().0.as_ref().and_then(Held::get).ok_or(Errno::ENXIO)?;
            return Ok(request.map(memory, request.offset() - PINNED * PAGE as u64).with(view)?);
        }
        let moved = self.moved.lock();
        let memory = if moved.0 { &self.spare } else { &self.memory };
        Ok(request.map_part(memory, in_memory(request.offset()), len).with(view)?)
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        assert_no_lock_of_the_layer();
        if command == HYSTERESIS {
            self.all.set_hysteresis(Duration::from_millis(argument.value() as u64));
            return Ok(0);
        }
        if command == REMAP_CARELESSLY {
            self.own.remap(&self.spare, |handle| in_memory(handle.offset()))?;
            return Ok(0);
        }
        if command == PIN {
            let pins = self.pins.as_ref().ok_or(Errno::ENXIO)?;
            let (address, access) = (argument.value() as u64, Protection::READ | Protection::WRITE);
            let held =
                pins.lock(&argument, address, LEN, access, |_| assert_no_lock_of_the_layer())?.hold()?;
            self.pinned.lock().0 = Some(held);
            return Ok(0);
        }
        if command == UNPIN {
            let held = self.pinned.lock().0.take();
            drop(held);
            return Ok(0);
        }
        if command == LOOK {
            let bytes = |set: &MappingSet| set.iter().map(|handle| handle.len()).sum::<usize>();
            return Ok(i32::from(bytes(self.all.set()) + bytes(&self.own) > usize::MAX / 2));
        }
        if command == REVOKE && argument.value() != AT_ONCE {
            // Whatever lock the driver holds in its callbacks, this does not wait for it.
            self.all.revoke_all()?;
            return Ok(0);
        }
        let mut moved = self.moved.lock();
        let _held = self.owner.lock();
        match command {
            REVOKE => self.all.revoke_all()?,
            UNLOAD => self.own.unload()?,
            REMAP => {
                moved.0 = true;
                self.own.remap(&self.spare, |handle| in_memory(handle.offset()))?;
            }
            REMAP_ALL => {
                moved.0 = true;
                self.all.set().remap(&self.spare, |handle| in_memory(handle.offset()))?;
            }
            INVALIDATE => self.own.invalidate()?,
            INVALIDATE_ALL => self.all.set().invalidate()?,
            VALIDATE => self.own.validate(),
            KEEP_AT_IT => {
                for handle in &self.kept.lock().0 {
                    handle.unload_range(handle.offset(), PAGE)?;
                    handle.unload()?;
                    handle.invalidate()?;
                    handle.validate();
                    match handle.remap(&self.spare, in_memory(handle.offset())) {
                        Err(error) if error.errno() != Errno::ESTALE => return Err(error.into()),
                        _ => {}
                    }
                }
            }
            _ => self.own.lower(Protection::READ | Protection::WRITE)?,
        }
        let loads = matches!(command, VALIDATE | LOWER | KEEP_AT_IT) || argument.value() != AT_ONCE;
        assert!(loads || !Board::has_loaded(), "translations are left");
        Ok(0)
    }
}

impl Mapping<Board> for View {
    fn access(&self, board: &Board, fault: Fault<'_>) -> Result<Served, Errno> {
        assert_no_lock_of_the_layer();
        self.calls(|calls| {
            assert!(!calls.alone, "an access during dup or unmap");
            calls.accesses += 1;
        });
        let served = match fault.offset() / PAGE as u64 {
            SWITCHES..PINNED => self.switched(board, fault),
            page @ ALONE.. => fault.switch_context(|held| {
                assert_no_lock_of_the_layer();
                held.load_alone(|| {
                    assert!(
                        page >= ALONE_CUT || !Board::has_loaded(),
                        "another mapping has the device still"
                    );
                    Ok(())
                })
            }),
            _ => {
                let _held = board.owner.lock();
                fault.load_all()
            }
        };
        self.calls(|calls| calls.accesses -= 1);
        served
    }

    fn dup(&self, board: &Board, copy: Dup<'_>) -> Result<View, Errno> {
        self.alone();
        let is_unseen = copy.parent().offset() / PAGE as u64 >= UNSEEN;
        let view = if is_unseen { View::of(None) } else { View::new(board, copy.child()) };
        self.calls(|calls| calls.alone = false);
        Ok(view)
    }

    fn unmap(self, board: &Board, cut: Cut<'_>) -> Remains<View> {
        self.alone();
        // A moment in which others can run.
        drop(board.owner.lock());
        self.calls(|calls| calls.alone = false);
        match cut {
            Cut::Whole(cut) => cut.gone(),
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => {
                let rest = View::new(board, cut.rest());
                cut.split(self, rest)
            }
        }
    }
}

impl View {
    fn alone(&self) {
        assert_no_lock_of_the_layer();
        self.calls(|calls| {
            assert!(!calls.alone && calls.accesses == 0, "dup or unmap while data is used");
            calls.alone = true;
        });
    }

    fn switched(&self, board: &Board, fault: Fault<'_>) -> Result<Served, Errno> {
        let owner = board.owner.lock();
        if *owner == self.id {
            return fault.load_all();
        }
        drop(owner);
        fault.switch_context(|held| {
            assert_no_lock_of_the_layer();
            let mut owner = board.owner.lock();
            board.own.unload()?;
            assert!(!Board::has_loaded(), "another mapping has the device still");
            *owner = self.id;
            held.load_all()
        })
    }
}

devmap::module! { device: Board, name: "board", description: "a driver that looks closely" }

/// A booted kernel with so many instances.
pub fn boot(instances: usize) -> Booted {
    let booted = devmap_mock::boot(&MODULE);
    data().clear();
    attached(booted, instances)
}

fn attached(mut booted: Booted, instances: usize) -> Booted {
    for _ in 0..instances {
        assert!(booted.attach(Config::default()).is_some());
    }
    booted
}

/// Returns whether an access to a handle's first page is served.
pub fn accepts(handle: usize) -> bool {
    let off = kernel().handles[&handle].off;
    touch(handle, off, sys::DEVMAP_READ).is_ok()
}

/// Fails if a process sees the memory that was there before [`REMAP`].
pub fn assert_moved() {
    let kernel = kernel();
    let new = kernel.umems.keys().max().copied().map(Object::Umem);
    let seen = kernel.handles.values().filter(|handle| !handle.loaded.is_empty());
    let seen: Vec<Object> = seen.map(|handle| handle.object).collect();
    assert!(seen.iter().all(|object| Some(*object) == new), "a process sees memory that was replaced");
}

/// A booted kernel with an instance that pins memory.
pub fn boot_with_pins() -> Booted {
    let mut booted = boot(0);
    assert!(booted.attach(Config { properties: vec![("pins", 1)], ..Config::default() }).is_some());
    booted
}

/// mmap(2) of the device from this page on, by a process of this number.
pub fn map(process: u32, dev: sys::dev_t, page: u64) {
    try_map(process, dev, page).expect("mmap(2)");
}

/// The same, where it may be refused.
pub fn try_map(process: u32, dev: sys::dev_t, page: u64) -> Result<Vec<usize>, i32> {
    devmap_mock::in_process(process);
    mmap(dev, (page * PAGE as u64) as i64, LEN as i64, RW, SHARED)
}

/// ioctl(2) without an argument.
pub fn ask(dev: sys::dev_t, command: i32, value: isize) {
    assert_eq!(devmap_mock::ioctl(dev, command, value), (0, 0));
}

/// mmap(2) of pages that are loaded one by one.
pub const PLAIN: u64 = LOADS;
