//~ says: `View` is not the private data of a mapping of `Page`
//~ says: write `impl Mapping<Page> for View` with `dup` and `unmap`, or `type Mapping = ();`
#![no_std]

use devmap::prelude::*;

struct Page;
struct View;

impl Device for Page {
    type Mapping = View;
    type Open = ();

    fn attach(_: &Attach<'_>) -> Result<Page, Errno> {
        Ok(Page)
    }
}

devmap::module! { device: Page, name: "page", description: "one page" }
