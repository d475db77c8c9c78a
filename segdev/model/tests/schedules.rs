//! Invariants of every schedule: no deadlock, no lock out of order, no translation that should be gone, nothing left.

use std::sync::Arc;

use segdev::sim::SimUmem;
use segdev::sim::script::Behaviour;
use segdev::space::AddressSpace;
use segdev::{Errno, FaultCode, FaultType, Prot, Rw, SetupFlags, UmemKind, UmemSetup};
use segdev_model::{Scene, check, device, exclusive, umem_device};
use shuttle::thread;

const PAGE: u64 = 0x1000;

/// The fault was served, or told the process to try again because the driver was interrupted by an unload or unmap.
fn served(rc: FaultCode) -> bool {
    rc.is_ok()
}

#[test]
fn two_faults_on_one_handle() {
    check("two faults on one handle", || {
        let scene = Scene::new(device(4, 1, Behaviour::Default));
        let (space, addr) = scene.process(1, 4);
        let other = {
            let (scene, space) = (scene.clone(), space.clone());
            thread::spawn(move || assert!(served(scene.touch(&space, addr))))
        };
        assert!(served(scene.touch(&space, addr + PAGE)));
        other.join().unwrap();
        assert_eq!(scene.ptes(1).len(), 2);
        scene.end(&[&space]);
    });
}

#[test]
fn fault_against_unload() {
    check("fault against unload", || {
        let scene = Scene::new(device(2, 1, Behaviour::Default));
        let (space, addr) = scene.process(1, 2);
        let unloader = {
            let scene = scene.clone();
            thread::spawn(move || {
                for handle in scene.handles() {
                    assert!(scene.fw.unload(&handle, 0, 0).is_ok());
                }
            })
        };
        assert!(served(scene.touch(&space, addr)));
        unloader.join().unwrap();
        assert!(scene.ptes(1).len() <= 1);
        // After the unload the next access calls the driver again, and is served.
        assert!(served(scene.touch(&space, addr + PAGE)));
        assert!(scene.ptes(1).iter().any(|(va, _)| *va == addr + PAGE));
        scene.end(&[&space]);
    });
}

#[test]
fn fault_against_remap() {
    check("fault against remap", || {
        let old = SimUmem::new(0, UmemKind::Locked, 2 * PAGE, 1);
        let new = SimUmem::new(1, UmemKind::Locked, 2 * PAGE, 1);
        let scene = Scene::new(umem_device(&old, 2, Behaviour::Default));
        let (space, addr) = scene.process(1, 2);
        let remapper = {
            let (scene, new) = (scene.clone(), new.clone());
            thread::spawn(move || {
                let new = &new;
                let args = || UmemSetup {
                    umem: Some(new.clone()),
                    off: 0,
                    len: 2 * PAGE,
                    maxprot: Prot::READ | Prot::WRITE,
                    flags: SetupFlags::empty(),
                    attr: 0,
                    callbacks: None,
                };
                for handle in scene.handles() {
                    assert!(scene.fw.umem_remap(&handle, args()).is_ok());
                }
                // From here on the old memory can be seen by no one.
                assert!(scene.ptes(1).iter().all(|(_, pfn)| *pfn >= 0x21_0000));
            })
        };
        assert!(served(scene.touch(&space, addr)));
        assert!(served(scene.touch(&space, addr + PAGE)));
        remapper.join().unwrap();
        assert!(scene.ptes(1).iter().all(|(_, pfn)| *pfn >= 0x21_0000), "the old memory is still mapped");
        scene.end(&[&space]);
        assert!(new.check_free().is_ok(), "a reference to the new memory is left");
    });
}

#[test]
fn fault_against_munmap() {
    check("fault against munmap", || {
        let scene = Scene::new(device(4, 1, Behaviour::Default));
        let (space, addr) = scene.process(1, 4);
        let unmapper = {
            let (scene, space) = (scene.clone(), space.clone());
            thread::spawn(move || {
                space.munmap(&scene.fw, addr + PAGE, 2 * PAGE).unwrap();
                assert!(scene.ptes(1).iter().all(|(va, _)| *va == addr || *va == addr + 3 * PAGE));
            })
        };
        let rc = scene.touch(&space, addr + PAGE);
        assert!(rc.is_ok() || rc == FaultCode::NOMAP, "{rc:?}");
        assert!(served(scene.touch(&space, addr + 3 * PAGE)));
        unmapper.join().unwrap();
        assert!(scene.ptes(1).iter().all(|(va, _)| *va == addr || *va == addr + 3 * PAGE));
        scene.end(&[&space]);
    });
}

#[test]
fn softlock_against_faults_on_several_handles() {
    check("softlock against faults on several handles", || {
        let scene = Scene::new(device(1, 3, Behaviour::Default));
        let (one, at) = scene.process(1, 3);
        let (two, there) = scene.process(2, 3);
        let faults = {
            let (scene, two) = (scene.clone(), two.clone());
            thread::spawn(move || {
                for page in 0..3 {
                    assert!(served(scene.touch(&two, there + page * PAGE)));
                }
            })
        };
        let lock = |ty| one.fault(&scene.fw, at, 3 * PAGE, ty, Rw::Write);
        assert!(lock(FaultType::Softlock).is_ok());
        // The holder's own faults never wait for its lock.
        assert!(served(scene.touch(&one, at + PAGE)));
        assert!(one.munmap(&scene.fw, at, PAGE).is_err(), "softlocked pages cannot be unmapped");
        assert!(lock(FaultType::Softunlock).is_ok());
        faults.join().unwrap();
        scene.end(&[&one, &two]);
    });
}

#[test]
fn holders_touch_each_others_pages() {
    check("holders touch each other's pages", || {
        let scene = Scene::new(device(2, 1, Behaviour::Default));
        let (one, at) = scene.process(1, 2);
        let (two, there) = scene.process(2, 2);
        let hold = |scene: &Scene, space: &AddressSpace<_>, mine: u64, theirs: u64| {
            assert!(space.fault(&scene.fw, mine, PAGE, FaultType::Softlock, Rw::Read).is_ok());
            // Neither may wait for the other.
            assert!(served(scene.touch(space, theirs)));
            assert!(space.fault(&scene.fw, mine, PAGE, FaultType::Softunlock, Rw::Read).is_ok());
        };
        let other = {
            let (scene, two) = (scene.clone(), two.clone());
            thread::spawn(move || hold(&scene, &two, there + PAGE, there))
        };
        hold(&scene, &one, at, at + PAGE);
        other.join().unwrap();
        scene.end(&[&one, &two]);
    });
}

#[test]
fn two_softlocks_from_both_ends() {
    check("two softlocks over the same handles", || {
        let scene = Scene::new(device(1, 2, Behaviour::Default));
        let (one, at) = scene.process(1, 2);
        let (two, there) = scene.process(2, 2);
        let lock = |scene: &Scene, space: &AddressSpace<_>, at: u64| {
            let go = |ty| space.fault(&scene.fw, at, 2 * PAGE, ty, Rw::Read);
            let rc = go(FaultType::Softlock);
            if rc.is_ok() {
                assert!(go(FaultType::Softunlock).is_ok());
            }
        };
        let other = {
            let (scene, two) = (scene.clone(), two.clone());
            thread::spawn(move || lock(&scene, &two, there))
        };
        lock(&scene, &one, at);
        other.join().unwrap();
        scene.end(&[&one, &two]);
    });
}

fn fight(processes: u32, ticks: i64) {
    let scene = Scene::new(device(1, 1, exclusive(ticks)));
    let mapped: Vec<_> = (1..=processes).map(|id| scene.process(id, 1)).collect();
    let clock = scene.clock();
    let threads: Vec<_> = mapped
        .iter()
        .map(|(space, addr)| {
            let (scene, space, addr) = (scene.clone(), space.clone(), *addr);
            thread::spawn(move || {
                for _ in 0..2 {
                    assert!(served(scene.touch(&space, addr)));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    scene.finish();
    clock.join().unwrap();
    let spaces: Vec<_> = mapped.iter().map(|(space, _)| &**space).collect();
    scene.end(&spaces);
}

#[test]
fn two_processes_fight_for_a_context() {
    check("two processes, one context", || fight(2, 0));
}

#[test]
fn two_processes_fight_for_a_context_with_hysteresis() {
    check("two processes, one context, hysteresis", || fight(2, 5));
}

#[test]
fn three_processes_fight_for_a_context() {
    check("three processes, one context", || fight(3, 0));
}

#[test]
fn three_processes_fight_for_a_context_with_hysteresis() {
    check("three processes, one context, hysteresis", || fight(3, 5));
}

#[test]
fn exit_while_others_wait() {
    check("exit while others wait", || {
        let scene = Scene::new(device(1, 1, exclusive(5)));
        let mapped: Vec<_> = (1..=3).map(|id| scene.process(id, 1)).collect();
        let clock = scene.clock();
        assert!(served(scene.touch(&mapped[0].0, mapped[0].1)));
        let waiters: Vec<_> = mapped[1..]
            .iter()
            .map(|(space, addr)| {
                let (scene, space, addr) = (scene.clone(), space.clone(), *addr);
                thread::spawn(move || {
                    let rc = scene.touch(&space, addr);
                    assert!(rc.is_ok(), "{rc:?}");
                })
            })
            .collect();
        // The owner goes while the others wait for it.
        mapped[0].0.exit(&scene.fw).unwrap();
        waiters.into_iter().for_each(|t| t.join().unwrap());
        scene.finish();
        clock.join().unwrap();
        scene.end(&[&mapped[1].0, &mapped[2].0]);
    });
}

#[test]
fn munmap_of_the_waiter_while_it_waits() {
    check("the waiter's mapping goes while it waits", || {
        let scene = Scene::new(device(1, 1, exclusive(5)));
        let (one, at) = scene.process(1, 1);
        let (two, there) = scene.process(2, 1);
        let clock = scene.clock();
        assert!(served(scene.touch(&one, at)));
        let waiter = {
            let (scene, two) = (scene.clone(), two.clone());
            thread::spawn(move || {
                let rc = scene.touch(&two, there);
                assert!(rc.is_ok() || rc == FaultCode::NOMAP, "{rc:?}");
            })
        };
        // Not held up by the wait: the space is not locked meanwhile.
        two.munmap(&scene.fw, there, PAGE).unwrap();
        waiter.join().unwrap();
        assert!(scene.ptes(2).is_empty());
        scene.finish();
        clock.join().unwrap();
        scene.end(&[&one, &two]);
    });
}

#[test]
fn timer_fires_as_its_context_goes() {
    check("the timer fires as its context goes", || {
        let scene = Scene::new(device(1, 1, exclusive(5)));
        let (space, addr) = scene.process(1, 1);
        assert!(served(scene.touch(&space, addr)));
        let clock = scene.clock();
        space.munmap(&scene.fw, addr, PAGE).unwrap();
        scene.finish();
        clock.join().unwrap();
        scene.end(&[&space]);
    });
}

#[test]
fn dup_against_unload() {
    check("dup against unload", || {
        let scene = Scene::new(device(2, 1, Behaviour::Default));
        let (parent, addr) = scene.process(1, 2);
        assert!(served(scene.touch(&parent, addr)));
        let unloader = {
            let scene = scene.clone();
            thread::spawn(move || {
                for handle in scene.handles() {
                    assert!(scene.fw.unload(&handle, 0, 0).is_ok());
                }
            })
        };
        let child = Arc::new(AddressSpace::new(2));
        parent.fork(&scene.fw, &child).unwrap();
        assert!(scene.ptes(2).is_empty(), "the child starts with no translations");
        assert!(served(scene.touch(&child, addr)));
        unloader.join().unwrap();
        scene.end(&[&parent, &child]);
    });
}

#[test]
fn mmap_against_exit() {
    check("mmap against exit", || {
        let scene = Scene::new(device(1, 1, Behaviour::Default));
        let (space, _) = scene.process(1, 1);
        let leaver = {
            let (scene, space) = (scene.clone(), space.clone());
            thread::spawn(move || space.exit(&scene.fw).unwrap())
        };
        let again = scene.try_map(&space, 1);
        leaver.join().unwrap();
        // Mapped before the exit and gone with it, or refused: never left over.
        if let Err(refusal) = again {
            assert_eq!(refusal, Errno::ENOMEM);
        }
        scene.end(&[&space]);
    });
}
