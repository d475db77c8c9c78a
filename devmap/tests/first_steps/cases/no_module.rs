//~ says: `Page` has no module
//~ says: write `devmap::module! { device: Page, name: "...", description: "..." }` in the module that defines it
#![no_std]

use devmap::prelude::*;

struct Page;

impl Device for Page {
    type Mapping = ();
    type Open = ();

    fn attach(_: &Attach<'_>) -> Result<Page, Errno> {
        Ok(Page)
    }
}
