//~ says: the opens of this device have private data (`type Open`): write the `fn open` that makes it
#![no_std]

use devmap::prelude::*;

struct Page;
struct Client {
    _number: u64,
}

impl Device for Page {
    type Mapping = ();
    type Open = Client;

    fn attach(_: &Attach<'_>) -> Result<Page, Errno> {
        Ok(Page)
    }
}

devmap::module! { device: Page, name: "page", description: "one page" }
