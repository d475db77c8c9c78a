//! Accesses that are refused, and the signals and handlers that follow.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::access::works_at;
use crate::case::{Case, Ctx, Result, case, check, equal, error, fail, same, works};
use crate::device::{Dev, EXEC, Map, NONE, PRIVATE, READ, RW, SHARED, reserve};
use crate::peer::Peer;
use crate::probe::{self, Kind};
use crate::sys::{self, Status, page_size};

pub const CASES: &[Case] = &[
    case(
        "write_to_read_only",
        "a store to a read-only mapping is refused, with the address of the store",
        write_to_read_only,
    )
    .of("Open POSIX mmap 6-2; LTP mmap03"),
    case("write_to_read_only_loaded", "likewise when the page was read before", write_to_read_only_loaded),
    case("touch_none", "any access to a PROT_NONE mapping is refused", touch_none)
        .of("Open POSIX mmap 6-1; LTP mmap05"),
    case("touch_hole", "an access behind the mapping is SIGSEGV, no mapping", touch_hole)
        .of("Open POSIX munmap 1-1"),
    case(
        "fault_address_exact",
        "the address in the signal is that of the access, to the byte",
        fault_address_exact,
    ),
    case("fetch", "code in device memory can be called", fetch),
    case("fetch_not_allowed", "a call into a mapping without PROT_EXEC is refused", fetch_not_allowed),
    case(
        "default_action_kills",
        "without a handler a refused access kills the process with SIGSEGV",
        default_action_kills,
    ),
    case("ignored_kills", "SIGSEGV ignored: a refused access kills all the same", ignored_kills),
    case("blocked_kills", "SIGSEGV blocked: a refused access kills all the same", blocked_kills),
    case(
        "blocked_touch_works",
        "SIGSEGV and SIGBUS blocked: an allowed first touch works",
        blocked_touch_works,
    ),
    case(
        "handler_repairs",
        "a handler that calls mprotect and returns has the access made again",
        handler_repairs,
    ),
    case(
        "handler_maps",
        "a handler that maps the device into the hole and returns has the access made again",
        handler_maps,
    ),
    case("handler_touches", "a handler may itself touch device memory for the first time", handler_touches),
    case("handler_stack", "a handler with SA_ONSTACK runs on the signal stack", handler_stack),
    case(
        "handler_is_reported",
        "sigaction returns the handler that the program installed",
        handler_is_reported,
    ),
    case(
        "handler_replaced",
        "a handler installed after the mapping was made is the one that runs",
        handler_replaced,
    ),
    case(
        "signal_by_kill",
        "a SIGSEGV that another process sends reaches the handler and is no fault",
        signal_by_kill,
    ),
    case(
        "leaving_handlers",
        "a thousand refused accesses, each left by a jump, leave the process sound",
        leaving_handlers,
    ),
    case(
        "after_loss",
        "a lost device is SIGBUS (BUS_OBJERR); back again, the values are the same",
        after_loss,
    ),
    case("loss_kills", "without a handler an access to a lost device kills with SIGBUS", loss_kills),
    case("in_signal_handler_alarm", "device memory can be used in the handler of a timer", in_signal_handler),
];

fn write_to_read_only(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        for flags in [SHARED, PRIVATE] {
            let map = dev.map(region.off, region.len, READ, flags)?;
            map.store_faults(0x128, Kind::Protection)?;
            map.store_faults(region.len - 8, Kind::Protection)?;
        }
    }
    Ok(())
}

fn write_to_read_only_loaded(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map(region.off, region.len, READ, SHARED)?;
        let value = map.get(0x128)?;
        map.store_faults(0x128, Kind::Protection)?;
        map.holds(0x128, value)?;
    }
    Ok(())
}

fn touch_none(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map(region.off, region.len, NONE, SHARED)?;
        for at in [0, 0x128, region.len - 8] {
            map.load_faults(at, Kind::Protection)?;
            map.store_faults(at, Kind::Protection)?;
        }
    }
    Ok(())
}

fn touch_hole(t: &Ctx) -> Result {
    let dev = t.open()?;
    let place = reserve(8 * page_size())?;
    let map = dev.map_at(
        place + 2 * page_size(),
        dev.layout.scratch.off,
        2 * page_size(),
        RW,
        SHARED | libc::MAP_FIXED,
    )?;
    map.mark(1)?;
    // Only now, and looked at next, so that nothing else is mapped there.
    works("munmap", sys::munmap(place + 4 * page_size(), 4 * page_size()))?;
    works("munmap", sys::munmap(place, 2 * page_size()))?;
    map.is_hole(2 * page_size())?;
    map.store_faults(2 * page_size() + 40, Kind::Hole)?;
    let before = Map { base: place, len: page_size(), off: 0 };
    before.is_hole(page_size())
}

fn fault_address_exact(t: &Ctx) -> Result {
    let dev = t.open()?;
    let read_only = dev.map(dev.layout.scratch.off, dev.layout.scratch.len, READ, SHARED)?;
    let none = dev.map(dev.layout.fb.off, page_size(), NONE, SHARED)?;
    for at in [0, 1, 7, 0x123, 0xff8] {
        read_only.store_faults(at, Kind::Protection)?;
        read_only.store_faults(page_size() + at, Kind::Protection)?;
        none.load_faults(at, Kind::Protection)?;
    }
    if dev.is_ctxdev() {
        let map = dev.map_region(dev.layout.fb, PRIVATE)?;
        dev.lose(true)?;
        let result = [0, 1, 7, 0x123, 0xff8].iter().try_for_each(|&at| map.load_faults(at, Kind::Device));
        dev.lose(false)?;
        result?;
    }
    Ok(())
}

/// `mov eax, VALUE; ret`
fn code(value: u32) -> u64 {
    let mut bytes = [0xb8, 0, 0, 0, 0, 0xc3, 0x90, 0x90];
    bytes[1..5].copy_from_slice(&value.to_le_bytes());
    u64::from_le_bytes(bytes)
}

fn fetch(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in [dev.layout.ring, dev.layout.scratch] {
        let map = dev.map_exec(region, SHARED)?;
        map.put(0x40, code(0x1234))?;
        same("value that code in device memory returned", works_at(probe::call(map.at(0x40)))?, 0x1234)?;
        // Cold: the first access to a mapping is the fetch.
        let cold = dev.map(region.off, region.len, READ | EXEC, SHARED)?;
        same("value of a cold call", works_at(probe::call(cold.at(0x40)))?, 0x1234)?;
    }
    Ok(())
}

fn fetch_not_allowed(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.put(0x40, code(1))?;
    match probe::call(map.at(0x40)) {
        Err(fault) if fault.kind() == Kind::Protection && fault.addr == map.at(0x40) => Ok(()),
        Err(fault) => {
            Err(fail(format!("call: expected {} at {:#x}, seen {fault}", Kind::Protection, map.at(0x40))))
        }
        Ok(_) => Err(fail("code in a mapping without PROT_EXEC ran")),
    }
}

/// A forked process that makes a refused store; what it prepares first, and how it must end.
fn dies_of(t: &Ctx, prepare: fn(), expected: i32) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.scratch.off, page_size(), READ, SHARED)?;
    let value = map.get(8)?;
    let mut peer = Peer::start(|_| {
        prepare();
        // Loaded first: the signal is that of a translation which does not allow the store.
        probe::bare_load8(map.at(8));
        probe::bare_store8(map.at(8), value + 1);
        Err(error("a refused store went on"))
    })?;
    peer.ends_with(Status::Killed(expected))?;
    map.holds(8, value)
}

fn default_action_kills(t: &Ctx) -> Result {
    dies_of(t, || sys::plain_disposition(libc::SIGSEGV, libc::SIG_DFL), libc::SIGSEGV)
}

fn ignored_kills(t: &Ctx) -> Result {
    dies_of(t, || sys::plain_disposition(libc::SIGSEGV, libc::SIG_IGN), libc::SIGSEGV)
}

fn blocked_kills(t: &Ctx) -> Result {
    let prepare = || {
        let _ = sys::block(libc::SIGSEGV);
    };
    dies_of(t, prepare, libc::SIGSEGV)
}

fn blocked_touch_works(t: &Ctx) -> Result {
    let dev = t.open()?;
    works("sigprocmask", sys::block(libc::SIGSEGV).and_then(|()| sys::block(libc::SIGBUS)))?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x61)?;
    if dev.is_ctxdev() {
        dev.revoke()?;
    }
    map.marked(0x61)?;
    check(sys::is_blocked(libc::SIGSEGV), "SIGSEGV is not blocked any more")?;
    check(sys::is_blocked(libc::SIGBUS), "SIGBUS is not blocked any more")
}

static REPAIRS: AtomicUsize = AtomicUsize::new(0);
static DEVICE: AtomicUsize = AtomicUsize::new(0);
static SEEN: AtomicU64 = AtomicU64::new(0);

fn handler_repairs(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.scratch.off, dev.layout.scratch.len, NONE, SHARED)?;
    probe::set_repair(Some(|addr| {
        REPAIRS.fetch_add(1, Ordering::SeqCst);
        sys::mprotect(addr & !(page_size() - 1), page_size(), RW).is_ok()
    }));
    for page in 0..map.pages() {
        probe::bare_store8(map.at(page * page_size() + 8), 0x70 + page as u64);
    }
    probe::set_repair(None);
    equal("faults that the handler got", REPAIRS.load(Ordering::SeqCst), map.pages())?;
    for page in 0..map.pages() {
        map.holds(page * page_size() + 8, 0x70 + page as u64)?;
    }
    Ok(())
}

fn handler_maps(t: &Ctx) -> Result {
    let dev = t.open()?;
    let scratch = dev.layout.scratch;
    dev.map_region(scratch, SHARED)?.mark(0x80)?;
    let place = reserve(scratch.len)?;
    works("munmap", sys::munmap(place, scratch.len))?;
    DEVICE.store(dev.fd as usize, Ordering::SeqCst);
    SEEN.store(scratch.off as u64, Ordering::SeqCst);
    probe::set_repair(Some(|addr| {
        let fd = DEVICE.load(Ordering::SeqCst) as i32;
        let off = SEEN.load(Ordering::SeqCst) as i64;
        let page = addr & !(page_size() - 1);
        sys::mmap(page, page_size(), RW, SHARED | libc::MAP_FIXED, fd, off).is_ok()
    }));
    let seen = probe::bare_load8(place + page_size());
    probe::set_repair(None);
    same("value after the handler mapped it", seen, 0x80)
}

fn handler_touches(t: &Ctx) -> Result {
    let dev = t.open()?;
    let none = dev.map(dev.layout.scratch.off, page_size(), NONE, SHARED)?;
    let other = dev.map_region(dev.layout.fb, PRIVATE)?;
    // Room for a handler within a handler: under `--faults signal` a first touch is one, too.
    works("sigaltstack", sys::signal_stack(128 * 1024))?;
    DEVICE.store(other.base, Ordering::SeqCst);
    probe::set_repair(Some(|addr| {
        let fb = DEVICE.load(Ordering::SeqCst);
        probe::bare_store8(fb + 24, 0x1d);
        SEEN.store(probe::bare_load8(fb + 24), Ordering::SeqCst);
        sys::mprotect(addr & !(page_size() - 1), page_size(), RW).is_ok()
    }));
    probe::bare_store8(none.at(0), 1);
    probe::set_repair(None);
    same("value that the handler read", SEEN.load(Ordering::SeqCst), 0x1d)?;
    other.holds(24, 0x1d)
}

fn handler_stack(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.scratch.off, page_size(), NONE, SHARED)?;
    let (low, high) = works("sigaltstack", sys::signal_stack(128 * 1024))?;
    works("sigaction", probe::reinstall(libc::SA_ONSTACK))?;
    probe::set_repair(Some(|addr| {
        let local = 0u8;
        SEEN.store(std::ptr::from_ref(&local) as u64, Ordering::SeqCst);
        sys::mprotect(addr & !(page_size() - 1), page_size(), RW).is_ok()
    }));
    probe::bare_store8(map.at(0), 1);
    probe::set_repair(None);
    let at = SEEN.load(Ordering::SeqCst) as usize;
    check((low..high).contains(&at), format!("the handler ran at {at:#x}, not in {low:#x}..{high:#x}"))
}

fn handler_is_reported(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(1)?;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        let (handler, flags) = works("sigaction", sys::handler_of(signal))?;
        check(handler == probe::handler_address(), "sigaction names another handler than the program's")?;
        check(flags & libc::SA_SIGINFO != 0, "sigaction lost SA_SIGINFO")?;
        check(flags & libc::SA_NODEFER != 0, "sigaction lost SA_NODEFER")?;
    }
    sys::plain_disposition(libc::SIGSEGV, libc::SIG_IGN);
    let (handler, _) = works("sigaction", sys::handler_of(libc::SIGSEGV))?;
    equal("disposition after SIG_IGN", handler, libc::SIG_IGN)?;
    map.put(0, 2)
}

static REPLACED: AtomicBool = AtomicBool::new(false);

extern "C" fn other_handler(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    REPLACED.store(true, Ordering::SeqCst);
    let page = probe::address_in(info) & !(page_size() - 1);
    if sys::mprotect(page, page_size(), RW).is_err() {
        sys::exit_now(3);
    }
}

fn handler_replaced(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.scratch.off, page_size(), READ, SHARED)?;
    map.get(0)?;
    map.store_faults(0, Kind::Protection)?;
    works("sigaction", sys::handle(libc::SIGSEGV, other_handler, 0))?;
    probe::bare_store8(map.at(0), 9);
    check(REPLACED.load(Ordering::SeqCst), "the handler installed last did not run")?;
    check(!sys::is_blocked(libc::SIGSEGV), "SIGSEGV stays blocked after the handler returned")?;
    map.holds(0, 9)
}

extern "C" fn count_signal(_signal: i32, _info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    REPAIRS.fetch_add(1, Ordering::SeqCst);
}

fn signal_by_kill(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(4)?;
    works("sigaction", sys::handle(libc::SIGSEGV, count_signal, 0))?;
    works("kill", sys::kill(sys::getpid(), libc::SIGSEGV))?;
    equal("signals that the handler got", REPAIRS.load(Ordering::SeqCst), 1)?;
    map.marked(4)?;
    let mut peer = Peer::start(|link| {
        sys::plain_disposition(libc::SIGSEGV, libc::SIG_DFL);
        link.say(b'r')?;
        link.hear(b'x')
    })?;
    peer.hear(b'r')?;
    peer.signal(libc::SIGSEGV)?;
    peer.ends_with(Status::Killed(libc::SIGSEGV))
}

fn leaving_handlers(t: &Ctx) -> Result {
    let dev = t.open()?;
    let read_only = dev.map(dev.layout.scratch.off, page_size(), READ, SHARED)?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    for round in 0..1000u64 {
        read_only.store_faults((round as usize % 500) * 8, Kind::Protection)?;
        map.put((round as usize % 500) * 8, round)?;
    }
    check(!sys::is_blocked(libc::SIGSEGV), "SIGSEGV is blocked afterwards")?;
    map.mark(5)?;
    map.marked(5)
}

/// Runs `body` with the device lost, and gets it back whatever happens.
fn with_device_lost(dev: &Dev, body: impl FnOnce() -> Result) -> Result {
    dev.lose(true)?;
    let result = body();
    dev.lose(false)?;
    result
}

fn after_loss(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_region(dev.layout.fb, PRIVATE)?, dev.map_region(dev.layout.ring, SHARED)?];
    for map in &maps {
        map.mark(0xa00)?;
    }
    for _ in 0..3 {
        with_device_lost(&dev, || {
            for map in &maps {
                map.load_faults(8, Kind::Device)?;
                map.store_faults(map.len - 8, Kind::Device)?;
            }
            match probe::load8(maps[0].base) {
                Err(fault) => equal("errno in the signal", fault.errno, libc::EIO),
                Ok(_) => Err(fail("a lost device can be read")),
            }
        })?;
        for map in &maps {
            map.marked(0xa00)?;
        }
    }
    Ok(())
}

fn loss_kills(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, SHARED)?;
    with_device_lost(&dev, || {
        let mut peer = Peer::start(|_| {
            sys::plain_disposition(libc::SIGBUS, libc::SIG_DFL);
            probe::bare_load8(map.at(0));
            Err(error("an access to a lost device went on"))
        })?;
        peer.ends_with(Status::Killed(libc::SIGBUS))
    })
}

extern "C" fn on_alarm(_signal: i32, _info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let base = DEVICE.load(Ordering::SeqCst);
    for page in 0..4 {
        let at = base + page * page_size() + 32;
        probe::bare_store8(at, probe::bare_load8(at) + 1);
    }
    REPAIRS.fetch_add(1, Ordering::SeqCst);
}

fn in_signal_handler(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map(dev.layout.ring.off, 4 * page_size(), RW, PRIVATE)?;
    DEVICE.store(map.base, Ordering::SeqCst);
    works("sigaction", sys::handle(libc::SIGUSR1, on_alarm, libc::SA_RESTART))?;
    let parent = sys::getpid();
    let peer = Peer::start(|_| {
        for _ in 0..20 {
            works("kill", sys::kill(parent, libc::SIGUSR1))?;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(())
    })?;
    let other = dev.map_all(PRIVATE)?;
    // Both in the engine's way: the handler's context and the one that the signal interrupts.
    for round in 0..100u64 {
        other.put(dev.layout.ring.off, round)?;
        other.holds(dev.layout.ring.off, round)?;
    }
    peer.done()?;
    let handled = REPAIRS.load(Ordering::SeqCst) as u64;
    check(handled > 0, "no signal arrived")?;
    for page in 0..4 {
        map.holds(page * page_size() + 32, handled)?;
    }
    Ok(())
}
