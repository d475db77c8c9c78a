//! The signal that tells a thread of a failed access: what host and shim know of a `siginfo_t`.

/// Mark of the host's signal in `si_value`: the value's top byte. Below it are the byte of the signal's code and the access's address.
const MAGIC: u64 = 0xd5;

/// A `siginfo_t` as the kernel lays it out for faults and for queued signals.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalInfo {
    /// `si_signo`.
    pub signo: i32,
    /// `si_errno`.
    pub errno: i32,
    /// `si_code`.
    pub code: i32,
    pad: i32,
    /// For a fault: the address. For a queued signal: the sender's process id, and its user above that.
    pub addr: u64,
    /// For a queued signal: its value.
    value: u64,
    /// For a queued signal of the host's: the thread's stack and program pointers at the access that failed, or 0.
    place: [u64; 2],
    rest: [u64; 10],
}

const _: () = assert!(size_of::<SignalInfo>() == 128);

/// A failed access that a queued signal tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAccess {
    /// Address of the access, of 48 bits.
    pub addr: u64,
    /// `si_code` of the signal that the program is to see.
    pub code: i32,
    /// The thread's stack and program pointers at the access, or 0.
    pub place: [u64; 2],
}

impl SignalInfo {
    /// `si_code` of a queued signal.
    const QUEUED: i32 = -1;

    /// Returns the information of the signal that process `sender`, the host, queues for a failed access.
    pub fn of_failed_access(
        sender: i32,
        signo: i32,
        addr: u64,
        code: i32,
        errno: i32,
        place: [u64; 2],
    ) -> SignalInfo {
        let value = MAGIC << 56 | (code.cast_unsigned() as u64 & 0xff) << 48 | addr & 0xffff_ffff_ffff;
        let addr = u64::from(sender.cast_unsigned());
        SignalInfo { signo, errno, code: Self::QUEUED, addr, value, place, ..SignalInfo::default() }
    }

    /// Returns whether process `sender` has queued the signal.
    pub fn is_queued_by(&self, sender: i32) -> bool {
        self.code == Self::QUEUED && self.addr as u32 == sender.cast_unsigned()
    }

    /// Returns the failed access that the host's signal tells of; `None`: it is a signal of another kind.
    pub fn failed_access(&self) -> Option<FailedAccess> {
        let code = (self.value >> 48 & 0xff) as i32;
        let access = FailedAccess { addr: self.value & 0xffff_ffff_ffff, code, place: self.place };
        (self.value >> 56 == MAGIC).then_some(access)
    }

    /// Makes the information that of the fault itself, for the program.
    pub fn become_fault(&mut self, access: FailedAccess) {
        (self.addr, self.code, self.value, self.place) = (access.addr, access.code, 0, [0; 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_access_survives_its_signal() {
        let mut info = SignalInfo::of_failed_access(77, 7, 0x7fff_1234_5678, 3, 5, [1, 2]);
        assert!(info.is_queued_by(77) && !info.is_queued_by(78));
        let access = info.failed_access().unwrap();
        assert_eq!(access, FailedAccess { addr: 0x7fff_1234_5678, code: 3, place: [1, 2] });
        info.become_fault(access);
        assert_eq!((info.signo, info.errno, info.code, info.addr), (7, 5, 3, 0x7fff_1234_5678));
        assert_eq!(info.failed_access(), None);
        assert!(!info.is_queued_by(77));
    }
}
