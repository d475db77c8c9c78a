//! What a process sees of a device mapping: the part that programs other than `usr-tests` use.

pub mod recorded;
