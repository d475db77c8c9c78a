//! `ddi-host`: runs programs as clients of a driver in this process's DDI kernel, and shows that with ctxdev, which is linked in. See `ddi-host help`.

mod bench;
mod demo;

use clap::{Args, Subcommand};
use ddi_host::cli::{self, Commands, MachineArgs, fail};
use ddi_host::commands::trace::TraceArgs;
use ddi_host::linked;

/// Nodes of a ctxdev without any configuration: a device with its registers and its frame buffer, and a pseudo device.
const CTXDEV: &str = "[[node]]\ninstance = 0\nregisters = [\"4K\", \"64K\"]\n[[node]]\ninstance = 1\n";

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Host(cli::Command),
    /// Run processes that take turns on one device, fork, unmap and die, and check every value that they read
    Demo(Demo),
    /// Measure the cost of the host, as ratios to the same operations without a host
    Bench(Bench),
    /// The processes of the demo
    #[command(hide = true)]
    Client(Client),
}

#[derive(Args, Debug)]
struct Demo {
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    trace: TraceArgs,
}

impl Demo {
    fn run(&self) -> i32 {
        let recording = match self.trace.begin() {
            Ok(recording) => recording,
            Err(why) => return fail(&why.to_string()),
        };
        let status = demo::run(|| self.machine.start()).unwrap_or_else(|why| fail(&why.to_string()));
        if recording.finish() { status } else { status.max(1) }
    }
}

#[derive(Args, Debug)]
struct Bench {
    #[command(flatten)]
    machine: MachineArgs,
    /// Measure the operations beside others, up to this many processes with 100 mappings each
    #[arg(long, value_name = "PROCESSES", num_args = 0..=1, default_missing_value = "1000")]
    scale: Option<usize>,
    /// With --scale, print one JSON object per line
    #[arg(long, requires = "scale")]
    json: bool,
}

#[derive(Args, Debug)]
struct Client {
    /// The device to use.
    #[arg(long, default_value = demo::DEVICE)]
    device: String,
    #[command(subcommand)]
    role: demo::Role,
}

impl Commands for Command {
    fn run(&self) -> i32 {
        match self {
            Command::Host(command) => command.run(),
            Command::Demo(demo) => demo.run(),
            Command::Bench(bench) => {
                bench::run(bench.scale.map(|most| (most, bench.json)), || bench.machine.start())
                    .unwrap_or_else(|why| fail(&why.to_string()))
            }
            Command::Client(client) => match demo::play(&client.role, &client.device) {
                Ok(()) => 0,
                Err(error) => fail(&format!("{}: {error}", client.device)),
            },
        }
    }
}

fn main() {
    linked::add_with(&ctxdev::MODULE, CTXDEV);
    std::process::exit(cli::main_with::<Command>());
}
