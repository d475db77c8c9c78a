//! A kernel of a few symbols for modules that need no DDI.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ddi_kernel::kern::{calls, tables, thread};
use ddi_krtld::{Export, Fired, Kernel, Linkage, Modules};

#[derive(Default)]
pub struct Few {
    pub symbols: HashMap<&'static str, Export>,
    pub messages: Mutex<Vec<String>>,
    /// What detaching the instances answers.
    pub detach: Mutex<Option<i32>>,
    /// The probe that the kernel wants, and what is called for it.
    pub probe: Option<(&'static str, Fired)>,
}

impl Few {
    pub fn with(mut self, name: &'static str, function: usize) -> Few {
        self.symbols.insert(name, Export::Function(function));
        self
    }
    pub fn data<T>(mut self, name: &'static str, variable: &'static T) -> Few {
        let address = std::ptr::from_ref(variable) as usize;
        self.symbols.insert(name, Export::Data { address, size: size_of::<T>() });
        self
    }
    /// The modules of this kernel, and the kernel for its messages.
    pub fn modules(self, path: Vec<PathBuf>) -> (Arc<Few>, Modules) {
        // Threads start with the %gs base of the thread that makes them.
        thread::kthread();
        let kernel = Arc::new(self);
        (kernel.clone(), Modules::new(kernel, path))
    }
    pub fn said(&self, text: &str) -> bool {
        self.messages.lock().unwrap().iter().any(|m| m.contains(text))
    }
}

impl Kernel for Few {
    fn lookup(&self, name: &str) -> Option<Export> {
        self.symbols.get(name).copied()
    }
    fn call(&self, _what: &str, f: &mut dyn FnMut()) {
        let _entered = calls::enter();
        f();
    }
    fn linkage(&self, module: &str, address: usize) -> Result<Linkage, ddi_krtld::Nowhere> {
        tables::linkage(module, address).map_err(ddi_krtld::Nowhere::new)
    }
    fn detach_all(&self, _module: &str) -> Result<(), i32> {
        self.detach.lock().unwrap().map_or(Ok(()), Err)
    }
    fn probe(&self, name: &str, _imports: &dyn Fn(&str) -> bool) -> Option<Fired> {
        self.probe.filter(|(wanted, _)| *wanted == name).map(|(_, fired)| fired)
    }
    fn message(&self, text: &str) {
        self.messages.lock().unwrap().push(text.to_owned());
    }
}
