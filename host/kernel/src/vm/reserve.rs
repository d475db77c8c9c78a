//! Address space that the calling process's thread has reserved for a mapping.

use ddi_process::Call;

/// Gives reserved address space back.
pub fn give_back(addr: u64, len: u64) {
    Call::with_current(|call| {
        if let Some(call) = call {
            // Only a reservation is there, which ends with the thread's process.
            let _ = call.unmap(addr, len);
        }
    });
}
