//! Address space that the calling process's thread has suggested or reserved for a mapping. Thread-local.

use std::cell::Cell;

use ddi_process::Call;

thread_local! {
    /// The address that the process suggested for the mapping being made.
    static HINT: Cell<u64> = const { Cell::new(0) };
}

/// Returns the address that the process suggested for the mapping that the calling thread makes.
pub fn hint() -> u64 {
    HINT.get()
}

/// Sets that address.
pub fn set_hint(addr: u64) {
    HINT.set(addr);
}

/// Gives reserved address space back.
pub fn give_back(addr: u64, len: u64) {
    Call::with_current(|call| {
        if let Some(call) = call {
            // Only a reservation is there, which ends with the thread's process.
            let _ = call.unmap(addr, len);
        }
    });
}
