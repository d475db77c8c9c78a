//! kstat(9F): statistics of drivers, and how the host reads them.
//!
//! `ks_lock`, if the driver set it, is held during the update callback and while the data are read. The chain's lock is not held then.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering};

use ddi_sys::{kid_t, kstat_io_t, kstat_named_t, kstat_t, kstat_timer_t, uchar_t, uint_t, zoneid_t};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use super::args::{Argument, Memory, Text, Word};
use super::sync;
use crate::board::report;
use crate::kern::clock;
use crate::kern::fields::{Structure, Zeroed as _};
use crate::kern::{entry, heap, peek, thread};

/// A kstat that exists.
#[derive(Clone, Copy)]
struct Link {
    address: usize,
    installed: bool,
    /// The memory that was made for its values, and its bytes. The driver may let `ks_data` point elsewhere.
    data: (usize, usize),
}

/// State of this file.
struct State {
    /// The kstats that exist.
    chain: Mutex<Vec<Link>>,
    last: AtomicI32,
    /// The kstats that are held by kstat_hold_byname and its like, and by which threads.
    held: Mutex<Vec<(usize, u32)>>,
    released: Condvar,
}

static STATE: State = State {
    chain: Mutex::new(Vec::new()),
    last: AtomicI32::new(0),
    held: Mutex::new(Vec::new()),
    released: Condvar::new(),
};
/// Longest string that is looked at, in bytes.
const LONGEST: usize = 4096;
crate::fields! {
    /// A driver's kstat.
    ///
    /// # Invariants
    /// A kstat that kstat_create(9F) has made and that is not deleted for `'a`. Under `ks_lock`, if there is one.
    struct Kstat<'a> at kstat_t {
        ks_crtime: i64,
        ks_kid: kid_t,
        ks_module: [c_char; 31],
        ks_type: uchar_t,
        ks_instance: c_int,
        ks_name: [c_char; 31],
        ks_class: [c_char; 31],
        ks_flags / set_flags: uchar_t,
        ks_data: *mut c_void,
        ks_ndata: uint_t,
        ks_data_size: usize,
        ks_update: Option<unsafe extern "C-unwind" fn(*mut kstat_t, c_int) -> c_int>,
        ks_lock: *mut c_void,
    }
}

crate::fields! {
    /// A named value.
    ///
    /// # Invariants
    /// A value of a driver's kstat that is there for `'a`.
    struct Named<'a> at kstat_named_t {
        name / set_name: [c_char; 31],
        data_type / set_data_type: uchar_t,
        value / set_value = value.ui64: u64,
    }
}

crate::fields! {
    /// Counts of requests and the times that they took.
    ///
    /// # Invariants
    /// The data of a driver's kstat that are there for `'a`, under its lock.
    struct Io<'a> at kstat_io_t {
        wtime / set_wtime: i64,
        wlentime / set_wlentime: i64,
        wlastupdate / set_wlastupdate: i64,
        rtime / set_rtime: i64,
        rlentime / set_rlentime: i64,
        rlastupdate / set_rlastupdate: i64,
        wcnt / set_wcnt: uint_t,
        rcnt / set_rcnt: uint_t,
    }
}

crate::fields! {
    /// A timer.
    ///
    /// # Invariants
    /// A timer of a driver's kstat that is there for `'a`, under its lock.
    struct Timer<'a> at kstat_timer_t {
        name / set_name: [c_char; 31],
        num_events / set_num_events: u64,
        elapsed_time / set_elapsed_time: i64,
        min_time / set_min_time: i64,
        max_time / set_max_time: i64,
        start_time / set_start_time: i64,
        stop_time / set_stop_time: i64,
    }
}

impl Link {
    /// The kstat, which is there while the chain is locked, or until kstat_delete.
    fn kstat(&self) -> Kstat<'static> {
        // SAFETY: on the chain, so kstat_create has made it and kstat_delete has not freed it.
        unsafe { Argument::of(self.address as *mut kstat_t) }
    }
}

/// Holds the kstat that is the one looked for; waits while another thread holds it.
fn hold(wanted: impl Fn(Kstat<'_>) -> bool) -> *mut kstat_t {
    let mut held = STATE.held.lock();
    loop {
        let found = STATE.chain.lock().iter().find(|link| wanted(link.kstat())).map(|link| link.address);
        let Some(address) = found else { return null_mut() };
        if !held.iter().any(|(other, _)| *other == address) {
            held.push((address, thread::id()));
            return address as *mut kstat_t;
        }
        STATE.released.wait(&mut held);
    }
}

/// A kstat, read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Module.
    pub module: String,
    /// Instance.
    pub instance: i32,
    /// Name.
    pub name: String,
    /// Class.
    pub class: String,
    /// Type, such as `KSTAT_TYPE_NAMED`.
    pub kind: u8,
    /// When it was made: nanoseconds since the machine started.
    pub crtime: i64,
    /// When it was read.
    pub snaptime: i64,
    /// Values; raw kstats have one, `bytes`.
    pub values: Vec<Value>,
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Name.
    pub name: String,
    /// The value as text.
    pub text: String,
    /// The value is a string rather than a number or characters.
    pub is_string: bool,
}

fn field(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|c| *c as u8).take_while(|b| *b != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As much of a text as a field has room for, with a NUL.
fn chars<const N: usize>(text: &[u8]) -> [c_char; N] {
    let mut field = [0; N];
    for (to, from) in field[..N - 1].iter_mut().zip(text) {
        *to = *from as c_char;
    }
    field
}

/// Returns the number of kstats.
pub fn count() -> usize {
    STATE.chain.lock().len()
}

/// Every kstat, as the kstat command reads it.
pub fn listing() -> String {
    serde_json::to_string(&read_all()).unwrap_or_default()
}

/// Reads every installed kstat, with its driver's update callback.
pub fn read_all() -> Vec<Statistics> {
    let installed: Vec<Kstat<'_>> =
        STATE.chain.lock().iter().filter(|link| link.installed).map(Link::kstat).collect();
    installed.into_iter().filter_map(read).collect()
}

fn read(ks: Kstat<'_>) -> Option<Statistics> {
    let lock = ks.ks_lock();
    // SAFETY: the driver's mutex, or NULL.
    let lock: Option<Word<'_, ddi_sys::kmutex_t>> = unsafe { Argument::of(lock.cast()) };
    if let Some(lock) = lock {
        sync::enter(lock);
    }
    let module = field(&ks.ks_module());
    let updated = ks.ks_update().map_or(Ok(0), |update| {
        entry::call(
            || format!("{module}: ks_update(9E)"),
            // SAFETY: the driver's callback with its own kstat.
            || unsafe { update(ks.pointer(), ddi_sys::KSTAT_READ) },
        )
    });
    let (name, instance) = (field(&ks.ks_name()), ks.ks_instance());
    let values = (updated == Ok(0)).then(|| values(ks));
    if let Some(Err(nowhere)) = values {
        let what = format!(
            "the data of {module}:{instance}:{name} lead to {nowhere:#x}, where there is no memory that can be read"
        );
        report::mistake(&module, &what, "kstat(9S)");
    }
    if let Some(lock) = lock {
        sync::exit(lock);
    }
    Some(Statistics {
        module,
        instance,
        name,
        class: field(&ks.ks_class()),
        kind: ks.ks_type(),
        crtime: ks.ks_crtime(),
        snaptime: clock::hrtime(),
        values: values?.ok()?,
    })
}

/// The values of a kstat.
///
/// # Errors
/// A pointer of the driver's that leads nowhere.
fn values(ks: Kstat<'_>) -> Result<Vec<Value>, usize> {
    let mut out = Vec::new();
    let data = ks.ks_data() as usize;
    if data == 0 {
        return Ok(out);
    }
    let mut add = |name: &str, text: String, is_string: bool| {
        out.push(Value { name: name.to_owned(), text, is_string });
    };
    match ks.ks_type() {
        ddi_sys::KSTAT_TYPE_NAMED => {
            for i in 0..ks.ks_ndata() as usize {
                let at = data.wrapping_add(i * size_of::<kstat_named_t>());
                let named = peek::read::<kstat_named_t>(at).ok_or(at)?;
                add(&field(&named.name), named_value(&named)?, named.data_type == ddi_sys::KSTAT_DATA_STRING);
            }
        }
        ddi_sys::KSTAT_TYPE_INTR => {
            let names = ["hard", "soft", "watchdog", "spurious", "multiple_service"];
            let intr = peek::read::<ddi_sys::kstat_intr_t>(data).ok_or(data)?;
            for (name, value) in names.iter().zip(intr.intrs) {
                add(name, value.to_string(), false);
            }
        }
        ddi_sys::KSTAT_TYPE_IO => {
            let io = peek::read::<kstat_io_t>(data).ok_or(data)?;
            for (name, value) in [
                ("nread", io.nread.to_string()),
                ("nwritten", io.nwritten.to_string()),
                ("reads", io.reads.to_string()),
                ("writes", io.writes.to_string()),
                ("wtime", io.wtime.to_string()),
                ("wlentime", io.wlentime.to_string()),
                ("wlastupdate", io.wlastupdate.to_string()),
                ("rtime", io.rtime.to_string()),
                ("rlentime", io.rlentime.to_string()),
                ("rlastupdate", io.rlastupdate.to_string()),
                ("wcnt", io.wcnt.to_string()),
                ("rcnt", io.rcnt.to_string()),
            ] {
                add(name, value, false);
            }
        }
        ddi_sys::KSTAT_TYPE_TIMER => {
            // There may be several; the first is shown.
            let timer = peek::read::<kstat_timer_t>(data).ok_or(data)?;
            add("name", field(&timer.name), true);
            add("num_events", timer.num_events.to_string(), false);
            for (name, value) in [
                ("elapsed_time", timer.elapsed_time),
                ("min_time", timer.min_time),
                ("max_time", timer.max_time),
                ("start_time", timer.start_time),
                ("stop_time", timer.stop_time),
            ] {
                add(name, value.to_string(), false);
            }
        }
        _ => add("bytes", ks.ks_data_size().to_string(), false),
    }
    Ok(out)
}

fn named_value(named: &kstat_named_t) -> Result<String, usize> {
    // SAFETY: the union is plain bytes, of which the type says how to read them; all its members are valid for any bits.
    let word = unsafe { named.value.ui64 };
    // SAFETY: as above.
    let c = unsafe { named.value.c };
    Ok(match named.data_type {
        ddi_sys::KSTAT_DATA_CHAR => field(&c),
        ddi_sys::KSTAT_DATA_INT32 => (word as i32).to_string(),
        ddi_sys::KSTAT_DATA_UINT32 => (word as u32).to_string(),
        ddi_sys::KSTAT_DATA_INT64 | ddi_sys::KSTAT_DATA_LONG => (word as i64).to_string(),
        ddi_sys::KSTAT_DATA_STRING if word == 0 => String::new(),
        ddi_sys::KSTAT_DATA_STRING => {
            let text = peek::string(word as usize, LONGEST).ok_or(word as usize)?;
            String::from_utf8_lossy(&text).into_owned()
        }
        _ => word.to_string(),
    })
}

/// Bytes of the data of a kstat of this type.
fn data_size(kind: uchar_t, ndata: uint_t) -> Option<usize> {
    let n = ndata as usize;
    Some(match kind {
        ddi_sys::KSTAT_TYPE_RAW => n,
        ddi_sys::KSTAT_TYPE_NAMED => n * size_of::<kstat_named_t>(),
        ddi_sys::KSTAT_TYPE_INTR => n * size_of::<ddi_sys::kstat_intr_t>(),
        ddi_sys::KSTAT_TYPE_IO => n * size_of::<kstat_io_t>(),
        ddi_sys::KSTAT_TYPE_TIMER => n * size_of::<kstat_timer_t>(),
        _ => return None,
    })
}

fn known(ksp: *mut kstat_t, function: &str) -> bool {
    let known = STATE.chain.lock().iter().any(|link| link.address == ksp as usize);
    if !known {
        report::mistake(function, &format!("{ksp:p} is not a kstat"), "kstat_create(9F)");
    }
    known
}

/// Changes the lengths of the queues, after the time passed since the last change has been added up. The driver holds the kstat's lock.
fn queues(io: Io<'_>, waiting: i32, running: i32) {
    let now = clock::hrtime();
    let (wcnt, wlast) = (io.wcnt(), io.wlastupdate());
    if wlast != 0 && wcnt != 0 {
        io.set_wlentime(io.wlentime() + i64::from(wcnt) * (now - wlast));
        io.set_wtime(io.wtime() + now - wlast);
    }
    let (rcnt, rlast) = (io.rcnt(), io.rlastupdate());
    if rlast != 0 && rcnt != 0 {
        io.set_rlentime(io.rlentime() + i64::from(rcnt) * (now - rlast));
        io.set_rtime(io.rtime() + now - rlast);
    }
    io.set_wlastupdate(now);
    io.set_rlastupdate(now);
    io.set_wcnt(wcnt.wrapping_add_signed(waiting));
    io.set_rcnt(rcnt.wrapping_add_signed(running));
}

/// kstat_create(9F): who makes it, and its kind.
fn create(
    module: &[u8],
    instance: c_int,
    name: &[u8],
    class: &[u8],
    (kind, ndata, flags): (uchar_t, uint_t, uchar_t),
) -> *mut kstat_t {
    let single = matches!(kind, ddi_sys::KSTAT_TYPE_INTR | ddi_sys::KSTAT_TYPE_IO);
    let Some(size) = data_size(kind, ndata).filter(|_| !single || ndata == 1) else { return null_mut() };
    let mut ks = Box::new(kstat_t::ZEROED);
    ks.ks_module = chars(module);
    ks.ks_class = chars(class);
    ks.ks_name = match name {
        b"" => chars(&[module, instance.to_string().as_bytes()].concat()),
        name => chars(name),
    };
    (ks.ks_instance, ks.ks_type, ks.ks_ndata) = (instance, kind, ndata);
    ks.ks_flags = flags | ddi_sys::KSTAT_FLAG_INVALID;
    ks.ks_data_size = size;
    ks.ks_crtime = clock::hrtime();
    ks.ks_kid = STATE.last.fetch_add(1, Ordering::Relaxed) + 1;
    let mut data = (0, 0);
    if flags & ddi_sys::KSTAT_FLAG_VIRTUAL == 0 && size > 0 {
        ks.ks_data = heap::allocate(size, 16, true).cast();
        if ks.ks_data.is_null() {
            return null_mut();
        }
        data = (ks.ks_data as usize, size);
    }
    let mut chain = STATE.chain.lock();
    let taken = chain.iter().map(Link::kstat).any(|other| {
        let same = other.ks_instance() == instance && other.ks_module() == ks.ks_module;
        same && other.ks_name() == ks.ks_name
    });
    if taken {
        drop(chain);
        let name = format!("{}:{instance}:{}", field(&ks.ks_module), field(&ks.ks_name));
        let what = format!("WARNING: kstat_create('{name}'): namespace collision");
        crate::board::log::line(crate::board::log::To::Both, &what);
        free_data(data);
        return null_mut();
    }
    let ksp = Box::into_raw(ks);
    chain.push(Link { address: ksp as usize, installed: false, data });
    ksp
}

/// kstat_delete(9F).
fn delete(ksp: *mut kstat_t) {
    if ksp.is_null() || !known(ksp, "kstat_delete") {
        return;
    }
    let mine = (ksp as usize, thread::id());
    let mut held = STATE.held.lock();
    while held.iter().any(|(address, owner)| *address == mine.0 && *owner != mine.1) {
        STATE.released.wait(&mut held);
    }
    held.retain(|entry| *entry != mine);
    drop(held);
    let mut chain = STATE.chain.lock();
    let found = chain.iter().position(|link| link.address == ksp as usize);
    let Some(link) = found.map(|at| chain.remove(at)) else { return };
    drop(chain);
    free_data(link.data);
    // SAFETY: made by kstat_create; off the chain now.
    drop(unsafe { Box::from_raw(ksp) });
}

/// The kstat of this name, held.
fn hold_by_name(module: Text<'_>, instance: c_int, name: Text<'_>) -> *mut kstat_t {
    let (module, name) = (module.text(), name.text());
    hold(|ks| {
        let same = field(&ks.ks_module()) == module && ks.ks_instance() == instance;
        same && field(&ks.ks_name()) == name
    })
}

ddi! {
    /// kstat_create(9F).
    fn kstat_create(
        module: Text,
        instance: c_int,
        name: Text,
        class: Text,
        kind: uchar_t,
        ndata: uint_t,
        flags: uchar_t,
    ) -> *mut kstat_t {
        create(module.bytes(), instance, name.bytes(), class.bytes(), (kind, ndata, flags))
    }
    /// kstat_create_zone: there is one zone.
    fn kstat_create_zone(
        module: Text,
        instance: c_int,
        name: Text,
        class: Text,
        kind: uchar_t,
        ndata: uint_t,
        flags: uchar_t,
        _zone: zoneid_t,
    ) -> *mut kstat_t {
        create(module.bytes(), instance, name.bytes(), class.bytes(), (kind, ndata, flags))
    }
    /// kstat_hold_byname: NULL when there is none; nobody else holds or deletes it until kstat_rele.
    fn kstat_hold_byname(module: Text, instance: c_int, name: Text, _zone: zoneid_t) -> *mut kstat_t {
        hold_by_name(module, instance, name)
    }
    /// kstat_hold_bykid: by its number.
    fn kstat_hold_bykid(kid: kid_t, _zone: zoneid_t) -> *mut kstat_t {
        hold(|ks| ks.ks_kid() == kid)
    }
    /// kstat_rele.
    fn kstat_rele(ksp: *mut kstat_t) {
        let mut held = STATE.held.lock();
        match held.iter().position(|(address, _)| *address == ksp as usize) {
            Some(at) => {
                held.remove(at);
                STATE.released.notify_all();
            }
            None => {
                drop(held);
                report::mistake(NAME, &format!("{ksp:p} is not held"), "kstat_create(9F)");
            }
        }
    }
    /// kstat_delete_byname.
    fn kstat_delete_byname(module: Text, instance: c_int, name: Text) {
        delete(hold_by_name(module, instance, name));
    }
    /// kstat_delete_byname_zone: there is one zone.
    fn kstat_delete_byname_zone(module: Text, instance: c_int, name: Text, _zone: zoneid_t) {
        delete(hold_by_name(module, instance, name));
    }
    /// kstat_zone_add: there is one zone.
    fn kstat_zone_add(_ksp: *mut kstat_t, _zone: zoneid_t) {}
    /// kstat_zone_remove.
    fn kstat_zone_remove(_ksp: *mut kstat_t, _zone: zoneid_t) {}
    /// kstat_zone_find: every kstat is in the only zone.
    fn kstat_zone_find(_ksp: *mut kstat_t, zone: zoneid_t) -> c_int {
        (zone == 0 || zone == -1).into()
    }
    /// kstat_install(9F).
    fn kstat_install(ksp: *mut kstat_t) {
        if !known(ksp, NAME) {
            return;
        }
        if let Some(link) = STATE.chain.lock().iter_mut().find(|link| link.address == ksp as usize) {
            // The driver calls this once, before anyone reads it.
            let ks = link.kstat();
            ks.set_flags(ks.ks_flags() & !ddi_sys::KSTAT_FLAG_INVALID);
            link.installed = true;
        }
    }
    /// kstat_delete(9F).
    fn kstat_delete(ksp: *mut kstat_t) {
        delete(ksp);
    }
    /// kstat_named_init(9F).
    fn kstat_named_init(named: Named, name: Text, kind: uchar_t) {
        named.set_name(chars(name.bytes()));
        named.set_data_type(kind);
    }
    /// kstat_named_setstr(9F).
    fn kstat_named_setstr(named: Named, value: *const c_char) {
        if named.data_type() != ddi_sys::KSTAT_DATA_STRING {
            return report::mistake(NAME, "the value is not KSTAT_DATA_STRING", "kstat_named_setstr(9F)");
        }
        named.set_value(value as u64);
    }
    /// kstat_set_string: copies at most KSTAT_STRLEN - 1 characters.
    fn kstat_set_string(to: Memory<c_char>, from: Text) {
        to.cast().set_element(0, chars::<{ ddi_sys::KSTAT_STRLEN as usize }>(from.bytes()));
    }
    /// kstat_waitq_enter(9F).
    fn kstat_waitq_enter(p: Io) {
        queues(p, 1, 0);
    }
    /// kstat_waitq_exit(9F).
    fn kstat_waitq_exit(p: Io) {
        queues(p, -1, 0);
    }
    /// kstat_runq_enter(9F).
    fn kstat_runq_enter(p: Io) {
        queues(p, 0, 1);
    }
    /// kstat_runq_exit(9F).
    fn kstat_runq_exit(p: Io) {
        queues(p, 0, -1);
    }
    /// kstat_waitq_to_runq(9F).
    fn kstat_waitq_to_runq(p: Io) {
        queues(p, -1, 1);
    }
    /// kstat_runq_back_to_waitq(9F).
    fn kstat_runq_back_to_waitq(p: Io) {
        queues(p, 1, -1);
    }
    /// kstat_timer_init: names a timer.
    fn kstat_timer_init(p: Timer, name: Text) {
        p.set_name(chars(name.bytes()));
    }
    /// kstat_timer_start.
    fn kstat_timer_start(p: Timer) {
        p.set_start_time(clock::hrtime());
    }
    /// kstat_timer_stop.
    fn kstat_timer_stop(p: Timer) {
        let (start, stop, events) = (p.start_time(), clock::hrtime(), p.num_events());
        let took = stop - start;
        p.set_stop_time(stop);
        if events == 0 || took < p.min_time() {
            p.set_min_time(took);
        }
        p.set_max_time(p.max_time().max(took));
        p.set_elapsed_time(p.elapsed_time() + took);
        p.set_num_events(events + 1);
    }
}

/// Frees the memory that was made for a kstat's values.
fn free_data((address, size): (usize, usize)) {
    if address != 0
        && let Err(error) = heap::free(address as *mut u8, size)
    {
        report::mistake_after("kstat_delete", &error.to_string(), "kstat_create(9F)", &error.earlier());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_values_are_read_with_an_update() {
        unsafe extern "C-unwind" fn update(ksp: *mut kstat_t, _rw: c_int) -> c_int {
            // SAFETY: the kstat of the test, here and below.
            let ks: Kstat<'_> = unsafe { Argument::of(ksp) };
            let data = ks.ks_data();
            // SAFETY: it has one named value, of 64 bits.
            let named: Named<'_> = unsafe { Argument::of(data.cast()) };
            named.set_value(named.value() + 7);
            0
        }
        let (module, name, class) = (c"kstats-test".as_ptr(), c"counters".as_ptr(), c"misc".as_ptr());
        let ksp = driver!(ddi_sys::kstat_create(module, 2, name, class, ddi_sys::KSTAT_TYPE_NAMED, 1, 0));
        assert!(!ksp.is_null());
        let again = driver!(ddi_sys::kstat_create(module, 2, name, class, ddi_sys::KSTAT_TYPE_NAMED, 1, 0));
        assert!(again.is_null());
        // SAFETY: the kstat's own value.
        let data = unsafe { (*ksp).ks_data };
        driver!(ddi_sys::kstat_named_init(data.cast(), c"faults".as_ptr(), ddi_sys::KSTAT_DATA_UINT64));
        // SAFETY: not installed yet.
        unsafe { (*ksp).ks_update = Some(update) };
        let mine = || read_all().into_iter().find(|s| s.module == "kstats-test");
        assert!(mine().is_none(), "not before kstat_install");
        driver!(ddi_sys::kstat_install(ksp));
        let read = mine().unwrap();
        assert_eq!((read.instance, read.name.as_str(), read.class.as_str()), (2, "counters", "misc"));
        let faults = Value { name: "faults".into(), text: "7".into(), is_string: false };
        assert_eq!((read.values, read.kind), (vec![faults], ddi_sys::KSTAT_TYPE_NAMED));
        assert!(0 < read.crtime && read.crtime <= read.snaptime);
        driver!(ddi_sys::kstat_delete(ksp));
        assert!(mine().is_none());
    }

    #[test]
    fn queues_are_counted_and_timed() {
        let mut io = kstat_io_t::ZEROED;
        let at = &raw mut io;
        driver!(ddi_sys::kstat_waitq_enter(at));
        driver!(ddi_sys::kstat_waitq_enter(at));
        std::thread::sleep(std::time::Duration::from_millis(1));
        driver!(ddi_sys::kstat_waitq_to_runq(at));
        driver!(ddi_sys::kstat_runq_back_to_waitq(at));
        driver!(ddi_sys::kstat_runq_enter(at));
        assert_eq!((io.wcnt, io.rcnt), (2, 1));
        let at = &raw mut io;
        driver!(ddi_sys::kstat_runq_exit(at));
        driver!(ddi_sys::kstat_waitq_exit(at));
        assert_eq!((io.wcnt, io.rcnt, io.wlastupdate), (1, 0, io.rlastupdate));
        assert!(io.wtime >= 1_000_000 && io.wlentime > io.wtime && io.rtime < io.wtime);
    }

    #[test]
    fn data_that_a_driver_has_replaced_stay_the_driver_s() {
        let (module, name, class) = (c"kstats-test".as_ptr(), c"replaced".as_ptr(), c"misc".as_ptr());
        let ksp = driver!(ddi_sys::kstat_create(module, 3, name, class, ddi_sys::KSTAT_TYPE_NAMED, 1, 0));
        // SAFETY: the kstat just made.
        let made = unsafe { (*ksp).ks_data } as usize;
        let own = heap::allocate(size_of::<kstat_named_t>(), 16, true);
        // SAFETY: as above.
        unsafe { (*ksp).ks_data = own.cast() };
        driver!(ddi_sys::kstat_delete(ksp));
        assert_eq!(heap::size_of(made), None, "what kstat_create made is freed");
        heap::free(own, size_of::<kstat_named_t>()).expect("the driver's own is not");
    }
}
