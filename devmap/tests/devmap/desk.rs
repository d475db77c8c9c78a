//! A driver whose opens have private data, with two minor nodes; an ioctl does what a test tells it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};

use ddi_sys as sys;
use devmap::context::Kernel;
use devmap::minor::NodeType;
use devmap::open::{Admission, Exclusion};
use devmap::prelude::{
    Argument, Attach, Device, Errno, Events, Handle, Kind, MapRequest, MinorNode, Node, Open, Poll, PollHead,
    Polled, Setup, Uio, Umem,
};

use crate::mock::{self, Booted, Config, PAGE, kernel};

/// Open with a number of its own.
pub struct Client {
    pub number: u32,
    pub minor: u32,
    pub memory: Umem,
    pub ready: AtomicBool,
    pub head: PollHead,
    /// What was mapped last.
    pub mapping: Mutex<Option<Handle>>,
    _admission: Admission,
}

impl Drop for Client {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, SeqCst);
    }
}

pub struct Desk {
    users: Exclusion,
    next: AtomicU32,
}

type Call = Box<dyn FnOnce(&Client, &Argument<'_>) -> Result<i32, Errno> + Send>;

static CALL: Mutex<Option<Call>> = Mutex::new(None);
static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static REFUSE: Mutex<Option<Errno>> = Mutex::new(None);
/// Private data of opens.
pub static LIVE: AtomicI64 = AtomicI64::new(0);

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn event(text: String) {
    lock(&EVENTS).push(text);
}

/// What the driver was asked since this was last asked.
pub fn events() -> Vec<String> {
    std::mem::take(&mut lock(&EVENTS))
}

/// From now on open(9E) fails with this, or does not.
pub fn refuse(errno: Option<Errno>) {
    *lock(&REFUSE) = errno;
}

pub fn boot() -> Booted {
    let booted = mock::boot(&MODULE);
    (*lock(&CALL), *lock(&REFUSE)) = (None, None);
    events();
    LIVE.store(0, SeqCst);
    booted
}

/// A booted kernel with an instance, its device number, and an open of its first node.
pub fn desk() -> (Booted, sys::dev_t, sys::dev_t) {
    let mut booted = boot();
    assert!(booted.attach(Config::default()).is_some());
    kernel().caller.privileges.insert("sys_devices");
    let open = mock::open_new(0, sys::FREAD | sys::FWRITE).expect("open");
    (booted, 0, open)
}

/// An ioctl(2) with this argument by a caller of this mode: what the driver does in it.
pub fn ioctl(
    open: sys::dev_t,
    arg: usize,
    mode: i32,
    call: impl FnOnce(&Client, &Argument<'_>) -> Result<i32, Errno> + Send + 'static,
) -> (i32, i32) {
    *lock(&CALL) = Some(Box::new(call));
    mock::ioctl_as(open, 1, arg as isize, mode)
}

impl Device for Desk {
    type Mapping = ();
    type Open = Client;
    const MINORS: u32 = 2;

    fn attach(_: &Attach<'_>) -> Result<Desk, Errno> {
        Ok(Desk { users: Exclusion::new(), next: AtomicU32::new(1) })
    }

    fn minor(&self, node: &Node<'_>, index: u32) -> Option<MinorNode> {
        let n = node.instance();
        if node.property("one", 0) != 0 && index == 1 {
            return None;
        }
        Some(match index {
            0 => MinorNode::new(format_args!("desk{n}")),
            _ => MinorNode::new(format_args!("drawer{n}"))
                .of_type(NodeType::named(c"ddi_drawer"))
                .restricted(c"sys_devices", c"all", 0o640),
        })
    }

    fn open(&self, how: Open<'_>) -> Result<Client, Errno> {
        let admission = self.users.admit(&how)?;
        if let Some(errno) = *lock(&REFUSE) {
            return Err(errno);
        }
        let number = self.next.fetch_add(1, SeqCst);
        event(format!("open {number} of {} by {}", how.minor(), how.caller().process()));
        LIVE.fetch_add(1, SeqCst);
        Ok(Client {
            number,
            minor: how.minor(),
            memory: Umem::new(&how, Kind::Locked, 2 * PAGE)?,
            ready: AtomicBool::new(false),
            head: PollHead::new(),
            mapping: Mutex::new(None),
            _admission: admission,
        })
    }

    fn close(&self, open: &Client, _: &mut Kernel) {
        event(format!("close {}", open.number));
    }

    fn read(&self, open: &Client, uio: &mut Uio<'_>) -> Result<(), Errno> {
        assert_eq!(uio.minor(), open.minor);
        event(format!("read {} by {}", open.number, uio.caller().process()));
        uio.give_value(&u64::from(open.number))?;
        uio.give_from(&open.memory, 8).map(|_| ())
    }

    fn write(&self, open: &Client, uio: &mut Uio<'_>) -> Result<(), Errno> {
        let Some(value) = uio.take_value::<u64>()? else { return Err(Errno::EINVAL) };
        open.memory.write_from(8, &[value])?;
        Ok(())
    }

    fn ioctl(&self, open: &Client, _: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        assert_eq!(argument.minor(), open.minor);
        let call = lock(&CALL).take();
        call.map_or(Err(Errno::ENOTTY), |call| call(open, &argument))
    }

    fn poll(&self, open: &Client, poll: Poll<'_>) -> Result<Polled, Errno> {
        let ready = if open.ready.load(SeqCst) { Events::READABLE | Events::HANGUP } else { Events::empty() };
        assert!(poll.wanted().contains(Events::ERROR));
        Ok(poll.answer(&open.head, ready))
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Desk>) -> Result<Setup<'a, Desk>, Errno> {
        let open = request.open();
        assert_eq!(request.minor(), open.minor);
        event(format!("map {} by {}", open.number, request.caller().user()));
        let first = request.map(&open.memory, request.offset() + PAGE as u64).with(());
        let setup = match first {
            Ok(setup) => setup,
            // A request that was refused can be tried with something else.
            Err(_) => request.map(&open.memory, request.offset()).with(())?,
        };
        // The mapping that is set up, though nobody has asked for it before.
        *open.mapping.lock().unwrap() = Some(request.handle().clone());
        let again = request.map(&open.memory, request.offset()).with(());
        assert_eq!(again.err().unwrap().errno(), Errno::EALREADY);
        Ok(setup)
    }
}

devmap::module! { device: Desk, name: "desk", description: "opens with private data" }
