//! placeholder
pub struct Node;
impl Node { pub fn driver_name(&self) -> String { String::new() } pub fn instance(&self) -> i32 { 0 } pub fn path(&self) -> String { String::new() } }
pub fn of(_: *mut ddi_sys::dev_info_t) -> Option<&'static Node> { None }
