//! A machine for one run: physical memory, device nodes, drivers, and the server of client processes.
//!
//! Started and ended by one thread. At the end drivers are detached and unloaded, and what they left is reported.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ddi_process::{self, FaultPolicy, Server, StartError};
use ddi_system::root::{NoSystem, Root, Unreadable};

use crate::machine::config::{self, Config, ConfigError};
use crate::machine::linked;
use crate::machine::session::{self, DriverFile, Session};
use ddi_kernel::board::{log, report};
use ddi_kernel::calls::kernel::{self, DdiKernel};
use ddi_kernel::calls::system;
use ddi_kernel::ddi;
use ddi_kernel::kern::drivers::{self, Driver};
use ddi_kernel::kern::image::{self, Model};
use ddi_kernel::kern::thread::{self, Context};
use ddi_kernel::kern::{entry, heap, left, nodes, trap, watch};
use ddi_kernel::pci::{self, interrupts};
use ddi_kernel::vm;

/// Options of a machine.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `NAME[,conf=FILE]` of a driver that is linked in, or `FILE[,conf=FILE]` of a module.
    pub driver: String,
    /// A system's directory; all drivers installed there are loaded instead.
    pub root: Option<PathBuf>,
    /// Whether the machine stays up for that directory, even without a driver.
    pub resident: bool,
    /// Node configuration.
    pub config: Option<PathBuf>,
    /// Simulated PCI devices: description files, or names of known devices.
    pub devices: Vec<PathBuf>,
    /// The way of catching faults.
    pub faults: FaultPolicy,
    /// Guard kernel memory and stop at the first mistake of a driver.
    pub check: bool,
    /// Data model of the processes.
    pub model: Model,
    /// Load modules that need functions which do not exist.
    pub allow_missing: bool,
}

/// Reasons for which a machine does not start.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No driver of this name.
    #[error("no driver {name}: linked in are {known}; name a module by its file (./{name})")]
    UnknownDriver {
        /// The name asked for.
        name: String,
        /// The linked-in drivers.
        known: String,
    },
    /// The driver argument is wrong.
    #[error("--driver: {0}")]
    Argument(#[from] session::ArgumentError),
    /// The directory is no system's.
    #[error(transparent)]
    NoSystem(#[from] NoSystem),
    /// A database of the system cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The file for the kernel's messages cannot be written.
    #[error("{}: {error}", file.display())]
    Log {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The configuration or the driver.conf is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `_init` failed.
    #[error("{name}: _init(9E) failed with errno {errno}")]
    Init {
        /// The driver.
        name: String,
        /// illumos's number.
        errno: i32,
    },
    /// The module cannot be loaded.
    #[error(transparent)]
    Module(#[from] session::DriverError),
    /// No driver is installed in the system.
    #[error("{0}: no driver is installed; use ddi-host add_drv --root {0}")]
    NoDriver(String),
    /// No installed driver has an instance.
    #[error(
        "{0}: no installed driver has a device node that it attaches to: nodes are in kernel/drv/NAME.conf"
    )]
    NoNode(String),
    /// No instance of the driver is attached.
    #[error("{0}: no instance attached, so there is no device")]
    NoInstance(String),
    /// The process layer did not start.
    #[error(transparent)]
    Server(#[from] StartError),
    /// The description of a device is wrong.
    #[error("--device {0}")]
    Device(#[from] pci::ReadError),
    /// There is no place for a device.
    #[error("--device {}: {why}", device.display())]
    NoPlace {
        /// The device.
        device: PathBuf,
        /// Why.
        why: pci::AddError,
    },
    /// No physical memory.
    #[error(transparent)]
    Memory(#[from] vm::NoMemory),
}

/// Why a driver that is linked in stays.
#[derive(Debug, thiserror::Error)]
enum Stays {
    #[error(transparent)]
    Attached(#[from] drivers::DetachError),
    #[error("{name}: _fini(9E) refused with errno {errno}")]
    Refused { name: &'static str, errno: i32 },
}

enum Loaded {
    Linked(&'static devmap::module::Entry),
    Modules(Option<Session>),
}

/// A running machine.
pub struct Machine {
    name: String,
    loaded: Loaded,
    server: Option<Arc<Server>>,
    listener: Option<nodes::Listener>,
}

/// Whether a machine was started before: a process has one kernel at most.
static STARTED: AtomicBool = AtomicBool::new(false);

impl Machine {
    /// Starts a machine with one driver.
    ///
    /// # Errors
    /// See [`MachineError`].
    ///
    /// # Panics
    /// When the process has had a machine already.
    pub fn start(options: &Options) -> Result<Machine, MachineError> {
        assert!(!STARTED.swap(true, Ordering::Relaxed), "one machine in a process");
        Server::can_start()?;
        trap::install();
        image::set_model(options.model);
        if options.allow_missing {
            session::allow_missing();
        }
        if let Some(root) = &options.root {
            return Self::start_root(options, &Root::new(root));
        }
        let file: DriverFile = options.driver.parse()?;
        heap::set_check(options.check);
        vm::start()?;
        ddi_extra::add();
        vm::memory().set_guard(options.check);
        let given = file.module.to_string_lossy().into_owned();
        let entry = linked::find(&given);
        if entry.is_none() && !given.contains('/') && !file.module.is_file() {
            return Err(MachineError::UnknownDriver { name: given, known: linked::names().join(", ") });
        }
        let of_file = || file.module.file_name().map_or(given.clone(), |n| n.to_string_lossy().into_owned());
        let name = file.name.clone().unwrap_or_else(of_file);
        let conf_file = if entry.is_some() { file.conf.clone() } else { file.conf() };
        let conf = conf_file.map(|path| config::read_conf(&path)).transpose()?;
        Self::add_devices(options, |_| Some(name.clone()))?;
        let config = match &options.config {
            Some(path) => Config::read(path)?,
            None => Config::default_for(&name, conf.as_ref())?,
        };
        config.make_nodes(&name, conf.as_ref(), None)?;
        let loaded = match entry {
            Some(entry) => Self::init(entry)?,
            None => {
                let mut session = Session::new(None);
                session.add_as(&file.module, Some(&name))?;
                Loaded::Modules(Some(session))
            }
        };
        let mut machine = Machine { name, loaded, server: None, listener: None };
        if let Err(error) = machine.serve(options) {
            machine.end();
            return Err(error);
        }
        Ok(machine)
    }

    /// Starts a machine with the drivers that are installed in a directory.
    fn start_root(options: &Options, root: &Root) -> Result<Machine, MachineError> {
        heap::set_check(options.check);
        vm::start()?;
        ddi_extra::add();
        vm::memory().set_guard(options.check);
        let dir = root.dir().display().to_string();
        system::enter(root)?;
        Self::add_devices(options, session::bound_by(root)?)?;
        let mut session = Session::new(Some(root));
        session.add_installed(root)?;
        let none = session.modules().list().is_empty();
        let loaded = Loaded::Modules(Some(session));
        let mut machine = Machine { name: dir.clone(), loaded, server: None, listener: None };
        if none && !options.resident {
            machine.end();
            return Err(match root.installed().is_ok_and(|installed| installed.is_empty()) {
                true => MachineError::NoDriver(dir),
                false => MachineError::NoNode(dir),
            });
        }
        match machine.serve_devices(options) {
            Ok(()) => Ok(machine),
            Err(error) => {
                machine.end();
                Err(error)
            }
        }
    }

    /// Puts the devices on the bus; `bind` names the driver for a compatible name.
    fn add_devices(options: &Options, bind: impl Fn(&str) -> Option<String>) -> Result<(), MachineError> {
        for name in &options.devices {
            let description = pci::read(name)?;
            let fail = |why| MachineError::NoPlace { device: name.clone(), why };
            let device = pci::add(description, &bind).map_err(fail)?;
            if let Some(node) = device.node().filter(|n| n.driver_name().is_empty() && !options.resident) {
                let (path, names) = (node.path(), device.description.compatible().join(" "));
                log::line(
                    log::To::Both,
                    &format!("NOTICE: {path}: no driver is installed for one of {names}"),
                );
            }
        }
        Ok(())
    }

    fn init(driver: &'static devmap::module::Entry) -> Result<Loaded, MachineError> {
        let name = driver.name;
        let init = || entry::prompt(|| entry::call(|| format!("{name}: _init(9E)"), || (driver.init)()));
        let errno = thread::in_context(Context::Kernel, || drivers::as_module(name, init)).unwrap_or(-1);
        if errno != 0 {
            return Err(MachineError::Init { name: name.to_owned(), errno });
        }
        if let Some(driver) = drivers::find(name) {
            driver.attach_all();
        }
        Ok(Loaded::Linked(driver))
    }

    fn serve(&mut self, options: &Options) -> Result<(), MachineError> {
        let driver = self.driver().ok_or_else(|| MachineError::NoInstance(self.name.clone()))?;
        if !nodes::of_driver(&driver.name).iter().any(|n| n.attached()) {
            return Err(MachineError::NoInstance(self.name.clone()));
        }
        if !kernel::any_device() {
            // Some drivers are like that (nulldriver), others make their nodes later.
            let text = format!(
                "{}: attached; the driver created no minor node, so there is no device to open",
                self.name
            );
            log::line(log::To::Both, &text);
        }
        self.serve_devices(options)
    }

    fn serve_devices(&mut self, options: &Options) -> Result<(), MachineError> {
        let config = ddi_process::Config { faults: options.faults, low: options.model == Model::Ilp32 };
        let server = Arc::new(Server::start(Arc::new(DdiKernel), vm::memory().clone(), config)?);
        let told = Arc::downgrade(&server);
        self.listener = Some(nodes::Listener::new(move || {
            if let Some(server) = told.upgrade() {
                server.devices_changed();
            }
        }));
        let killed = Arc::downgrade(&server);
        report::on_stop(move || {
            if let Some(server) = killed.upgrade() {
                server.kill_all();
            }
            ddi_process::end_all();
        });
        self.server = Some(server);
        Ok(())
    }

    /// The driver.
    pub fn driver(&self) -> Option<Arc<Driver>> {
        drivers::find(&self.name)
    }

    /// The modules of a machine that was started for a system's directory.
    ///
    /// # Panics
    /// When it has a linked-in driver.
    pub fn session(&mut self) -> &mut Session {
        match &mut self.loaded {
            Loaded::Modules(Some(session)) => session,
            _ => panic!("a machine with a session"),
        }
    }

    /// Returns the way of catching faults as the value of `DDI_HOST_FAULTS`, from which a program learns what does not work.
    pub fn faults(&self) -> &'static str {
        self.server().fault_mode().name()
    }

    /// The server of client processes.
    ///
    /// # Panics
    /// After the end.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a machine that runs has a server")
    }

    /// Ends the machine: clients, instances, driver. Reports what was left. Returns true if nothing was left and the run had no
    /// failures.
    pub fn end(mut self) -> bool {
        self.listener = None;
        if let Some(server) = self.server.take() {
            let mut left = server.wait_idle(Duration::from_secs(2));
            if left > 0 {
                server.kill_all();
            }
            // Wait as long as their number decreases.
            while left > 0 {
                let still = server.wait_idle(Duration::from_secs(1));
                left = if still < left { still } else { 0 };
            }
            if watch::name_stuck() > 0 {
                // That call still uses the driver's code and data and the server: free nothing.
                report::fail();
                std::mem::forget(server);
                return false;
            }
            drop(server);
        }
        for line in vm::unserved::summary() {
            log::line(log::To::Both, &format!("NOTICE: {line}"));
        }
        let live = vm::framework().live();
        if live != segdev::Live::default() {
            report::leftover("exit", &format!("mappings are left: {live:?}"), "devmap_unmap(9E)");
        }
        let stay = match &mut self.loaded {
            Loaded::Modules(session) => session.take().map(Session::end).unwrap_or_default(),
            Loaded::Linked(driver) => Self::fini(driver).err().iter().map(Stays::to_string).collect(),
        };
        // illumos unloads an unused driver if the driver agrees; a system can shut down without.
        if heap::checking() {
            let mut pending = left::pending();
            for why in &stay {
                report::leftover_after("_fini", why, "detach(9E), _fini(9E)", &std::mem::take(&mut pending));
            }
        }
        if stay.is_empty() {
            left::report(|_| true);
        }
        if heap::checking() && stay.is_empty() {
            leftovers();
        }
        if report::failed() {
            log::line(log::To::Log, "the run had failures");
        }
        !report::failed()
    }

    /// Detaches and unloads a driver that is linked in.
    ///
    /// # Errors
    /// See [`Stays`].
    fn fini(driver: &'static devmap::module::Entry) -> Result<(), Stays> {
        let name = driver.name;
        if let Some(found) = drivers::find(name) {
            found.detach_all().inspect_err(|why| log::line(log::To::Both, &format!("WARNING: {why}")))?;
        }
        let fini = || entry::prompt(|| entry::call(|| format!("{name}: _fini(9E)"), || (driver.fini)()));
        match thread::in_context(Context::Kernel, || drivers::as_module(name, fini)).unwrap_or(-1) {
            0 => Ok(()),
            errno => Err(Stays::Refused { name, errno }),
        }
    }
}

/// Reports the resources that drivers left when all are unloaded.
fn leftovers() {
    let (cookies, bytes) = vm::umem::in_use();
    let rows = [
        (cookies, format!("umem cookies ({bytes} bytes)"), "ddi_umem_free(9F)"),
        (ddi::softstate::anchors(), "soft state anchors".into(), "ddi_soft_state_fini(9F)"),
        (ddi::registers::in_use(), "register mappings".into(), "ddi_regs_map_free(9F)"),
        (ddi::kstats::count(), "kstats".into(), "kstat_delete(9F)"),
        (ddi::dma::in_use(), "DMA handles".into(), "ddi_dma_free_handle(9F)"),
        (ddi::dma::memory_in_use(), "pieces of DMA memory".into(), "ddi_dma_mem_free(9F)"),
        (interrupts::in_use(), "interrupts".into(), "ddi_intr_free(9F)"),
    ];
    for (count, what, page) in rows {
        if count > 0 {
            let mut text = format!("{count} {what} are left");
            if page == "ddi_umem_free(9F)" {
                text.extend(vm::umem::describe(8).into_iter().map(|line| format!("\n    {line}")));
            }
            report::leftover("_fini", &text, page);
        }
    }
    drivers::report_memory();
}
