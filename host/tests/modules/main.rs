//! The module loader against modules that are right and modules that are deliberately broken, rule by rule.

mod checklist;
mod commands;
mod elf;
mod kernel;
mod lifecycle;
mod symbols;
