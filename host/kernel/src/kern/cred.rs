//! Credentials, where drivers see only a pointer. No locking: one does not change once it is made.

/// A credential as the host keeps it.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Cred {
    /// Real, effective, saved user.
    pub uids: [u32; 3],
    /// Real, effective, saved group.
    pub gids: [u32; 3],
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The kernel's own credential.
pub static KERNEL_CRED: Cred = Cred { uids: [0; 3], gids: [0; 3], groups: Vec::new() };
