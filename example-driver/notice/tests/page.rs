//! The tutorial, docs/writing-a-driver.md: its code is this package's (cargo-ddi's tests run its commands).

mod common;

use std::collections::BTreeMap;

use common::{blocks, squeeze};
use ddi_system::devlink::{Directory, Minor, Rules};

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
#[derive(Default)]
struct Links(BTreeMap<String, String>);

impl Directory for Links {
    fn links(&self) -> &BTreeMap<String, String> {
        &self.0
    }
    fn link(&mut self, name: &str, target: &str) {
        self.0.insert(name.to_owned(), target.to_owned());
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
    let mut links = Links::default();
    let path = "/pseudo/notice@0:notice0";
    let minor = Minor { kind: "ddi_pseudo", name: "notice", addr: "0", minor: "notice0", path };
    assert!(rules.make(minor, &mut links), "{line}: it is about other nodes");
    assert!(links.0.keys().eq(["notice0"]), "{line}: {:?}", links.0);
}
