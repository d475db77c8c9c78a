//! The server: accepts client processes, follows their lives, and starts the threads that serve them.
//!
//! Locking: the maps of processes, opens and lines each have a lock of their own, never held while the kernel above runs.

use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ddi_wire::{HEAD_MAX, Message, Reply, Request};
use parking_lot::{Mutex, RwLock};
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::board::Board;
use super::ending::Signals;
use super::failpoint::fails;
use super::fault;
use super::hat::Hat;
use super::identity::open_pidfd;
use super::pool::FaultPool;
use super::shared::Shared;
use super::sock::Conn;
use super::supervise::{self, Unsupervised};
use super::uffd::NoUserfaultfd;
use super::watch::{Interest, Job, Key, Watch};
use super::{FaultMode, FaultPolicy, Kernel, Process, serve, uffd};
use crate::physmem::PhysMem;

/// Configuration of a server.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Fault mode.
    pub faults: FaultPolicy,
    /// Mappings whose address the program does not choose lie below 4 GiB.
    pub low: bool,
}

/// Why a server did not start: says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The way of catching faults that was asked for is not to be had.
    #[error("userfaultfd is not available here ({0}); use --faults signal or auto")]
    NoUserfaultfd(#[from] NoUserfaultfd),
    /// Processes that programs leave behind could not be ended.
    #[error(transparent)]
    Unsupervised(#[from] Unsupervised),
    /// There would not be enough descriptors for a client or two.
    #[error(
        "this process may have {0} open files, a host needs {FEWEST_FILES} and some for each client (ulimit -n)"
    )]
    Files(u64),
    /// Anything else.
    #[error("cannot {what}: {error}")]
    System {
        /// Action that failed.
        what: &'static str,
        /// The error of Linux.
        error: io::Error,
    },
}

/// The least limit of open files with which a host can serve anybody.
const FEWEST_FILES: u64 = 64;

/// Serves client processes until dropped (clients still there are then killed).
pub struct Server {
    pub(super) shared: Arc<Shared>,
    listener: Arc<OwnedFd>,
    stopper: OwnedFd,
    shim: OwnedFd,
    /// This process's limit of open files before it was raised: what clients get.
    pub(super) files: Option<u64>,
    threads: Vec<std::thread::JoinHandle<()>>,
    /// While a program runs in the foreground, and what it leaves is ended.
    pub(super) signals: Mutex<Option<Signals>>,
}

impl Shared {
    /// Turns an event into what is to be done about it.
    pub fn claim(self: &Arc<Self>, key: Key, input: bool) -> Option<Job> {
        match key {
            Key::Stop => None,
            Key::Death(id) | Key::Lifeline(id) => {
                let process = self.processes.read().get(&id).cloned()?;
                if input && matches!(key, Key::Lifeline(_)) && process.pid() == 0 {
                    let line = process.lifeline.lock();
                    let line = line.as_ref()?;
                    let mut buf = [0; HEAD_MAX];
                    if let Ok(Some(got)) = line.recv(&mut buf, RecvFlags::DONTWAIT)
                        && let Ok(Request::Child { pid, mode }) = Request::decode(&buf[..got.len])
                    {
                        let _ = self.watch.change(line, key, Interest::HangUp);
                        let process = process.clone();
                        return Some(Box::new(move |shared| shared.born(&process, pid, mode, got.fds)));
                    }
                }
                if matches!(key, Key::Lifeline(_)) {
                    process.check_exec();
                }
                // Both of its descriptors may report; the first one counts.
                if let Some(pidfd) = process.pidfd() {
                    self.watch.remove(pidfd);
                }
                if let Some(line) = &*process.lifeline.lock() {
                    self.watch.remove(line);
                }
                Some(Box::new(move |shared| _ = shared.leave(&process)))
            }
            Key::Open(id) => {
                let open = self.opens.read().get(&id).cloned()?;
                serve::stray_write(self, &open).or_else(|| {
                    self.watch.remove(&open.peer);
                    self.opens.write().remove(&id);
                    // Closed by another thread while it is polled: the poll sees a bad descriptor.
                    open.pollers.lock().drain(..).for_each(|waker| waker.wake());
                    self.tell_gone();
                    Some(Box::new(move |_| drop(open)))
                })
            }
            Key::Line(id) => {
                let line = self.lines.lock().get(&id).cloned()?;
                Some(Box::new(move |_| line.fire()))
            }
        }
    }

    /// Watches for the death of a process; more than once is harmless.
    ///
    /// # Errors
    /// `ESRCH`: it has ended, or is on its way out. Otherwise there is no descriptor or no memory for that.
    fn watch_death(&self, process: &Process, pid: i32) -> Result<(), i32> {
        if process.pidfd().is_some() {
            return Ok(());
        }
        let pidfd = open_pidfd(pid).map_err(|e| e.0)?;
        let key = Key::Death(process.id());
        let watched = process.flight.unless_leaving(|| match process.pidfd() {
            None => self.watch.add(process.identity.keep_pidfd(pidfd), key, Interest::Input),
            Some(_) => Ok(()),
        });
        watched.ok_or(libc::ESRCH)?.map_err(|_| libc::ENOMEM)
    }

    /// The parent says that Linux has copied it, and which process the child is, unless `pid` is 0: should it die before it introduces itself, that is
    /// seen in time.
    pub fn forked(self: &Arc<Self>, child: u64, pid: i32) {
        let Some(process) = self.processes.read().get(&child).cloned() else { return };
        self.copied(&process);
        if pid != 0 && self.watch_death(&process, pid).is_err() && self.leave(&process) {
            // It runs if it has introduced itself meanwhile; otherwise its connection is closed. One that has left before may have another program by now.
            process.identity.kill();
        }
    }

    /// A forked child runs and introduces itself.
    fn born(self: &Arc<Self>, process: &Arc<Process>, pid: i32, mode: FaultMode, fds: Vec<OwnedFd>) {
        // It is not finished before this has returned.
        let flight = self.begin(process);
        let r = (|| {
            flight.as_ref().ok_or(libc::ESRCH)?;
            self.watch_death(process, pid)?;
            process.identity.set_pid(pid);
            if !fds.is_empty() {
                self.attach(process, mode, fds)?;
                process.inherit().map_err(|e| e.0)?;
            }
            Ok(self.welcome(process))
        })();
        let served = r.is_ok();
        let reply = r.unwrap_or_else(|errno| Reply::Failed { errno });
        let told = process
            .lifeline
            .lock()
            .as_ref()
            .is_some_and(|line| line.send(&reply, &[self.mem.as_fd()]).is_ok());
        self.copied(process);
        // A child that has no answer waits for one until its connection is closed.
        if !(served && told) {
            self.leave(process);
        }
    }

    /// A process can be mapped into now.
    pub fn attach(&self, process: &Process, mode: FaultMode, fds: Vec<OwnedFd>) -> Result<(), i32> {
        let mut fds = fds.into_iter();
        let agent = fds.next().ok_or(libc::EINVAL)?;
        let uffd = fds.next().map(uffd::Uffd::new);
        process.attach(mode, Conn::new(agent), uffd).map_err(|e| e.0)?;
        match process.uffd() {
            Some(uffd) => self.faults.add(uffd, process.id()).map_err(|_| libc::ENOMEM),
            None => Ok(()),
        }
    }

    /// Returns the reply to a process that has introduced itself.
    fn welcome(&self, process: &Process) -> Reply<'static> {
        let policy = match (self.policy, self.mode) {
            (FaultPolicy::Auto, FaultMode::Signal) => FaultPolicy::Signal,
            (policy, _) => policy,
        };
        Reply::Welcome { process: process.id(), policy, low: self.low }
    }

    /// The first message of a new connection.
    fn greet(self: &Arc<Self>, conn: Conn) {
        let Ok(peer) = rustix::net::sockopt::socket_peercred(&conn) else { return };
        let pid = peer.pid.as_raw_nonzero().get();
        let mut buf = [0; HEAD_MAX];
        let Ok(Some(got)) = conn.recv(&mut buf, RecvFlags::empty()) else { return };
        match Request::decode(&buf[..got.len]) {
            Ok(Request::Hello) => {
                if peer.uid != rustix::process::geteuid() {
                    let _ = conn.send(&Reply::Failed { errno: libc::EPERM }, &[]);
                    return;
                }
                self.hello(conn, pid);
            }
            Ok(Request::Thread { process, tid }) => {
                let process = self.processes.read().get(&process).cloned().filter(|p| p.pid() == pid);
                if let Some(process) = process {
                    serve::run(self, process, tid, conn);
                }
            }
            _ => {}
        }
    }

    fn hello(self: &Arc<Self>, conn: Conn, pid: i32) {
        self.watch.drain(self, true);
        let older: Vec<_> = self.processes.read().values().filter(|p| p.pid() == pid).cloned().collect();
        older.iter().for_each(|p| _ = self.leave(p));
        let Ok(pidfd) = open_pidfd(pid) else { return };
        let process = Arc::new(Process::new(self.next_id(), self.mem.clone(), Hat::default()));
        let id = process.id();
        process.identity.set_pid(pid);
        let pidfd = process.identity.keep_pidfd(pidfd);
        self.processes.write().insert(id, process.clone());
        let _ = catch_unwind(AssertUnwindSafe(|| self.kernel.process_start(&process)));
        let mut lifeline = process.lifeline.lock();
        let conn = lifeline.insert(conn);
        let watched = self.watch.add(pidfd, Key::Death(id), Interest::Input).is_ok()
            && self.watch.add(&*conn, Key::Lifeline(id), Interest::HangUp).is_ok();
        let told = watched && conn.send(&self.welcome(&process), &[self.mem.as_fd()]).is_ok();
        drop(lifeline);
        if !told {
            self.leave(&process);
        }
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

impl Server {
    /// Looks whether Linux has what serving takes, before anything is made for it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn can_start() -> Result<(), StartError> {
        supervise::prepare()?;
        // Without it the end of a client would go unseen: better said now than by each mmap that is refused.
        rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
            .map_err(|e| system("see when processes end, by pidfd_open(2)")(e.into()))?;
        Ok(())
    }

    /// Returns the way of catching faults that this machine allows.
    ///
    /// # Errors
    /// The policy asks for a way that is denied.
    pub fn allowed(policy: FaultPolicy) -> Result<FaultMode, StartError> {
        Ok(uffd::probe(policy)?)
    }

    /// Starts serving `kernel`'s devices to processes of the same user. This process adopts what its [supervisors](super::Started) leave if they are killed
    /// (`PR_SET_CHILD_SUBREAPER`), and raises its limit of open files.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(kernel: Arc<dyn Kernel>, mem: Arc<PhysMem>, config: Config) -> Result<Server, StartError> {
        Server::can_start()?;
        let mode = Server::allowed(config.faults)?;
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let most = rustix::process::Rlimit { current: files.maximum, ..files };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, most);
        if let Some(few) = files.maximum.filter(|&limit| limit < FEWEST_FILES) {
            return Err(StartError::Files(few));
        }
        let shim = super::launch::shim().map_err(system("prepare the shim"))?;
        let random = std::hash::RandomState::new().build_hasher().finish();
        let name = format!("ddi-host.{}.{random:016x}", std::process::id());
        let listener = listen(&name).map_err(system("make the control socket"))?;
        let board = Board::new().map_err(system("make the board"))?;
        board.write(&kernel.devices());
        let watch = Watch::new().map_err(system("watch clients"))?;
        let faults = FaultPool::new().map_err(system("serve faults"))?;
        let stopper = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)
            .map_err(|e| system("watch clients")(e.into()))?;
        watch.add(&stopper, Key::Stop, Interest::Input).map_err(system("watch clients"))?;
        let shared = Arc::new(Shared {
            kernel,
            mem,
            policy: config.faults,
            low: config.low,
            mode,
            name,
            board,
            watch,
            faults,
            processes: RwLock::default(),
            opens: RwLock::default(),
            lines: Mutex::default(),
            gone: Default::default(),
            ids: AtomicU64::new(1),
            asked: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        });
        fault::start(&shared);
        let listener = Arc::new(listener);
        let (accepting, accept_on) = (shared.clone(), listener.clone());
        let watching = shared.clone();
        let threads = vec![
            std::thread::Builder::new()
                .name("ddi-accept".into())
                .spawn(move || accept(&accepting, &accept_on))
                .map_err(system("start a thread"))?,
            std::thread::Builder::new()
                .name("ddi-watch".into())
                .spawn(move || {
                    while !watching.stopping.load(Ordering::Acquire) {
                        watching.watch.wait();
                        watching.watch.drain(&watching, false);
                    }
                })
                .map_err(system("start a thread"))?,
        ];
        let (files, signals) = (files.current, Mutex::default());
        Ok(Server { shared, listener, stopper, shim, threads, files, signals })
    }

    /// Returns the fault mode (which [`FaultPolicy::Auto`] has chosen).
    pub fn fault_mode(&self) -> FaultMode {
        self.shared.mode
    }

    /// The environment that makes any dynamically linked program a client, while this server lives.
    pub fn environment(&self) -> Vec<(String, String)> {
        let pid = std::process::id();
        let board = self.shared.board.as_fd().as_raw_fd();
        let shim = format!("/proc/{pid}/fd/{}", self.shim.as_raw_fd());
        let preload = match std::env::var("LD_PRELOAD") {
            Ok(others) if !others.is_empty() => format!("{shim}:{others}"),
            _ => shim,
        };
        vec![
            ("LD_PRELOAD".into(), preload),
            (ddi_wire::ENV.into(), format!("{}:{pid}:{board}", self.shared.name)),
        ]
    }

    /// Publishes the kernel's list of devices to the clients.
    pub fn devices_changed(&self) {
        self.shared.board.write(&self.shared.kernel.devices());
    }

    /// Client processes there are.
    pub fn process_count(&self) -> usize {
        self.shared.processes.read().len()
    }

    /// Waits until no client process and no open device is left, or `limit` is over; returns how many processes are left.
    pub fn wait_idle(&self, limit: Duration) -> usize {
        let end = Instant::now() + limit;
        loop {
            self.shared.watch.settle(&self.shared);
            let (lock, gone) = &self.shared.gone;
            let mut going = lock.lock();
            let left = self.process_count();
            if left == 0 && self.shared.opens.read().is_empty() || Instant::now() >= end {
                return left;
            }
            // What has gone since it was looked at has waited for the lock.
            gone.wait_until(&mut going, end);
        }
    }

    /// Kills the client processes there are.
    pub fn kill_all(&self) {
        for p in self.shared.processes.read().values() {
            p.identity.kill();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        self.kill_all();
        self.wait_idle(Duration::from_secs(5));
        self.shared.stopping.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.stopper, &1u64.to_ne_bytes());
        self.shared.faults.stop();
        for t in self.threads.drain(..) {
            let _ = t.join();
        }
    }
}

fn listen(name: &str) -> io::Result<OwnedFd> {
    let fd =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&fd, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    rustix::net::listen(&fd, 1024)?;
    Ok(fd)
}

fn accept(shared: &Arc<Shared>, listener: &OwnedFd) {
    loop {
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
            Ok(fd) => {
                if fails("thread for a client") {
                    continue;
                }
                let shared = shared.clone();
                let thread = std::thread::Builder::new()
                    .name("ddi-client".into())
                    .spawn(move || shared.greet(Conn::new(fd)));
                // Without a thread the connection is closed, and the client says so.
                drop(thread);
            }
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::BADF) => return,
            Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM) => {
                // There is no event for descriptors that are free again; new connections wait until then.
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(_) => {}
        }
    }
}
