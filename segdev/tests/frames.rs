//! Pages with memory of their own: what is loaded for them, what stays with cuts and copies, and accesses that only their protection forbids. After each test nothing is left.

mod common;

use common::*;
use segdev::sim::SimUmem;
use segdev::sim::script::Behaviour;
use segdev::{FaultCode, FaultType, PageMemory, PagesOf, Prot, Rw, SetupError};

const READ: Prot = Prot::READ;

/// Pages of handle 1 map other kernel memory.
fn remap(
    rig: &Rig,
    first: u64,
    pages: u64,
    umem: &SimUmem,
    from: u64,
    maxprot: Prot,
) -> Result<(), SetupError> {
    let memory = PageMemory::Umem(umem.clone(), from * PAGE);
    let pages = PagesOf { off: first * PAGE, len: pages * PAGE, maxprot, memory };
    rig.fw.remap_pages(&rig.handle(1), &rig.device, pages)
}

fn read_all(rig: &Rig, id: u32, pages: std::ops::Range<u64>) {
    for page in pages {
        assert_eq!(rig.read(id, page), FaultCode::OK);
    }
}

/// Page frames from the first mapped page on.
fn frames(rig: &Rig, id: u32) -> Vec<u64> {
    rig.pages(id).into_iter().map(|(_, pfn, _)| pfn).collect()
}

#[test]
fn each_page_can_have_its_own_memory() {
    let (k, other) = (memory(0, 8), memory(1, 8));
    let rig = Rig::new(vec![umem(0, 6, &k).remappable()], Behaviour::Default);
    rig.mmap(0, 0, 6).unwrap();
    read_all(&rig, 0, 0..6);
    let whole = frames(&rig, 0);
    assert_eq!(remap(&rig, 2, 2, &other, 5, ALL), Ok(()));
    assert_eq!(rig.pages(0).len(), 4, "their translations went, and no others");
    read_all(&rig, 0, 0..6);
    let mixed = frames(&rig, 0);
    assert_eq!([&mixed[..2], &mixed[4..]].concat(), [&whole[..2], &whole[4..]].concat());
    assert_eq!(mixed[3], mixed[2] + 1);
    assert!(!whole.contains(&mixed[2]));
    // In the middle of the first, over its end, registers; in one load.
    let registers = PageMemory::Devmem(0, 7 * PAGE, 0);
    let pages = PagesOf { off: 3 * PAGE, len: 2 * PAGE, maxprot: ALL, memory: registers };
    assert_eq!(rig.fw.remap_pages(&rig.handle(1), &rig.device, pages), Ok(()));
    assert_eq!(rig.fault(0, 0, 6, FaultType::Inval, Rw::Write), FaultCode::OK);
    assert_eq!(frames(&rig, 0), [whole[0], whole[1], mixed[2], 0x10_0007, 0x10_0008, whole[5]]);
    // A remap of the whole ends it.
    assert_eq!(rig.umem_remap(1, Some(&k), 0, 6), Ok(()));
    read_all(&rig, 0, 0..6);
    assert_eq!(frames(&rig, 0), whole);
    rig.end(&[k, other]);
}

#[test]
fn pieces_and_children_have_the_same() {
    let (k, other) = (memory(0, 8), memory(1, 8));
    let rig = Rig::new(vec![umem(0, 8, &k).remappable()], Behaviour::Default);
    rig.mmap(0, 0, 8).unwrap();
    assert_eq!(remap(&rig, 1, 6, &other, 0, ALL), Ok(()));
    read_all(&rig, 0, 0..8);
    let all = rig.pages(0);
    rig.munmap(0, 0, 2).unwrap();
    rig.munmap(0, 4, 1).unwrap();
    rig.munmap(0, 7, 1).unwrap();
    rig.space(0).fork(&rig.fw, rig.space(1)).unwrap();
    assert_eq!(rig.pages(1), []);
    let left = [2, 3, 5, 6];
    for page in left {
        assert_eq!(rig.read(1, page), FaultCode::OK);
    }
    let expected: Vec<_> = all.into_iter().filter(|(page, ..)| left.contains(page)).collect();
    assert_eq!(rig.pages(0), expected);
    assert_eq!(rig.pages(1), expected);
    rig.end(&[k, other]);
}

#[test]
fn a_page_can_be_read_only_by_itself() {
    let k = memory(0, 4);
    let rig = Rig::new(vec![umem(0, 4, &k).remappable()], Behaviour::Default);
    rig.mmap(0, 0, 4).unwrap();
    assert_eq!(remap(&rig, 1, 1, &k, 1, READ), Ok(()));
    read_all(&rig, 0, 0..4);
    assert_eq!(
        rig.fault(0, 0, 1, FaultType::Prot, Rw::Write),
        FaultCode::PROT,
        "nothing of its own forbids it"
    );
    assert_eq!(rig.pages(0).len(), 4);
    // The driver is asked, who loads it again: that is refused.
    assert!(!rig.fault(0, 1, 1, FaultType::Prot, Rw::Write).is_ok());
    assert_eq!(rig.pages(0).len(), 3);
    assert!(!rig.fault(0, 1, 1, FaultType::Inval, Rw::Write).is_ok());
    assert_eq!(rig.read(0, 1), FaultCode::OK);
    assert_eq!(remap(&rig, 1, 1, &k, 1, ALL), Ok(()));
    // A write that met the old translation, and is reported only now, is no error: the page may be written.
    assert_eq!(rig.fault(0, 1, 1, FaultType::Prot, Rw::Write), FaultCode::OK);
    assert_eq!(rig.fault(0, 1, 1, FaultType::Inval, Rw::Write), FaultCode::OK);
    rig.end(&[k]);
}

#[test]
fn what_is_refused_changes_nothing() {
    let (k, short) = (memory(0, 4), memory(1, 2));
    let pageable = SimUmem::new(2, segdev::UmemKind::Pageable, 4 * PAGE, 1);
    let rig = Rig::new(vec![umem(0, 4, &k).remappable()], Behaviour::Default);
    rig.mmap(0, 0, 4).unwrap();
    read_all(&rig, 0, 0..4);
    let before = rig.pages(0);
    for (first, pages, from, memory) in [
        (0, 0, 0, &k),
        (3, 2, 0, &k),
        (4, 1, 0, &k),
        (0, 3, 0, &short),
        (0, 1, 2, &short),
        (0, 1, 0, &pageable),
    ] {
        assert_eq!(remap(&rig, first, pages, memory, from, ALL), Err(SetupError), "{first} {pages} {from}");
    }
    let unaligned = PagesOf { off: 1, len: PAGE, maxprot: ALL, memory: PageMemory::Umem(k.clone(), 0) };
    assert_eq!(rig.fw.remap_pages(&rig.handle(1), &rig.device, unaligned), Err(SetupError));
    assert_eq!(rig.pages(0), before);
    rig.end(&[k, short, pageable]);
    // Not remappable at all.
    let k = memory(0, 4);
    let rig = Rig::new(vec![umem(0, 4, &k)], Behaviour::Default);
    rig.mmap(0, 0, 4).unwrap();
    assert_eq!(remap(&rig, 0, 1, &k, 1, ALL), Err(SetupError));
    rig.end(&[k]);
}
