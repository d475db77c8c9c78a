//! The module and its instances: load, attach, open, read, write, ioctl, detach.

use std::sync::atomic::Ordering::SeqCst;

use ddi_sys as sys;
use devmap::{Errno, Order, Registers};

use crate::driver::{LIVE, MODULE, Plan, attaching, boot, cx, events, in_attach, probe, set};
use crate::mapping::{LEN, RW, SHARED, map};
use crate::mock::{self, Config, ioctl, ioctl_with, kernel, mmap};

#[test]
fn attach_makes_a_minor_node_named_after_the_instance() {
    let mut kernel = boot();
    let first = kernel.attach(Config::default()).unwrap();
    let second = kernel.attach(Config::default()).unwrap();
    assert_eq!(kernel.minors(first), [("probe0".to_owned(), 0)]);
    assert_eq!(kernel.minors(second), [("probe1".to_owned(), 1)]);
    assert_eq!(events(), ["attach 0 answer -1", "attach 1 answer -1"]);
    assert!(kernel.detach(first));
    assert!(kernel.minors(first).is_empty());
}

/// pseudo(4D) complains on the console of who asks it for registers; so does every bus that has none.
#[test]
fn a_node_without_registers_is_not_asked_for_them() {
    let mut booted = boot();
    in_attach(|node| {
        assert_eq!(node.register_sets(), 0);
        assert_eq!(node.register_set_len(0).unwrap_err().errno(), Errno::ENXIO);
        assert_eq!(Registers::map(node, 0, Order::Strict).err().unwrap().errno(), Errno::ENXIO);
        assert_eq!(node.bar(2), None);
    });
    booted.attach(Config::default()).unwrap();
    assert_eq!(kernel().log, Vec::<String>::new());
}

#[test]
fn a_failed_attach_leaves_nothing_and_says_why() {
    let mut booted = boot();
    set(Plan { attach: Some(Errno::ENODEV), ..Plan::default() });
    assert_eq!(booted.attach(Config { registers: vec![4096], ..Config::default() }), None);
    assert!(kernel().log.iter().any(|line| line.contains("ENODEV (19)")), "{:?}", kernel().log);
    set(Plan::default());
    kernel().refuse.insert("ddi_create_minor_node", 0);
    assert_eq!(booted.attach(Config::default()), None);
    kernel().refuse.clear();
    kernel().refuse.insert("ddi_umem_alloc", 0);
    assert_eq!(booted.attach(Config::default()), None);
    kernel().refuse.clear();
    kernel().refuse.insert("ddi_regs_map_setup", 0);
    assert_eq!(booted.attach(Config { registers: vec![4096], ..Config::default() }), None);
}

#[test]
fn detach_is_refused_by_the_driver_and_while_mapped() {
    let (mut booted, dev) = probe();
    set(Plan { detach: Some(Errno::EBUSY), ..Plan::default() });
    assert!(!booted.detach(dev));
    set(Plan::default());
    let handle = map(dev, 0, LEN);
    assert!(!booted.detach(dev));
    mock::unmap(handle);
    assert!(booted.detach(dev));
}

#[test]
fn open_read_write_ioctl_close() {
    let (_kernel, dev) = probe();
    events();
    assert_eq!(mock::open(dev, sys::FREAD | sys::FWRITE), 0);
    assert_eq!(mock::read(dev, 5, 0), Ok(b"hello".to_vec()));
    assert_eq!(mock::read(dev, 100, 7), Ok(b"world".to_vec()));
    assert_eq!(mock::read(dev, 100, 12), Ok(vec![]), "the end");
    assert_eq!(mock::write(dev, b"\x01\0\0\0\0\0\0\0"), Ok(8));
    let mut words = [9_u64; 2];
    assert_eq!(ioctl_with(dev, 3, &mut words), 0);
    assert_eq!(words, [0, 1], "the write went to the second word of the memory");
    let mut pair = [1_u32, 2];
    assert_eq!(ioctl(dev, 1, pair.as_mut_ptr() as isize), (0, 7));
    assert_eq!(pair, [2, 1]);
    assert_eq!(ioctl(dev, 1, 16).0, sys::EFAULT);
    assert_eq!(ioctl(dev, 2, -1).0, sys::EINVAL);
    assert_eq!(ioctl(dev, 2, 5), (0, 5));
    assert_eq!(ioctl(dev, 99, 0).0, sys::ENOTTY);
    assert_eq!(mock::close(dev), 0);
    assert_eq!(events(), ["open true true false", "close"]);
}

#[test]
fn no_such_instance() {
    let (_kernel, dev) = probe();
    let missing = dev + 7;
    assert_eq!(mock::open(missing, 0), sys::ENXIO);
    assert_eq!(ioctl(missing, 1, 0).0, sys::ENXIO);
    assert_eq!(mmap(missing, 0, LEN, RW, SHARED), Err(sys::ENXIO));
}

#[test]
fn getinfo_answers_for_every_minor() {
    let (_kernel, dev) = probe();
    let getinfo = mock::dev_ops().devo_getinfo.unwrap();
    let mut answer = std::ptr::null_mut();
    let mut ask = |command| {
        // SAFETY: as getinfo(9E): a device number in place of an address, and where the answer goes.
        let result = unsafe { getinfo(std::ptr::null_mut(), command, dev as *mut _, &mut answer) };
        (result, answer.expose_provenance())
    };
    assert_eq!(ask(sys::DDI_INFO_DEVT2INSTANCE), (sys::DDI_SUCCESS, dev as usize));
    assert_eq!(ask(sys::DDI_INFO_DEVT2DEVINFO).0, sys::DDI_SUCCESS);
    assert_eq!(ask(99).0, sys::DDI_FAILURE);
}

#[test]
fn info_works_before_init() {
    let _kernel = boot();
    // SAFETY: numbers and bytes, for which zero is a value.
    let mut info: sys::modinfo = unsafe { std::mem::zeroed() };
    // SAFETY: as _info(9E).
    assert_eq!(unsafe { (MODULE.info)(&mut info) }, 1);
    assert_eq!(MODULE.name, "probe");
}

#[test]
fn an_mmap_that_fails_after_devmap_drops_what_was_prepared() {
    let (_kernel, dev) = probe();
    kernel().refuse.insert("as_map", 0);
    for _ in 0..3 {
        assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENOMEM));
    }
    kernel().refuse.clear();
    kernel().refuse.insert("devmap_setup", 0);
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENXIO));
    kernel().refuse.clear();
    set(Plan { devmap: Some(Errno::ENOMEM), ..Plan::default() });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENXIO));
    assert_eq!(LIVE.load(SeqCst), 0, "private data of mappings that never were");
}

#[test]
fn what_is_refused_is_logged_with_its_reason() {
    let (mut booted, dev) = probe();
    set(Plan { detach: Some(Errno::EBUSY), suspend: Some("a transfer is under way"), ..Plan::default() });
    assert!(!booted.detach(dev) && !booted.suspend(dev));
    let log = std::mem::take(&mut kernel().log);
    let warn = ddi_sys::CE_WARN;
    let refusals = [
        format!("{warn} probe0: detach: EBUSY (16)"),
        format!("{warn} probe0: suspend: a transfer is under way"),
    ];
    assert_eq!(log, refusals);
    set(Plan::default());
    assert!(booted.suspend(dev) && booted.resume(dev));
    assert_eq!(events().split_off(1), ["suspend", "suspend", "resume"]);
}

#[test]
fn a_device_is_quiesced_without_a_word() {
    let (booted, dev) = probe();
    events();
    assert!(booted.quiesce(dev));
    set(Plan { quiesce: Some(Errno::EIO), ..Plan::default() });
    assert!(!booted.quiesce(dev));
    assert_eq!(events(), ["quiesce", "quiesce"]);
    set(Plan::default());
}

#[test]
fn an_instance_that_is_not_attached_is_asked_for_nothing() {
    let mut booted = boot();
    set(Plan { attach: Some(Errno::EIO), ..Plan::default() });
    assert_eq!(booted.attach(Config::default()), None);
    set(Plan::default());
    assert!(!booted.suspend(0) && !booted.resume(0) && booted.quiesce(0));
}

#[test]
fn components_have_levels_that_the_driver_sets() {
    use devmap::power::{Component, Components};

    static COMPONENTS: std::sync::Mutex<Option<Components>> = std::sync::Mutex::new(None);
    let mut booted = boot();
    attaching(|attach| {
        let one = Component { name: "engine", levels: &[(0, "off"), (2, "half"), (3, "on")] };
        let two = Component { name: "fan", levels: &[(0, "off"), (1, "on")] };
        let components = Components::new(attach, &[one, two]).unwrap();
        let texts = attach.node().properties().texts("pm-components").unwrap();
        let texts: Vec<_> = texts.iter().map(|text| text.to_str().unwrap()).collect();
        assert_eq!(texts, ["NAME=engine", "0=off", "2=half", "3=on", "NAME=fan", "0=off", "1=on"]);
        components.has_changed(0, 3).unwrap();
        assert_eq!(components.has_changed(0, 1).unwrap_err().errno(), Errno::EINVAL);
        let refused = components.raise(attach, 0, 3).unwrap_err();
        assert_eq!(refused.errno(), Errno::EIO, "not in attach");
        let long = Component { name: &"x".repeat(60), levels: &[] };
        assert_eq!(Components::new(attach, &[long]).err().unwrap().errno(), Errno::EINVAL);
        assert_eq!(Components::new(attach, &[]).err().unwrap().errno(), Errno::EINVAL);
        *COMPONENTS.lock().unwrap() = Some(components);
    });
    let dev = booted.attach(Config::default()).expect("attach");
    let components = COMPONENTS.lock().unwrap().take().unwrap();
    events();
    components.raise(&cx(), 1, 1).unwrap();
    assert_eq!(components.raise(&cx(), 0, 2).unwrap_err().errno(), Errno::EIO);
    components.lower(&cx(), 0, 0).unwrap();
    assert_eq!(components.lower(&cx(), 2, 0).unwrap_err().errno(), Errno::EIO);
    assert_eq!(events(), ["power 1 1", "power 0 2", "power 0 0"]);
    let busy = components.busy(1).unwrap();
    assert_eq!(components.busy(2).err().unwrap().errno(), Errno::EINVAL);
    drop(components);
    assert!(!booted.detach(dev), "busy");
    drop(busy);
    assert!(booted.detach(dev));
}

#[test]
fn a_gate_keeps_out_who_comes_while_it_is_closed() {
    use devmap::life::Gate;
    use std::sync::atomic::AtomicBool;

    let _booted = boot();
    let gate = Gate::default();
    let (closed, through) = (AtomicBool::new(false), AtomicBool::new(false));
    let pass = gate.enter(&cx()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            gate.close(&cx());
            closed.store(true, SeqCst);
        });
        while gate.try_enter().is_some() {
            std::thread::yield_now();
        }
        assert!(!closed.load(SeqCst), "somebody is inside");
        drop(pass);
        while !closed.load(SeqCst) {
            std::thread::yield_now();
        }
        assert_eq!(gate.enter(&cx()).err(), Some(Errno::EINTR));
        scope.spawn(|| {
            while gate.enter(&cx()).is_err() {}
            through.store(true, SeqCst);
        });
        gate.open();
        while !through.load(SeqCst) {
            std::thread::yield_now();
        }
    });
}
