//! Minor nodes: what processes open. No locks. Making a node allocates its name, and may sleep: user or kernel context.

use alloc::boxed::Box;
use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};
use core::ptr::NonNull;

use ddi_sys as sys;

use crate::node::Node;
use crate::text::{End, Text};

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

    /// Creates a type of another name, which a line of devlink.tab can match: `type=ddi_mine`.
    pub const fn named(name: &'static CStr) -> NodeType {
        NodeType(name)
    }

    pub(crate) fn as_c_str(self) -> &'static CStr {
        self.0
    }
}

/// A minor node to be made, by [`Device::minor`](crate::Device::minor).
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
    /// In a box: a node is moved, and would have its name on the stack each time. `None`: by its number, as [`Device::minor`](crate::Device::minor) says.
    name: Option<Box<Text<64>>>,
    pub(crate) kind: NodeType,
    pub(crate) restricted: Option<Restricted>,
}

/// Privileges for reading and for writing, strings that live for ever, and permissions.
#[derive(Clone, Copy)]
pub(crate) struct Restricted {
    pub read: NonNull<c_char>,
    pub write: NonNull<c_char>,
    pub mode: u32,
}

impl MinorNode {
    /// Creates a node of this name, at most 63 bytes without a NUL, with the default permissions. User or kernel context: allocates. Two nodes of an instance have different names.
    pub fn new(name: fmt::Arguments<'_>) -> MinorNode {
        let mut text = Text::new();
        if text.write_fmt(name).is_err() {
            // A formatter that fails cuts the name short: no node, then.
            text = Text::new();
        }
        MinorNode::named(text)
    }

    /// As [`new`](MinorNode::new), of a name that is built piece by piece: no formatting code.
    pub fn named(name: Text<64>) -> MinorNode {
        MinorNode { name: Some(Box::new(name)), ..MinorNode::by_number() }
    }

    /// A node that is named by its number, when it is made.
    pub(crate) fn by_number() -> MinorNode {
        MinorNode { name: None, kind: NodeType::PSEUDO, restricted: None }
    }

    /// Returns the node's name, made of its number if it has none.
    #[inline(always)]
    pub(crate) fn name(self, node: &Node<'_>, index: u32) -> Box<Text<64>> {
        self.name.unwrap_or_else(|| {
            let mut name = Box::new(Text::new());
            number(name.end(), node, index);
            name
        })
    }

    /// Sets the kind of device. Default: [`NodeType::PSEUDO`].
    pub fn of_type(mut self, kind: NodeType) -> MinorNode {
        self.kind = kind;
        self
    }

    /// Restricts opening for reading and for writing to callers with these privileges, with these initial permissions (`0o600`):
    /// `ddi_create_priv_minor_node`.
    pub fn restricted(mut self, read: &'static CStr, write: &'static CStr, mode: u32) -> MinorNode {
        let [read, write] = [read, write].map(|name| NonNull::from(name).cast());
        self.restricted = Some(Restricted { read, write, mode });
        self
    }
}

/// Writes the driver's name and the instance's number, with the index from the second node on.
#[inline(never)]
fn number(mut name: End<'_>, node: &Node<'_>, index: u32) {
    name.add(node.driver_name().to_bytes());
    name.add_number(node.instance().unsigned_abs());
    if index > 0 {
        name.add(b",");
        name.add_number(index);
    }
}
