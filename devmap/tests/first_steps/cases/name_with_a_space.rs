//~ says: a module is named as its file: up to 31 letters, digits, `_` and `-`, a letter first; not "my page"
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

devmap::module! { device: Page, name: "my page", description: "one page" }
