//! The driver's part of the calling thread's stack, for reports.
//!
//! Frames between the host's call into the driver and the driver's call of a DDI function, by name where a symbol is known.
//! Code of loaded modules is named by whoever loaded it, through [`add_namer`]. No locks are held while walking.

use parking_lot::RwLock;

type Namer = Box<dyn Fn(usize) -> Option<String> + Send + Sync>;

static NAMERS: RwLock<Vec<Namer>> = RwLock::new(Vec::new());

/// Adds a function that names code addresses of a loaded module (`function+0x12 [module]`).
pub fn add_namer(namer: impl Fn(usize) -> Option<String> + Send + Sync + 'static) {
    NAMERS.write().push(Box::new(namer));
}

fn name(address: usize) -> Option<String> {
    NAMERS.read().iter().find_map(|namer| namer(address))
}

/// Names of crates whose frames are not the driver's.
const NOT_DRIVER: &[&str] =
    &["ddi_host::", "std::", "core::", "alloc::", "backtrace::", "segdev::", "parking_lot"];

/// The driver's frames, innermost first; empty when no driver code runs on this thread.
pub fn driver_frames() -> Vec<String> {
    let module = crate::loader::calls::driver_frames();
    if !module.is_empty() {
        return module;
    }
    let mut frames = Vec::new();
    let mut seen_entry = false;
    backtrace::trace(|frame| {
        let address = frame.ip() as usize;
        if let Some(name) = name(address) {
            frames.push(name);
            return frames.len() < 32;
        }
        backtrace::resolve_frame(frame, |symbol| {
            let Some(name) = symbol.name() else { return };
            let name = format!("{name:#}");
            if name.contains("kern::entry::") {
                seen_entry = true;
            } else if !seen_entry && is_driver(&name) {
                let place = match (symbol.filename(), symbol.lineno()) {
                    (Some(file), Some(line)) => format!("{name} ({}:{line})", file.display()),
                    _ => name,
                };
                frames.push(place);
            }
        });
        !seen_entry && frames.len() < 32
    });
    if seen_entry || !frames.is_empty() && !NAMERS.read().is_empty() { frames } else { Vec::new() }
}

fn is_driver(name: &str) -> bool {
    let plain = name.trim_start_matches(['<', '&']);
    // The DDI functions themselves are exported without a path; paths in type arguments are not the function's.
    let path = plain.split('<').next().unwrap_or(plain);
    path.contains("::") && !NOT_DRIVER.iter().any(|prefix| plain.starts_with(prefix))
}
