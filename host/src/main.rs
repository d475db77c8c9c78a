//! `ddi-host`: runs programs as clients of a driver in this process's DDI kernel. See `ddi-host help`.

mod cli;

fn main() {
    std::process::exit(cli::main());
}
