//! Costs of the reference's framework, by workload.

/// The reference's costs: workload, instructions, allocations, locks, translation calls, nanoseconds.
const REFERENCE: &str = include_str!("../../../segdev/bench/reference.tsv");

/// Factor by which a cost may exceed what is written down: a module is optimised as one, so code moves a little when something else of it changes.
pub const SLACK: f64 = 1.03;

/// A workload of the reference's table.
#[derive(Clone, Copy)]
pub struct Reference {
    pub workload: &'static str,
    pub instructions: f64,
    pub all: f64,
    pub allocs: f64,
    pub locks: f64,
    pub hat: f64,
    pub ns: f64,
}

/// The reference's table.
pub fn reference() -> impl Iterator<Item = Reference> {
    REFERENCE.lines().filter(|l| !l.starts_with('#')).filter_map(|line| {
        let mut fields = line.split('\t');
        let workload = fields.next()?;
        let mut number = || fields.next()?.parse().ok();
        Some(Reference {
            workload,
            instructions: number()?,
            all: number()?,
            allocs: number()?,
            locks: number()?,
            hat: number()?,
            ns: number()?,
        })
    })
}
