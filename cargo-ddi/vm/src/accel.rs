//! Whether KVM works here, found out by running one instruction sequence in it, within a time limit.
//!
//! `/dev/kvm` that opens proves little: nested or filtered KVM may accept a machine and never run it. So a firmware of our own, 64 KiB
//! with a few instructions, is started with KVM; it must reach the exit device.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

use crate::process::Guarded;

/// How long the probe may take; a working KVM needs a fraction of a second.
const PROBE: Duration = Duration::from_secs(5);
/// The exit device turns a written 0x2a into this exit status.
const WORKS: i32 = 0x2a << 1 | 1;

/// The means by which QEMU runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    /// The processor.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accel {
    /// QEMU's `-accel`.
    pub fn argument(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }

    /// KVM if a probe of at most five seconds shows that it runs code, with the reason when it does not.
    pub fn probe(qemu: &Path, dir: &Path) -> Result<(Accel, String)> {
        if std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok((Accel::Tcg, "no access to /dev/kvm".to_owned()));
        }
        let firmware = dir.join("kvm-probe.bin");
        std::fs::write(&firmware, probe_firmware())?;
        let mut command = Command::new(qemu);
        command.args([
            "-accel",
            "kvm",
            "-cpu",
            "host",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-m",
            "16",
        ]);
        command.args(["-device", "isa-debug-exit,iobase=0x501,iosize=1", "-bios"]).arg(&firmware);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut probe) = Guarded::spawn(&mut command) else {
            return Ok((Accel::Tcg, "QEMU did not start for the KVM probe".to_owned()));
        };
        let status = probe.wait_until(Instant::now() + PROBE);
        drop(probe);
        std::fs::remove_file(&firmware)?;
        Ok(match status {
            Some(status) if status.code() == Some(WORKS) => (Accel::Kvm, "KVM runs code".to_owned()),
            Some(status) => (Accel::Tcg, format!("QEMU cannot use KVM here ({status})")),
            None => (Accel::Tcg, format!("KVM did not run a trivial program within {} s", PROBE.as_secs())),
        })
    }
}

/// A firmware that counts for a while, with interrupts off, and then writes 0x2a to port 0x501.
///
/// The loop makes the guest run long enough to be scheduled at least once: a KVM that only works until its first
/// preemption is not one to boot a system on.
fn probe_firmware() -> Vec<u8> {
    let mut firmware = vec![0xf4; 64 * 1024];
    #[rustfmt::skip]
    let code = [
        0x66, 0xb9, 0x00, 0x00, 0x00, 0x08,     // mov ecx, 0x8000000
        0x66, 0x49,                             // dec ecx
        0x75, 0xfc,                             // jnz -4
        0xba, 0x01, 0x05,                       // mov dx, 0x501
        0xb0, 0x2a,                             // mov al, 0x2a
        0xee,                                   // out dx, al
        0xf4,                                   // hlt
    ];
    firmware[0xf000..0xf000 + code.len()].copy_from_slice(&code);
    // The reset vector: jmp to 0xf000, relative, within the segment.
    firmware[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0xf0]);
    firmware
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reset_vector_jumps_to_the_code() {
        let firmware = probe_firmware();
        let offset = i16::from_le_bytes([firmware[0xfff1], firmware[0xfff2]]);
        assert_eq!(0xfff3_i32 + i32::from(offset), 0xf000);
    }

    #[test]
    fn a_qemu_that_is_not_there_means_translation() {
        let dir = tempfile::tempdir().unwrap();
        let (accel, why) = Accel::probe(Path::new("/nonexistent/qemu"), dir.path()).unwrap();
        assert_eq!(accel, Accel::Tcg, "{why}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().filter(|entry| entry.is_err()).count(), 0);
    }
}
