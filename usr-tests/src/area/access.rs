//! Loads, stores and instruction fetches: first touch, protections, what a refused access looks like, threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::case::{Case, Ctx, Result, case, check, equal, error, fail, same, works};
use crate::device::{Dev, EXEC, Map, NONE, PRIVATE, READ, RW, SHARED, grew, reserve};
use crate::peer::Peer;
use crate::probe::{self, Kind};
use crate::sys::{self, Status, page_size};

pub const CASES: &[Case] = &[
    case("first_touch_read", "the first load of each page works and is one fault", first_touch_read),
    case("first_touch_write", "the first store to each page works and is one fault", first_touch_write),
    case(
        "read_then_write",
        "a page that was read first can be written, and the other way round",
        read_then_write,
    ),
    case("again_is_free", "a page once touched is not a fault again", again_is_free),
    case("every_width", "loads and stores of 1, 2, 4 and 8 bytes at every alignment are exact", every_width),
    case("across_pages", "an access across two pages is whole", across_pages),
    case("across_regions", "an access across two regions of one mapping is whole", across_regions),
    case("sixteen_bytes", "a 16-byte load across pages and regions is whole", sixteen_bytes),
    case("atomics", "atomic additions and exchanges work on device memory", atomics),
    case("big_copy", "a copy of the whole device to memory and back loses nothing", big_copy),
    case(
        "write_to_read_only",
        "a store to a read-only mapping is SIGSEGV with the address of the store",
        write_to_read_only,
    )
    .of("Open POSIX mmap 6-2; LTP mmap03"),
    case("write_to_read_only_loaded", "likewise when the page was read before", write_to_read_only_loaded),
    case("touch_none", "any access to a PROT_NONE mapping is SIGSEGV", touch_none)
        .of("Open POSIX mmap 6-1; LTP mmap05"),
    case("touch_hole", "an access behind the mapping is SIGSEGV, no mapping", touch_hole)
        .of("Open POSIX munmap 1-1"),
    case(
        "fault_address_exact",
        "the address in the signal is that of the access, to the byte",
        fault_address_exact,
    ),
    case("fetch", "code in device memory can be called", fetch),
    case("fetch_not_allowed", "a call into a mapping without PROT_EXEC is SIGSEGV", fetch_not_allowed),
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
    case("after_protect", "access follows mprotect", after_protect).of("LTP mprotect02"),
    case(
        "after_revoke",
        "after the driver drops all translations the values are the same, by a new fault",
        after_revoke,
    ),
    case(
        "after_loss",
        "a lost device is SIGBUS (BUS_OBJERR); back again, the values are the same",
        after_loss,
    ),
    case("loss_kills", "without a handler an access to a lost device kills with SIGBUS", loss_kills),
    case(
        "threads_one_page",
        "eight threads that touch one page for the first time all see it",
        threads_one_page,
    ),
    case(
        "threads_all_pages",
        "eight threads that touch all pages in different orders lose no store",
        threads_all_pages,
    ),
    case("threads_add", "atomic additions of eight threads add up", threads_add),
    case(
        "threads_two_contexts",
        "threads at two contexts of one process never see the other's",
        threads_two_contexts,
    )
    .slow(2),
    case(
        "threads_refused",
        "threads whose accesses are refused at the same time each get their own signal",
        threads_refused,
    ),
    case(
        "touch_under_revoke",
        "stores are not lost while translations are dropped all the time",
        touch_under_revoke,
    )
    .slow(2),
    case("in_signal_handler_alarm", "device memory can be used in the handler of a timer", in_signal_handler),
];

fn touch_each(t: &Ctx, write: bool) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, PRIVATE)?;
        for page in 0..map.pages() {
            let before = if dev.is_ctxdev() { Some(dev.stats()?) } else { None };
            if write {
                map.put(page * page_size() + 16, 3)?;
            } else {
                map.get(page * page_size() + 16)?;
            }
            if let Some(before) = before {
                let after = dev.stats()?;
                // A framework may serve more than was asked for, but never without telling the driver.
                check(after.faults - before.faults <= 1, "one access was more than one fault")?;
                check(page > 0 || after.faults > before.faults, "the first access was no fault")?;
            }
        }
    }
    Ok(())
}

fn first_touch_read(t: &Ctx) -> Result {
    touch_each(t, false)
}

fn first_touch_write(t: &Ctx) -> Result {
    touch_each(t, true)
}

fn read_then_write(t: &Ctx) -> Result {
    let dev = t.open()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_all(flags)?;
        for page in 0..map.pages() {
            let at = page * page_size();
            if page % 2 == 0 {
                map.get(at)?;
                map.put(at, 0x40 + page as u64)?;
            } else {
                map.put(at, 0x40 + page as u64)?;
            }
        }
        map.marked(0x40)?;
    }
    Ok(())
}

fn again_is_free(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(1)?;
    let before = dev.stats()?;
    for _ in 0..50 {
        map.marked(1)?;
    }
    grew(&dev, &before, &[("faults", 0), ("switches", 0)])
}

fn every_width(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.ring, PRIVATE)?;
    for at in 0..16 {
        let a = map.at(at);
        let wrong = |what: &str| fail(format!("{what} at +{at}"));
        works_at(probe::store8(a, 0x1122_3344_5566_7788))?;
        check(probe::load1(a) == Ok(0x88), "1-byte load")?;
        check(probe::load2(a) == Ok(0x7788), "2-byte load")?;
        check(probe::load4(a) == Ok(0x5566_7788), "4-byte load")?;
        check(probe::load4(a + 4) == Ok(0x1122_3344), "4-byte load of the upper half")?;
        works_at(probe::store1(a, 0xaa))?;
        works_at(probe::store2(a + 2, 0xbbbb))?;
        works_at(probe::store4(a + 4, 0xcccc_dddd))?;
        if probe::load8(a) != Ok(0xcccc_dddd_bbbb_77aa) {
            return Err(wrong("8-byte load after narrow stores"));
        }
    }
    Ok(())
}

#[track_caller]
fn works_at<T>(result: std::result::Result<T, probe::Fault>) -> Result<T> {
    result.map_err(|fault| fail(format!("access: {fault}")))
}

/// Stores 8 bytes across each of these places of a mapping, cold, and reads them back in both ways.
fn across(map: &Map, places: &[usize]) -> Result {
    for (index, &place) in places.iter().enumerate() {
        let value = 0x0102_0304_0506_0700 + index as u64;
        let at = place - 3 - index % 4;
        map.put(at, value)?;
        map.holds(at, value)?;
        for (n, byte) in value.to_le_bytes().into_iter().enumerate() {
            same(
                format!("byte {n} of a store across {place:#x}"),
                works_at(probe::load1(map.at(at + n)))?,
                byte,
            )?;
        }
    }
    Ok(())
}

fn across_pages(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in [dev.layout.ring, dev.layout.scratch, dev.layout.fb] {
        for flags in [SHARED, PRIVATE] {
            let map = dev.map_region(region, flags)?;
            let places: Vec<usize> = (1..map.pages()).map(|page| page * page_size()).collect();
            across(&map, &places)?;
        }
    }
    Ok(())
}

fn across_regions(t: &Ctx) -> Result {
    let dev = t.open()?;
    let places = [dev.layout.ring.off, dev.layout.scratch.off, dev.layout.fb.off];
    for flags in [SHARED, PRIVATE] {
        across(&dev.map_all(flags)?, &places)?;
    }
    Ok(())
}

fn sixteen_bytes(t: &Ctx) -> Result {
    let dev = t.open()?;
    let writer = dev.map_all(SHARED)?;
    for place in [dev.layout.ring.off, dev.layout.scratch.off, dev.layout.fb.off, dev.layout.fb.page(1)] {
        writer.put(place - 8, 0x1111)?;
        writer.put(place, 0x2222)?;
        let cold = dev.map_all(SHARED)?;
        let (low, high) = works_at(probe::load16(cold.at(place - 8)))?;
        equal("16 bytes", (low, high), (0x1111, 0x2222))?;
    }
    Ok(())
}

fn atomics(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, PRIVATE)?;
        map.put(64, 5)?;
        same("value before an addition", works_at(probe::add8(map.at(64), 10))?, 5)?;
        same("value before an exchange", works_at(probe::swap8(map.at(64), 15, 77))?, 15)?;
        same(
            "value before an exchange that must not happen",
            works_at(probe::swap8(map.at(64), 15, 99))?,
            77,
        )?;
        map.holds(64, 77)?;
        // cold: the very first access is an atomic one
        let cold = dev.map_region(region, SHARED)?;
        cold.put(64, 1)?;
        works_at(probe::add8(dev.map_region(region, SHARED)?.at(64), 1))?;
        cold.holds(64, 2)?;
    }
    Ok(())
}

fn big_copy(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    let words = (map.len / 8).min(64 * 1024);
    let word = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for n in 0..words {
        probe::bare_store8(map.at(n * 8), word(n));
    }
    let copy: Vec<u64> = (0..words).map(|n| probe::bare_load8(map.at(n * 8))).collect();
    for (n, value) in copy.iter().enumerate() {
        same(format!("word at {:#x}", n * 8), *value, word(n))?;
    }
    Ok(())
}

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
    works("munmap", sys::munmap(place, 8 * page_size()))?;
    let map = dev.map_at(
        place + 2 * page_size(),
        dev.layout.scratch.off,
        2 * page_size(),
        RW,
        SHARED | libc::MAP_FIXED,
    )?;
    map.mark(1)?;
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

fn after_protect(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, SHARED)?;
        map.put(8, 1)?;
        for prot in [READ, NONE, RW, NONE, READ, RW] {
            map.protect(prot)?;
            map.obeys(8, prot)?;
        }
        map.holds(8, 1)?;
    }
    Ok(())
}

fn after_revoke(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_all(flags)?;
        map.mark(0x900)?;
        for _ in 0..3 {
            let before = dev.stats()?;
            dev.revoke()?;
            map.holds(0, 0x900)?;
            let after = dev.stats()?;
            check(after.faults > before.faults, "an access after revoke-all was no fault")?;
            map.marked(0x900)?;
            map.mark(0x900)?;
        }
    }
    Ok(())
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

/// Runs `body` in `count` threads that start together; the first failure.
fn threads(count: usize, body: impl Fn(usize) -> Result + Sync) -> Result {
    let start = Barrier::new(count);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..count)
            .map(|index| {
                let (start, body) = (&start, &body);
                scope.spawn(move || {
                    start.wait();
                    body(index)
                })
            })
            .collect();
        running
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(error("a thread panicked"))))
    })
}

fn threads_one_page(t: &Ctx) -> Result {
    let dev = t.open()?;
    let writer = dev.map_all(SHARED)?;
    writer.mark(0x3300)?;
    for round in 0..20 {
        let map = dev.map_all(SHARED)?;
        let page = round % map.pages();
        threads(8, |index| {
            map.holds(page * page_size(), 0x3300 + page as u64)?;
            map.put(page * page_size() + 64 + index * 8, index as u64)
        })?;
        for index in 0..8 {
            map.holds(page * page_size() + 64 + index * 8, index as u64)?;
        }
        map.unmap()?;
    }
    Ok(())
}

fn threads_all_pages(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    let pages = map.pages();
    threads(8, |index| {
        for step in 0..pages {
            let page = (step * 5 + index * 3) % pages;
            map.put(page * page_size() + 8 * index, (index * 1000 + page) as u64)?;
        }
        Ok(())
    })?;
    for index in 0..8 {
        // 5 may divide the number of pages: look only at those that were written.
        for step in 0..pages {
            let page = (step * 5 + index * 3) % pages;
            map.holds(page * page_size() + 8 * index, (index * 1000 + page) as u64)?;
        }
    }
    Ok(())
}

fn threads_add(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, PRIVATE)?;
        map.put(0, 0)?;
        map.unmap()?;
        let map = dev.map_region(region, SHARED)?;
        map.put(0, 0)?;
        threads(8, |_| {
            for _ in 0..500 {
                works_at(probe::add8(map.at(0), 1))?;
            }
            Ok(())
        })?;
        map.holds(0, 4000)?;
    }
    Ok(())
}

fn threads_two_contexts(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_all(PRIVATE)?, dev.map_all(PRIVATE)?];
    let (ring, fb) = (dev.layout.ring.off, dev.layout.fb.off);
    threads(4, |index| {
        let map = &maps[index % 2];
        let slot = 8 * (index / 2);
        for round in 0..100u64 {
            let value = ((index as u64) << 32) | round;
            map.put(ring + slot, value)?;
            map.put(fb + slot, !value)?;
            map.holds(ring + slot, value)?;
            map.holds(fb + slot, !value)?;
        }
        Ok(())
    })
}

fn threads_refused(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.scratch.off, dev.layout.scratch.len, READ, SHARED)?;
    threads(6, |index| {
        for round in 0..50 {
            map.store_faults(index * page_size() + round * 8, Kind::Protection)?;
        }
        Ok(())
    })
}

fn touch_under_revoke(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                dev.revoke()?;
            }
            Ok(())
        });
        let touching = threads(3, |index| {
            for round in 0..150u64 {
                for page in 0..8 {
                    let at = page * page_size() + 8 * index;
                    map.put(at, round << 8 | page as u64)?;
                    map.holds(at, round << 8 | page as u64)?;
                }
            }
            Ok(())
        });
        stop.store(true, Ordering::SeqCst);
        touching?;
        revoking.join().unwrap_or_else(|_| Err(error("a thread panicked")))
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
    let dev = t.open()?;
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
