//! A machine for one run: physical memory, device nodes, drivers, and the server of client processes.
//!
//! Started and ended by one thread. At the end drivers are detached and unloaded, and what they left is reported.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ddi_process::{self, FaultPolicy, Server, StartError};
use ddi_system::conf::Conf;
use ddi_system::root::{NoSystem, Root, Unreadable};
use devmap::module::Entry;

use crate::machine::config::{self, Config, ConfigError};
use crate::machine::linked;
use crate::machine::session::{self, DriverFile, Session};
use ddi_kernel::board::{log, report};
use ddi_kernel::calls::kernel::{self, DdiKernel};
use ddi_kernel::calls::system;
use ddi_kernel::calls::traced::Traced;
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
    /// `NAME` of a driver that is linked in, or `FILE` of a module, each with what [`DriverFile`] takes behind it. The first has nodes and devices that name
    /// no driver.
    pub drivers: Vec<String>,
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
    /// Two drivers have one name.
    #[error("--driver: there are two drivers {0}; ,name=NAME loads a module file under another name")]
    Twice(String),
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

/// Returns the way of catching faults that a run takes here if it is not told another, as the value of `DDI_HOST_FAULTS`.
pub fn fault_mode() -> &'static str {
    Server::allowed(FaultPolicy::Auto).map_or("signal", |mode| mode.name())
}

/// A driver of a run: linked in if it has an entry, else a module.
struct Chosen {
    name: String,
    file: DriverFile,
    entry: Option<&'static Entry>,
    conf: Option<Conf>,
}

impl Chosen {
    fn new(text: &str) -> Result<Chosen, MachineError> {
        let file: DriverFile = text.parse().map_err(MachineError::Argument)?;
        let given = file.module.to_string_lossy().into_owned();
        let entry = linked::find(&given);
        if entry.is_none() && !given.contains('/') && !file.module.is_file() {
            return Err(MachineError::UnknownDriver { name: given, known: linked::names().join(", ") });
        }
        let of_file = || file.module.file_name().map_or(given.clone(), |n| n.to_string_lossy().into_owned());
        let name = file.name.clone().unwrap_or_else(of_file);
        let conf_file = if entry.is_some() { file.conf.clone() } else { file.conf() };
        let conf = conf_file.map(|path| config::read_conf(&path)).transpose()?;
        Ok(Chosen { name, file, entry, conf })
    }
}

/// A running machine.
pub struct Machine {
    /// The drivers, or the system's directory.
    names: Vec<String>,
    linked: Vec<&'static Entry>,
    session: Option<Session>,
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
        heap::set_check(options.check);
        vm::start()?;
        ddi_extra::add();
        vm::memory().set_guard(options.check);
        let mut drivers: Vec<Chosen> = Vec::new();
        for text in &options.drivers {
            let driver = Chosen::new(text)?;
            if drivers.iter().any(|other| other.name == driver.name) {
                return Err(MachineError::Twice(driver.name));
            }
            drivers.push(driver);
        }
        let first = drivers.first().map(|driver| driver.name.clone()).ok_or(session::ArgumentError::Empty)?;
        Self::add_devices(options, &options.devices, |_| Some(first.clone()))?;
        let file = options.config.as_deref().map(|path| Config::read(path, &first)).transpose()?;
        let mut machine =
            Machine { names: Vec::new(), linked: Vec::new(), session: None, server: None, listener: None };
        for driver in &drivers {
            let (name, conf) = (&driver.name, driver.conf.as_ref());
            Self::add_devices(options, &driver.file.devices, |_| Some(name.clone()))?;
            let own = match file {
                Some(_) => None,
                None => Some(Config::default_for(name, conf)?),
            };
            file.as_ref().or(own.as_ref()).unwrap_or(&Config::default()).make_nodes(name, conf, None)?;
        }
        match drivers.iter().try_for_each(|driver| machine.add(driver)).and_then(|()| machine.serve(options))
        {
            Ok(()) => Ok(machine),
            Err(error) => {
                machine.end();
                Err(error)
            }
        }
    }

    /// Loads a driver, which attaches to its nodes.
    fn add(&mut self, driver: &Chosen) -> Result<(), MachineError> {
        match driver.entry {
            Some(entry) => {
                Self::init(entry)?;
                self.linked.push(entry);
            }
            None => {
                let session = self.session.get_or_insert_with(|| Session::new(None));
                session.add_as(&driver.file.module, Some(&driver.name))?;
            }
        }
        self.names.push(driver.name.clone());
        Ok(())
    }

    /// Starts a machine with the drivers that are installed in a directory.
    fn start_root(options: &Options, root: &Root) -> Result<Machine, MachineError> {
        heap::set_check(options.check);
        vm::start()?;
        ddi_extra::add();
        vm::memory().set_guard(options.check);
        let dir = root.dir().display().to_string();
        system::enter(root)?;
        Self::add_devices(options, &options.devices, session::bound_by(root)?)?;
        let mut session = Session::new(Some(root));
        session.add_installed(root)?;
        let none = session.modules().list().is_empty();
        let (names, session) = (vec![dir.clone()], Some(session));
        let mut machine = Machine { names, linked: Vec::new(), session, server: None, listener: None };
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

    /// Puts devices on the bus; `bind` names the driver for a compatible name.
    fn add_devices(
        options: &Options,
        devices: &[PathBuf],
        bind: impl Fn(&str) -> Option<String>,
    ) -> Result<(), MachineError> {
        for name in devices {
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

    fn init(driver: &'static Entry) -> Result<(), MachineError> {
        let name = driver.name;
        let init = || entry::prompt(|| entry::call(|| format!("{name}: _init(9E)"), || (driver.init)()));
        let errno = thread::in_context(Context::Kernel, || drivers::as_module(name, init)).unwrap_or(-1);
        if errno != 0 {
            return Err(MachineError::Init { name: name.to_owned(), errno });
        }
        if let Some(driver) = drivers::find(name) {
            driver.attach_all();
        }
        Ok(())
    }

    fn serve(&mut self, options: &Options) -> Result<(), MachineError> {
        for name in &self.names {
            let attached = |driver: Arc<Driver>| nodes::of_driver(&driver.name).iter().any(|n| n.attached());
            if !drivers::find(name).is_some_and(attached) {
                return Err(MachineError::NoInstance(name.clone()));
            }
        }
        if !kernel::any_device() {
            // Some drivers are like that (nulldriver), others make their nodes later.
            let text = format!(
                "{}: attached; the driver created no minor node, so there is no device to open",
                self.names.join(", ")
            );
            log::line(log::To::Both, &text);
        }
        self.serve_devices(options)
    }

    fn serve_devices(&mut self, options: &Options) -> Result<(), MachineError> {
        let config = ddi_process::Config { faults: options.faults, low: options.model == Model::Ilp32 };
        let server = Arc::new(Server::start(Arc::new(Traced(DdiKernel)), vm::memory().clone(), config)?);
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

    /// The modules of a machine that was started for a system's directory.
    ///
    /// # Panics
    /// When it has linked-in drivers only.
    pub fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("a machine with a session")
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
        let mut stay = self.session.take().map(Session::end).unwrap_or_default();
        stay.extend(
            self.linked.iter().rev().filter_map(|driver| Some(Self::fini(driver).err()?.to_string())),
        );
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
    fn fini(driver: &'static Entry) -> Result<(), Stays> {
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
