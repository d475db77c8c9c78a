//! Minor nodes: what processes open, and which device number is what.
//!
//! | minor number | what |
//! | --- | --- |
//! | instance × [`MINORS`](crate::Device::MINORS) + index | a node in /devices |
//! | 2^17 + n | one open, where opens have private data |
//!
//! All are below 2^18, beyond which a program of 32 bits cannot stat(2) them. No locks, any context.

use core::ffi::CStr;
use core::fmt::{self, Write};

use ddi_sys as sys;

use crate::device::Device;
use crate::text::Text;

/// The first minor number of opens that have one of their own.
pub(crate) const OPENS: u32 = 1 << 17;
/// The first that is beyond them.
pub(crate) const END: u32 = 1 << 18;

/// Meaning of a minor number.
pub(crate) enum Minor {
    /// A node of an instance.
    Node { instance: i32, index: u32 },
    /// The open of this number.
    Open(i32),
}

impl Minor {
    /// Returns the meaning of a device number of the driver.
    pub(crate) fn of<D: Device>(dev: sys::dev_t) -> Minor {
        // SAFETY: a calculation.
        let minor = unsafe { sys::getminor(dev) };
        // Less than 2^31 after the division or subtraction, or no number of anything.
        let number = |n: u32| i32::try_from(n).unwrap_or(-1);
        if minor >= OPENS {
            return Minor::Open(number(minor - OPENS));
        }
        match D::MINORS {
            0 | 1 => Minor::Node { instance: number(minor), index: 0 },
            nodes => Minor::Node { instance: number(minor / nodes), index: minor % nodes },
        }
    }

    /// The minor number of a node of an instance, if there is one.
    pub(crate) fn number<D: Device>(instance: i32, index: u32) -> Option<u32> {
        let first = u32::try_from(instance).ok()?.checked_mul(D::MINORS.max(1))?;
        first.checked_add(index).filter(|&minor| minor < OPENS)
    }
}

/// Node type, from which devfsadm(8) derives the links in /dev: `ddi_create_minor_node(9F)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeType(&'static CStr);

impl NodeType {
    /// None of the others.
    pub const PSEUDO: NodeType = NodeType(sys::DDI_PSEUDO);
    /// A frame buffer.
    pub const DISPLAY: NodeType = NodeType(sys::DDI_NT_DISPLAY);
    /// A keyboard.
    pub const KEYBOARD: NodeType = NodeType(sys::DDI_NT_KEYBOARD);
    /// A mouse.
    pub const MOUSE: NodeType = NodeType(sys::DDI_NT_MOUSE);
    /// Audio.
    pub const AUDIO: NodeType = NodeType(sys::DDI_NT_AUDIO);
    /// A serial line.
    pub const SERIAL: NodeType = NodeType(sys::DDI_NT_SERIAL);

    /// A type of another name, by which a line of devlink.tab can ask: `type=ddi_mine`.
    pub const fn named(name: &'static CStr) -> NodeType {
        NodeType(name)
    }

    pub(crate) fn as_c_str(self) -> &'static CStr {
        self.0
    }
}

/// A minor node to be made, by [`Device::minor`].
///
/// ```no_run
/// # use devmap::prelude::*;
/// use devmap::minor::{MinorNode, NodeType};
///
/// // Device::minor, with MINORS = 2: a display, and what controls it.
/// fn minor(node: &Node<'_>, index: u32) -> Option<MinorNode> {
///     let n = node.instance();
///     Some(match index {
///         0 => MinorNode::new(format_args!("screen{n}")).of_type(NodeType::DISPLAY),
///         _ => MinorNode::new(format_args!("screenctl{n}")).restricted(c"sys_devices", c"sys_devices", 0o600),
///     })
/// }
/// ```
#[must_use]
pub struct MinorNode {
    pub(crate) name: Text<64>,
    pub(crate) kind: NodeType,
    pub(crate) restricted: Option<(&'static CStr, &'static CStr, u32)>,
}

impl MinorNode {
    /// A node of this name, at most 63 bytes without a NUL, for everybody whom its permissions allow. Two nodes of an instance have different names.
    pub fn new(name: fmt::Arguments<'_>) -> MinorNode {
        let mut text = Text::new();
        if text.write_fmt(name).is_err() {
            // A formatter that fails cuts the name short: no node, then.
            text = Text::new();
        }
        MinorNode { name: text, kind: NodeType::PSEUDO, restricted: None }
    }

    /// Says what kind of device it is; [`NodeType::PSEUDO`] unless this is said.
    pub fn of_type(mut self, kind: NodeType) -> MinorNode {
        self.kind = kind;
        self
    }

    /// Lets only those open it for reading or for writing who have these privileges, with these permissions (`0o600`) at first:
    /// `ddi_create_priv_minor_node`.
    pub fn restricted(mut self, read: &'static CStr, write: &'static CStr, mode: u32) -> MinorNode {
        self.restricted = Some((read, write, mode));
        self
    }
}
