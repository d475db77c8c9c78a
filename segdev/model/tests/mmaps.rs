//! A mapping that is made while others do something to the same place: whatever the schedule, they come wholly before it or wholly
//! after it. No callback comes before the map callback of its handle, each handle that was mapped is unmapped once, nothing is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use segdev::sim::script::{Behaviour, Event};
use segdev::space::AddressSpace;
use segdev::{Errno, FaultCode};
use segdev_model::{Checked, Model, Scene, check, device};
use shuttle::thread;

const PAGE: u64 = 0x1000;
const AT: u64 = 0x2000_0000;

/// Two handles of a page, and a driver that insists on its private data.
fn scene() -> Arc<Scene> {
    let access = |fw: &segdev::Framework<Checked>, handle: &Arc<_>, pvt: usize, range| {
        assert_ne!(pvt, 0, "an access before the map callback");
        fw.default_access(handle, pvt, range).0
    };
    Scene::new(device(1, 2, Behaviour::<Model>::Custom(Box::new(access))))
}

/// Each handle that was mapped or duplicated is unmapped once, and nothing comes before or behind.
fn in_order(scene: &Scene) {
    let mut live = BTreeSet::new();
    for event in scene.fw.platform().take_events() {
        match event {
            Event::Map { h, ret: 0, .. } => assert!(live.insert(h), "H{h} is mapped twice"),
            Event::Dup { h, new, ret: 0, .. } => {
                assert!(live.contains(&h), "H{h} is duplicated and was not mapped");
                assert!(live.insert(new));
            }
            Event::Access { h, .. } => assert!(live.contains(&h), "an access to H{h}, which is not mapped"),
            Event::Unmap { h, new1: None, new2: None, .. } => {
                assert!(live.remove(&h), "H{h} is unmapped and was not mapped");
            }
            _ => {}
        }
    }
    assert!(live.is_empty(), "never unmapped: {live:?}");
}

/// Maps both pages at the same place twice while `other` runs, then ends the processes.
fn against(
    name: &str,
    other: impl Fn(&Scene, &AddressSpace<Checked>, &AddressSpace<Checked>) + Copy + Send + Sync + 'static,
) {
    check(name, move || {
        let scene = scene();
        let space = Arc::new(AddressSpace::new(1));
        let child = Arc::new(AddressSpace::new(2));
        let thread = {
            let (scene, space, child) = (scene.clone(), space.clone(), child.clone());
            thread::spawn(move || other(&scene, &space, &child))
        };
        for _ in 0..2 {
            match scene.map_at(&space, 2, Some(AT)) {
                Ok(addr) => assert_eq!(addr, AT),
                Err(refusal) => assert_eq!(refusal, Errno::ENOMEM, "only exit keeps it from being mapped"),
            }
        }
        thread.join().unwrap();
        scene.end(&[&space, &child]);
        in_order(&scene);
    });
}

#[test]
fn against_munmap() {
    against("mmap against munmap", |scene, space, _| {
        for _ in 0..2 {
            space.munmap(&scene.fw, AT, 2 * PAGE).unwrap();
        }
    });
}

#[test]
fn against_munmap_of_a_part() {
    against("mmap against munmap of a part", |scene, space, _| {
        for page in [0, 1] {
            space.munmap(&scene.fw, AT + page * PAGE, PAGE).unwrap();
        }
    });
}

#[test]
fn against_access() {
    against("mmap against access", |scene, space, _| {
        for page in [0, 1] {
            let rc = scene.touch(space, AT + page * PAGE);
            assert!(rc.is_ok() || rc == FaultCode::NOMAP, "{rc:?}");
        }
    });
}

#[test]
fn against_fork() {
    against("mmap against fork", |scene, space, child| {
        space.fork(&scene.fw, child).unwrap();
        let pages = child.segments(&scene.fw).iter().map(|s| s.len / PAGE).sum::<u64>();
        assert!(pages == 0 || pages == 2, "the child has part of a mapping");
        for page in 0..pages {
            assert!(scene.touch(child, AT + page * PAGE).is_ok());
        }
    });
}

#[test]
fn against_exit() {
    against("mmap against exit of the process", |scene, space, _| space.exit(&scene.fw).unwrap());
}

#[test]
fn against_revoke() {
    // The driver drops every translation that it knows of, also of handles that are only being made.
    against("mmap against revoke", |scene, space, _| {
        let _ = scene.touch(space, AT);
        for handle in scene.handles() {
            let rc = scene.fw.unload(&handle, handle.info().off, 0);
            assert!(rc.is_ok() || rc == FaultCode::EINVAL, "{rc:?}");
        }
    });
}

#[test]
fn against_mmap() {
    against("mmap against mmap", |scene, space, _| assert_eq!(scene.map_at(space, 2, Some(AT)), Ok(AT)));
}

#[test]
fn against_mmap_of_a_part() {
    against("mmap against mmap of a part", |scene, space, _| {
        assert_eq!(scene.map_at(space, 1, Some(AT + PAGE)), Ok(AT + PAGE));
        space.munmap(&scene.fw, AT, PAGE).unwrap();
    });
}
