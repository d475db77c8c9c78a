//! C drivers, compiled for the kernel with gcc from this project's headers, loaded as modules, under real processes.
//!
//! Each test compiles a fixture and runs `ddi-host run --driver FIXTURE -- THIS PROGRAM --client NAME`: the client's half, a function of this
//! program, does what a user program would. Without gcc the tests are counted as ignored, and the reason is said once.
//!
//! A module names its tests with `tests!`; `half!` is the name of a client's half, for the command line. Both enter the function into a list of the program's.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use linkme::distributed_slice;

/// A function, with the name of its module and its own.
type Named = (&'static str, fn());

#[distributed_slice]
static TESTS: [Named];

#[distributed_slice]
static CLIENTS: [Named];

/// Enters functions of the module into the list of tests.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {$(
        const _: () = {
            #[linkme::distributed_slice(crate::TESTS)]
            static TEST: crate::Named = (concat!(module_path!(), "::", stringify!($name)), $name);
        };
    )+};
}

/// Enters a function of the module into the list of clients' halves. Its name.
macro_rules! half {
    ($name:path) => {{
        #[linkme::distributed_slice(crate::CLIENTS)]
        static HALF: crate::Named = (concat!(module_path!(), "::", stringify!($name)), $name);
        HALF.0
    }};
}

mod admin;
mod asked;
mod behind;
mod board;
mod crash;
mod devices;
mod events;
mod garbage;
mod kernel_names;
mod knots;
mod latch;
mod lend;
mod maps;
mod models;
mod names;
mod own;
mod package;
mod pairs;
mod regs;
mod root;
mod run;
mod shapes;
#[path = "../ends/signals.rs"]
mod signals;
mod soft;
mod styles;
mod tally;
mod turns;
mod ways;
mod window;
mod wrong;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--client") {
        return client(&args.next().unwrap_or_default());
    }
    let mut arguments = Arguments::from_args();
    // They wait more than they compute.
    arguments.test_threads.get_or_insert(6);
    let missing = !run::have_compiler();
    if missing && !arguments.list {
        println!("ignored: there is no gcc to compile the fixtures with (apt-get install gcc)");
    }
    let trial = |&(path, test): &Named| {
        let run = move || {
            test();
            Ok(())
        };
        let name = path.split_once("::").map_or(path, |(_, name)| name);
        Trial::test(name, run).with_ignored_flag(missing)
    };
    libtest_mimic::run(&arguments, TESTS.iter().map(trial).collect()).exit_code()
}

/// Plays a client's half; a panic is its failure.
fn client(name: &str) -> ExitCode {
    let Some((_, half)) = CLIENTS.iter().find(|(known, _)| *known == name) else {
        eprintln!("there is no client's half {name}");
        return ExitCode::from(2);
    };
    half();
    println!("{}", run::PASSED);
    ExitCode::SUCCESS
}
