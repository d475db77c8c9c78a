//! Drivers whose modules have been unloaded while they are installed: the names of their devices stay, and opening one loads the driver again.
//!
//! Loading is for the thread that has the machine's modules ([`Wanted`], in `ddi-host serve`); the thread that opens waits for it.
//!
//! Locking: two leaf locks, not held while anything is loaded.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ddi_process::DeviceNode;
use rustix::event::{EventfdFlags, eventfd};

use crate::calls::names;

/// State of this file.
struct State {
    /// The names of drivers that are not loaded: driver, node.
    asleep: RwLock<Vec<(String, DeviceNode)>>,
    /// Channel for requests to load a driver.
    loader: Mutex<Option<(Sender<Order>, Arc<OwnedFd>)>>,
}

static STATE: State = State { asleep: RwLock::new(Vec::new()), loader: Mutex::new(None) };
/// A driver that is to be loaded; dropped when that has been tried.
type Order = (String, Sender<()>);

/// Remembers the names that a driver's devices have now.
pub fn keep(driver: &str) {
    let names = names::nodes_of(driver);
    let mut asleep = STATE.asleep.write().unwrap_or_else(PoisonError::into_inner);
    for node in names {
        asleep.retain(|(_, old)| old.path != node.path);
        asleep.push((driver.to_owned(), node));
    }
}

/// Forgets them: it is loaded, or has been removed from the system.
pub fn forget(driver: &str) {
    STATE.asleep.write().unwrap_or_else(PoisonError::into_inner).retain(|(name, _)| name != driver);
}

/// All remembered names.
pub fn names() -> Vec<DeviceNode> {
    let asleep = STATE.asleep.read().unwrap_or_else(PoisonError::into_inner);
    asleep.iter().map(|(_, node)| node.clone()).collect()
}

/// Loads and attaches the driver of a remembered name. Returns false if no machine can, or the name is invalid.
pub fn load(path: &[u8]) -> bool {
    let asleep = STATE.asleep.read().unwrap_or_else(PoisonError::into_inner);
    let driver = asleep.iter().find(|(_, node)| node.path == path).map(|(driver, _)| driver.clone());
    drop(asleep);
    let Some(driver) = driver else { return false };
    let loader = STATE.loader.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some((orders, wake)) = loader else { return false };
    let (done, wait) = channel();
    if orders.send((driver, done)).is_err() || rustix::io::write(&wake, &1u64.to_ne_bytes()).is_err() {
        return false;
    }
    drop(orders);
    // Nothing is ever sent: it ends when the order is dropped.
    let _ = wait.recv();
    true
}

/// The orders, at the thread that carries them out; ready to be read while there are any. Those that are left when it goes are not carried out.
#[derive(Debug)]
pub struct Wanted {
    orders: Receiver<Order>,
    wake: Arc<OwnedFd>,
}

impl Wanted {
    /// From now on drivers are loaded here.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Wanted> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (sender, orders) = channel();
        *STATE.loader.lock().unwrap_or_else(PoisonError::into_inner) = Some((sender, wake.clone()));
        Ok(Wanted { orders, wake })
    }

    /// Executes what is queued.
    pub fn serve(&self, mut load: impl FnMut(&str)) {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        while let Ok((driver, done)) = self.orders.try_recv() {
            load(&driver);
            drop(done);
        }
    }
}

impl AsFd for Wanted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        *STATE.loader.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
