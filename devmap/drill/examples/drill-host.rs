//! `ddi-host` with the driver drill linked in: `cargo run -p drill --example drill-host -- run --driver drill --device board.toml -- PROGRAM`.

fn main() {
    ddi_host::linked::add(&drill::MODULE);
    std::process::exit(ddi_host::cli::main());
}
