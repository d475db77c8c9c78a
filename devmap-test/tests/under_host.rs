//! The harness gives a test a fresh device for each, mappings, ioctls, children, other programs.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;

use devmap::prelude::*;
use devmap_test::client::{Device, fork};
use devmap_test::{Driver, cases};

/// Two pages for all; the second cannot be accessed.
struct Pages(Umem);

/// ioctl: copies a number in, and out doubled.
const DOUBLE: i32 = 0x7001;
/// ioctl: returns its argument.
const RETURN: i32 = 0x7002;

struct View;

impl devmap::Mapping<Pages> for View {
    fn access(&self, _: &Pages, fault: Fault<'_>) -> Result<Served, Errno> {
        if fault.offset() >= 4096 { Err(Errno::EIO) } else { fault.load() }
    }

    fn dup(&self, _: &Pages, _: Dup<'_>) -> Result<View, Errno> {
        Ok(View)
    }

    fn unmap(self, _: &Pages, cut: Cut<'_>) -> Remains<View> {
        match cut {
            Cut::Whole(cut) => cut.gone(),
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => cut.split(self, View),
        }
    }
}

impl devmap::Device for Pages {
    type Mapping = View;
    type Open = ();

    fn attach(attach: &Attach<'_>) -> Result<Pages, Errno> {
        Ok(Pages(Umem::new(attach, Kind::Locked, 8192)?))
    }

    fn read(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        uio.give_from_offset(b"pages\n").map(|_| ())
    }

    fn write(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        uio.take_into(&self.0, 0).map(|_| ())
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            DOUBLE => {
                let number: u64 = argument.copyin()?;
                argument.copyout(&(number * 2))?;
                Ok(0)
            }
            RETURN => Ok(argument.int()),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Pages>) -> Result<Setup<'a, Pages>, Errno> {
        Ok(request.map(&self.0, request.offset()).with(View)?)
    }
}

devmap::module! { device: Pages, name: "pages", description: "two pages for all" }

fn main() -> ExitCode {
    Driver::new(&MODULE).main(cases![
        a_page_is_shared,
        every_test_has_a_fresh_device,
        an_ioctl_copies,
        a_child_sees_what_its_parent_wrote,
        a_refused_access_is_a_signal,
        a_mapping_is_cut,
        other_programs_have_the_device,
        the_hosts_commands_are_there,
    ])
}

fn a_page_is_shared() {
    let device = Device::open("/dev/pages0").unwrap();
    let (one, two) = (device.map(4096, 0).unwrap(), device.map(8192, 0).unwrap());
    one.store(8, 0x0102_0304_0506_0708_u64);
    assert_eq!((two.load::<u64>(8), two.load::<u8>(9)), (0x0102_0304_0506_0708, 7));
    two.atomic_u32(64).store(5, Ordering::Release);
    assert_eq!(one.atomic_u32(64).load(Ordering::Acquire), 5);
    assert!(device.map(4096, 8192).is_err(), "there are two pages");
}

fn every_test_has_a_fresh_device() {
    let map = Device::open("/dev/pages0").unwrap().map(4096, 0).unwrap();
    assert_eq!(map.load::<u64>(8), 0);
    map.store(8, 1_u64);
}

fn an_ioctl_copies() {
    let device = Device::open("/dev/pages0").unwrap();
    let mut number = 21_u64;
    assert_eq!(device.ioctl(DOUBLE, &mut number).unwrap(), 0);
    assert_eq!((number, device.ioctl_number(RETURN, 17).unwrap()), (42, 17));
    assert_eq!(device.ioctl_number(1, 0).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
}

fn a_child_sees_what_its_parent_wrote() {
    let map = Device::open("/dev/pages0").unwrap().map(4096, 0).unwrap();
    map.store(0, 1_u32);
    let ended = fork(|| {
        assert_eq!(map.load::<u32>(0), 1);
        map.store(0, 2_u32);
    });
    assert_eq!((ended.unwrap().code(), map.load::<u32>(0)), (Some(0), 2));
    assert_eq!(fork(|| panic!("on purpose")).unwrap().code(), Some(101));
}

fn a_refused_access_is_a_signal() {
    let map = Device::open("/dev/pages0").unwrap().map(8192, 0).unwrap();
    let ended = fork(|| _ = map.load::<u8>(4096)).unwrap();
    assert_eq!(ended.signal(), Some(libc::SIGBUS));
}

fn a_mapping_is_cut() {
    let mut map = Device::open("/dev/pages0").unwrap().map(8192, 0).unwrap();
    map.store(0, 3_u8);
    map.truncate(4096).unwrap();
    assert_eq!(map.load::<u8>(0), 3);
    let beyond = std::panic::catch_unwind(|| map.load::<u8>(4096));
    assert!(beyond.is_err(), "a place outside of the mapping is no place");
}

fn other_programs_have_the_device() {
    let output = Command::new("cat").arg("/dev/pages0").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "pages\n");
    let device = Device::open("/dev/pages0").unwrap();
    device.file().write_all(b"hi").unwrap();
    assert_eq!(device.map(4096, 0).unwrap().load::<[u8; 2]>(0), *b"hi");
}

fn the_hosts_commands_are_there() {
    let output = Command::new("kstat").args(["-p", "-m", "nosuch"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty() && !said.contains("test"), "{said}");
}
