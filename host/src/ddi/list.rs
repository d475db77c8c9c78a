//! Lists (L is writing this, with avl.rs, idspace.rs, vmem.rs, pages.rs, poll.rs).
