//~ says: `Limits` may have padding, or bytes that are no value: it cannot be copied from and to a process
//~ says: define it with `devmap::plain! { pub struct ... }`
#![no_std]

use devmap::prelude::*;

#[derive(Clone, Copy)]
struct Limits {
    mappings: u32,
    contexts: u64,
}

pub fn ioctl(argument: Argument<'_>) -> Result<(), Errno> {
    argument.copyout(&Limits { mappings: 3, contexts: 2 })
}
