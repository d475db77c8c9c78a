//! The tutorial, docs/writing-a-driver.md: its code is this package's (cargo-ddi's tests run its commands).

mod common;

use common::{blocks, squeeze};
use ddi_system::devlink::{Directory, Minor, Numbered, Rules};

const TUTORIAL: &str = "writing-a-driver.md";

/// Each line of the driver is in the tutorial, in order; the other files are there as they stand.
#[test]
fn the_code_is_this_package() {
    let blocks = |language| blocks(TUTORIAL, language).concat();
    let driver = squeeze(include_str!("../src/lib.rs"));
    assert_eq!(squeeze(&blocks("rust")), driver, "the tutorial's driver and src/lib.rs differ");
    let program = include_str!("../examples/pin.rs");
    assert_eq!(blocks("rust,program"), program, "the tutorial's program and examples/pin.rs differ");
    let conf = include_str!("../notice.conf");
    assert!(blocks("conf").contains(conf), "the tutorial's notice.conf is another");
}

/// The links that a line of devlink.tab makes.
struct Links(Vec<String>);

impl Directory for Links {
    fn number(&mut self, name: &Numbered<'_>, _: &str) -> usize {
        name.least
    }
    fn link(&mut self, name: &str, _: &str) {
        self.0.push(name.to_owned());
    }
    fn warn(&mut self, text: String) {
        panic!("{text}");
    }
}

/// The tutorial's line of devlink.tab gives the driver's minor node the name that the tutorial opens.
#[test]
fn the_link_has_the_name_that_is_opened() {
    let text = common::page(TUTORIAL);
    let line =
        text.split('`').find(|part| part.starts_with("type=ddi_pseudo;")).expect("a line of devlink.tab");
    let (rules, warnings) = Rules::parse(&line.replace("<TAB>", "\t"), "/etc/devlink.tab");
    assert!(warnings.is_empty(), "{warnings:?}");
    let mut links = Links(Vec::new());
    let path = "/pseudo/notice@0:notice0";
    let minor = Minor { kind: "ddi_pseudo", name: "notice", addr: "0", minor: "notice0", path };
    assert!(rules.make(minor, &mut links), "{line}: it is about other nodes");
    assert_eq!(links.0, ["notice0"], "{line}");
}
