//! Mappings together: sets that are gone through, moved, made invalid, protected as one; protections that are lowered; engines.

use std::time::Duration;

use ddi_sys as sys;
use devmap::Protection;
use devmap::prelude::*;

use crate::driver::{Behaviour, Plan, behave, cx, events, handles, mappings, probe, set};
use crate::mapping::{LEN, RW, SHARED, map};
use crate::mock::{self, Object, PAGE, kernel, loaded, mmap, touch};

const READ: u32 = sys::PROT_READ;
const ALL: u32 = RW | sys::PROT_EXEC;

fn refused<T>(result: Result<T, devmap::Error>) -> Errno {
    result.err().expect("an error").errno()
}

fn umem(pages: usize) -> Umem {
    Umem::new(&cx(), Kind::Locked, pages * PAGE).unwrap()
}

/// What the framework has of a mapping: the memory, from which byte on.
fn target(handle: usize) -> (Object, i64) {
    let kernel = kernel();
    (kernel.handles[&handle].object, kernel.handles[&handle].start)
}

fn max(handle: usize) -> u32 {
    kernel().handles[&handle].max_protection & !sys::PROT_USER
}

#[test]
fn a_set_is_gone_through_while_it_changes() {
    let (_kernel, dev) = probe();
    let made: Vec<usize> = (0..4).map(|page| map(dev, page * PAGE as i64, PAGE as i64)).collect();
    let all = mappings();
    assert_eq!((all.len(), all.set().len(), all.set().iter().count()), (4, 4, 4));
    let mut offsets: Vec<u64> = all.set().into_iter().map(|handle| handle.offset() / PAGE as u64).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 1, 2, 3]);
    // Mappings go while somebody is in the middle of it.
    let mut seen = 0;
    for handle in all.set() {
        seen += usize::from(handle.is_live());
        if seen == 1 && handle.is_live() {
            let this = made[handle.offset() as usize / PAGE];
            made.iter().filter(|made| **made != this).for_each(|made| mock::unmap(*made));
        }
    }
    assert_eq!((seen, all.len(), all.is_empty()), (1, 1, false));
}

#[test]
fn a_range_is_unloaded_from_all_that_have_a_part_of_it() {
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadAll);
    let made: Vec<usize> =
        [0, 2, 6].iter().map(|page| map(dev, page * PAGE as i64, 2 * PAGE as i64)).collect();
    for (handle, page) in made.iter().zip([0, 2, 6]) {
        touch(*handle, page * PAGE as i64, sys::DEVMAP_READ).unwrap();
    }
    mappings().set().unload_range(PAGE as u64, 2 * PAGE).unwrap();
    assert_eq!(made.iter().map(|handle| loaded(*handle)).collect::<Vec<_>>(), [1, 1, 2]);
    mappings().set().unload_range(0, usize::MAX).unwrap();
    assert!(made.iter().all(|handle| loaded(*handle) == 0));
}

#[test]
fn a_set_moves_to_other_memory_as_one() {
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadAll);
    let (low, high) = (map(dev, 0, 4 * PAGE as i64), map(dev, 4 * PAGE as i64, 4 * PAGE as i64));
    [(low, 0), (high, 4)]
        .iter()
        .for_each(|(handle, page)| touch(*handle, page * PAGE as i64, sys::DEVMAP_READ).unwrap());
    let before = [low, high].map(target);
    let all = mappings();
    // Too short for one of them: none is moved.
    assert_eq!(refused(all.set().remap(umem(7), |handle| handle.offset())), Errno::EINVAL);
    assert_eq!(refused(all.set().remap(umem(8), |handle| handle.offset() + 8)), Errno::EINVAL);
    assert_eq!(([low, high].map(target), loaded(low), loaded(high)), (before, 4, 4));
    all.set().remap(umem(8), Handle::offset).unwrap();
    let after = [low, high].map(target);
    assert!(after[0].0 != before[0].0 && after[0].0 == after[1].0);
    assert_eq!(after.map(|(_, start)| start), [0, 4 * PAGE as i64]);
    assert_eq!((loaded(low), loaded(high)), (0, 0), "what was loaded is dropped");
    // All at the same place.
    all.set().remap(umem(4), |_| 0).unwrap();
    assert_eq!([low, high].map(|handle| target(handle).1), [0, 0]);
    // The framework refuses one: the others are moved, and that is told.
    kernel().refuse.insert("devmap_remap", 1);
    assert_eq!(refused(all.set().remap(umem(4), |_| 0)), Errno::EIO);
    kernel().refuse.clear();
    assert_ne!(target(low).0, target(high).0);
    // A mapping that has gone is no error.
    mock::unmap(low);
    all.set().remap(umem(4), |_| 0).unwrap();
}

#[test]
fn a_set_is_invalid_as_one() {
    let (_kernel, dev) = probe();
    let made = [map(dev, 0, LEN), map(dev, 0, LEN)];
    made.iter().for_each(|handle| touch(*handle, 0, sys::DEVMAP_READ).unwrap());
    mappings().set().invalidate().unwrap();
    assert!(made.iter().all(|handle| loaded(*handle) == 0));
    assert!(made.iter().all(|handle| touch(*handle, 0, sys::DEVMAP_READ) == Err(sys::EIO)));
    mappings().set().validate();
    assert!(made.iter().all(|handle| touch(*handle, 0, sys::DEVMAP_READ) == Ok(())));
    // One without an access callback: the others are invalid, and it is told.
    set(Plan { without_access: true, ..Plan::default() });
    map(dev, 0, LEN);
    assert_eq!(refused(mappings().set().invalidate()), Errno::ENOTSUP);
    assert!(made.iter().all(|handle| touch(*handle, 0, sys::DEVMAP_READ) == Err(sys::EIO)));
}

#[test]
fn a_set_is_protected_as_one() {
    let (_kernel, dev) = probe();
    let read = |_| mmap(dev, 0, LEN, READ, SHARED).unwrap()[0];
    let made = [(); 2].map(read);
    made.iter().for_each(|handle| touch(*handle, 0, sys::DEVMAP_READ).unwrap());
    mappings().set().lower(Protection::READ).unwrap();
    assert_eq!(made.map(max), [READ, READ]);
    assert!(made.iter().all(|handle| loaded(*handle) == 0));
    assert!(handles().iter().all(|handle| handle.max_protection() == Protection::READ));
    mappings().set().lower(Protection::READ | Protection::WRITE).unwrap();
    assert_eq!(made.map(max), [READ, READ], "never raised");
    // One that has asked for more: the others are lowered, and that is told.
    let (writes, reads) = (map(dev, 0, LEN), read(()));
    assert_eq!(refused(mappings().set().lower(Protection::READ)), Errno::EACCES);
    assert_eq!((max(writes), max(reads)), (ALL, READ));
}

/// What a mapping may do at most stays what it is lowered to: in its pieces, in its children, and when it moves.
#[test]
fn a_lowered_protection_stays() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Lower(Protection::READ));
    let handle = mmap(dev, 0, LEN, READ, SHARED).unwrap()[0];
    touch(handle, 0, sys::DEVMAP_READ).unwrap();
    assert_eq!((max(handle), loaded(handle)), (READ, 1), "at the first access");
    behave(Behaviour::Load);
    let child = mock::fork(&[handle]).unwrap()[0];
    let behind = mock::cut(handle, 2 * PAGE, PAGE).unwrap();
    handles().iter().for_each(|handle| handle.remap(umem(8), 0).unwrap());
    for handle in [handle, child, behind] {
        assert_eq!(max(handle), READ);
    }
    assert!(handles().iter().all(|handle| handle.max_protection() == Protection::READ));
    mock::unmap(handle);
    assert_eq!(refused(handles()[0].lower(Protection::READ)), Errno::ESTALE);
}

#[test]
fn a_child_can_be_lowered_when_it_is_made() {
    let (_kernel, dev) = probe();
    set(Plan { lower_child: Some(Protection::READ), ..Plan::default() });
    let handle = mmap(dev, 0, LEN, READ, SHARED).unwrap()[0];
    let child = mock::fork(&[handle]).unwrap()[0];
    assert_eq!((max(handle), max(child)), (ALL, READ));
    touch(child, 0, sys::DEVMAP_READ).unwrap();
    // Who may write already cannot be lowered: fork(2) fails, and leaves nothing behind.
    let writes = map(dev, 0, LEN);
    events();
    let before = mappings().len();
    assert_eq!(mock::fork(&[writes]), Err(sys::EACCES));
    assert_eq!(events(), ["dup m0x0"], "nobody unmaps what has not been made");
    assert_eq!(mappings().len(), before);
    touch(writes, 0, sys::DEVMAP_WRITE).unwrap();
}

/// An engine has an access callback of its own, by which the framework tells contexts apart, and a hysteresis.
#[test]
fn engines_have_contexts_of_their_own() {
    let (_kernel, dev) = probe();
    let made: Vec<usize> = [0, 1, 2, 1]
        .into_iter()
        .map(|engine| {
            set(Plan { engine, access: Behaviour::Switch, ..Plan::default() });
            map(dev, 0, LEN)
        })
        .collect();
    let callback =
        |handle: usize| kernel().handles[&handle].table.devmap_access.map(|access| access as usize);
    let callbacks: Vec<_> = made.iter().map(|handle| callback(*handle)).collect();
    assert_eq!(callbacks[1], callbacks[3]);
    assert!(callbacks[0] != callbacks[1] && callbacks[1] != callbacks[2] && callbacks[0] != callbacks[2]);
    mappings().set_engine_hysteresis(1, Duration::from_millis(30));
    mappings().set_engine_hysteresis(77, Duration::from_millis(30));
    made.iter().for_each(|handle| touch(*handle, 0, sys::DEVMAP_READ).unwrap());
    let ticks: Vec<i64> = made.iter().map(|handle| kernel().handles[handle].ticks).collect();
    assert_eq!(ticks, [0, 3, 0, 3]);
    mappings().set_hysteresis(Duration::ZERO);
    made.iter().for_each(|handle| touch(*handle, 0, sys::DEVMAP_READ).unwrap());
    assert!(made.iter().all(|handle| kernel().handles[handle].ticks == 0));
    // The children's are their parents'.
    let child = mock::fork(&[made[2]]).unwrap()[0];
    assert_eq!(callback(child), callbacks[2]);
    set(Plan { engine: 3, ..Plan::default() });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENXIO), "the device has three");
    assert!(events().last().unwrap().contains("no such engine"));
}
