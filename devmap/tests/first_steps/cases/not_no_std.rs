//~ says: this crate is not `no_std`: a kernel has no standard library
//~ says: write `#![no_std]` at the top of src/lib.rs

use devmap::prelude::*;

struct Page;

impl Device for Page {
    type Mapping = ();
    type Open = ();

    fn attach(_: &Attach<'_>) -> Result<Page, Errno> {
        Ok(Page)
    }
}

devmap::module! { device: Page, name: "page", description: "one page" }
