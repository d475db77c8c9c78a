//! Vnodes.

/// Offset of `v_pages`, a vnode's list of pages.
pub(crate) const V_PAGES: usize = 72;
