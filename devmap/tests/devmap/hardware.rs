//! What a device has: registers in all widths and byte orders, also some that do not answer; configuration space; properties of all types;
//! an id; and what the driver says of its faults.

use std::ffi::CString;

use devmap::access::{Attributes, ByteOrder};
use devmap::devid::{DeviceId, Kind};
use devmap::fm::{Capabilities, FaultManagement, Impact};
use devmap::pci::{BarKind, Bars, Command, Config as Space, capability};
use devmap::prelude::*;

use crate::driver::{Plan, attaching, boot, in_attach, one_register_set, set, with_node};
use crate::mock::{Config, PAGE, Property, faults, kernel};

#[test]
fn registers_are_swapped_to_the_byte_order_of_the_device() {
    let _kernel = with_node(|node| {
        let plain = Registers::map(node, 0, Order::Strict).unwrap();
        let big =
            Registers::map(node, 0, Attributes::new(Order::Unordered).byte_order(ByteOrder::Big)).unwrap();
        let little = Registers::map(node, 0, Attributes::default().byte_order(ByteOrder::Little)).unwrap();
        assert_eq!((big.order(), little.order()), (Order::Unordered, Order::Strict));
        plain.write(0, 0x0102_0304_u32).unwrap();
        assert_eq!(big.read::<u32>(0), Ok(0x0403_0201));
        assert_eq!((big.peek::<u16>(0), little.read::<u16>(0)), (Ok(0x0403), Ok(0x0304)));
        big.poke(8, 0x0102_u16).unwrap();
        assert_eq!(plain.read::<u16>(8), Ok(0x0201));
        big.write_from(16, &[1_u64, 2]).unwrap();
        let mut words = [0_u64; 2];
        plain.read_into(16, &mut words).unwrap();
        assert_eq!(words, [1 << 56, 2 << 56]);
    });
}

#[test]
fn a_queue_is_one_register() {
    let _kernel = with_node(|node| {
        let regs = Registers::map(node, 0, Order::Strict).unwrap();
        regs.write_queue(4, &[1_u32, 2, 3]).unwrap();
        let mut values = [0_u32; 3];
        regs.read_queue(4, &mut values).unwrap();
        assert_eq!((values, regs.read::<u32>(8)), ([3; 3], Ok(0)));
        assert_eq!(regs.read_queue::<u32>(regs.len(), &mut []).unwrap_err().errno(), Errno::EINVAL);
    });
}

/// Marks the registers from byte 64 to 128 of set 0 as dead, and gives back what is done with them.
fn dead() {
    let (start, _) = kernel().register_sets[&(0, 0)];
    kernel().dead_registers.push(start + 64..start + 128);
}

#[test]
fn a_peek_at_what_does_not_answer_is_an_error() {
    let _kernel = with_node(|node| {
        let regs = Registers::map(node, 0, Order::Strict).unwrap();
        dead();
        assert_eq!((regs.peek::<u8>(63), regs.peek::<u64>(128)), (Ok(0), Ok(0)));
        for error in
            [regs.peek::<u8>(64).map(|_| ()), regs.poke(120, 1_u64), regs.peek::<u16>(66).map(|_| ())]
        {
            let error = error.unwrap_err();
            assert_eq!((error.errno(), error.page()), (Errno::EIO, "ddi_peek32(9F)"));
        }
        assert_eq!(regs.peek::<u32>(regs.len()).unwrap_err().errno(), Errno::EINVAL);
    });
}

#[test]
fn errors_that_the_bus_has_seen_are_errors_of_the_access() {
    let mut kernel_ = boot();
    kernel().fm_capable = 0xf;
    attaching(|attach| {
        let fm = FaultManagement::new(attach, Capabilities::ACCESS | Capabilities::REPORTS);
        assert_eq!(fm.capabilities(), Capabilities::ACCESS | Capabilities::REPORTS);
        let again = FaultManagement::new(attach, Capabilities::all());
        assert_eq!(again.capabilities(), fm.capabilities(), "agreed once");
        let regs = Registers::map(attach.node(), 0, Attributes::default().flag_errors(&fm)).unwrap();
        dead();
        let flagged = |error: devmap::Error| assert_eq!(error.page(), "ddi_fm_acc_err_get(9F)");
        flagged(regs.read::<u32>(64).unwrap_err());
        assert_eq!(regs.read::<u32>(0), Ok(0), "forgotten when it was told");
        flagged(regs.write(64, 1_u8).unwrap_err());
        flagged(regs.read_into(56, &mut [0_u64; 2]).unwrap_err());
        flagged(regs.write_from(56, &[0_u64; 2]).unwrap_err());
        flagged(regs.read_queue(64, &mut [0_u64; 2]).unwrap_err());
        flagged(regs.write_queue(64, &[0_u64; 2]).unwrap_err());
        assert_eq!(regs.write(0, 1_u32), Ok(()));

        let about = [(c"register", 64.into()), (c"state", c"gone".into())];
        fm.report(attach, "device.no_response", &about).unwrap();
        fm.report(attach, "device.stall", &[]).unwrap();
        fm.impact(attach, Impact::Degraded);
        let reports = std::mem::take(&mut *faults::REPORTS.lock().unwrap());
        assert_eq!(reports, ["device.no_response register=64 state=gone", "device.stall", "impact -16"]);
        let refused = |class: &str, values: &[_]| fm.report(attach, class, values).unwrap_err().errno();
        assert_eq!(refused("", &[]), Errno::EINVAL);
        assert_eq!(refused(&"x".repeat(99), &[]), Errno::EINVAL);
        assert_eq!(refused("a", &[(c"", 1.into())]), Errno::EINVAL);
        assert_eq!(refused("a", &[(c"n", 1.into()); 7]), Errno::EINVAL);
        kernel().dead_registers.clear();
    });
    kernel_.attach(one_register_set()).expect("attach");
}

/// What the system or the administrator does not want does not happen; what fails in attach ends fault management, too.
#[test]
fn fault_management_is_what_both_can_do() {
    let mut booted = boot();
    kernel().fm_capable = 1;
    attaching(|attach| {
        let fm = FaultManagement::new(attach, Capabilities::ACCESS);
        assert!(fm.capabilities().is_empty());
        Registers::map(attach.node(), 0, Attributes::default().flag_errors(&fm)).unwrap();
        assert!(kernel().attributes.values().all(|a| a.devacc_attr_access == ddi_sys::DDI_DEFAULT_ACC));
        assert_eq!(fm.report(attach, "device.stall", &[]), Ok(()));
        assert!(faults::REPORTS.lock().unwrap().is_empty());
    });
    set(Plan { attach: Some(Errno::EIO), ..Plan::default() });
    assert_eq!(booted.attach(one_register_set()), None);
    set(Plan::default());
    attaching(|attach| {
        let fm = FaultManagement::new(attach, Capabilities::REPORTS);
        assert!(fm.capabilities().is_empty(), "the property takes it away");
    });
    booted.attach(Config { properties: vec![("fm-capable", 0)], ..one_register_set() }).expect("attach");
}

#[test]
fn properties_of_all_types_are_read() {
    let texts = |texts: &[&str]| Property::Texts(texts.iter().map(|t| CString::new(*t).unwrap()).collect());
    let other = vec![
        ("wide", Property::Int64s(vec![1 << 40, -1])),
        ("mac", Property::Bytes(vec![1, 2, 0])),
        ("label", texts(&["one"])),
        ("names", texts(&["one", "", "three"])),
    ];
    let mut booted = boot();
    in_attach(|node| {
        let properties = node.properties();
        assert_eq!(*properties.ints("reg").unwrap(), [0, 0, 0]);
        assert_eq!(*properties.int64s("wide").unwrap(), [1 << 40, -1]);
        assert_eq!(*properties.bytes("mac").unwrap(), [1, 2, 0]);
        assert_eq!(&*properties.text("label").unwrap(), c"one");
        assert!(properties.texts("names").unwrap().iter().eq([c"one", c"", c"three"]));
        assert_eq!((properties.int("answer", 0), properties.int64("answer", 0)), (42, 42));
        assert_eq!((properties.int64("wide", 0), properties.int64("none", 5)), (1 << 40, 5));
        assert!(properties.has("mac") && !properties.has("none"));
        assert_eq!(node.string_property("label"), Some("one".into()));
        let missing = properties.ints("none").err().unwrap();
        assert_eq!(missing.to_string(), "ddi_prop_lookup(9F): the node has no such property: ENOENT (2)");
        assert_eq!(properties.ints(&"x".repeat(300)).err().unwrap().errno(), Errno::ENOENT);
        assert_eq!(properties.ints("label").err().unwrap().errno(), Errno::EINVAL);
        assert_eq!(properties.text("reg").err().unwrap().errno(), Errno::EINVAL);
        assert_eq!(properties.int("of-the-parent", 0), 0);
        assert_eq!(properties.with_parents().int("of-the-parent", 0), 7);
    });
    booted.attach(Config { other, ..one_register_set() }).expect("attach");
}

#[test]
fn properties_of_all_types_are_set_and_removed() {
    let _kernel = with_node(|node| {
        let properties = node.properties();
        properties.set_int("answer", 43).unwrap();
        assert_eq!(properties.int("answer", 0), 43);
        properties.remove("answer").unwrap();
        assert_eq!(properties.int("answer", 0), 42, "what the .conf file says is there again");
        assert_eq!(properties.remove("answer").unwrap_err().errno(), Errno::ENOENT);
        properties.set_ints("a", &[1, 2]).unwrap();
        assert_eq!(*properties.ints("a").unwrap(), [1, 2]);
        properties.set_int64("a", 3).unwrap();
        assert_eq!(properties.int64("a", 0), 3);
        properties.set_int64s("a", &[3, 4]).unwrap();
        assert_eq!(*properties.int64s("a").unwrap(), [3, 4]);
        properties.set_bytes("a", b"xyz").unwrap();
        assert_eq!(*properties.bytes("a").unwrap(), *b"xyz");
        properties.set_text("a", c"text").unwrap();
        assert_eq!(&*properties.text("a").unwrap(), c"text");
        properties.set_texts("a", &[c"one", c"two"]).unwrap();
        assert!(properties.texts("a").unwrap().iter().eq([c"one", c"two"]));
        assert_eq!(properties.set_ints("a", &[]).unwrap_err().errno(), Errno::EINVAL);
        assert_eq!(properties.set_int("", 1).unwrap_err().errno(), Errno::EINVAL);
    });
}

/// A device with capabilities 1, 5 and 0x11, whose list goes round, and with one extended capability.
fn space() -> Box<[u8; 4096]> {
    let mut space = Box::new([0; 4096]);
    let mut put = |at: usize, bytes: &[u8]| space[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xe1, 0x1d, 0xa2, 0xb0, 0x47, 0x80, 0x10]);
    put(0x34, &[0x40]);
    put(0x40, &[1, 0x50]);
    put(0x50, &[5, 0x61]);
    put(0x60, &[0x11, 0x40, 3, 0x80]);
    put(0x100, &[3, 0, 0x01, 0x15]);
    put(0x150, &[0xb, 0, 0x01, 0]);
    space
}

fn pci() -> Config {
    let mut reg = vec![0; 25];
    (reg[5], reg[9]) = (0x0200_0010, 0x1000);
    (reg[10], reg[13], reg[14]) = (0x4300_0018, 1, 0x100);
    (reg[15], reg[19]) = (0x0100_0020, 0x20);
    (reg[20], reg[24]) = (0x0200_0030, 0x8000);
    Config {
        registers: vec![0, 0x1000, 0x100, 0x20, 0x8000],
        properties: vec![("vendor-id", 0x1de1), ("class-code", 0xff_0000)],
        ints: vec![("reg", reg)],
        space: Some(space()),
        ..Config::default()
    }
}

#[test]
fn configuration_space_is_read_and_written() {
    let mut booted = boot();
    in_attach(|node| {
        let config = Space::new(node).unwrap();
        assert_eq!(config.identity(), Ok((0x1de1, 0xb0a2)));
        config.disable(Command::MEMORY).unwrap();
        config.enable(Command::BUS_MASTER | Command::PIN_OFF).unwrap();
        assert_eq!(config.command().unwrap().bits(), 0x8445, "what nobody named stays");
        config.write(0x80, 0x0102_0304_0506_0708_u64).unwrap();
        assert_eq!((config.read::<u8>(0x80), config.read::<u32>(0x84)), (Ok(8), Ok(0x0102_0304)));
        for offset in [0xffe, 0x1000, 2, u64::MAX] {
            assert_eq!(config.read::<u32>(offset).unwrap_err().errno(), Errno::EINVAL, "{offset:#x}");
        }
        config.save().unwrap();
        config.write(4, 0_u16).unwrap();
        config.clone().restore().unwrap();
        assert_eq!(config.command().unwrap().bits(), 0x8445);
        assert_eq!(config.restore().unwrap_err().errno(), Errno::EIO);
    });
    booted.attach(pci()).expect("attach");
}

#[test]
fn capabilities_are_found_and_a_list_that_goes_round_ends() {
    let mut booted = boot();
    in_attach(|node| {
        let config = Space::new(node).unwrap();
        let numbers: Vec<u16> = config.capabilities().map(|c| c.number()).collect();
        assert_eq!((&numbers[..4], numbers.len()), (&[1, 5, 0x11, 1][..], 48));
        let msix = config.capability(capability::MSIX).unwrap();
        assert_eq!((msix.offset(), msix.read::<u16>(2)), (0x60, Ok(0x8003)));
        msix.write(2, 3_u16).unwrap();
        assert_eq!(config.read::<u16>(0x62), Ok(3));
        assert_eq!(msix.read::<u8>(u64::MAX).unwrap_err().errno(), Errno::EINVAL);
        assert!(config.capability(capability::EXPRESS).is_none());
        let extended: Vec<(u16, u64)> =
            config.extended_capabilities().map(|c| (c.number(), c.offset())).collect();
        assert_eq!(extended, [(3, 0x100), (0xb, 0x150)]);
        assert!(config.extended_capability(2).is_none());
        config.write(6, 0_u16).unwrap();
        assert_eq!(config.capabilities().count(), 0, "the status register says that there is no list");
    });
    booted.attach(pci()).expect("attach");
}

#[test]
fn base_address_registers_have_kinds() {
    let mut booted = boot();
    in_attach(|node| {
        let bars: Vec<_> = Bars::of(node).unwrap().iter().map(|b| (b.number, b.set, b.kind)).collect();
        assert_eq!(bars, [(0, 1, BarKind::Memory), (2, 2, BarKind::WideMemory), (4, 3, BarKind::Io)]);
        let two = Bars::of(node).unwrap().iter().nth(1).unwrap();
        assert!(two.prefetch && two.len == 1 << 32 | 0x100);
        assert_eq!((node.bar(2), node.bar(1), node.bar(8)), (Some(2), None, None));
    });
    booted.attach(pci()).expect("attach");
}

#[test]
fn a_node_on_another_bus_has_no_configuration_space() {
    let _kernel = with_node(|node| {
        assert_eq!(Space::new(node).err().unwrap().errno(), Errno::ENXIO);
        assert_eq!(Bars::of(node).err().unwrap().errno(), Errno::ENXIO);
        assert_eq!(node.bar(0), None);
    });
}

#[test]
fn a_device_id_is_registered_until_it_is_dropped() {
    let _kernel = with_node(|node| {
        let id = DeviceId::register(node, Kind::Serial(b"acme 7")).unwrap();
        assert_eq!(id.with_text(|text| text.to_owned()).unwrap().as_c_str(), c"id2,acme 7");
        drop(id);
        drop(DeviceId::register(node, Kind::Fabricated).unwrap());
        assert_eq!(DeviceId::register(node, Kind::WorldWide(&[])).err().unwrap().errno(), Errno::EINVAL);
        let long = vec![0; 0x1_0000];
        assert_eq!(DeviceId::register(node, Kind::AtaSerial(&long)).err().unwrap().errno(), Errno::EINVAL);
        kernel().refuse.insert("ddi_devid_register", 0);
        assert_eq!(DeviceId::register(node, Kind::Encapsulated(b"x")).err().unwrap().errno(), Errno::EIO);
        assert!(kernel().devids.is_empty());
    });
}

/// What is kept keeps the node attached.
#[test]
fn a_device_id_that_is_kept_keeps_the_node() {
    static KEPT: std::sync::Mutex<Option<DeviceId>> = std::sync::Mutex::new(None);
    let mut booted = boot();
    in_attach(|node| *KEPT.lock().unwrap() = Some(DeviceId::register(node, Kind::Serial(b"x")).unwrap()));
    let dev = booted.attach(Config { registers: vec![PAGE], ..Config::default() }).expect("attach");
    assert!(!booted.detach(dev));
    KEPT.lock().unwrap().take();
    assert!(booted.detach(dev));
}
