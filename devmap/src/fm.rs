//! Fault management: [`FaultManagement`], by which a driver reports to fmd(8) and learns of errors on the bus.
//!
//! A driver declares its capabilities in attach; those that the system lacks have no effect. Registers and DMA whose
//! [attributes](crate::access::Attributes::flag_errors) say so turn the errors that the bus has seen into errors of the call. Reports may be made in any
//! context but a high-level interrupt, whatever locks are held; none of them waits.

use core::ffi::{c_char, c_int};
use core::ptr;

use bitflags::bitflags;
use ddi_sys as sys;

use crate::context::MayBlock;
use crate::errno::{Errno, Error, error};
use crate::node::Node;
use crate::tether::Tether;
use crate::text::Text;

bitflags! {
    /// Fault management capabilities of a driver, and of the system.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Capabilities: u32 {
        /// Error reports: `DDI_FM_EREPORT_CAPABLE`.
        const REPORTS = sys::DDI_FM_EREPORT_CAPABLE as u32;
        /// Errors of register accesses are reported: `DDI_FM_ACCCHK_CAPABLE`.
        const ACCESS = sys::DDI_FM_ACCCHK_CAPABLE as u32;
        /// Errors of DMA are reported: `DDI_FM_DMACHK_CAPABLE`.
        const DMA = sys::DDI_FM_DMACHK_CAPABLE as u32;
    }
}

/// Impact of a fault on the service that the device provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// The service is lost.
    Lost,
    /// The service is degraded.
    Degraded,
    /// The service is unaffected.
    Unaffected,
    /// The service is restored.
    Restored,
}

/// A value in an error report.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// A text.
    Text(&'a core::ffi::CStr),
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Number(number)
    }
}

impl<'a> From<&'a core::ffi::CStr> for Value<'a> {
    fn from(text: &'a core::ffi::CStr) -> Self {
        Value::Text(text)
    }
}

/// A driver's part in fault management: `ddi_fm_init(9F)`. Clones are the same. Ends when the node is detached.
///
/// ```no_run
/// use devmap::fm::{Capabilities, FaultManagement, Impact};
/// # use devmap::prelude::*;
/// # fn f(attach: &Attach<'_>) -> Result<(), devmap::Error> {
/// let fm = FaultManagement::new(attach, Capabilities::REPORTS | Capabilities::ACCESS);
/// let attributes = devmap::access::Attributes::new(Order::Strict).flag_errors(&fm);
/// let regs = Registers::map(attach.node(), 1, attributes)?;
/// if regs.read::<u32>(0).is_err() { // EIO: the bus has seen an error
///     fm.report(attach, "device.no_response", &[(c"register", 0_u64.into())])?;
///     fm.impact(attach, Impact::Lost);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FaultManagement(Tether);

const PAGE: &str = "ddi_fm_ereport_post(9F)";

/// Maximum number of values in a report.
const MOST: usize = 6;

impl FaultManagement {
    /// In attach of the node.
    pub(crate) fn of(node: &Node<'_>, wanted: Capabilities) -> FaultManagement {
        let tether = node.tether();
        if tether.bonds().fm().is_none() {
            let allowed = node.property("fm-capable", wanted.bits() as i32);
            let mut capabilities: c_int = wanted.bits() as c_int & allowed;
            let mut priority: sys::ddi_iblock_cookie_t = ptr::null_mut();
            // SAFETY: in attach of this node, for the first time; the answers go to locals.
            unsafe { sys::ddi_fm_init(node.as_ptr(), &raw mut capabilities, &raw mut priority) };
            tether.bonds().set_fm(capabilities);
        }
        FaultManagement(tether)
    }

    /// Returns the capabilities that driver and system share.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::from_bits_truncate(self.0.bonds().fm().unwrap_or(0) as u32)
    }

    /// Posts an error report of class `ereport.io.CLASS` with these values: `ddi_fm_ereport_post(9F)`.
    ///
    /// Has no effect if the system does not take reports, or has no memory. Fails with `EINVAL` for a class that is not a text of at most 98 bytes, for more than six
    /// values, or for a value without a name.
    pub fn report(
        &self,
        cx: &impl MayBlock,
        class: &str,
        values: &[(&core::ffi::CStr, Value<'_>)],
    ) -> Result<(), Error> {
        let _ = cx;
        let class = Text::<99>::name(class).filter(|class| !class.as_bytes().is_empty());
        let class = class.ok_or(error!(Errno::EINVAL, PAGE, "no such class"))?;
        if values.len() > MOST || values.iter().any(|(name, _)| name.is_empty()) {
            return Err(error!(Errno::EINVAL, PAGE, "too many values, or one without a name"));
        }
        if !self.capabilities().contains(Capabilities::REPORTS) {
            return Ok(());
        }
        // Name, type and value of each; a null name ends them. Numbers and pointers are passed alike.
        let mut payload = [(ptr::null::<c_char>(), 0_u32, 0_u64); MOST];
        for (place, (name, value)) in payload.iter_mut().zip(values) {
            *place = match value {
                Value::Number(number) => (name.as_ptr(), sys::DATA_TYPE_UINT64, *number),
                Value::Text(text) => {
                    (name.as_ptr(), sys::DATA_TYPE_STRING, text.as_ptr().expose_provenance() as u64)
                }
            };
        }
        let [a, b, c, d, e, f] = payload;
        // SAFETY: a number without arguments but a constant.
        let ena = unsafe { sys::fm_ena_generate(0, sys::FM_ENA_FMT1 as u8) };
        // SAFETY: a live node; strings that end in NUL; triples as the manual page says, the version first, up to a null pointer.
        unsafe {
            sys::ddi_fm_ereport_post(
                self.0.dip(),
                class.as_ptr(),
                ena,
                sys::DDI_NOSLEEP as c_int,
                sys::FM_VERSION.as_ptr(),
                sys::DATA_TYPE_UINT8,
                sys::FM_EREPORT_VERS0,
                a.0,
                a.1,
                a.2,
                b.0,
                b.1,
                b.2,
                c.0,
                c.1,
                c.2,
                d.0,
                d.1,
                d.2,
                e.0,
                e.1,
                e.2,
                f.0,
                f.1,
                f.2,
                ptr::null::<c_char>(),
            )
        };
        Ok(())
    }

    /// Reports the impact of the faults so far on the device's users: `ddi_fm_service_impact(9F)`. [`Impact::Lost`] and [`Impact::Degraded`] mark the node accordingly.
    pub fn impact(&self, cx: &impl MayBlock, impact: Impact) {
        let _ = cx;
        let impact = match impact {
            Impact::Lost => sys::DDI_SERVICE_LOST,
            Impact::Degraded => sys::DDI_SERVICE_DEGRADED,
            Impact::Unaffected => sys::DDI_SERVICE_UNAFFECTED,
            Impact::Restored => sys::DDI_SERVICE_RESTORED,
        };
        // SAFETY: a live node, for which `ddi_fm_init` was called.
        unsafe { sys::ddi_fm_service_impact(self.0.dip(), impact) };
    }
}

/// Returns the error that a handle has recorded since the last check, or `DDI_FM_OK`.
pub(crate) fn status(get: impl FnOnce(*mut sys::ddi_fm_error_t)) -> c_int {
    let mut error = sys::ddi_fm_error_t {
        fme_version: sys::DDI_FME_VERSION,
        fme_status: sys::DDI_FM_OK,
        fme_flag: 0,
        fme_ena: 0,
        fme_acc_handle: ptr::null_mut(),
        fme_dma_handle: ptr::null_mut(),
        fme_bus_specific: ptr::null_mut(),
        fme_bus_type: 0,
    };
    get(&raw mut error);
    error.fme_status
}
