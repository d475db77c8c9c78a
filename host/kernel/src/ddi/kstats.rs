//! kstat(9F): statistics of drivers, and how the host reads them.
//!
//! `ks_lock`, if the driver set it, is held round the update callback and while the data are read. The chain's lock is not held then.

use std::ffi::{c_char, c_int};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering};

use ddi_sys::{kid_t, kstat_io_t, kstat_named_t, kstat_t, kstat_timer_t, uchar_t, uint_t, zoneid_t};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use super::{bytes, sync, text};
use crate::board::report;
use crate::kern::clock;
use crate::kern::{entry, heap, peek, thread};

/// A kstat that exists.
#[derive(Clone, Copy)]
struct Link {
    address: usize,
    installed: bool,
    /// The memory that was made for its values, and its bytes. The driver may let `ks_data` point elsewhere.
    data: (usize, usize),
}

/// The kstats that exist.
static CHAIN: Mutex<Vec<Link>> = Mutex::new(Vec::new());
/// Longest string that is looked at, in bytes.
const LONGEST: usize = 4096;
static LAST: AtomicI32 = AtomicI32::new(0);
/// The kstats that are held by kstat_hold_byname and its like, and by which threads.
static HELD: Mutex<Vec<(usize, u32)>> = Mutex::new(Vec::new());
static RELEASED: Condvar = Condvar::new();

/// Holds the kstat that is the one looked for; waits while another thread holds it.
fn hold(wanted: impl Fn(&kstat_t) -> bool) -> *mut kstat_t {
    let mut held = HELD.lock();
    loop {
        let found = CHAIN.lock().iter().map(|link| link.address).find(|address| {
            // SAFETY: on the chain, so it lives.
            wanted(unsafe { &*(*address as *const kstat_t) })
        });
        let Some(address) = found else { return null_mut() };
        if !held.iter().any(|(other, _)| *other == address) {
            held.push((address, thread::id()));
            return address as *mut kstat_t;
        }
        RELEASED.wait(&mut held);
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
    /// Its type, such as `KSTAT_TYPE_NAMED`.
    pub kind: u8,
    /// When it was made: nanoseconds since the machine started.
    pub crtime: i64,
    /// When it was read.
    pub snaptime: i64,
    /// Its values; raw kstats have one, `bytes`.
    pub values: Vec<Value>,
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// The value as text.
    pub text: String,
    /// Is it a string rather than a number or characters?
    pub is_string: bool,
}

fn field(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|c| *c as u8).take_while(|b| *b != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn fill(field: &mut [c_char], text: &[u8]) {
    field.fill(0);
    let room = field.len() - 1;
    for (to, from) in field[..room].iter_mut().zip(text) {
        *to = *from as c_char;
    }
}

/// How many kstats exist.
pub fn count() -> usize {
    CHAIN.lock().len()
}

/// Every kstat, as the kstat command reads it.
pub fn listing() -> String {
    serde_json::to_string(&read_all()).unwrap_or_default()
}

/// Reads every installed kstat, with its driver's update callback.
pub fn read_all() -> Vec<Statistics> {
    let installed: Vec<usize> =
        CHAIN.lock().iter().filter(|link| link.installed).map(|link| link.address).collect();
    installed.into_iter().filter_map(|address| read(address as *mut kstat_t)).collect()
}

fn read(ksp: *mut kstat_t) -> Option<Statistics> {
    // SAFETY: an installed kstat lives until kstat_delete.
    let ks = unsafe { &*ksp };
    let lock = ks.ks_lock.cast::<ddi_sys::kmutex_t>();
    if !lock.is_null() {
        // SAFETY: the driver's mutex.
        unsafe { sync::mutex_enter(lock) };
    }
    let updated = ks.ks_update.map_or(Ok(0), |update| {
        // SAFETY: the driver's callback with its own kstat.
        entry::call(
            || format!("{}: ks_update(9E)", field(&ks.ks_module)),
            || unsafe { update(ksp, ddi_sys::KSTAT_READ) },
        )
    });
    let values = (updated == Ok(0)).then(|| values(ks));
    if let Some(Err(nowhere)) = values {
        let (module, name) = (field(&ks.ks_module), field(&ks.ks_name));
        let what = format!(
            "the data of {module}:{}:{name} lead to {nowhere:#x}, where there is no memory that can be read",
            ks.ks_instance
        );
        report::mistake(&module, &what, "kstat(9S)");
    }
    if !lock.is_null() {
        // SAFETY: as above.
        unsafe { sync::mutex_exit(lock) };
    }
    Some(Statistics {
        module: field(&ks.ks_module),
        instance: ks.ks_instance,
        name: field(&ks.ks_name),
        class: field(&ks.ks_class),
        kind: ks.ks_type,
        crtime: ks.ks_crtime,
        snaptime: clock::hrtime(),
        values: values?.ok()?,
    })
}

/// The values of a kstat.
///
/// # Errors
/// A pointer of the driver's that leads nowhere.
fn values(ks: &kstat_t) -> Result<Vec<Value>, usize> {
    let mut out = Vec::new();
    let data = ks.ks_data as usize;
    if data == 0 {
        return Ok(out);
    }
    let mut add = |name: &str, text: String, is_string: bool| {
        out.push(Value { name: name.to_owned(), text, is_string });
    };
    match ks.ks_type {
        ddi_sys::KSTAT_TYPE_NAMED => {
            for i in 0..ks.ks_ndata as usize {
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
        _ => add("bytes", ks.ks_data_size.to_string(), false),
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
    let known = CHAIN.lock().iter().any(|link| link.address == ksp as usize);
    if !known {
        report::mistake(function, &format!("{ksp:p} is not a kstat"), "kstat_create(9F)");
    }
    known
}

/// The I/O statistics, with the time passed since the last change added up.
///
/// # Safety
/// `io` is a kstat_io_t; its lock is held.
unsafe fn io<'a>(io: *mut kstat_io_t) -> &'a mut kstat_io_t {
    // SAFETY: the caller's promise.
    let io = unsafe { &mut *io };
    let now = clock::hrtime();
    if io.wlastupdate != 0 && io.wcnt != 0 {
        io.wlentime += i64::from(io.wcnt) * (now - io.wlastupdate);
        io.wtime += now - io.wlastupdate;
    }
    if io.rlastupdate != 0 && io.rcnt != 0 {
        io.rlentime += i64::from(io.rcnt) * (now - io.rlastupdate);
        io.rtime += now - io.rlastupdate;
    }
    io.wlastupdate = now;
    io.rlastupdate = now;
    io
}

ddi! {
    /// kstat_create(9F).
    fn kstat_create(
        module: *const c_char,
        instance: c_int,
        name: *const c_char,
        class: *const c_char,
        kind: uchar_t,
        ndata: uint_t,
        flags: uchar_t,
    ) -> *mut kstat_t {
        // SAFETY: the driver's promise.
        let module = unsafe { bytes(module) };
        // SAFETY: the driver's promise.
        let name = unsafe { bytes(name) };
        // SAFETY: the driver's promise.
        let class = unsafe { bytes(class) };
        let single = matches!(kind, ddi_sys::KSTAT_TYPE_INTR | ddi_sys::KSTAT_TYPE_IO);
        let Some(size) = data_size(kind, ndata).filter(|_| !single || ndata == 1) else { return null_mut() };
        // SAFETY: a kstat is plain data, for which zero bytes are a value.
        let mut ks: Box<kstat_t> = Box::new(unsafe { std::mem::zeroed() });
        fill(&mut ks.ks_module, module);
        fill(&mut ks.ks_class, class);
        if name.is_empty() {
            fill(&mut ks.ks_name, &[module, instance.to_string().as_bytes()].concat());
        } else {
            fill(&mut ks.ks_name, name);
        }
        (ks.ks_instance, ks.ks_type, ks.ks_flags, ks.ks_ndata) = (instance, kind, flags | ddi_sys::KSTAT_FLAG_INVALID, ndata);
        ks.ks_data_size = size;
        ks.ks_crtime = clock::hrtime();
        ks.ks_kid = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let mut data = (0, 0);
        if flags & ddi_sys::KSTAT_FLAG_VIRTUAL == 0 && size > 0 {
            ks.ks_data = heap::allocate(size, 16, true).cast();
            if ks.ks_data.is_null() {
                return null_mut();
            }
            data = (ks.ks_data as usize, size);
        }
        let mut chain = CHAIN.lock();
        let taken = chain.iter().any(|link| {
            // SAFETY: on the chain, so it lives.
            let other = unsafe { &*(link.address as *const kstat_t) };
            other.ks_instance == instance && other.ks_module == ks.ks_module && other.ks_name == ks.ks_name
        });
        if taken {
            drop(chain);
            let name = format!("{}:{instance}:{}", field(&ks.ks_module), field(&ks.ks_name));
            crate::board::log::line(crate::board::log::To::Both, &format!("WARNING: kstat_create('{name}'): namespace collision"));
            free_data(data);
            return null_mut();
        }
        let ksp = Box::into_raw(ks);
        chain.push(Link { address: ksp as usize, installed: false, data });
        ksp
    }
    /// kstat_create_zone: there is one zone.
    fn kstat_create_zone(
        module: *const c_char,
        instance: c_int,
        name: *const c_char,
        class: *const c_char,
        kind: uchar_t,
        ndata: uint_t,
        flags: uchar_t,
        _zone: zoneid_t,
    ) -> *mut kstat_t {
        // SAFETY: the driver's promise.
        unsafe { kstat_create(module, instance, name, class, kind, ndata, flags) }
    }
    /// kstat_hold_byname: NULL when there is none; nobody else holds or deletes it until kstat_rele.
    fn kstat_hold_byname(module: *const c_char, instance: c_int, name: *const c_char, _zone: zoneid_t) -> *mut kstat_t {
        // SAFETY: the driver's promise.
        let module = unsafe { text(module) };
        // SAFETY: the driver's promise.
        let name = unsafe { text(name) };
        hold(|ks| field(&ks.ks_module) == module && ks.ks_instance == instance && field(&ks.ks_name) == name)
    }
    /// kstat_hold_bykid: by its number.
    fn kstat_hold_bykid(kid: kid_t, _zone: zoneid_t) -> *mut kstat_t {
        hold(|ks| ks.ks_kid == kid)
    }
    /// kstat_rele.
    fn kstat_rele(ksp: *mut kstat_t) {
        let mut held = HELD.lock();
        match held.iter().position(|(address, _)| *address == ksp as usize) {
            Some(at) => {
                held.remove(at);
                RELEASED.notify_all();
            }
            None => {
                drop(held);
                report::mistake("kstat_rele", &format!("{ksp:p} is not held"), "kstat_create(9F)");
            }
        }
    }
    /// kstat_delete_byname.
    fn kstat_delete_byname(module: *const c_char, instance: c_int, name: *const c_char) {
        // SAFETY: the driver's promise.
        let ksp = unsafe { kstat_hold_byname(module, instance, name, 0) };
        if !ksp.is_null() {
            // SAFETY: a kstat that this thread holds.
            unsafe { kstat_delete(ksp) };
        }
    }
    /// kstat_delete_byname_zone: there is one zone.
    fn kstat_delete_byname_zone(module: *const c_char, instance: c_int, name: *const c_char, _zone: zoneid_t) {
        // SAFETY: the driver's promise.
        unsafe { kstat_delete_byname(module, instance, name) };
    }
    /// kstat_zone_add: there is one zone.
    @private fn kstat_zone_add(_ksp: *mut kstat_t, _zone: zoneid_t) {}
    /// kstat_zone_remove.
    @private fn kstat_zone_remove(_ksp: *mut kstat_t, _zone: zoneid_t) {}
    /// kstat_zone_find: every kstat is in the only zone.
    @private fn kstat_zone_find(_ksp: *mut kstat_t, zone: zoneid_t) -> c_int {
        (zone == 0 || zone == -1).into()
    }
    /// kstat_install(9F).
    fn kstat_install(ksp: *mut kstat_t) {
        if !known(ksp, "kstat_install") {
            return;
        }
        // SAFETY: a live kstat; the driver calls this once, before anyone reads it.
        unsafe { (*ksp).ks_flags &= !ddi_sys::KSTAT_FLAG_INVALID };
        if let Some(link) = CHAIN.lock().iter_mut().find(|link| link.address == ksp as usize) {
            link.installed = true;
        }
    }
    /// kstat_delete(9F).
    fn kstat_delete(ksp: *mut kstat_t) {
        if ksp.is_null() || !known(ksp, "kstat_delete") {
            return;
        }
        let mine = (ksp as usize, thread::id());
        let mut held = HELD.lock();
        while held.iter().any(|(address, owner)| *address == mine.0 && *owner != mine.1) {
            RELEASED.wait(&mut held);
        }
        held.retain(|entry| *entry != mine);
        drop(held);
        let mut chain = CHAIN.lock();
        let found = chain.iter().position(|link| link.address == ksp as usize);
        let Some(link) = found.map(|at| chain.remove(at)) else { return };
        drop(chain);
        free_data(link.data);
        // SAFETY: made by kstat_create; off the chain now.
        drop(unsafe { Box::from_raw(ksp) });
    }
    /// kstat_named_init(9F).
    fn kstat_named_init(named: *mut kstat_named_t, name: *const c_char, kind: uchar_t) {
        // SAFETY: the driver's promise.
        let named = unsafe { &mut *named };
        // SAFETY: the driver's promise.
        let name = unsafe { bytes(name) };
        fill(&mut named.name, name);
        named.data_type = kind;
    }
    /// kstat_named_setstr(9F).
    fn kstat_named_setstr(named: *mut kstat_named_t, value: *const c_char) {
        // SAFETY: the driver's promise.
        let named = unsafe { &mut *named };
        if named.data_type != ddi_sys::KSTAT_DATA_STRING {
            return report::mistake("kstat_named_setstr", "the value is not KSTAT_DATA_STRING", "kstat_named_setstr(9F)");
        }
        named.value.ui64 = value as u64;
    }
    /// kstat_set_string: copies at most KSTAT_STRLEN - 1 characters.
    fn kstat_set_string(to: *mut c_char, from: *const c_char) {
        // SAFETY: the driver promised KSTAT_STRLEN bytes.
        let to = unsafe { std::slice::from_raw_parts_mut(to, ddi_sys::KSTAT_STRLEN as usize) };
        // SAFETY: the driver's promise.
        fill(to, unsafe { bytes(from) });
    }
    /// kstat_waitq_enter(9F).
    fn kstat_waitq_enter(p: *mut kstat_io_t) {
        // SAFETY: the driver's promise.
        unsafe { io(p) }.wcnt += 1;
    }
    /// kstat_waitq_exit(9F).
    fn kstat_waitq_exit(p: *mut kstat_io_t) {
        // SAFETY: the driver's promise.
        unsafe { io(p) }.wcnt -= 1;
    }
    /// kstat_runq_enter(9F).
    fn kstat_runq_enter(p: *mut kstat_io_t) {
        // SAFETY: the driver's promise.
        unsafe { io(p) }.rcnt += 1;
    }
    /// kstat_runq_exit(9F).
    fn kstat_runq_exit(p: *mut kstat_io_t) {
        // SAFETY: the driver's promise.
        unsafe { io(p) }.rcnt -= 1;
    }
    /// kstat_waitq_to_runq(9F).
    fn kstat_waitq_to_runq(p: *mut kstat_io_t) {
        // SAFETY: the driver's promise.
        let io = unsafe { io(p) };
        io.wcnt -= 1;
        io.rcnt += 1;
    }
    /// kstat_runq_back_to_waitq(9F).
    fn kstat_runq_back_to_waitq(p: *mut kstat_io_t) {
        // SAFETY: the driver's promise.
        let io = unsafe { io(p) };
        io.rcnt -= 1;
        io.wcnt += 1;
    }
    /// kstat_timer_init: names a timer.
    fn kstat_timer_init(p: *mut kstat_timer_t, name: *const c_char) {
        // SAFETY: the driver's promise.
        let timer = unsafe { &mut *p };
        // SAFETY: the driver's promise.
        let name = unsafe { bytes(name) };
        fill(&mut timer.name, name);
    }
    /// kstat_timer_start.
    fn kstat_timer_start(p: *mut kstat_timer_t) {
        // SAFETY: the driver's promise.
        unsafe { &mut *p }.start_time = clock::hrtime();
    }
    /// kstat_timer_stop.
    fn kstat_timer_stop(p: *mut kstat_timer_t) {
        // SAFETY: the driver's promise.
        let timer = unsafe { &mut *p };
        timer.stop_time = clock::hrtime();
        let took = timer.stop_time - timer.start_time;
        if timer.num_events == 0 || took < timer.min_time {
            timer.min_time = took;
        }
        timer.max_time = timer.max_time.max(took);
        timer.elapsed_time += took;
        timer.num_events += 1;
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
            // SAFETY: the kstat of the test has one named value.
            let data = unsafe { (*ksp).ks_data }.cast::<kstat_named_t>();
            // SAFETY: as above.
            let named = unsafe { &mut *data };
            // SAFETY: a 64-bit value.
            named.value.ui64 = unsafe { named.value.ui64 } + 7;
            0
        }
        let (module, name, class) = (c"kstats-test".as_ptr(), c"counters".as_ptr(), c"misc".as_ptr());
        // SAFETY: strings; one named value.
        let ksp = unsafe { ddi_sys::kstat_create(module, 2, name, class, ddi_sys::KSTAT_TYPE_NAMED, 1, 0) };
        assert!(!ksp.is_null());
        // SAFETY: as above; the name is taken.
        let again = unsafe { ddi_sys::kstat_create(module, 2, name, class, ddi_sys::KSTAT_TYPE_NAMED, 1, 0) };
        assert!(again.is_null());
        // SAFETY: the kstat's own value.
        let data = unsafe { (*ksp).ks_data };
        // SAFETY: as above.
        unsafe { ddi_sys::kstat_named_init(data.cast(), c"faults".as_ptr(), ddi_sys::KSTAT_DATA_UINT64) };
        // SAFETY: not installed yet.
        unsafe { (*ksp).ks_update = Some(update) };
        let mine = || read_all().into_iter().find(|s| s.module == "kstats-test");
        assert!(mine().is_none(), "not before kstat_install");
        // SAFETY: as above.
        unsafe { ddi_sys::kstat_install(ksp) };
        let read = mine().unwrap();
        assert_eq!((read.instance, read.name.as_str(), read.class.as_str()), (2, "counters", "misc"));
        let faults = Value { name: "faults".into(), text: "7".into(), is_string: false };
        assert_eq!((read.values, read.kind), (vec![faults], ddi_sys::KSTAT_TYPE_NAMED));
        assert!(0 < read.crtime && read.crtime <= read.snaptime);
        // SAFETY: as above.
        unsafe { ddi_sys::kstat_delete(ksp) };
        assert!(mine().is_none());
    }

    #[test]
    fn data_that_a_driver_has_replaced_stay_the_driver_s() {
        let (module, name, class) = (c"kstats-test".as_ptr(), c"replaced".as_ptr(), c"misc".as_ptr());
        // SAFETY: strings; one named value.
        let ksp = unsafe { ddi_sys::kstat_create(module, 3, name, class, ddi_sys::KSTAT_TYPE_NAMED, 1, 0) };
        // SAFETY: the kstat just made.
        let made = unsafe { (*ksp).ks_data } as usize;
        let own = heap::allocate(size_of::<kstat_named_t>(), 16, true);
        // SAFETY: as above.
        unsafe { (*ksp).ks_data = own.cast() };
        // SAFETY: as above.
        unsafe { ddi_sys::kstat_delete(ksp) };
        assert_eq!(heap::size_of(made), None, "what kstat_create made is freed");
        heap::free(own, size_of::<kstat_named_t>()).expect("the driver's own is not");
    }
}
