//! The kernel that client processes talk to: devices by path, open files, and the way from system calls to entry points.
//!
//! Implements [`ddi_process::Kernel`]. Errors and flags are translated here: drivers speak illumos, processes Linux. Every entry point runs
//! in the context of the calling process ([`client::run`]); no lock of this module is held while one does.

use std::ffi::c_int;
use std::sync::{Arc, LazyLock};

use ddi_process::{
    self, Call, Control, DeviceNode, Errno, Fault, FaultOutcome, MmapArgs, OpenId, PollWaker, Process, Uio,
};
use ddi_sys::{EINTR, EINVAL, EIO, ENODEV, ENXIO, iovec, lloff, uio_t};
use parking_lot::RwLock;
use rustc_hash::FxHashMap as HashMap;
use segdev::{FaultCode, FaultType, MapFlags, Prot, Rw};

use crate::board::{log, report};
use crate::calls::names::{Named, directories, named, own};
use crate::calls::{autoload, block, system};
use crate::ddi::nodes::make;
use crate::ddi::pinned;
use crate::ddi::poll;
use crate::ddi::spaces;
use crate::kern::blocked;
use crate::kern::drivers::Driver;
use crate::kern::errno::linux_errno;
use crate::kern::fields::Structure as _;
use crate::kern::nodes::Node;
use crate::kern::opens::{self, Open};
use crate::kern::stack;
use crate::kern::suspend::{self, Change, Refused};
use crate::kern::symbols::is;
use crate::kern::thread::{self, Context};
use crate::pci;
use crate::vm::client::{self, Entry};
use crate::vm::{framework, storm};

/// Returns whether any driver has a device.
pub fn any_device() -> bool {
    !named().is_empty()
}

/// Opens that there are.
pub fn opens() -> usize {
    opens::count()
}

/// Commands of ioctl(2) for any kind of file, whose numbers differ: illumos, Linux. `FIONBIO`, `FIONREAD`.
const COMMANDS: [(u64, u64); 2] = [(0x8004_667e, libc::FIONBIO), (0x4004_667f, libc::FIONREAD)];

/// A driver's return value as a result.
fn check(error: c_int) -> Result<(), Errno> {
    if error == 0 { Ok(()) } else { Err(linux_errno(error)) }
}

/// Linux open flags as the flags that entry points get.
fn file_flags(linux: i32) -> c_int {
    let mut flags = match linux & libc::O_ACCMODE {
        libc::O_RDONLY => ddi_sys::FREAD,
        libc::O_WRONLY => ddi_sys::FWRITE,
        _ => ddi_sys::FREAD | ddi_sys::FWRITE,
    };
    const FAPPEND: c_int = 0x08;
    const FNONBLOCK: c_int = 0x80;
    for (bit, flag) in
        [(libc::O_NONBLOCK, FNONBLOCK), (libc::O_EXCL, ddi_sys::FEXCL), (libc::O_APPEND, FAPPEND)]
    {
        if linux & bit != 0 {
            flags |= flag;
        }
    }
    flags
}

/// The device of a name below /dev or /devices: driver, node, device number, and whether it is a block device.
pub fn device_named(path: &str) -> Option<(Arc<Driver>, &'static Node, u64, bool)> {
    let found = named().into_iter().find(|n| n.path == path)?;
    let dev = make(found.driver.major, found.minor);
    Some((found.driver, found.node, dev, found.block))
}

/// The major number of the host's own devices, which no driver gets: illumos's greatest.
const OWN_MAJOR: u32 = 0x3fff;
/// The kernel's own device: what kstat(8) prints, as it is when the device is opened.
pub const KSTAT: &str = "/dev/kstat";
/// Directory of the host's own commands, which only clients see.
pub const PROGRAMS: &str = "/devices/ddi-host/bin";
/// The kernel's own device that raises interrupts: what is written to it names a PCI device and the interrupt's number.
pub const INTERRUPT: &str = "/dev/interrupt";
/// The id of every open of it.
const INTERRUPT_OPEN: u64 = u64::MAX;
/// The kernel's own device that suspends and resumes instances: what is written to it names what is to be done, and the instance.
pub const POWER: &str = "/dev/power";
/// The id of every open of it.
const POWER_OPEN: u64 = u64::MAX - 1;
/// The text of each open of the kstat device.
static KSTATS: LazyLock<RwLock<HashMap<u64, Arc<str>>>> = LazyLock::new(RwLock::default);

/// The DDI kernel, for the process layer.
#[derive(Debug)]
pub struct DdiKernel;

impl DdiKernel {
    fn open_of(&self, id: OpenId) -> Result<Arc<Open>, Errno> {
        opens::find(id.0).ok_or(Errno(libc::EBADF))
    }

    /// read(9E) or write(9E).
    fn transfer(&self, call: &Call, id: OpenId, io: &Uio, write: bool) -> Result<u64, Errno> {
        let open = self.open_of(id)?;
        let entry = client::of(call.process());
        let cb = open.driver.cb_ops().ok_or(Errno(libc::ENXIO))?;
        let (entry_point, name) = if write { (cb.cb_write, "write") } else { (cb.cb_read, "read") };
        let block = open.otyp == ddi_sys::OTYP_BLK;
        let node = if block { opens::node_of(&open.driver, open.dev) } else { None };
        if !block && entry_point.is_none() {
            return Err(Errno(libc::ENXIO));
        }
        let mut iov: Vec<iovec> =
            io.iov.iter().map(|v| iovec { iov_base: v.base as *mut _, iov_len: v.len as usize }).collect();
        let asked = io.resid();
        let mode = file_flags(io.flags);
        let mut uio = uio_t {
            uio_iov: iov.as_mut_ptr(),
            uio_iovcnt: iov.len() as c_int,
            _uio_offset: lloff { _f: io.offset },
            uio_segflg: ddi_sys::UIO_USERSPACE,
            uio_fmode: mode as u16,
            uio_extflg: ddi_sys::UIO_COPY_DEFAULT as u16,
            _uio_limit: lloff { _f: i64::MAX },
            uio_resid: asked as isize,
        };
        let called = client::run(&entry, || match (node, entry_point) {
            (Some(node), _) => {
                // SAFETY: a uio over the process's buffers, which only this call has.
                let uio = unsafe { crate::ddi::user::Uio::at(&mut uio) };
                Ok(uio.map_or(EINVAL, |uio| block::read_write(&open.driver, node, open.dev, uio, write)))
            }
            // SAFETY: the driver's entry point, with a uio over the process's buffers.
            (None, Some(f)) => open.driver.call(name, || unsafe { f(open.dev, &mut uio, cred(&entry)) }),
            (None, None) => Ok(ENXIO),
        });
        let moved = asked - (uio.uio_resid.max(0) as u64).min(asked);
        match called.unwrap_or(EIO) {
            0 => Ok(moved),
            EINTR if moved > 0 => Ok(moved),
            error => Err(linux_errno(error)),
        }
    }
}

/// Returns the words written to one of the kernel's own devices.
fn written(call: &Call, uio: &Uio) -> Result<String, Errno> {
    const LONGEST: usize = 1024;
    let mut text = Vec::new();
    for part in &uio.iov {
        let mut piece = vec![0; (part.len as usize).min(LONGEST)];
        call.copyin(part.base, &mut piece)?;
        text.extend(piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// "suspend ctxdev0".
fn change(call: &Call, uio: &Uio) -> Result<u64, Errno> {
    let text = written(call, uio)?;
    let [change, device] = text.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(Errno(libc::EINVAL));
    };
    let change = Change::named(change).ok_or(Errno(libc::EINVAL))?;
    suspend::change(device, change).map(|()| uio.resid()).map_err(|why| {
        Errno(match why {
            Refused::NoDevice => libc::ENODEV,
            Refused::Already => libc::EALREADY,
            Refused::NoEntryPoint => libc::ENOTSUP,
            Refused::Driver => libc::EIO,
        })
    })
}

/// "ctxdev0 2".
fn raise(call: &Call, uio: &Uio) -> Result<u64, Errno> {
    let text = written(call, uio)?;
    let mut words = text.split_whitespace();
    let device = words.next().and_then(pci::find).ok_or(Errno(libc::ENODEV))?;
    let number = words.next().map_or(Ok(0), str::parse).map_err(|_| Errno(libc::EINVAL))?;
    if device.raise(number) { Ok(uio.resid()) } else { Err(Errno(libc::ENXIO)) }
}

/// Returns the message about a call that signals do not end.
pub fn stuck_text(text: &str) -> String {
    format!("a signal does not end this call, another one ends the run: {text}")
}

fn cred(entry: &Entry) -> *mut ddi_sys::cred_t {
    entry.client.image().cred() as *mut _
}

impl ddi_process::Kernel for DdiKernel {
    fn stuck(&self) -> Vec<u64> {
        let inside = blocked::inside();
        if !inside.is_empty() {
            stack::prepare();
        }
        inside.iter().map(blocked::Inside::number).collect()
    }

    fn say_stuck(&self, calls: Vec<u64>) -> Vec<u64> {
        let said = blocked::describe(&calls);
        said.iter().for_each(|(_, _, text)| log::line(log::To::Both, &stuck_text(text)));
        said.into_iter().map(|(call, ..)| call).collect()
    }

    fn give_up(&self) {
        report::fail();
        log::line(log::To::Both, "ended by a second signal, with calls inside the driver");
        report::stop()
    }

    fn devices(&self) -> Vec<DeviceNode> {
        let mut all: Vec<DeviceNode> = named().into_iter().map(Named::into_node).collect();
        for asleep in autoload::names() {
            if !all.iter().any(|node| node.path == asleep.path) {
                all.push(asleep);
            }
        }
        all.push(own(KSTAT.as_bytes(), OWN_MAJOR, 0, 0o444));
        all.push(own(INTERRUPT.as_bytes(), OWN_MAJOR, 2, 0o222));
        all.push(own(POWER.as_bytes(), OWN_MAJOR, 4, 0o222));
        for (minor, name) in [(1, "kstat"), (3, "interrupt"), (5, "power")] {
            let path = format!("{PROGRAMS}/{name}");
            all.push(own(path.as_bytes(), OWN_MAJOR, minor, libc::S_IFREG | 0o555));
        }
        // Last, as there is not room for any number: links that lead nowhere.
        for (name, _) in system::links().unwrap_or_default() {
            let path = format!("/dev/{name}").into_bytes();
            if !all.iter().any(|node| node.path == path) {
                all.push(own(&path, 0, 0, libc::S_IFLNK | 0o777));
            }
        }
        let directories = directories(&all);
        all.extend(directories);
        all
    }

    fn process_start(&self, process: &Arc<Process>) {
        client::of(process);
    }

    fn open(&self, call: &Call, path: &[u8], flags: i32) -> Result<OpenId, Errno> {
        if path == KSTAT.as_bytes() {
            let id = opens::next_id();
            KSTATS.write().insert(id, crate::ddi::kstats::listing().into());
            return Ok(OpenId(id));
        }
        if path == INTERRUPT.as_bytes() {
            return Ok(OpenId(INTERRUPT_OPEN));
        }
        if path == POWER.as_bytes() {
            return Ok(OpenId(POWER_OPEN));
        }
        let find = || named().into_iter().find(|n| n.path.as_bytes() == path);
        let found = find().or_else(|| autoload::load(path).then(find).flatten());
        let named = found.ok_or(Errno(libc::ENXIO))?;
        let Named { driver, node, minor, block, .. } = named;
        let entry = client::of(call.process());
        let otyp = if block { ddi_sys::OTYP_BLK } else { ddi_sys::OTYP_CHR };
        let flags = file_flags(flags);
        let asked = make(driver.major, minor);
        let opened = client::run(&entry, || opens::enter(&driver, node, asked, otyp, flags, cred(&entry)));
        let dev = opened.map_err(linux_errno)?;
        let cred = Box::new(entry.client.cred().clone());
        Ok(OpenId(opens::insert(Open { driver, dev, otyp, flags, cred })))
    }

    fn close(&self, id: OpenId) {
        if KSTATS.write().remove(&id.0).is_some() {
            return;
        }
        let Some(open) = opens::remove(id.0) else { return };
        let cred = std::ptr::from_ref(&*open.cred).cast_mut().cast();
        // User context, also if a thread of the host makes the call because the process has exited.
        thread::in_context(Context::User, || {
            opens::leave(&open.driver, open.dev, open.otyp, open.flags, cred);
        });
    }

    fn minor(&self, open: OpenId) -> Option<u32> {
        opens::find(open.0).map(|open| open.dev as u32)
    }

    fn read(&self, call: &Call, open: OpenId, uio: &Uio) -> Result<u64, Errno> {
        let own = KSTATS.read().get(&open.0).cloned();
        if let Some(text) = own {
            let mut rest =
                text.as_bytes().get(usize::try_from(uio.offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            let asked = rest.len();
            for part in &uio.iov {
                let (now, later) = rest.split_at(rest.len().min(part.len as usize));
                call.copyout(part.base, now)?;
                rest = later;
            }
            return Ok((asked - rest.len()) as u64);
        }
        self.transfer(call, open, uio, false)
    }

    fn write(&self, call: &Call, open: OpenId, uio: &Uio) -> Result<u64, Errno> {
        if open.0 == INTERRUPT_OPEN {
            return raise(call, uio);
        }
        if open.0 == POWER_OPEN {
            return change(call, uio);
        }
        self.transfer(call, open, uio, true)
    }

    fn end(&self, call: &Call, id: OpenId) -> Option<u64> {
        let open = opens::find(id.0)?;
        let node = opens::node_of(&open.driver, open.dev)?;
        let entry = client::of(call.process());
        client::run(&entry, || block::size(&open.driver, node, open.dev))
    }

    fn ioctl(&self, call: &Call, id: OpenId, cmd: u64, arg: u64, flags: i32) -> Result<i32, Errno> {
        let open = self.open_of(id)?;
        let entry = client::of(call.process());
        let ioctl = open.driver.cb_ops().and_then(|cb| cb.cb_ioctl).ok_or(Errno(libc::ENOTTY))?;
        let mode = file_flags(flags) | crate::kern::image::model() as c_int;
        let cmd = COMMANDS.iter().find(|(_, linux)| *linux == cmd).map_or(cmd, |(illumos, _)| *illumos);
        let mut value = 0;
        let called = client::run(&entry, || {
            // SAFETY: the driver's entry point, with arguments as ioctl(9E) says.
            let ioctl = || unsafe {
                ioctl(open.dev, cmd as u32 as c_int, arg as isize, mode, cred(&entry), &mut value)
            };
            spaces::settling(&entry, || opens::using(open.dev, || open.driver.call("ioctl", ioctl)))
        });
        check(called.unwrap_or(EIO)).map(|()| value)
    }

    fn poll(&self, call: &Call, id: OpenId, events: u32, waker: &PollWaker) -> Result<(u32, u64), Errno> {
        let asked = poll::to_illumos(events);
        if KSTATS.read().contains_key(&id.0) {
            return Ok((poll::to_linux(poll::always(asked), events), 0));
        }
        let open = self.open_of(id)?;
        let entry = client::of(call.process());
        let Some(chpoll) = open.driver.cb_ops().and_then(|cb| cb.cb_chpoll) else {
            return Ok((poll::to_linux(poll::always(asked), events), 0));
        };
        let ready = client::run(&entry, || {
            poll::look(asked, waker, |ready, head| {
                // SAFETY: the driver's entry point, with arguments as chpoll(9E) says. As the kernel does, it is never told that something else is ready.
                open.driver
                    .call("chpoll", || unsafe { chpoll(open.dev, asked, 0, ready, head) })
                    .unwrap_or(EIO)
            })
        });
        ready.map(|(ready, stamp)| (poll::to_linux(ready, events), stamp)).map_err(linux_errno)
    }

    fn mmap(&self, call: &Call, id: OpenId, args: &MmapArgs) -> Result<u64, Errno> {
        let open = self.open_of(id)?;
        let entry = client::of(call.process());
        let cb = open.driver.cb_ops().ok_or(Errno(libc::ENODEV))?;
        const NORESERVE: u32 = 0x40;
        let mut flags = if args.shared() { MapFlags::SHARED } else { MapFlags::PRIVATE };
        flags.set(MapFlags::FIXED, args.fixed());
        let mut flags = flags.bits();
        if args.flags & libc::MAP_NORESERVE != 0 {
            flags |= NORESERVE;
        }
        let mut address = args.addr as ddi_sys::caddr_t;
        let space = entry.client.image().space() as *mut ddi_sys::as_;
        let absent = |f: usize| is(f, "nodev") || is(f, "nulldev");
        let own = cb.cb_segmap.filter(|f| !absent(*f as usize));
        let devmap = cb.cb_devmap.is_some_and(|f| !absent(f as usize)) && cb.cb_flag & ddi_sys::D_DEVMAP != 0;
        let mmap = cb.cb_mmap.is_some_and(|f| !absent(f as usize));
        let segmap = match own {
            Some(own) => own,
            None if devmap => crate::ddi::devmap::ddi_devmap_segmap,
            None if mmap => crate::ddi::devmap::ddi_segmap,
            None => return Err(linux_errno(ENODEV)),
        };
        let call_it = || {
            // SAFETY: the driver's entry point (or the ready-made one), with arguments as segmap(9E) says.
            open.driver.call("segmap", || unsafe {
                // As mmap(2) of illumos adds it.
                let [prot, maxprot] = [args.prot, args.maxprot].map(|prot| prot.bits() | ddi_sys::PROT_USER);
                let (off, len) = (args.offset, args.len as i64);
                segmap(open.dev, off, space, &mut address, len, prot, maxprot, flags, cred(&entry))
            })
        };
        let called = client::run(&entry, || spaces::settling(&entry, call_it));
        check(called.unwrap_or(EIO)).map(|()| {
            // What a fixed mapping replaces was part of it before.
            if args.fixed() {
                entry.client.measure();
            } else {
                entry.client.resized(args.len.next_multiple_of(ddi_process::physmem::PAGE_SIZE) as i64);
            }
            address as u64
        })
    }

    fn munmap(&self, call: &Call, addr: u64, len: u64) -> Result<(), Errno> {
        let entry = client::of(call.process());
        storm::count();
        let done = client::run(&entry, || {
            for (at, part, own) in segments(&entry, addr, len) {
                match own {
                    true => entry.unmap_segments(at, part).map_err(linux_errno)?,
                    false => entry.space.munmap(framework(), at, part).map_err(|e| linux_errno(e.0))?,
                }
                call.unmap(at, part)?;
                entry.client.resized(-(part as i64));
            }
            for (at, part) in entry.pinned_parts(addr, len) {
                pinned::reclaim(call.process().id(), at, part);
                call.unmap(at, part)?;
                entry.unpin(at, part);
            }
            Ok(())
        });
        storm::over();
        done
    }

    fn mprotect(&self, call: &Call, addr: u64, len: u64, prot: ddi_process::Prot) -> Result<(), Errno> {
        let entry = client::of(call.process());
        let wanted = Prot::from_raw(prot.bits());
        client::run(&entry, || {
            for (at, part, own) in segments(&entry, addr, len) {
                match own {
                    true => {
                        let prot = prot.bits() | ddi_sys::PROT_USER;
                        entry.protect_segments(at, part, prot).map_err(linux_errno)?;
                    }
                    false => {
                        entry.space.mprotect(framework(), at, part, wanted).map_err(|e| linux_errno(e.0))?;
                    }
                }
                call.protect(at, part, prot)?;
            }
            for (at, part) in entry.pinned_parts(addr, len) {
                pinned::reclaim(call.process().id(), at, part);
                call.protect(at, part, prot)?;
            }
            Ok(())
        })
    }

    fn control(
        &self,
        call: &Call,
        addr: u64,
        len: u64,
        control: Control,
        argument: u32,
    ) -> Result<(), Errno> {
        let entry = client::of(call.process());
        // Devices' memory that the framework has mapped takes any advice, is never written back, and is not paged.
        let mut own = segments(&entry, addr, len).into_iter().filter(|(.., own)| *own);
        client::run(&entry, || {
            own.try_for_each(|(at, part, _)| match entry.control_segments(at, part, control, argument) {
                0 => Ok(()),
                error => Err(linux_errno(error)),
            })
        })
    }

    fn incore(&self, call: &Call, addr: u64, len: u64) -> Vec<u8> {
        let entry = client::of(call.process());
        let page = |at: u64| ((at - addr) / ddi_process::physmem::PAGE_SIZE) as usize;
        let mut vec = vec![1; page(addr + len)];
        client::run(&entry, || {
            for (at, part, _) in segments(&entry, addr, len).into_iter().filter(|(.., own)| *own) {
                entry.incore_segments(at, part, &mut vec[page(at)..page(at + part)]);
            }
        });
        vec
    }

    fn fork(&self, call: &Call, child: &Arc<Process>) -> Result<(), Errno> {
        let parent = client::of(call.process());
        let entry = client::child(&parent, child);
        let forked = client::run(&parent, || {
            parent.space.fork(framework(), &entry.space).map_err(|refusal| refusal.0)?;
            parent.fork_segments(&entry).inspect_err(|_| _ = entry.space.exit(framework()))
        });
        if forked.is_err() {
            client::remove(child);
        }
        // As fork(2) on illumos: any error of a driver becomes ENOMEM or EAGAIN.
        forked.map_err(|e| if e == ddi_sys::ENOMEM { Errno(libc::ENOMEM) } else { Errno(libc::EAGAIN) })
    }

    fn fork_failed(&self, child: &Arc<Process>) {
        self.exit(child);
    }

    fn exit(&self, process: &Arc<Process>) {
        let Some(entry) = client::known(process) else { return };
        storm::count();
        client::run(&entry, || {
            pinned::reclaim(process.id(), 0, u64::MAX);
            entry.exit_segments();
            // Soft locks are held by calls in progress only, and there are none any more.
            let _ = entry.space.exit(framework());
        });
        client::remove(process);
        drop(entry);
        storm::over();
    }

    fn fault(&self, fault: &Fault) -> FaultOutcome {
        let entry = client::of(&fault.process);
        let kind = if fault.protection { FaultType::Prot } else { FaultType::Inval };
        let rw = if fault.access.contains(ddi_process::Prot::WRITE) {
            Rw::Write
        } else if fault.access.contains(ddi_process::Prot::EXEC) {
            Rw::Exec
        } else {
            Rw::Read
        };
        let page = fault.addr & !(ddi_process::physmem::PAGE_SIZE - 1);
        let size = ddi_process::physmem::PAGE_SIZE;
        if let Some((memory, off)) = entry.pinned(page, size) {
            // A forked child's view of pinned memory: always there.
            let process = entry.client.process();
            let Some(prot) = process.protection(page).filter(|prot| prot.contains(fault.access)) else {
                return outcome(FaultCode::PROT);
            };
            let loaded = process.load(page, 1, memory.pfn() + off / size, prot);
            return loaded.map_or(outcome(FaultCode::EFAULT), |()| FaultOutcome::Retry);
        }
        if entry.segments.holds(page) {
            let (kind, rw) = (kind as u32, rw as u32);
            return outcome(FaultCode(client::run(&entry, || entry.fault_segment(page, size, kind, rw))));
        }
        // Also where the protection forbids the access: the driver is asked for a page that is not loaded, and what it cannot load it refuses.
        outcome(client::run(&entry, || entry.space.fault(framework(), page, size, kind, rw)))
    }
}

/// The parts of a range by segment, in address order, and whether the segment is of a module's own segment driver.
fn segments(entry: &Entry, addr: u64, len: u64) -> Vec<(u64, u64, bool)> {
    let framework_s = entry.space.parts(framework(), addr, len).into_iter().map(|(at, len)| (at, len, false));
    let own = entry.segments.parts(addr, len).into_iter().map(|(at, len)| (at, len, true));
    let mut parts: Vec<_> = framework_s.chain(own).collect();
    parts.sort_unstable();
    parts
}

/// Returns the outcome of a fault code for the process.
fn outcome(code: FaultCode) -> FaultOutcome {
    const ADRALN: i32 = 1;
    const ADRERR: i32 = 2;
    const OBJERR: i32 = 3;
    const MAPERR: i32 = 1;
    const ACCERR: i32 = 2;
    // A driver's error that is no errno is passed on as it is, as illumos does.
    let known = |e: c_int| (1..=151).contains(&e);
    let errno = code.errno().map_or(0, |e| if known(e) { linux_errno(e).0 } else { e & 0xff_ffff });
    let bus = |code| FaultOutcome::Signal { signo: libc::SIGBUS, code, errno };
    let segv = |code| FaultOutcome::Signal { signo: libc::SIGSEGV, code, errno: 0 };
    match code.0 & 0xff {
        _ if code.is_ok() => FaultOutcome::Retry,
        ddi_sys::FC_HWERR | ddi_sys::FC_NOSUPPORT => bus(ADRERR),
        ddi_sys::FC_ALIGN => bus(ADRALN),
        ddi_sys::FC_OBJERR if code.errno() == Some(EINTR) => FaultOutcome::Interrupted,
        ddi_sys::FC_OBJERR => bus(OBJERR),
        ddi_sys::FC_NOMAP => segv(MAPERR),
        _ => segv(ACCERR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_codes_become_the_signals_of_illumos() {
        let signal = |signo, code, errno| FaultOutcome::Signal { signo, code, errno };
        assert_eq!(outcome(FaultCode::OK), FaultOutcome::Retry);
        assert_eq!(outcome(FaultCode::EINTR), FaultOutcome::Interrupted);
        assert_eq!(outcome(FaultCode::NOMAP), signal(libc::SIGSEGV, 1, 0));
        assert_eq!(outcome(FaultCode::PROT), signal(libc::SIGSEGV, 2, 0));
        assert_eq!(outcome(FaultCode::HWERR), signal(libc::SIGBUS, 2, 0));
        assert_eq!(outcome(FaultCode::from_errno(5)), signal(libc::SIGBUS, 3, libc::EIO));
        assert_eq!(outcome(FaultCode::from_errno(-1)), signal(libc::SIGBUS, 3, 0xff_ffff));
    }

    #[test]
    fn open_flags() {
        assert_eq!(file_flags(libc::O_RDONLY), ddi_sys::FREAD);
        assert_eq!(file_flags(libc::O_RDWR | libc::O_NONBLOCK), ddi_sys::FREAD | ddi_sys::FWRITE | 0x80);
        assert_eq!(file_flags(libc::O_WRONLY | libc::O_EXCL), ddi_sys::FWRITE | ddi_sys::FEXCL);
    }
}
