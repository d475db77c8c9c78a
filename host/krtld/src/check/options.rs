//! What a module is checked against.

/// A module that may be named as a dependency.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The name by which it is recorded, such as "misc/usba".
    pub name: String,
    /// Its global definitions.
    pub symbols: Vec<String>,
}

/// What a module is checked against.
#[derive(Clone, Debug)]
pub struct Options {
    /// Modules whose symbols may be used.
    pub dependencies: Vec<Dependency>,
    /// Whether a reachable panic is an error.
    pub deny_panics: bool,
    /// Bytes of one stack frame.
    pub frame_limit: u64,
    /// Bytes of a chain of direct calls (a kernel thread has 20 KiB, interrupts included).
    pub stack_limit: u64,
    /// The same of those chains that begin at a function with this in its name.
    pub stacks: Vec<(String, u64)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dependencies: Vec::new(),
            deny_panics: false,
            frame_limit: 2048,
            stack_limit: 8192,
            stacks: Vec::new(),
        }
    }
}
