//! Inputs of [`ddi_fuzz::ring`]: from libFuzzer, or the files that are named.
#![cfg_attr(fuzzing, no_main)]

ddi_fuzz::entry!(ring);
