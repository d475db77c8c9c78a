//! `ddi-host` with the driver ring linked in: `cargo run -p ring --example ring-host -- run --driver ring -- PROGRAM`.

fn main() {
    ddi_host::linked::add(&ring::MODULE);
    std::process::exit(ddi_host::cli::main());
}
