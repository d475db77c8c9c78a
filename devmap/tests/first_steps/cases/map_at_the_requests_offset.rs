#![no_std]

use devmap::prelude::*;

struct Page(Umem);

impl Device for Page {
    type Mapping = ();
    type Open = ();

    fn attach(attach: &Attach<'_>) -> Result<Page, Errno> {
        Ok(Page(Umem::new(attach, Kind::Locked, 4096)?))
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Page>) -> Result<Setup<'a, Page>, Errno> {
        Ok(request.map(&self.0, request.offset()).with(())?)
    }
}

devmap::module! { device: Page, name: "page", description: "one page for everybody" }
