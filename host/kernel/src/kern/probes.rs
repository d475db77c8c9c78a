//! Static probes of modules, as events of the trace.
//!
//! A module that brings its own devmap framework calls its own callbacks, so the host sees none of them: what the probes of `devmap` say of them
//! (docs/dtrace/README.md) becomes the events that the host's framework records by itself. A probe of another name becomes an event with its name.
//!
//! Locking: one leaf mutex round what is known of the modules' mappings. A thread's own part needs none.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ddi_krtld::Fired;
use ddi_krtld::probes::Arguments;
use ddi_trace::{Access, Actor, Event, For, Span};
use parking_lot::Mutex;

use super::{drivers, nodes, traced};

/// A function that every module calls which has its mappings made by the host's framework.
const OF_FRAMEWORK: [&str; 2] = ["devmap_umem_setup", "devmap_devmem_setup"];

/// A probe's name, and what records it.
type Ours = (&'static str, fn(&Arguments));

/// Probes of `devmap`, by their tokens.
const OURS: [Ours; 12] = [
    ("devmap-map", map),
    ("devmap-fault", fault),
    ("devmap-fault-done", fault_done),
    // The translations themselves are recorded where they are changed.
    ("devmap-load", |_| ()),
    ("devmap-unload", unload),
    ("devmap-context-wait", context_wait),
    ("devmap-context-switch", context_switch),
    ("devmap-dup", dup),
    ("devmap-unmap", unmap),
    ("devmap-split", split),
    ("devmap-revoke", revoke),
    ("devmap-remap", remap),
];

/// Returns the function to call for a probe of a module; `None` if no trace is recorded, or the framework records it.
pub fn bind(name: &str, imports: &dyn Fn(&str) -> bool) -> Option<Fired> {
    if !ddi_trace::on() {
        return None;
    }
    match OURS.iter().position(|(ours, _)| *ours == name) {
        Some(_) if OF_FRAMEWORK.into_iter().any(imports) => None,
        Some(ours) => {
            let call = |token: u32, arguments: &Arguments| {
                if let Some((_, what)) = OURS.get(token as usize).filter(|_| ddi_trace::on()) {
                    what(arguments);
                }
            };
            Some(Fired { call, token: ours as u32 })
        }
        None => {
            static NEXT: AtomicU32 = AtomicU32::new(1);
            let token = NEXT.fetch_add(1, Ordering::Relaxed);
            ddi_trace::probe(token.into(), name);
            Some(Fired { call: other, token })
        }
    }
}

fn other(token: u32, &[first, second, third, fourth, ..]: &Arguments) {
    ddi_trace::instant(0, || Event::Probe { name: token.into(), first, second, third, fourth });
}

/// A handle of a module's own framework.
#[derive(Clone, Copy, Default)]
struct Mapping {
    device: u64,
    offset: u64,
    length: u64,
    /// Of which process it is.
    of: Actor,
}

const NOTHING: Mapping =
    Mapping { device: 0, offset: 0, length: 0, of: Actor { pid: 0, process: 0, thread: 0 } };

static MAPPINGS: LazyLock<Mutex<HashMap<u64, Mapping>>> = LazyLock::new(Mutex::default);

fn mapping(handle: u64) -> Mapping {
    MAPPINGS.lock().get(&handle).copied().unwrap_or_default()
}

/// A request for a context that the calling thread has made.
#[derive(Clone, Copy)]
struct Request {
    span: Span,
    engine: u64,
    /// The fault that it is part of.
    cause: u64,
    /// The thread has slept, or has come back for it.
    waited: bool,
}

/// An access that the calling thread's driver serves.
#[derive(Clone, Copy)]
struct Accessing {
    span: Span,
    handle: u64,
    offset: u64,
    length: u64,
    access: Access,
    /// When it asked for the context.
    asked: Option<Span>,
    /// When it got it.
    granted: Option<Span>,
}

thread_local! {
    static REQUEST: Cell<Option<Request>> = const { Cell::new(None) };
    static ACCESSING: Cell<Option<Accessing>> = const { Cell::new(None) };
    /// Rest behind the thread's last unmap.
    static CUT: Cell<Mapping> = const { Cell::new(NOTHING) };
}

/// A wait of the calling thread in cv_wait(9F) or its relatives is over: true if it was for a context, which is recorded when the thread gets it.
pub fn waited() -> bool {
    let asks = ACCESSING.get().is_some_and(|access| access.asked.is_some() && access.granted.is_none());
    if asks {
        REQUEST.set(REQUEST.get().map(|request| Request { waited: true, ..request }));
    }
    asks
}

fn map(&[handle, dev, _, offset, length, _]: &Arguments) {
    let name = drivers::major_name((dev >> 32) as u32).unwrap_or_default();
    let has = |node: &&nodes::Node| node.minors().iter().any(|minor| minor.minor == dev as u32);
    let device = nodes::of_driver(&name).into_iter().find(has).map_or(0, traced::device);
    MAPPINGS.lock().insert(handle, Mapping { device, offset, length, of: ddi_trace::actor() });
    ddi_trace::instant(device, || Event::Map { offset, length, error: 0 });
}

fn fault(&[handle, _, offset, length, kind, rw]: &Arguments) {
    if kind as u32 != ddi_sys::DEVMAP_ACCESS {
        return;
    }
    let access = match rw as u32 {
        ddi_sys::DEVMAP_WRITE => Access::Write,
        ddi_sys::DEVMAP_EXEC => Access::Exec,
        _ => Access::Read,
    };
    ddi_trace::note(mapping(handle).device, offset);
    let span = ddi_trace::span();
    ACCESSING.set(Some(Accessing { span, handle, offset, length, access, asked: None, granted: None }));
}

fn context_wait(&[_, _, _, _, engine, _]: &Arguments) {
    let (span, cause, engine) = (ddi_trace::span(), ddi_trace::cause(), u64::from(engine as u32));
    ACCESSING.set(ACCESSING.get().map(|access| Accessing { asked: Some(span), ..access }));
    // One that was not granted is made again by the same fault, when the framework has waited outside of the callback.
    let before = REQUEST.get().filter(|request| request.cause == cause && request.engine == engine);
    let again = before.map(|request| Request { waited: true, ..request });
    REQUEST.set(Some(again.unwrap_or(Request { span, engine, cause, waited: false })));
}

fn context_switch(_: &Arguments) {
    if let Some(Request { span, waited: true, .. }) = REQUEST.get() {
        span.end(0, || Event::Wait { what: For::Turn, interrupted: false });
    }
    ACCESSING.set(ACCESSING.get().map(|access| Accessing { granted: Some(ddi_trace::span()), ..access }));
}

fn fault_done(&[error, ..]: &Arguments) {
    let Some(done) = ACCESSING.take() else { return };
    let (error, offset) = (error as i32, done.offset);
    let device = mapping(done.handle).device;
    // As the host's framework names it: the same for all pieces of one mmap.
    let mapping = (traced::fault_address() & !0xfff).wrapping_sub(offset);
    if let (Some(asked), Some(Request { engine: context, .. })) = (done.asked, REQUEST.get()) {
        if let Some(granted) = done.granted {
            REQUEST.set(None);
            granted.end(device, || Event::Grant { mapping, context, offset, error: 0 });
        }
        let error = if done.granted.is_some() { 0 } else { error };
        asked.end(device, || Event::Request { mapping, context, offset, error });
    }
    let (length, access) = (done.length, done.access);
    done.span.end(device, || Event::Access { offset, length, access, error });
}

fn dup(&[handle, _, child, ..]: &Arguments) {
    let parent = mapping(handle);
    let of = Actor { process: traced::forking() as u32, ..Actor::default() };
    MAPPINGS.lock().insert(child, Mapping { of, ..parent });
    let (offset, length) = (parent.offset, parent.length);
    ddi_trace::instant(parent.device, || Event::Dup { offset, length, child: of.process.into(), error: 0 });
}

fn unmap(&[handle, _, offset, length, before, _]: &Arguments) {
    let old = {
        let mut mappings = MAPPINGS.lock();
        let old = mappings.remove(&handle).unwrap_or_default();
        let end = offset.wrapping_add(length);
        let rest = old.offset.wrapping_add(old.length).saturating_sub(end);
        let rest = Mapping { offset: end, length: rest, ..old };
        // What stays behind has the handle if nothing stays before.
        if before != 0 {
            mappings.insert(before, Mapping { length: offset.wrapping_sub(old.offset), ..old });
        } else if rest.length > 0 {
            mappings.insert(handle, rest);
        }
        CUT.set(rest);
        old
    };
    let behind = CUT.get().length > 0;
    ddi_trace::instant(old.device, || Event::Cut { offset, length, before: before != 0, behind });
}

fn split(&[handle, ..]: &Arguments) {
    MAPPINGS.lock().insert(handle, CUT.get());
}

/// Within a fault it is part of the switch.
fn unload(arguments: &Arguments) {
    if ACCESSING.get().is_none() {
        revoke(arguments);
    }
}

fn revoke(&[handle, offset, length, ..]: &Arguments) {
    let Mapping { device, offset: start, length: whole, of } = mapping(handle);
    // Length 0 is all from there on.
    let length = if length == 0 { start.wrapping_add(whole).wrapping_sub(offset) } else { length };
    ddi_trace::instant(device, || Event::Revoke { of: of.process.into(), of_pid: of.pid, offset, length });
}

fn remap(&[handle, ..]: &Arguments) {
    let Mapping { device, offset, length, of } = mapping(handle);
    ddi_trace::instant(device, || Event::Remap { of: of.process.into(), of_pid: of.pid, offset, length });
}
