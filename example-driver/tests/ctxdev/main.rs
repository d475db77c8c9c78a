//! ctxdev without a host: its rules, against devmap-mock.
#![allow(missing_docs, non_upper_case_globals)]
#![allow(clippy::too_many_arguments, reason = "the DDI's functions have as many as they have")]

use ctxdev::*;
use ddi_sys as sys;
use devmap_mock as mock;
use mock::{Booted, Config, Object, ioctl, ioctl_with, load, loaded, store};

const RW: u32 = sys::PROT_READ | sys::PROT_WRITE;
const REGS: i64 = user::REGS as i64;
const RING: i64 = user::RING as i64;
const SCRATCH: i64 = user::SCRATCH as i64;
const FB: i64 = user::FB as i64;
const FB_LEN: i64 = user::FB_LEN as i64;
const END: i64 = FB + FB_LEN;

fn report(dev: u64) -> user::Stats {
    let mut stats = user::Stats::default();
    assert_eq!(ioctl_with(dev, user::CTXDEV_STATS, &mut stats), 0);
    assert_eq!(stats.version, user::Stats::VERSION);
    stats
}

/// A PCI device as QEMU's ivshmem is one: configuration space, base address registers 0 and 2.
fn pci(memory: usize) -> Config {
    let mut reg = vec![0; 15];
    (reg[5], reg[9]) = (0x0200_3010, 0x100);
    (reg[10], reg[14]) = (0x4300_3018, memory as i32);
    Config {
        registers: vec![0, 0x100, memory],
        properties: vec![("vendor-id", 0x1af4), ("class-code", 0x05_0000)],
        ints: vec![("reg", reg)],
        ..Config::default()
    }
}

/// A node with register sets, one without, and a PCI device.
fn each(properties: &[(&'static str, i32)], test: impl Fn(&mut Booted, u64)) {
    let sets = Config { registers: vec![0x1000, FB_LEN as usize], ..Config::default() };
    for mut config in [sets, Config::default(), pci(0x1000 + FB_LEN as usize)] {
        let mut booted = mock::boot(&MODULE);
        config.properties.extend(properties);
        let dev = booted.attach(config).expect("attach");
        test(&mut booted, dev);
    }
}

fn map(dev: u64, off: i64, len: i64, flags: u32) -> usize {
    let handles = mock::mmap(dev, off, len, RW, flags).expect("mmap");
    assert_eq!(handles.len(), 1);
    handles[0]
}

fn private(dev: u64) -> usize {
    map(dev, FB, FB_LEN, sys::MAP_PRIVATE)
}

fn shared(dev: u64) -> usize {
    map(dev, FB, FB_LEN, sys::MAP_SHARED)
}

#[test]
fn regions_come_from_the_right_memory() {
    each(&[], |_, dev| {
        let handles = mock::mmap(dev, 0, END, RW, sys::MAP_SHARED).unwrap();
        let kernel = mock::kernel();
        let lens: Vec<i64> = handles.iter().map(|handle| kernel.handles[handle].len as i64).collect();
        assert_eq!(lens, [RING, SCRATCH - RING, FB - SCRATCH, FB_LEN]);
        let mut sets: Vec<u32> = kernel.register_sets.keys().map(|(_, set)| *set).collect();
        sets.sort_unstable();
        let of = |at: usize| kernel.handles[&handles[at]].object;
        match sets[..] {
            [0, 1] => assert_eq!((of(0), of(3)), (Object::Registers(0), Object::Registers(1))),
            [2] => {
                assert_eq!((of(0), of(3)), (Object::Registers(2), Object::Registers(2)));
                let start = |at: usize| kernel.handles[&handles[at]].start;
                assert_eq!((start(0), start(3)), (0, 0x1000));
            }
            ref other => assert!(other.is_empty() && matches!(of(0), Object::Umem(_))),
        }
        assert!(matches!((of(1), of(2)), (Object::Umem(_), Object::Umem(_))));
    });
}

#[test]
fn names_say_which_device_it_is() {
    let name = |config| {
        let mut booted = mock::boot(&MODULE);
        let dev = booted.attach(config).expect("attach");
        booted.minors(dev)[0].0.clone()
    };
    assert_eq!(name(Config::default()), "ctxdev0");
    assert_eq!(name(Config { properties: vec![("unit", 7)], ..Config::default() }), "ctxdev7");
    assert_eq!(name(pci(0x10_0000)), "ctxdevpci0");
}

#[test]
fn a_pci_device_without_enough_memory_is_none() {
    let mut booted = mock::boot(&MODULE);
    assert!(booted.attach(pci(0x1000)).is_none());
    let no_memory = Config { ints: vec![("reg", vec![0; 5])], registers: vec![0], ..pci(0) };
    assert!(booted.attach(no_memory).is_none());
}

#[test]
fn the_geometry_is_told() {
    each(&[], |_, dev| {
        let places = [(REGS, 0x1000), (RING, 0x4000), (SCRATCH, 0xb000), (FB, FB_LEN)];
        for (index, (off, len)) in places.into_iter().enumerate() {
            let mut region = user::Region { index: index as u32, pad: 7, off: 1, len: 1 };
            assert_eq!(ioctl_with(dev, user::CTXDEV_REGION, &mut region), 0);
            assert_eq!((region.pad, region.off as i64, region.len as i64), (0, off, len));
        }
        assert_eq!(
            ioctl_with(dev, user::CTXDEV_REGION, &mut user::Region { index: 4, ..Default::default() }),
            sys::EINVAL
        );
        assert_eq!(ioctl(dev, user::CTXDEV_REGION, 8).0, sys::EFAULT);
        assert_eq!(ioctl(dev, 0x63ff, 0).0, sys::ENOTTY);
    });
}

#[test]
fn private_mappings_have_contexts_of_their_own_shared_ones_share() {
    each(&[], |_, dev| {
        let (a, b, c, d) = (private(dev), private(dev), shared(dev), shared(dev));
        for (value, handle) in [(1, a), (2, b), (3, c)] {
            assert_eq!(load(handle, FB), Ok(0), "contexts start with zeros");
            store(handle, FB, value).unwrap();
        }
        assert_eq!((load(a, FB), load(b, FB), load(c, FB), load(d, FB)), (Ok(1), Ok(2), Ok(3), Ok(3)));
        let now = report(dev);
        assert_eq!((now.mappings, now.contexts, now.owner), (4, 3, 1));
        assert_eq!(now.switches, 6, "three to write, three to read, none between the two shared ones");
        assert_eq!((loaded(a), loaded(b)), (0, 0), "only the owner has translations");
        mock::unmap(c);
        mock::unmap(d);
        assert_eq!(report(dev).contexts, 2);
        assert_eq!(load(shared(dev), FB), Ok(3), "what the shared context holds stays");
    });
}

#[test]
fn the_owner_is_not_switched() {
    each(&[], |_, dev| {
        let a = private(dev);
        for page in 0..16 {
            store(a, FB + page * 4096, page as u64).unwrap();
        }
        let before = report(dev);
        assert_eq!((before.switches, before.faults), (1, 16));
        for page in 0..16 {
            assert_eq!(load(a, FB + page * 4096), Ok(page as u64));
        }
        assert_eq!(report(dev), before, "pages that are loaded do not fault");
    });
}

#[test]
fn scratch_is_one_memory_and_never_switched() {
    each(&[], |_, dev| {
        let a = map(dev, SCRATCH, 0xb000, sys::MAP_PRIVATE);
        let b = map(dev, SCRATCH, 0xb000, sys::MAP_SHARED);
        store(a, SCRATCH, 5).unwrap();
        assert_eq!(load(b, SCRATCH), Ok(5));
        assert_eq!(mock::write(dev, b"\x09\0\0\0\0\0\0\0"), Ok(8));
        assert_eq!(load(a, SCRATCH), Ok(9), "write(2) goes to the start of it");
        let now = report(dev);
        assert_eq!((now.switches, now.contexts, loaded(a)), (0, 0, 1));
    });
}

#[test]
fn one_mmap_is_one_context_over_all_regions() {
    each(&[], |_, dev| {
        let parts = mock::mmap(dev, 0, END, RW, sys::MAP_PRIVATE).unwrap();
        let other = private(dev);
        store(parts[0], REGS, 1).unwrap();
        store(parts[1], RING, 2).unwrap();
        store(parts[3], FB, 3).unwrap();
        store(other, FB, 9).unwrap();
        assert_eq!(report(dev).contexts, 2);
        assert_eq!((load(parts[0], REGS), load(parts[1], RING), load(parts[3], FB)), (Ok(1), Ok(2), Ok(3)));
        assert_eq!(report(dev).switches, 3);
        // fork copies part after part, into one context of the child's.
        let child = mock::fork(&parts).unwrap();
        assert_eq!(report(dev).contexts, 3);
        store(parts[0], REGS, 11).unwrap();
        assert_eq!((load(child[0], REGS), load(child[3], FB)), (Ok(1), Ok(3)));
        let second = mock::fork(&parts).unwrap();
        assert_eq!(report(dev).contexts, 4, "a second fork makes another");
        assert_eq!((load(second[0], REGS), load(child[0], REGS)), (Ok(11), Ok(1)));
        let grandchild = mock::fork(&child).unwrap();
        assert_eq!((load(grandchild[0], REGS), report(dev).contexts), (Ok(1), 5));
    });
}

#[test]
fn fork_diverges_and_shared_does_not() {
    each(&[], |_, dev| {
        let (p, s) = (private(dev), shared(dev));
        store(p, FB, 1).unwrap();
        store(s, FB, 2).unwrap();
        let child = mock::fork(&[p, s]).unwrap();
        store(child[0], FB, 10).unwrap();
        store(child[1], FB, 20).unwrap();
        assert_eq!((load(p, FB), load(s, FB)), (Ok(1), Ok(20)));
        let now = report(dev);
        assert_eq!((now.dups, now.contexts, now.mappings), (2, 3, 4));
    });
}

#[test]
fn a_limit_of_private_contexts() {
    each(&[("max-contexts", 2)], |_, dev| {
        let (a, _b) = (private(dev), private(dev));
        assert_eq!(mock::mmap(dev, FB, FB_LEN, RW, sys::MAP_PRIVATE), Err(sys::ENXIO));
        let s = shared(dev);
        assert_eq!(mock::fork(&[s, a]), Err(sys::EAGAIN));
        let now = report(dev);
        assert_eq!((now.mappings, now.contexts), (3, 3), "a refused fork leaves nothing");
        assert_eq!(ioctl(dev, user::CTXDEV_SET_MAX_CONTEXTS, 3).0, 0);
        assert_eq!(mock::fork(&[s, a]).map(|made| made.len()), Ok(2));
        assert_eq!(ioctl(dev, user::CTXDEV_SET_MAX_CONTEXTS, -1).0, sys::EINVAL);
        mock::unmap(a);
        private(dev);
    });
}

#[test]
fn every_shape_of_unmap_keeps_the_context() {
    each(&[], |_, dev| {
        let a = private(dev);
        for page in 0..16 {
            store(a, FB + page * 4096, 100 + page as u64).unwrap();
        }
        mock::cut(a, 0, 4096);
        mock::cut(a, 14 * 4096, 4096);
        let b = mock::cut(a, 7 * 4096, 2 * 4096).unwrap();
        let other = private(dev);
        store(other, FB, 1).unwrap();
        assert_eq!((loaded(a), loaded(b)), (0, 0), "both pieces lost the engine");
        for (handle, pages) in [(a, 1..8), (b, 10..15)] {
            for page in pages {
                assert_eq!(load(handle, FB + page * 4096), Ok(100 + page as u64));
            }
        }
        let now = report(dev);
        assert_eq!((now.unmaps, now.mappings, now.contexts), (3, 3, 2));
        mock::unmap(a);
        mock::unmap(b);
        assert_eq!((report(dev).contexts, report(dev).owner), (1, 0));
    });
}

#[test]
fn a_lost_device_refuses_and_comes_back() {
    each(&[], |_, dev| {
        let (a, scratch) = (private(dev), map(dev, SCRATCH, 0x1000, sys::MAP_SHARED));
        store(a, FB, 4).unwrap();
        store(scratch, SCRATCH, 5).unwrap();
        assert_eq!(ioctl(dev, user::CTXDEV_LOSE, 1).0, 0);
        assert_eq!((load(a, FB), load(scratch, SCRATCH)), (Err(sys::EIO), Err(sys::EIO)));
        assert_eq!(load(private(dev), FB), Err(sys::EIO));
        assert_eq!(ioctl(dev, user::CTXDEV_LOSE, 0).0, 0);
        assert_eq!((load(a, FB), load(scratch, SCRATCH)), (Ok(4), Ok(5)));
    });
}

#[test]
fn revoke_makes_everybody_fault() {
    each(&[], |_, dev| {
        let (a, scratch) = (private(dev), map(dev, SCRATCH, 0x1000, sys::MAP_SHARED));
        store(a, FB, 4).unwrap();
        store(scratch, SCRATCH, 5).unwrap();
        assert_eq!(ioctl(dev, user::CTXDEV_REVOKE, 0).0, 0);
        assert_eq!((loaded(a), loaded(scratch), report(dev).revokes), (0, 0, 1));
        assert_eq!(load(a, FB), Ok(4));
    });
}

#[test]
fn hysteresis_delays_others_and_not_the_owner() {
    each(&[("hysteresis-ms", 20)], |_, dev| {
        let (a, b) = (private(dev), private(dev));
        store(a, FB, 1).unwrap();
        store(a, FB + 4096, 1).unwrap();
        assert_eq!(mock::kernel().context_waits, 0, "the owner loads without waiting");
        store(b, FB, 1).unwrap();
        assert_eq!(mock::kernel().context_waits, 1);
        assert_eq!(ioctl(dev, user::CTXDEV_SET_HYSTERESIS, 0).0, 0);
        store(a, FB, 1).unwrap();
        assert_eq!(mock::kernel().context_waits, 1);
        assert_eq!(ioctl(dev, user::CTXDEV_SET_HYSTERESIS, -5).0, sys::EINVAL);
    });
}

#[test]
fn what_is_not_there_cannot_be_mapped() {
    each(&[], |_, dev| {
        for (off, len) in [(END, 4096), (END - 4096, 8192), (0, END + 4096), (1 << 40, 4096)] {
            for flags in [sys::MAP_SHARED, sys::MAP_PRIVATE] {
                assert_eq!(mock::mmap(dev, off, len, RW, flags), Err(sys::ENXIO), "{off:#x} {len:#x}");
            }
        }
        let now = report(dev);
        assert_eq!((now.maps, now.mappings, now.contexts), (0, 0, 0));
    });
}

#[test]
fn one_region_forbids_several_handles() {
    each(&[("one-region", 1)], |_, dev| {
        assert_eq!(mock::mmap(dev, 0, END, RW, sys::MAP_SHARED), Err(sys::ENXIO));
        assert_eq!(mock::mmap(dev, SCRATCH + 0xa000, 0x2000, RW, sys::MAP_SHARED), Err(sys::ENXIO));
        for (off, len) in [(REGS, RING), (RING, SCRATCH - RING), (SCRATCH, FB - SCRATCH), (FB, FB_LEN)] {
            map(dev, off, len, sys::MAP_SHARED);
        }
    });
}

#[test]
fn bad_configurations_do_not_attach() {
    type Properties = &'static [(&'static str, i32)];
    let cases: [(Vec<usize>, Properties); 7] = [
        (vec![0x1000], &[]),
        (vec![0x800, 0x10000], &[]),
        (vec![0x1000, 0x10800], &[]),
        (vec![], &[("fb-size", 0)]),
        (vec![], &[("fb-size", -4096)]),
        (vec![], &[("hysteresis-ms", -1)]),
        (vec![], &[("max-contexts", -1)]),
    ];
    for (registers, properties) in cases {
        let mut booted = mock::boot(&MODULE);
        let config = Config { registers, properties: properties.to_vec(), ..Config::default() };
        assert_eq!(booted.attach(config), None, "{properties:?}");
        assert!(!mock::kernel().log.is_empty(), "it says why");
    }
}

#[test]
fn the_frame_buffer_is_as_big_as_the_property_says() {
    let mut booted = mock::boot(&MODULE);
    let config = Config { properties: vec![("fb-size", 0x30_0000)], ..Config::default() };
    let dev = booted.attach(config).unwrap();
    let handle = map(dev, FB, 0x30_0000, sys::MAP_PRIVATE);
    store(handle, FB + 0x2f_f000, 7).unwrap();
    store(private(dev), FB, 1).unwrap();
    assert_eq!(load(handle, FB + 0x2f_f000), Ok(7));
}

#[test]
fn read_and_kstat_agree_with_the_ioctl() {
    each(&[], |_, dev| {
        assert_eq!(mock::open(dev, sys::FREAD), 0);
        store(private(dev), FB, 1).unwrap();
        let report = report(dev);
        let text = String::from_utf8(mock::read(dev, 1000, 0).unwrap()).unwrap();
        let kstat = mock::kstats::kstat("ctxdev:0:ctxdev");
        assert!(text.ends_with('\n'));
        for ((name, value), told) in kstat.iter().zip(report.named()) {
            assert_eq!((name.as_str(), *value), told);
            assert!(text.contains(&format!("{name} {value} ")), "{name} in {text}");
        }
        assert_eq!((kstat.len(), report.opens, report.owner), (10, 1, 2));
        assert_eq!(mock::read(dev, 1000, text.len() as i64), Ok(vec![]));
    });
}

#[test]
fn many_threads_never_see_each_others_values() {
    each(&[], |_, dev| {
        let handles: Vec<usize> = (0..4).map(|_| private(dev)).collect();
        // The mock's accesses are not one step, so each thread asks the driver for the engine and looks at its own
        // pages only when it has them.
        std::thread::scope(|scope| {
            for handle in &handles {
                scope.spawn(move || {
                    for page in 0..100 {
                        mock::touch(*handle, FB + page % 16 * 4096, sys::DEVMAP_WRITE).unwrap();
                    }
                });
            }
        });
        let with: Vec<usize> = handles.iter().copied().filter(|handle| loaded(*handle) > 0).collect();
        assert!(with.len() <= 1, "one context has translations");
    });
}

/// Other threads of the process come between mmap(2)'s two halves (docs/shield.md, 30 and 31).
#[test]
fn a_mapping_is_used_and_unmapped_before_its_map_callback() {
    each(&[], |_, dev| {
        let other = private(dev);
        store(other, FB, 7).unwrap();
        mock::between(|handle| {
            let thread = std::thread::spawn(move || {
                assert_eq!(load(handle, FB), Ok(0), "the engine is switched");
                store(handle, FB, 8).unwrap();
            });
            thread.join().unwrap();
        });
        let used = private(dev);
        assert_eq!((load(other, FB), load(used, FB)), (Ok(7), Ok(8)));
        mock::between(|handle| std::thread::spawn(move || mock::unmap(handle)).join().unwrap());
        mock::mmap(dev, FB, FB_LEN - 1, RW, sys::MAP_PRIVATE).unwrap();
        mock::nothing_between();
        let stats = report(dev);
        assert_eq!((stats.maps, stats.unmaps, stats.mappings, stats.contexts), (3, 1, 2, 2));
    });
}
