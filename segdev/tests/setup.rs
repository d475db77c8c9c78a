//! What a setup call takes, and the address that a mapping gets. After each test nothing is left.

mod common;

use common::*;
use segdev::sim::script::Behaviour;
use segdev::sim::script::RegionKind;
use segdev::{Errno, FaultCode, Prot, SetupError, SetupFlags};

#[test]
fn cache_attributes_that_no_platform_has() {
    // IOMEM_DATA_CACHED, IOMEM_DATA_UC_WR_COMBINE, IOMEM_DATA_UNCACHED, or none of them.
    let known = [0, 0x1_0000, 0x2_0000, 0x4_0000];
    let k = memory(0, 4);
    for bits in (0..=0xf_0000).step_by(0x1_0000) {
        // Bits that belong to no attribute do not matter, and device memory has no attributes in its flags.
        for (other, devmem_only) in [(0, false), (0x10_5008, false), (0, true)] {
            let flags = SetupFlags::from_bits_retain(bits | other);
            let region = if devmem_only { devmem(0, 4) } else { umem(0, 4, &k) };
            let rig = Rig::new(vec![region.flags(flags)], Behaviour::Default);
            let taken = devmem_only || known.contains(&bits);
            let expected = if taken { Ok(BASE) } else { Err(Errno::ENXIO) };
            assert_eq!(rig.mmap(0, 0, 4), expected, "{bits:#x}, other flags {other:#x}");
            rig.end(&[]);
        }
    }
    // A remap takes none of them.
    let rig = Rig::new(vec![umem(0, 4, &k).remappable()], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    for bits in (0x1_0000..=0xf_0000).step_by(0x1_0000) {
        let args = segdev::UmemSetup {
            umem: Some(k.clone()),
            off: 0,
            len: 4 * PAGE,
            maxprot: ALL,
            flags: SetupFlags::from_bits_retain(bits),
            attr: 0,
            callbacks: None,
        };
        assert_eq!(rig.fw.umem_remap(&rig.handle(1), args), Err(SetupError), "{bits:#x}");
    }
    rig.end(&[k]);
}

/// The address of a mapping modulo a large page, in pages.
fn address(regions: Vec<segdev::sim::script::Region>) -> u64 {
    let pages = regions.iter().map(|r| r.len / PAGE).sum();
    let rig = Rig::new(regions, Behaviour::Default);
    let addr = rig.mmap(0, 0, pages).expect("it can be mapped");
    rig.end(&[]);
    addr % LARGE / PAGE
}

#[test]
fn the_longest_handle_decides_the_address() {
    const N: u64 = LARGE / PAGE;
    let at = |first, pages, page| region(first, pages, RegionKind::Devmem(0, page * PAGE));
    // Its physical address less its distance from the start: first, second, and the later one of equals.
    assert_eq!(address(vec![at(0, N, 7)]), 7);
    assert_eq!(address(vec![at(0, 4, 100), at(4, N, 7)]), 3);
    assert_eq!(address(vec![at(0, N, 7), at(N, 4, 100)]), 7);
    assert_eq!(address(vec![at(0, N, 7), at(N, N, 9)]), 9);
    // Set up invalid it has no address, wherever it is: congruent to 0.
    assert_eq!(address(vec![at(0, N, 7).invalid()]), 0);
    assert_eq!(address(vec![at(0, 4, 100), at(4, N, 7).invalid()]), 0);
    assert_eq!(address(vec![at(0, N, 7), at(N, N, 9).invalid()]), 0);
    assert_eq!(address(vec![at(0, N, 7).invalid(), at(N, N, 9)]), 9);
    assert_eq!(address(vec![at(0, 4, 7).invalid(), at(4, N, 7)]), 3);
}

#[test]
fn kernel_memory_decides_by_its_kernel_address() {
    const N: u64 = LARGE / PAGE;
    let k = memory(0, 2 * N);
    let at = |first, page| region(first, N, RegionKind::Umem(Some(k.clone()), page * PAGE));
    assert_eq!(address(vec![at(0, 5)]), 5);
    assert_eq!(address(vec![devmem(0, 4), at(4, 5)]), 1);
    assert_eq!(address(vec![devmem(0, 4), at(4, 5).invalid()]), 0);
}

#[test]
fn a_fixed_mapping_replaces_the_head_of_a_longer_one() {
    let rig = Rig::new(vec![devmem(0, 8)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
    assert_eq!(rig.read(0, 6), FaultCode::OK);
    rig.unmaps();
    let req = rig.request(0, 4, Prot::READ);
    assert_eq!(rig.space(0).mmap(&rig.fw, &req, Some(BASE)), Ok(BASE));
    assert_eq!(rig.unmaps(), [(1, 0, 4, None, Some(1))]);
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    assert_eq!(rig.pages(0), [(0, 0x10_0000, 0), (6, 0x10_0006, 0)]);
    let bounds: Vec<_> = rig.space(0).segments(&rig.fw).iter().map(|s| (s.base, s.len, s.off)).collect();
    assert_eq!(bounds, [(BASE, 4 * PAGE, 0), (BASE + 4 * PAGE, 4 * PAGE, 4 * PAGE)]);
    let parts = |page: u64, pages: u64| rig.space(0).parts(&rig.fw, BASE + page * PAGE, pages * PAGE);
    assert_eq!(parts(3, 2), [(BASE + 3 * PAGE, PAGE), (BASE + 4 * PAGE, PAGE)]);
    assert_eq!(parts(1, 2), [(BASE + PAGE, 2 * PAGE)]);
    assert_eq!(parts(6, 9), [(BASE + 6 * PAGE, 2 * PAGE)]);
    assert_eq!((parts(8, 1), parts(2, 0)), (vec![], vec![]));
    rig.end(&[]);
}
