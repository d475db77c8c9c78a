//! kstats of all types, and how somebody reads them: with their lock held, brought up to date.

use std::ffi::{c_char, c_int};

use ddi_sys as sys;

use super::kernel;
use super::locks::{mutex_enter, mutex_exit};
use super::nodes::text;

fn size_of_data(kind: u8, count: u32) -> usize {
    let one = match kind {
        sys::KSTAT_TYPE_RAW => 1,
        sys::KSTAT_TYPE_NAMED => size_of::<sys::kstat_named_t>(),
        sys::KSTAT_TYPE_INTR => size_of::<sys::kstat_intr_t>(),
        sys::KSTAT_TYPE_IO => size_of::<sys::kstat_io_t>(),
        sys::KSTAT_TYPE_TIMER => size_of::<sys::kstat_timer_t>(),
        other => panic!("a kstat of type {other}"),
    };
    one * count as usize
}

fn put(to: &mut [c_char], name: &str) {
    for (to, from) in to.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_create(
    module: *const c_char,
    instance: c_int,
    name: *const c_char,
    class: *const c_char,
    kind: u8,
    count: u32,
    flags: u8,
) -> *mut sys::kstat_t {
    // SAFETY: as kstat_create(9F): a string.
    let module = unsafe { text(module) };
    // SAFETY: likewise.
    let name = unsafe { text(name) };
    // SAFETY: likewise.
    let class = unsafe { text(class) };
    let mut kernel = kernel();
    let id = format!("{module}:{instance}:{name}");
    if kernel.kstats.contains_key(&id) || kernel.refuses("kstat_create") {
        return std::ptr::null_mut();
    }
    // SAFETY: numbers, bytes and pointers, for all of which zero is a value.
    let mut kstat: Box<sys::kstat_t> = Box::new(unsafe { std::mem::zeroed() });
    put(&mut kstat.ks_class, class);
    (kstat.ks_type, kstat.ks_ndata, kstat.ks_flags) = (kind, count, flags);
    kstat.ks_data_size = size_of_data(kind, count);
    if flags & sys::KSTAT_FLAG_VIRTUAL == 0 {
        kstat.ks_data = vec![0_u64; kstat.ks_data_size.div_ceil(8)].leak().as_mut_ptr().cast();
    }
    let kstat = Box::into_raw(kstat);
    kernel.kstats.insert(id, kstat.expose_provenance());
    kstat
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_named_init(value: *mut sys::kstat_named_t, name: *const c_char, kind: u8) {
    // SAFETY: as kstat_named_init(9F): one of the values of a kstat that is not installed yet.
    let value = unsafe { &mut *value };
    value.data_type = kind;
    // SAFETY: likewise: a string.
    put(&mut value.name, unsafe { text(name) });
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_named_setstr(value: *mut sys::kstat_named_t, string: *const c_char) {
    // SAFETY: as kstat_named_setstr(9F).
    let value = unsafe { &mut *value };
    assert_eq!(value.data_type, sys::KSTAT_DATA_STRING);
    value.value.str_.addr.ptr = string.cast_mut();
    // SAFETY: likewise: a string.
    value.value.str_.len = unsafe { text(string) }.len() as u32 + 1;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_install(kstat: *mut sys::kstat_t) {
    // SAFETY: as kstat_install(9F).
    assert!(!unsafe { (*kstat).ks_data }.is_null(), "a kstat without data");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_delete(kstat: *mut sys::kstat_t) {
    kernel().kstats.retain(|_, at| *at != kstat.expose_provenance());
    // SAFETY: as kstat_delete(9F): made by kstat_create, and off the list now.
    let kstat = unsafe { Box::from_raw(kstat) };
    let lock = kstat.ks_lock.cast::<sys::kmutex_t>();
    if !lock.is_null() {
        // SAFETY: the driver's lock, which is there while its kstat is.
        unsafe { mutex_enter(lock) };
        // SAFETY: as above, and taken just now.
        unsafe { mutex_exit(lock) };
    }
    if kstat.ks_flags & sys::KSTAT_FLAG_VIRTUAL == 0 {
        let words = size_of_data(kstat.ks_type, kstat.ks_ndata).div_ceil(8);
        let data = std::ptr::slice_from_raw_parts_mut(kstat.ks_data.cast::<u64>(), words);
        // SAFETY: so many words were leaked when it was made, and go with it.
        drop(unsafe { Box::from_raw(data) });
    }
}

/// Reads a kstat by `look`: its lock is held, and it is up to date. Fails with the error of its update callback.
pub fn reading<R>(id: &str, how: c_int, look: impl FnOnce(&sys::kstat_t) -> R) -> Result<R, c_int> {
    let kstat = *kernel().kstats.get(id).expect("a kstat of this name") as *mut sys::kstat_t;
    // SAFETY: on the list, so it lives; tests do not delete what they read.
    let ks = unsafe { &*kstat };
    let lock = ks.ks_lock.cast::<sys::kmutex_t>();
    if !lock.is_null() {
        // SAFETY: the driver's lock, which is there while its kstat is.
        unsafe { mutex_enter(lock) };
    }
    // SAFETY: the driver's callback for its kstat, with the lock held.
    let failed = ks.ks_update.map_or(0, |update| unsafe { update(kstat, how) });
    let result = if failed == 0 { Ok(look(ks)) } else { Err(failed) };
    if !lock.is_null() {
        // SAFETY: taken above.
        unsafe { mutex_exit(lock) };
    }
    result
}

/// A named kstat's values, as text.
pub fn named(id: &str) -> Result<Vec<(String, String)>, c_int> {
    reading(id, sys::KSTAT_READ as c_int, |kstat| {
        assert_eq!(kstat.ks_type, sys::KSTAT_TYPE_NAMED);
        let mut room = size_of_data(kstat.ks_type, kstat.ks_ndata);
        let values = (0..kstat.ks_ndata as usize).map(|index| {
            let value = kstat.ks_data.cast::<sys::kstat_named_t>().wrapping_add(index);
            // SAFETY: it has so many.
            let value = unsafe { &*value };
            // SAFETY: a name is shorter than its place, which was zero.
            let name = unsafe { text(value.name.as_ptr()) }.to_owned();
            let shown = match value.data_type {
                // SAFETY: of this type, as all below.
                sys::KSTAT_DATA_INT32 => unsafe { value.value.i32_ }.to_string(),
                // SAFETY: as above.
                sys::KSTAT_DATA_UINT32 => unsafe { value.value.ui32 }.to_string(),
                // SAFETY: as above.
                sys::KSTAT_DATA_INT64 => unsafe { value.value.i64_ }.to_string(),
                // SAFETY: as above.
                sys::KSTAT_DATA_UINT64 => unsafe { value.value.ui64 }.to_string(),
                sys::KSTAT_DATA_CHAR => {
                    // SAFETY: as above.
                    let bytes = unsafe { value.value.c };
                    bytes.iter().take_while(|b| **b != 0).map(|b| *b as u8 as char).collect()
                }
                _ => {
                    // SAFETY: as above.
                    let string = unsafe { value.value.str_ };
                    room += string.len as usize;
                    // SAFETY: as above.
                    let string = unsafe { string.addr.ptr };
                    // SAFETY: a string of the driver's.
                    unsafe { text(string) }.to_owned()
                }
            };
            (name, shown)
        });
        let values = values.collect();
        assert!(room <= kstat.ks_data_size, "the texts do not fit");
        values
    })
}

/// A kstat's counters by name.
pub fn kstat(id: &str) -> Vec<(String, u64)> {
    named(id).unwrap().into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect()
}

macro_rules! queues {
    ($($name:ident: |$io:ident| $change:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $name(io: *mut sys::kstat_io_t) {
                // SAFETY: as kstat_queue(9F).
                let $io = unsafe { &mut *io };
                $change;
            }
        )*
    };
}
/// One fewer; there must be one.
fn less(count: &mut u32) {
    *count = count.checked_sub(1).expect("nothing waits or runs");
}
queues! {
    kstat_waitq_enter: |io| io.wcnt += 1;
    kstat_waitq_exit: |io| less(&mut io.wcnt);
    kstat_runq_enter: |io| io.rcnt += 1;
    kstat_runq_exit: |io| less(&mut io.rcnt);
    kstat_waitq_to_runq: |io| { less(&mut io.wcnt); io.rcnt += 1 };
    kstat_runq_back_to_waitq: |io| { less(&mut io.rcnt); io.wcnt += 1 };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_timer_init(timer: *mut sys::kstat_timer_t, name: *const c_char) {
    // SAFETY: as kstat_timer_init: a string.
    let name = unsafe { text(name) };
    // SAFETY: likewise: one of the timers of a kstat that is not installed yet.
    put(unsafe { &mut (*timer).name }, name);
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_timer_start(timer: *mut sys::kstat_timer_t) {
    // SAFETY: as kstat_timer_start.
    unsafe { (*timer).start_time = 5 };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_timer_stop(timer: *mut sys::kstat_timer_t) {
    // SAFETY: as kstat_timer_stop.
    let timer = unsafe { &mut *timer };
    timer.num_events += 1;
    timer.elapsed_time += 7 - timer.start_time;
}
