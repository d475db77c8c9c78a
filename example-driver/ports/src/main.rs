//! `ddi-host` with the drivers of the ports linked in: `cargo run -p ports-host -- run --driver vmops,conf=example-driver/ports/linux/vmops.conf -- PROGRAM`.

fn main() {
    ddi_host::linked::add(&kiomap::MODULE);
    ddi_host::linked::add(&upager::MODULE);
    ddi_host::linked::add(&vmops::MODULE);
    std::process::exit(ddi_host::cli::main());
}
