//! docs/dmaboard.md: its code is the driver's, and its commands print what it shows.

#[path = "../../notice/tests/common/mod.rs"]
mod common;

const EXAMPLE: common::Example = common::Example {
    package: "dmaboard",
    page: "dmaboard.md",
    source: include_str!("../src/lib.rs"),
    conf: None,
};

#[test]
fn the_code_is_the_drivers() {
    EXAMPLE.code_is_shown();
}

#[test]
fn the_commands_do_as_shown() {
    EXAMPLE.commands_do_as_shown();
}
