//! `ddi-host`: runs programs as clients of a driver in this process's DDI kernel. See `ddi-host help`.

fn main() {
    std::process::exit(ddi_host::cli::main());
}
