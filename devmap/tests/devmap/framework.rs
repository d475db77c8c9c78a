//! What modinfo(8) shows of a module with its own devmap framework.

use std::ffi::CStr;

use devmap::module::{description, marked};

fn shown(text: &str) -> String {
    let marked = marked(text);
    CStr::from_bytes_until_nul(&marked).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_description_says_whose_framework_it_is() {
    assert_eq!(shown("notice board 0.1"), "notice board 0.1 (own devmap)");
    assert_eq!(shown("context-switching device 0.1"), "context-switching  (own devmap)");
    assert_eq!(shown(""), " (own devmap)");
    const MARKED: devmap::module::Marked = marked("a board");
    assert_eq!(description("a board\0", &MARKED), c"a board");
}
